"""Batches from generators, iterables, DataLoaders and datasets."""

import random
import threading
import time

import numpy as np
import pytest

from gpulayers.models.data import PyDataset, make_batches


def epoch(batches, index=0):
    batches.on_epoch_begin()
    found = list(batches.epoch(index))
    batches.on_epoch_end()
    return found


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
    [{}, {"workers": 3}, {"workers": 2, "max_queue_size": 1}, {"workers": 0, "max_queue_size": 0}],
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


# All sources.


def test_the_first_batch_can_be_looked_at():
    x, y = np.ones((10, 3), np.float32), np.arange(10)
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
