"""Batches from arrays and frames, their weights, and how they are split and shuffled."""

import random
import sys

import numpy as np
import pytest

from gpulayers import config
from gpulayers.models.data import (
    kind_of,
    make_batches,
    pack,
    to_kind,
    train_validation_split,
    unpack,
)

strict = pytest.importorskip("array_api_strict")


def samples(count=10, width=3):
    x = np.arange(count * width, dtype=np.float32).reshape(count, width)
    x.flags.writeable = False
    return x, np.arange(count)


def epoch(batches, index=0):
    batches.on_epoch_begin()
    found = list(batches.epoch(index))
    batches.on_epoch_end()
    return found


# Arrays.


def test_arrays_come_in_order_with_a_short_last_batch():
    x, y = samples()
    batches = make_batches(x, y, batch_size=4)
    found = epoch(batches)
    assert [len(b[1]) for b in found] == [4, 4, 2]
    assert (batches.num_batches, batches.batch_size, batches.num_samples) == (3, 4, 10)
    np.testing.assert_array_equal(np.concatenate([b[0] for b in found]), x)
    np.testing.assert_array_equal(np.concatenate([b[1] for b in found]), y)


def test_batches_in_order_are_views():
    x, y = samples()
    for bx, by in epoch(make_batches(x, y, batch_size=4)):
        assert np.shares_memory(bx, x)
        assert np.shares_memory(by, y)


def test_x_alone_is_the_batch_unless_it_is_a_list():
    """As in Keras: a step of one's own computes with the array, or with the dict, that came."""
    x, _ = samples()
    (batch,) = epoch(make_batches(x))
    np.testing.assert_array_equal(batch, x)
    (batch,) = epoch(make_batches({"a": x}))
    np.testing.assert_array_equal(batch["a"], x)
    ((batch,),) = epoch(make_batches([x, x]))
    assert len(batch) == 2


def test_batch_size_is_32_or_follows_from_steps():
    x, _ = samples(100)
    assert make_batches(x).batch_size == 32
    batches = make_batches(x, steps=4)
    assert (batches.batch_size, batches.num_batches) == (25, 4)


def test_shuffling_is_reproducible_and_new_in_each_epoch():
    x, y = samples(20)

    def two_epochs():
        random.seed(7)
        batches = make_batches(x, y, batch_size=8, shuffle=True)
        return [np.concatenate([by for _, by in epoch(batches, e)]) for e in range(2)]

    first, second = two_epochs()
    assert sorted(first) == sorted(second) == list(range(20))
    assert list(first) != list(second) != list(range(20))
    np.testing.assert_array_equal([first, second], two_epochs())


def test_shuffled_arrays_stay_together():
    x, y = samples(20)
    for bx, by in epoch(make_batches(x, y, batch_size=8, shuffle=True)):
        np.testing.assert_array_equal(bx, x[by])


def test_shuffling_within_batches_keeps_the_batches():
    x, y = samples(20)
    found = epoch(make_batches(x, y, batch_size=8, shuffle="batch"))
    assert [sorted(by) for _, by in found] == [
        list(range(8)),
        list(range(8, 16)),
        list(range(16, 20)),
    ]
    assert any(list(by) != sorted(by) for _, by in found)


def test_structures_of_arrays():
    x, y = samples()
    found = epoch(make_batches({"a": x, "b": [x, None]}, (y, {"c": y}), batch_size=6, shuffle=True))
    (bx, by) = found[0]
    assert bx["b"][1] is None
    np.testing.assert_array_equal(bx["a"], bx["b"][0])
    np.testing.assert_array_equal(by[0], by[1]["c"])
    assert isinstance(by, tuple)


def test_floats_become_floatx_and_the_rest_stays(monkeypatch):
    x = np.ones((4, 2))
    ints, text = np.arange(4), np.array(["a", "b", "c", "d"])
    (batch,) = epoch(make_batches([x, ints, text, x > 0]))
    assert [part.dtype.kind for part in batch[0]] == ["f", "i", "U", "b"]
    assert batch[0][0].dtype == np.float32
    assert x.dtype == np.float64
    monkeypatch.setitem(config._settings, "floatx", "float64")
    (bx,) = epoch(make_batches(x.astype(np.float32)))
    assert bx.dtype == np.float64


def test_large_arrays_and_memory_maps_are_cast_batch_by_batch(tmp_path):
    on_disk = np.memmap(tmp_path / "x", np.float64, "w+", shape=(6, 2))
    on_disk[:] = np.arange(12).reshape(6, 2)
    batches = make_batches(on_disk, batch_size=4)
    assert np.shares_memory(batches.data[0].array, on_disk)
    found = epoch(batches)
    assert {type(bx) for bx in found} == {np.ndarray}
    assert {bx.dtype.name for bx in found} == {"float32"}
    np.testing.assert_array_equal(np.concatenate(found), on_disk)


def test_arrays_of_other_libraries_become_numpy():
    x = strict.asarray([[1.0, 2.0], [3.0, 4.0]])
    (bx,) = epoch(make_batches(x))
    assert type(bx) is np.ndarray
    assert bx.dtype == np.float32


class Exported:
    """Data that can do nothing but be taken over through DLPack."""

    def __init__(self, array):
        self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__


def test_anything_with_dlpack_is_data():
    x, y = np.arange(12.0, dtype="float32").reshape(6, 2), np.arange(6)
    batches = list(make_batches(Exported(x), Exported(y), batch_size=4).epoch())
    np.testing.assert_array_equal(np.concatenate([batch[0] for batch in batches]), x)
    np.testing.assert_array_equal(np.concatenate([batch[1] for batch in batches]), y)
    first, last = train_validation_split((Exported(x), Exported(y), None), 0.5)
    np.testing.assert_array_equal(first[0], x[:3])
    np.testing.assert_array_equal(last[1], y[3:])


def test_sparse_matrices_become_dense_batches():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    dense = np.diag(np.arange(1.0, 6.0))
    batches = make_batches(scipy_sparse.coo_matrix(dense), np.arange(5), batch_size=2, shuffle=True)
    for bx, by in epoch(batches):
        assert type(bx) is np.ndarray
        np.testing.assert_array_equal(bx, dense[by])


def test_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": [True, False, True]})
    labels = pandas.Series([0, 1, 0], index=[7, 3, 5])
    ((bx, by),) = epoch(make_batches(frame, labels))
    np.testing.assert_array_equal(bx, [[1, 0.5, 1], [2, 1.5, 0], [3, 2.5, 1]])
    assert bx.dtype == np.float32
    assert by.shape == (3, 1)
    missing = pandas.DataFrame({"a": pandas.array([1, None], "Int64"), "b": [1.0, 2.0]})
    (bx,) = epoch(make_batches(missing))
    assert np.isnan(bx[1, 0])
    (bx,) = epoch(make_batches(pandas.DataFrame({"a": ["x", "y"], "b": [1, 2]})))
    assert bx.dtype == object


def test_frames_need_no_pandas(monkeypatch):
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    x, _ = samples()
    assert len(epoch(make_batches(x))) == 1
    assert "pandas" not in sys.modules


# Weights.


@pytest.mark.parametrize(
    "y",
    [np.array([0, 1, 2, 1]), np.array([[0], [1], [2], [1]]), np.eye(3)[[0, 1, 2, 1]]],
    ids=["labels", "column", "one-hot"],
)
def test_class_weight_gives_sample_weights(y):
    x, _ = samples(4)
    ((_, _, weight),) = epoch(make_batches(x, y, class_weight={0: 2.0, 1: 0.5}))
    np.testing.assert_array_equal(weight, np.array([2.0, 0.5, 1.0, 0.5], np.float32))
    assert weight.dtype == np.float32


def test_one_sample_weight_counts_for_all_outputs():
    x, y = samples(4)
    ((_, _, weight),) = epoch(make_batches(x, {"a": y, "b": y}, np.ones(4)))
    assert set(weight) == {"a", "b"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_weight": {0: 1.0}, "sample_weight": np.ones(10)}, "exclude each other"),
        ({"class_weight": [1.0]}, "expected a dict"),
        ({"sample_weight": np.ones(9)}, "sample_weight has 9"),
        ({"batch_size": 0}, "batch_size: expected 1 or more, got 0"),
        ({"steps": 2.5}, "steps: expected a whole number"),
    ],
)
def test_bad_arguments(arguments, message):
    x, y = samples()
    with pytest.raises((TypeError, ValueError), match=message):
        make_batches(x, y, **arguments)


def test_weights_for_other_outputs_are_refused():
    x, y = samples(4)
    with pytest.raises(ValueError, match="one array per output"):
        make_batches(x, [y, y], [np.ones(4)])
    with pytest.raises(ValueError, match=r"shape \(samples,\), got \(4, 2\)"):
        make_batches(x, [y, y], np.ones((4, 2)))
    with pytest.raises(ValueError, match="one output"):
        make_batches(x, [y, y], class_weight={0: 1.0})


# Bad data.


def test_sizes_that_differ_are_listed():
    x, y = samples()
    with pytest.raises(ValueError, match=r"x\['a'\] has 10, x\['b'\] has 8, y has 9"):
        make_batches({"a": x, "b": x[:8]}, y[:9])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((0, 3)), ValueError, "no samples"),
        (
            np.float32(3),
            ValueError,
            r"x: expected an array with an axis of samples, got shape \(\)",
        ),
        ([1.0, 2.0], TypeError, "x: expected an array, got float"),
        ("text", TypeError, "got str"),
        (None, ValueError, "x=None"),
        (7, TypeError, "got int"),
        ((1 for _ in ()), ValueError, "yielded none"),
    ],
)
def test_bad_data(x, error, message):
    with pytest.raises(error, match=message):
        epoch(make_batches(x))


def test_y_beside_a_generator_is_refused():
    with pytest.raises(ValueError, match="y: expected None beside x of type generator"):
        make_batches((b for b in ()), np.ones(3))


# Splits, kinds, tuples.


def test_validation_split_takes_the_last_samples():
    x, y = samples()
    (train, validation) = train_validation_split((x, {"a": y}, None), 0.25)
    assert len(train[0]) == 7
    np.testing.assert_array_equal(validation[1]["a"], [7, 8, 9])
    assert train[2] is None
    assert np.shares_memory(validation[0], x)


def test_validation_split_of_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": range(4)}, index=[9, 1, 0, 2])
    _, validation = train_validation_split((frame, None, None), 0.5)
    assert validation[0]["a"].tolist() == [2, 3]


@pytest.mark.parametrize("split", [0.95, -1, 1.5])
def test_a_split_without_samples_is_refused(split):
    with pytest.raises(ValueError, match="validation_split"):
        train_validation_split((*samples(), None), split)


def test_only_arrays_can_be_split():
    with pytest.raises(ValueError, match=r"got generator\. Pass validation_data"):
        train_validation_split(((b for b in ()), None, None), 0.5)


def test_predictions_go_back_to_the_kind_of_the_data():
    x = strict.ones((2, 3))
    back = to_kind(np.zeros((2, 1), np.float32), kind_of({"a": [x]}))
    assert type(back) is type(x)
    assert type(to_kind(np.zeros(2), kind_of([1, 2]))) is np.ndarray


def test_unpack_and_pack():
    assert unpack(1) == (1, None, None)
    assert unpack([1, 2]) == (1, 2, None)
    assert unpack((1, 2, 3)) == (1, 2, 3)
    assert pack(1) == 1
    assert pack([1]) == ([1],)
    assert pack(1, 2) == (1, 2)
    assert pack(1, 2, 3) == (1, 2, 3)
    with pytest.raises(ValueError, match="a tuple of 4 items"):
        unpack((1, 2, 3, 4))


# Steps.


def test_steps_go_on_where_the_last_epoch_ended():
    x, y = samples()
    batches = make_batches(x, y, batch_size=2, steps=2)
    labels = [[by.tolist() for _, by in epoch(batches, e)] for e in range(2)]
    assert labels == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    with pytest.warns(UserWarning, match="epoch 3 has 1 of the 2 asked for"):
        assert [by.tolist() for _, by in epoch(batches, 2)] == [[8, 9]]
    assert [by.tolist() for _, by in epoch(batches, 3)] == [[0, 1], [2, 3]]


def test_an_epoch_can_begin_in_the_middle():
    x, y = samples()
    random.seed(1)
    whole = [by.tolist() for _, by in epoch(make_batches(x, y, batch_size=3, shuffle=True))]
    random.seed(1)
    batches = make_batches(x, y, batch_size=3, shuffle=True)
    assert [by.tolist() for _, by in batches.epoch(0, start=2)] == whole[2:]
