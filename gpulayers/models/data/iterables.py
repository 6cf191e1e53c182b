"""Batches from Python generators, and from anything else that can be iterated over."""

from __future__ import annotations

from collections.abc import Iterator

from .batches import Batches


class GeneratorBatches(Batches):
    """Batches from a Python generator or another iterator, which can be run through once.

    Args:
        iterator: yields batches: x, (x,), (x, y) or (x, y, sample_weight).
        steps, device, class_weight: see `make_batches`.
    """

    source = "generator"
    can_restart = False

    def __init__(self, iterator: Iterator, **options):
        super().__init__(**options)
        self._iterator = self.numbered(iterator)
        self._count = 0

    def one_pass(self) -> Iterator[tuple]:
        for batch in self._iterator:
            self._count += 1
            yield batch

    def _raise_dry(self, index):
        if self._count == 0:
            raise ValueError("x: expected a generator that yields batches; it yielded none.")
        wanted = f"{self.steps} more batches" if self.steps else "more batches"
        raise ValueError(
            f"x: the generator ran dry: epoch {index + 1} needs {wanted}, but it has yielded all "
            f"its {self._count}. A generator can be run through once: give one that yields "
            f"steps * epochs batches, and the number of steps, or a PyDataset, or arrays."
        )


class IterableBatches(Batches):
    """Batches from an object that gives its batches anew whenever it is iterated over.

    tf.data datasets and PyTorch DataLoaders are such, and lists of batches in a class with
    `__iter__`; their length is used where they tell it.

    Args:
        iterable: its iterator yields batches: x, (x,), (x, y) or (x, y, sample_weight).
        steps, device, class_weight: see `make_batches`.
    """

    def __init__(self, iterable, **options):
        super().__init__(**options)
        self._iterable = iterable
        self._counted = None
        self.source = type(iterable).__name__
        self.batch_size = _whole(getattr(iterable, "batch_size", None))
        self.num_samples = _length(getattr(iterable, "dataset", None))

    @property
    def available(self) -> int | None:
        length = _length(self._iterable)
        return self._counted if length is None else length

    def one_pass(self) -> Iterator[tuple]:
        count = 0
        for batch in self.numbered(self._iterable):
            yield batch
            count += 1
        self._counted = count


def _length(source) -> int | None:
    try:
        return len(source)
    except TypeError:  # It has none, or it has one but does not know it.
        return None


def _whole(size) -> int | None:
    return size if isinstance(size, int) else None
