"""What all sources of batches share: epochs, their length, and the way to the model's device."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

from ... import tree
from . import leaves, weights


class Batches:
    """Batches of one source of data, epoch by epoch.

    A batch is x, (x,), (x, y) or (x, y, sample_weight); x and y are arrays or lists, tuples and
    dicts of them. With `steps`, an epoch takes that many batches and the next one goes on behind
    them; without, an epoch is one pass over the data.
    """

    batch_size: int | None = None
    num_samples: int | None = None
    can_restart = True  # Whether a second pass over the data gives the data again.
    source = "data"

    def __init__(self, steps: int | None = None, device: str | None = None, class_weight=None):
        self.steps, self.device, self.class_weight = steps, device, class_weight
        self._stream = None  # A pass over the data that `steps` has cut.
        self._passed = 0  # How many of its batches were taken.

    @property
    def available(self) -> int | None:
        """How many batches one pass over the data gives; None if nobody knows yet."""
        return None

    @property
    def num_batches(self) -> int | None:
        """How many batches an epoch has; None if nobody knows yet."""
        return self.steps or self.available

    def one_pass(self) -> Iterator[tuple]:
        """One pass over the data, in this pass's order."""
        raise NotImplementedError

    def first(self) -> tuple:
        """The next batch without using it up: what a model is built with."""
        if self._stream is None:
            self._stream, self._passed = self.one_pass(), 0
        stream = self._stream
        batch = next(stream, None)
        if batch is None:
            self._raise_dry(0)
        self._stream = _with(batch, stream)
        return next(self._on_device(iter([batch])))

    def epoch(self, index: int = 0, start: int = 0) -> Iterator[tuple]:
        """The batches of epoch `index`, from the one numbered `start`, on the model's device.

        Raises ValueError if there is no batch at all; warns if there are fewer than `steps`.
        """
        batches = self._epoch(index)
        return self._on_device(itertools.islice(batches, start, None) if start else batches)

    def on_epoch_begin(self) -> None:
        """To be called before each epoch."""

    def on_epoch_end(self) -> None:
        """To be called after each epoch."""

    def from_the_start(self) -> Batches:
        """Itself; the next epoch begins with the first batch, if the source can give that again."""
        if self.can_restart:
            self.close()
        return self

    def close(self) -> None:
        """End a pass that is under way, and the threads and processes that work for it."""
        stream, self._stream = self._stream, None
        if hasattr(stream, "close"):
            stream.close()

    def _on_device(self, batches):
        if self.device is None or self.device == "cpu":
            return batches
        from .prefetch import to_gpu

        return to_gpu(batches, self.device)

    def _epoch(self, index):
        taken = 0
        if self._stream is not None and self._passed == self.available:
            self.close()
        carried = self._stream is not None
        while taken == 0:
            if self._stream is None:
                self._stream, self._passed = self.one_pass(), 0
            try:
                for batch in itertools.islice(self._stream, self.steps):
                    taken += 1
                    self._passed += 1
                    yield batch
            except BaseException:
                if taken != self.steps:
                    self.close()
                raise
            if taken == self.steps:
                return
            self.close()
            if not (carried and self.can_restart):
                break
            carried = False  # The last epoch ended exactly at the end of the data.
        if taken == 0:
            self._raise_dry(index)
        self._ran_out(index, taken)

    def _ran_out(self, index, taken):
        if self.steps is not None:
            warnings.warn(
                f"The {self.source} ran out of batches: epoch {index + 1} has {taken} of the "
                f"{self.steps} asked for. It must give at least steps * epochs batches.",
                stacklevel=3,
            )

    def _raise_dry(self, index):
        raise ValueError(f"x: the {self.source} has no batch for epoch {index + 1}: it is empty.")

    def numbered(self, stream) -> Iterator[tuple]:
        """The items of `stream` as batches; an error of the source gets the batch's number."""
        items = iter(stream)
        try:
            for number in itertools.count():
                try:
                    item = next(items)
                except StopIteration:
                    return
                except Exception as error:
                    error.add_note(f"Raised by the {self.source}, for batch {number} (from 0).")
                    raise
                yield self.as_batch(item, f"batch {number} of the {self.source}")
        finally:
            if items is not stream and hasattr(items, "close"):
                items.close()

    def as_batch(self, item, where: str) -> tuple:
        """One item of a source as a batch, its arrays checked and cast."""
        parts = unpack(item)

        def standardized(part, name):
            if part is None or leaves.is_array(part):
                return part if part is None else leaves.standardized(part, name, self.device)
            paths = tree.flatten_with_path(part)
            flat = [
                None if leaf is None else leaves.standardized(leaf, place(name, path), self.device)
                for path, leaf in paths
            ]
            return tree.pack_sequence_as(part, flat)

        names = ("x", "y", "sample_weight")
        x, y, sample_weight = (
            standardized(part, f"{where}: {name}") for part, name in zip(parts, names, strict=True)
        )
        if sample_weight is not None:
            if self.class_weight is not None:
                raise ValueError(f"{where}: class_weight and sample_weight exclude each other.")
            sample_weight = weights.for_outputs(y, sample_weight)
        elif self.class_weight is not None and y is not None:
            sample_weight = weights.of_classes(y, self.class_weight)
        batch = (x, y, sample_weight)
        count_samples(batch, where)
        return batch[:1] if y is None else batch[:2] if sample_weight is None else batch


def _with(batch, stream):
    yield batch
    yield from stream


def place(name: str, path: tuple) -> str:
    """How messages call the leaf at `path` of the argument `name`."""
    return name + "".join(f"[{key!r}]" for key in path)


def count_samples(data: tuple, where: str = "") -> int:
    """How many samples the arrays of (x, y, sample_weight) have.

    Raises ValueError, naming each array with its size, unless all have the same number, not 0.
    """
    start = f"{where}: " if where else ""
    counts = {leaf.shape[0] for leaf in tree.leaves(data) if leaf is not None}
    if not counts:
        raise ValueError(f"{start}expected arrays of samples, got x=None.")
    if len(counts) > 1:
        sizes = {
            place(name, path): leaf.shape[0]
            for name, part in zip(("x", "y", "sample_weight"), data, strict=False)
            for path, leaf in tree.flatten_with_path(part)
            if leaf is not None
        }
        listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ValueError(f"{start}all arrays must have the same number of samples; {listed}.")
    count = int(counts.pop())
    if count == 0:
        raise ValueError(f"{start}there are no samples: the first axis of x has size 0.")
    return count


def unpack(data) -> tuple:
    """x, y and sample_weight of a batch, None for what it lacks.

    Args:
        data: x alone, or a tuple or list (x,), (x, y) or (x, y, sample_weight).

    Raises ValueError for a tuple of another length.
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"expected a batch x, (x,), (x, y) or (x, y, sample_weight), got a "
            f"{type(data).__name__} of {len(data)} items."
        )
    return tuple(data) + (None,) * (3 - len(data))


def pack(x, y=None, sample_weight=None):
    """The opposite of `unpack`: x itself if it stands alone and is no list or tuple."""
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)
