"""Windows of series, and data in two parts."""

import numpy as np
import pytest

from gpulayers import layers, models, utils

SERIES = np.arange(99)
windows = utils.timeseries_dataset_from_array


def test_windows_as_keras_documents_them():
    """The first example of its documentation."""
    found = list(windows(SERIES, None, 10, sampling_rate=2, sequence_stride=3, batch_size=8))
    assert [len(batch) for batch in found] == [8, 8, 8, 3]
    every = np.concatenate(found)
    np.testing.assert_array_equal(every[0], np.arange(0, 20, 2))
    np.testing.assert_array_equal(every[1], np.arange(3, 23, 2))
    np.testing.assert_array_equal(every[-1], np.arange(78, 98, 2))


def test_targets_belong_to_the_first_step():
    """The second example: ten steps, from which the next one is to be told."""
    data = np.random.default_rng(0).normal(size=(60, 2))
    dataset = windows(data[:-10], data[10:], 10, batch_size=16)
    x, y = (np.concatenate(parts) for parts in zip(*dataset, strict=True))
    assert x.shape == (41, 10, 2)
    for start in range(41):
        np.testing.assert_array_equal(x[start], data[start : start + 10])
        np.testing.assert_array_equal(y[start], data[start + 10])


def test_a_part_of_the_series():
    x, y = windows(SERIES, SERIES * 2, 5, start_index=20, end_index=40)[0]
    np.testing.assert_array_equal(x[:, 0], np.arange(20, 36))
    np.testing.assert_array_equal(y, 2 * x[:, 0])
    single = list(windows(SERIES, None, 5, batch_size=None))
    assert len(single) == 95
    np.testing.assert_array_equal(single[7], np.arange(7, 12))


def test_another_order_for_each_pass():
    dataset = windows(SERIES, SERIES, 5, batch_size=7, shuffle=True, seed=3)
    first = np.concatenate([y for _, y in dataset])
    for x, y in dataset:
        np.testing.assert_array_equal(x, y[:, None] + np.arange(5))
    dataset.on_epoch_end()
    second = np.concatenate([y for _, y in dataset])
    np.testing.assert_array_equal(np.sort(first), np.arange(95))
    np.testing.assert_array_equal(np.sort(second), np.arange(95))
    assert (first != second).any()


def test_models_learn_from_them():
    series = np.sin(np.arange(200.0) / 5)[:, None]
    train = windows(series[:-10], series[10:], 10, end_index=150)
    rest = windows(series[:-10], series[10:], 10, start_index=150)
    model = models.Sequential([layers.Input((10, 1)), layers.Flatten(), layers.Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(train, epochs=3, validation_data=rest, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model.predict(rest, verbose=0).shape == (31, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_index": 99}, "start_index and end_index"),
        ({"start_index": 9, "end_index": 9}, "start_index and end_index"),
        ({"end_index": 100}, "start_index and end_index"),
        ({"sampling_rate": 0}, "sampling_rate must be 1 or more and below the 99 steps, got 0"),
        ({"sequence_stride": 99}, "sequence_stride must be 1 or more and below"),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
    ],
)
def test_bad_numbers(options, message):
    with pytest.raises(ValueError, match=message):
        windows(SERIES, None, 5, **options)


def test_two_parts():
    x, y = np.arange(20).reshape(10, 2), np.arange(10)
    (left_x, left_y), (right_x, right_y) = utils.split_dataset((x, y), left_size=0.7)
    assert (len(left_x), len(right_x)) == (7, 3)
    np.testing.assert_array_equal(np.concatenate([left_x, right_x]), x)
    np.testing.assert_array_equal(np.concatenate([left_y, right_y]), y)
    left, right = utils.split_dataset({"x": x, "y": y}, 4, 2, shuffle=True, seed=1)
    assert (len(left["x"]), len(right["y"])) == (4, 2)
    np.testing.assert_array_equal(left["x"][:, 0], 2 * left["y"])
    assert not set(left["y"]) & set(right["y"])
    for sizes in ({}, {"left_size": 11}, {"left_size": 0.9, "right_size": 0.2}):
        with pytest.raises(ValueError, match="split_dataset"):
            utils.split_dataset(x, **sizes)
