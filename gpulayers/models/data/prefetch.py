"""The way of batches to a GPU, and of results back: each is copied while another step computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from ... import tree
from ...arrays import devices


def to_gpu(batches: Iterator, device: str) -> Iterator:
    """The batches with their host arrays copied to `device` ("gpu", "gpu:1"), one ahead."""
    copies = PinnedCopies(devices.parse(device).device)
    return one_ahead(batches, copies.start, copies.finish)


def host_copies(device: str | None) -> HostCopies | None:
    """The way back from `device`; None from the CPU, and where nobody knows."""
    if device is None or device == "cpu":
        return None
    return HostCopies(devices.parse(device).device)


def one_ahead(batches: Iterator, start: Callable, finish: Callable) -> Iterator:
    """`finish(start(batch))` for every batch, with the next one started before it is given out.

    An error in making the next batch is raised after the one before it was given out.
    """
    batches, waiting = iter(batches), None
    try:
        while True:
            try:
                started = start(next(batches))
            except StopIteration:
                break
            except Exception:
                if waiting is not None:
                    yield finish(waiting)
                raise
            if waiting is not None:
                yield finish(waiting)
            waiting = started
        if waiting is not None:
            yield finish(waiting)
    finally:
        if hasattr(batches, "close"):
            batches.close()


def pinned(shape, dtype) -> np.ndarray:
    """A page-locked array, which a GPU copies from and to while the host goes on."""
    from cupyx import empty_pinned

    nbytes = prod(shape) * np.dtype(dtype).itemsize
    return empty_pinned((max(nbytes, 1),), np.uint8)[:nbytes].view(dtype).reshape(shape)


class PinnedCopies:
    """Copies from the host to one GPU, on a stream of their own, through page-locked buffers.

    The stream waits for the work that the computing stream was given before a copy began: the
    device memory that a batch leaves behind may be read by that work until then. Host buffers are
    used in turn, and waited for before they are written again.
    """

    BUFFERS = 3  # One being written, one being copied, one whose copy may be late.

    def __init__(self, device):
        import cupy

        self._cupy, self._device = cupy, device
        with device:
            self._stream = cupy.cuda.Stream(non_blocking=True)
        self._buffers = [{} for _ in range(self.BUFFERS)]
        self._done = [None] * self.BUFFERS
        self._turn = 0

    def start(self, batch):
        """Begin to copy a batch; gives what `finish` takes."""
        turn, self._turn = self._turn, (self._turn + 1) % self.BUFFERS
        with self._device:
            if self._done[turn] is not None:
                self._done[turn].synchronize()
            self._stream.wait_event(self._cupy.cuda.get_current_stream().record())
            leaves = [
                self._copied(x, self._buffers[turn], place)
                for place, x in enumerate(tree.flatten(batch))
            ]
            self._done[turn] = self._stream.record()
        return batch, leaves, self._done[turn]

    def finish(self, started):
        """The batch on the GPU: what computes next waits for its copy, the host does not."""
        batch, leaves, done = started
        with self._device:
            self._cupy.cuda.get_current_stream().wait_event(done)
        return tree.pack_sequence_as(batch, leaves)

    def _copied(self, x, buffers, place):
        if not isinstance(x, np.ndarray) or x.dtype.kind in "USTO":
            return x  # Already there, or text, which stays on the host.
        buffer = buffers.get(place)
        if buffer is None or buffer.nbytes < x.nbytes:
            buffer = buffers[place] = pinned((max(x.nbytes, 1),), np.uint8)
        source = buffer[: x.nbytes].view(x.dtype).reshape(x.shape)
        np.copyto(source, x)
        with self._stream:  # So that the memory belongs to this stream.
            target = self._cupy.empty(x.shape, x.dtype)
        target.set(source, stream=self._stream)
        return target


class HostCopies:
    """Copies of results from one GPU, on a stream of their own: each waits for its step alone, and
    not for what the computing stream was given after it."""

    def __init__(self, device):
        import cupy

        self._cupy, self._device = cupy, device
        with device:
            self._stream = cupy.cuda.Stream(non_blocking=True)

    def mark(self):
        """The place of now in the work of the computing stream."""
        with self._device:
            return self._cupy.cuda.get_current_stream().record()

    def fetched(self, x, done):
        """An array that was computed before `done`, on the host."""
        with self._device:
            if not x.flags.c_contiguous:  # The computing stream makes a copy that is, first.
                return x.get()
            self._stream.wait_event(done)
            return x.get(stream=self._stream)  # Waits for this stream.
