"""`PyDataset`: batches by number, made ahead of need by worker threads or processes."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

from .arrays import permutation
from .batches import Batches


class PyDataset:
    """Base class of datasets that make batches by number.

    A subclass has `__getitem__(index)`, which gives one batch x, (x,), (x, y) or
    (x, y, sample_weight), and `__len__` or a property `num_batches`, the number of batches (None
    for an endless dataset). It may have `on_epoch_begin` and `on_epoch_end`.

    Args:
        workers: threads or processes that make batches. One thread is none beside the training.
        use_multiprocessing: processes instead of threads; the dataset must then be picklable.
        max_queue_size: how many batches may be made ahead of need.

    In training, order is kept, and `shuffle=True` draws another order of batches for every epoch.
    Raises ValueError for less than 0 workers, and for several with a queue shorter than 1.
    """

    _workers, _use_multiprocessing, _max_queue_size = 1, False, 10

    def __init__(
        self,
        workers: int = 1,
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ):
        if workers < 0 or max_queue_size < (workers > 1 or (workers > 0 and use_multiprocessing)):
            raise ValueError(
                f"{type(self).__name__}: workers must be 0 or more, and max_queue_size 1 or more "
                f"for several, got {workers} and {max_queue_size}."
            )
        self._workers, self._use_multiprocessing = workers, use_multiprocessing
        self._max_queue_size = max_queue_size
        self._is_initialized = True

    def _setting(self, name):
        if not getattr(self, "_is_initialized", False):
            self._is_initialized = True
            warnings.warn(
                f"{type(self).__name__}.__init__ should call super().__init__(**kwargs), which "
                f"takes workers, use_multiprocessing and max_queue_size.",
                stacklevel=3,
            )
        return getattr(self, name)

    def _set(self, name, value):
        setattr(self, name, value)

    workers = property(
        lambda self: self._setting("_workers"), lambda self, n: self._set("_workers", n)
    )
    use_multiprocessing = property(
        lambda self: self._setting("_use_multiprocessing"),
        lambda self, flag: self._set("_use_multiprocessing", flag),
    )
    max_queue_size = property(
        lambda self: self._setting("_max_queue_size"),
        lambda self, n: self._set("_max_queue_size", n),
    )

    def __getitem__(self, index: int):
        """The batch number `index`."""
        raise NotImplementedError(f"{type(self).__name__} must have __getitem__(index).")

    def __iter__(self):
        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None for an endless dataset."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(f"{type(self).__name__} must have __len__ or num_batches.")

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


class DatasetBatches(Batches):
    """Batches from a `PyDataset`, or from another object with `__getitem__` and `__len__`.

    Args:
        dataset: gives whole batches by number.
        shuffle: whether each pass takes the batches in another order.
        steps, device, class_weight: see `make_batches`.
    """

    def __init__(self, dataset, shuffle: bool | str = False, **options):
        super().__init__(**options)
        self.dataset, self.shuffle = dataset, shuffle
        self.source = type(dataset).__name__

    @property
    def available(self) -> int | None:
        if hasattr(type(self.dataset), "num_batches"):
            return self.dataset.num_batches
        return len(self.dataset)

    def first(self) -> tuple:
        if self.available == 0:
            self._raise_dry(0)
        batch = next(self.numbered(self.dataset[index] for index in (0,)))
        return next(self._on_device(iter([batch])))

    def one_pass(self) -> Iterator[tuple]:
        return self.numbered(self._items())

    def _items(self):
        count = self.available
        indices = itertools.count() if count is None else range(count)
        if self.shuffle and count is not None:
            indices = permutation(count).tolist()
        number = getattr(self.dataset, "workers", 1)
        processes = getattr(self.dataset, "use_multiprocessing", False)
        if number > 1 or (number > 0 and processes):
            from .workers import fetched

            depth = getattr(self.dataset, "max_queue_size", 10)
            return fetched(self.dataset, indices, number, processes, depth)
        return (self.dataset[index] for index in indices)

    def on_epoch_begin(self) -> None:
        if hasattr(self.dataset, "on_epoch_begin"):
            self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        if hasattr(self.dataset, "on_epoch_end"):
            self.dataset.on_epoch_end()
