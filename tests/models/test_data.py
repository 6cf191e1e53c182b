"""Batches from every kind of data that fit, evaluate and predict take."""

import random
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gpulayers import config
from gpulayers.models.data import (
    PyDataset,
    kind_of,
    make_batches,
    pack,
    to_kind,
    train_validation_split,
    unpack,
)
from gpulayers.models.data.prefetch import one_ahead

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


def test_x_alone_gives_tuples_of_one():
    x, _ = samples()
    assert [len(batch) for batch in epoch(make_batches(x))] == [1]


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
    ((bx,),) = epoch(make_batches(x.astype(np.float32)))
    assert bx.dtype == np.float64


def test_large_arrays_and_memory_maps_are_cast_batch_by_batch(tmp_path):
    on_disk = np.memmap(tmp_path / "x", np.float64, "w+", shape=(6, 2))
    on_disk[:] = np.arange(12).reshape(6, 2)
    batches = make_batches(on_disk, batch_size=4)
    assert np.shares_memory(batches.data[0].array, on_disk)
    found = epoch(batches)
    assert {type(bx) for (bx,) in found} == {np.ndarray}
    assert {bx.dtype.name for (bx,) in found} == {"float32"}
    np.testing.assert_array_equal(np.concatenate([bx for (bx,) in found]), on_disk)


def test_arrays_of_other_libraries_become_numpy():
    x = strict.asarray([[1.0, 2.0], [3.0, 4.0]])
    ((bx,),) = epoch(make_batches(x))
    assert type(bx) is np.ndarray
    assert bx.dtype == np.float32


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
    ((bx,),) = epoch(make_batches(missing))
    assert np.isnan(bx[1, 0])
    ((bx,),) = epoch(make_batches(pandas.DataFrame({"a": ["x", "y"], "b": [1, 2]})))
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


def test_the_first_batch_can_be_looked_at():
    x, y = samples()
    for source in (
        make_batches(x, y, batch_size=4),
        make_batches(iter([(x[:4], y[:4]), (x[4:], y[4:])])),
        make_batches(Numbers(2)),
    ):
        first = source.first()
        assert len(first) == 2
        found = epoch(source)
        assert len(found) == (source.num_batches or 2)
        np.testing.assert_array_equal(found[0][0], first[0])


# Generators and iterables.


def generated(count, fail_at=None):
    for number in range(count):
        if number == fail_at:
            raise RuntimeError("out of paper")
        yield np.full((2, 3), number, np.float64), np.arange(2)


def test_a_generator_without_steps_runs_until_it_ends():
    batches = make_batches(generated(3))
    assert batches.num_batches is None
    assert [bx[0, 0] for bx, _ in epoch(batches)] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"ran dry: epoch 2 needs more batches, but .* all its 3"):
        epoch(batches, 1)


def test_a_generator_that_runs_dry_within_an_epoch_warns():
    batches = make_batches(generated(3), steps=2)
    assert len(epoch(batches, 0)) == 2
    with pytest.warns(UserWarning, match="generator ran out of batches: epoch 2 has 1 of the 2"):
        assert len(epoch(batches, 1)) == 1
    with pytest.raises(ValueError, match="epoch 3 needs 2 more batches"):
        epoch(batches, 2)


def test_no_batch_more_is_drawn_than_asked_for():
    source = generated(5)
    epoch(make_batches(source, steps=2))
    assert next(source)[0][0, 0] == 2


def test_a_generators_error_names_the_batch():
    batches = make_batches(generated(4, fail_at=2))
    with pytest.raises(RuntimeError, match="out of paper") as caught:
        epoch(batches)
    assert caught.value.__notes__ == ["Raised by the generator, for batch 2 (from 0)."]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ((np.ones((2, 1)), np.ones(3)), "batch 0 of the generator: all arrays .* y has 3"),
        ((1, 2, 3, 4), "a tuple of 4 items"),
        ((np.ones((2, 1)), "label"), "batch 0 of the generator: y: expected an array, got str"),
        (np.ones((0, 1)), "batch 0 of the generator: there are no samples"),
    ],
)
def test_bad_batches(item, message):
    with pytest.raises((TypeError, ValueError), match=message):
        epoch(make_batches(iter([item])))


def test_generators_may_give_arrays_and_dicts_and_weights():
    x = np.ones((2, 3))
    found = epoch(make_batches(iter([x, {"a": x}, (x, np.ones(2), np.ones(2)), (x, None)])))
    assert [len(batch) for batch in found] == [1, 1, 3, 1]
    assert found[1][0]["a"].dtype == np.float32


def test_class_weights_of_generated_batches():
    ((_, _, weight), *_) = epoch(make_batches(generated(2), class_weight={1: 3.0}))
    np.testing.assert_array_equal(weight, [1.0, 3.0])


class Stream:
    """An iterable like a tf.data dataset, whose length is known or not."""

    def __init__(self, length=None):
        self._length = length

    def __iter__(self):
        return generated(3)

    def __len__(self):
        if self._length is None:
            raise TypeError("unknown")
        return self._length


@pytest.mark.parametrize("length", [3, None])
def test_iterables_begin_anew_in_each_epoch(length):
    batches = make_batches(Stream(length))
    assert batches.num_batches == length
    for index in range(2):
        assert [bx[0, 0] for bx, _ in epoch(batches, index)] == [0, 1, 2]
    assert batches.num_batches == 3


def test_iterables_begin_anew_where_steps_end_exactly():
    batches = make_batches(Stream(), steps=3)
    assert [len(epoch(batches, index)) for index in range(2)] == [3, 3]


def test_data_loaders():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.ones(10, 3, requires_grad=True), torch.arange(10))
    batches = make_batches(torch.utils.data.DataLoader(data, batch_size=4))
    assert (batches.num_batches, batches.batch_size, batches.num_samples) == (3, 4, 10)
    found = epoch(batches)
    assert {type(part) for batch in found for part in batch} == {np.ndarray}
    assert np.concatenate([by for _, by in found]).tolist() == list(range(10))
    with pytest.raises(TypeError, match="wrap it in a DataLoader"):
        make_batches(data)


# Datasets.


class Numbers(PyDataset):
    """Batches that hold their number, made by the threads or processes that it notes."""

    def __init__(self, count, fail_at=None, delay=0.0, **kwargs):
        super().__init__(**kwargs)
        self.count, self.fail_at, self.delay = count, fail_at, delay
        self.begun = self.ended = 0
        self.made = []

    @property
    def num_batches(self):
        return self.count

    def __getitem__(self, index):
        if index == self.fail_at:
            raise RuntimeError("no such file")
        time.sleep(self.delay * (index % 3))
        self.made.append(index)
        return np.full((2, 1), index, np.float32), np.arange(2)

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self):
        self.ended += 1


def workers_alive():
    return [t for t in threading.enumerate() if t.name.startswith("gpulayers-data")]


@pytest.mark.parametrize(
    "options",
    [{}, {"workers": 3}, {"workers": 2, "max_queue_size": 1}, {"workers": 0}],
    ids=["inline", "threads", "short queue", "no workers"],
)
def test_datasets_keep_their_order(options):
    dataset = Numbers(7, delay=0.002, **options)
    batches = make_batches(dataset)
    assert batches.num_batches == 7
    for index in range(2):
        assert [bx[0, 0] for bx, _ in epoch(batches, index)] == list(range(7))
    assert (dataset.begun, dataset.ended) == (2, 2)
    assert not workers_alive()


def test_worker_processes_keep_the_order():
    dataset = Numbers(5, workers=2, use_multiprocessing=True)
    assert [bx[0, 0] for bx, _ in epoch(make_batches(dataset))] == list(range(5))
    assert dataset.made == []  # Other processes made them.


def test_workers_are_ahead_by_the_queue_and_no_more():
    dataset = Numbers(20, workers=2, max_queue_size=4)
    stream = make_batches(dataset).epoch(0)
    next(stream)
    deadline = time.monotonic() + 5
    while len(dataset.made) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.02)
    assert sorted(dataset.made) == [0, 1, 2, 3, 4]
    stream.close()
    assert not workers_alive()


@pytest.mark.parametrize("processes", [False, True])
def test_a_datasets_error_comes_in_its_turn_and_ends_the_workers(processes):
    dataset = Numbers(9, fail_at=3, workers=2, use_multiprocessing=processes)
    found = []
    with pytest.raises(RuntimeError, match="no such file") as caught:
        for bx, _ in make_batches(dataset).epoch(0):
            found.append(int(bx[0, 0]))
    assert found == [0, 1, 2]
    assert "Raised by the Numbers, for batch 3 (from 0)." in caught.value.__notes__
    assert not workers_alive()


def test_datasets_are_shuffled_by_batch():
    random.seed(3)
    batches = make_batches(Numbers(8, workers=2), shuffle=True)
    orders = [[int(bx[0, 0]) for bx, _ in epoch(batches, index)] for index in range(2)]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert orders[0] != orders[1] != list(range(8))


def test_endless_datasets_need_steps():
    batches = make_batches(Numbers(None, workers=2), steps=3)
    assert batches.num_batches == 3
    assert [bx[0, 0] for bx, _ in epoch(batches, 0)] == [0, 1, 2]
    assert [bx[0, 0] for bx, _ in epoch(batches, 1)] == [3, 4, 5]
    batches.close()
    assert not workers_alive()


def test_a_dataset_without_super_init_warns_and_works():
    class Forgetful(Numbers):
        def __init__(self):
            self.count, self.fail_at, self.delay = 2, None, 0
            self.begun = self.ended = 0
            self.made = []

    with pytest.warns(UserWarning, match=r"should call super\(\).__init__"):
        assert len(epoch(make_batches(Forgetful()))) == 2


def test_datasets_can_be_iterated_over():
    assert [bx[0, 0] for bx, _ in Numbers(3)] == [0, 1, 2]


def test_bad_settings_of_datasets():
    with pytest.raises(ValueError, match="Numbers: workers must be 0 or more"):
        Numbers(3, workers=-1)


def test_objects_like_datasets():
    class Legacy:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return np.full((2, 1), index), np.zeros(2)

    assert [bx[0, 0] for bx, _ in epoch(make_batches(Legacy()))] == [0, 1]


# The way to the GPU.


class Copies:
    """A stand-in for the copies to a GPU, which notes what happened."""

    def __init__(self):
        self.events = []

    def start(self, batch):
        self.events.append(f"start {batch}")
        return batch

    def finish(self, batch):
        self.events.append(f"finish {batch}")
        return batch


def test_the_next_copy_begins_before_a_batch_is_given_out():
    copies = Copies()
    for batch in one_ahead(iter([0, 1, 2]), copies.start, copies.finish):
        copies.events.append(f"step {batch}")
    assert copies.events == [
        *("start 0", "start 1", "finish 0", "step 0"),
        *("start 2", "finish 1", "step 1"),
        *("finish 2", "step 2"),
    ]


def test_an_error_ahead_waits_for_the_batch_before():
    def source():
        yield 0
        yield 1
        raise RuntimeError("disk")

    copies, found = Copies(), []
    with pytest.raises(RuntimeError, match="disk"):
        for batch in one_ahead(source(), copies.start, copies.finish):
            found.append(batch)
    assert found == [0, 1]


def test_nothing_ahead_of_nothing():
    assert list(one_ahead(iter([]), None, None)) == []


class FakeCuda:
    """Stands in for CuPy: its copies are made at once, and all that is asked for is noted."""

    def __init__(self):
        self.notes, self.pinned = [], []
        self.current = self._stream("compute")
        self.cuda = SimpleNamespace(
            Stream=lambda non_blocking: self._stream("copy"),
            get_current_stream=lambda: self.current,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def _stream(self, name):
        notes = self.notes

        class Stream:
            def __enter__(self):
                notes.append(f"memory of {name}")

            def __exit__(self, *error):
                pass

            def record(self):
                number = sum(note.startswith(f"{name} event") for note in notes)
                notes.append(f"{name} event {number}")
                return SimpleNamespace(
                    name=f"{name} event {number}",
                    synchronize=lambda: notes.append(f"host waits for {name} event {number}"),
                )

            def wait_event(self, event):
                notes.append(f"{name} waits for {event.name}")

        return Stream()

    def empty(self, shape, dtype):
        notes = self.notes

        class OnDevice:
            def set(self, source, stream):
                notes.append("copy")
                self.value = source.copy()
                assert (source.shape, source.dtype) == (shape, dtype)

        return OnDevice()

    def empty_pinned(self, shape, dtype):
        self.pinned.append(shape)
        return np.empty(shape, dtype)


@pytest.fixture
def cuda(monkeypatch):
    fake = FakeCuda()
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setitem(sys.modules, "cupyx", fake)
    fake.ndarray = type("ndarray", (), {})
    return fake


def test_copies_wait_for_the_step_that_may_use_their_memory(cuda):
    from gpulayers.models.data.prefetch import PinnedCopies

    copies = PinnedCopies(cuda)
    moving = copies.start((np.ones(3, np.float32), {"y": np.arange(2), "text": np.array(["a"])}))
    assert cuda.notes == [
        *("compute event 0", "copy waits for compute event 0"),
        *("memory of copy", "copy") * 2,
        "copy event 0",
    ]
    cuda.notes.clear()
    x, y = copies.finish(moving)
    assert cuda.notes == ["compute waits for copy event 0"]
    np.testing.assert_array_equal(x.value, np.ones(3))
    np.testing.assert_array_equal(y["y"].value, [0, 1])
    assert y["text"].tolist() == ["a"]


def test_host_buffers_are_used_in_turn(cuda):
    from gpulayers.models.data.prefetch import PinnedCopies

    copies = PinnedCopies(cuda)
    found = []
    for number, size in enumerate([8, 8, 8, 8, 4, 6, 16]):
        (x,) = copies.finish(copies.start((np.full(size, number, np.int32),)))
        found.append(x.value.tolist())
    assert found == [[n] * size for n, size in enumerate([8, 8, 8, 8, 4, 6, 16])]
    assert cuda.pinned == [(32,)] * 3 + [(64,)]  # One for each turn, and a larger one.
    waits = [note for note in cuda.notes if note.startswith("host")]
    assert waits == [f"host waits for copy event {n}" for n in range(4)]
