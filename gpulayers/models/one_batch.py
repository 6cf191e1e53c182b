"""`predict` of one batch by a plan on a GPU: there, through the plan or its graph, and back.

All of it goes to one stream, and is waited for once.  What comes from the host, and goes back
there, passes through page-locked buffers, so that copies are under way while Python goes on.
"""

from __future__ import annotations

import numpy as np

from .. import tree
from ..arrays import devices
from .data.batches import pack
from .data.leaves import float_to_cast
from .data.prefetch import pinned

KEPT = 16  # Numbers of samples for which buffers are kept,
LARGEST = 1 << 24  # if they have at most so many bytes: larger copies take longer than new buffers.


class OneBatch:
    """The way of one batch through a plan on a GPU; several threads may take it at once."""

    def __init__(self, plan):
        self.plan = plan
        self._waiting: dict[int, list[Passage]] = {}

    def outputs(self, model, x, most: int):
        """What `predict` gives for at most so many samples; None for all that needs its loop."""
        plan = self.plan
        leaves = [x] if plan.single else tree.flatten(x)
        on_host = type(leaves[0]) is np.ndarray
        if not (self._takes(leaves) if on_host else plan.fits(x)):
            return None
        count = len(leaves[0])
        if not 0 < count <= most or not model._predicts_as_usual():
            return None
        if len(leaves) > 1 and any(len(leaf) != count for leaf in leaves):
            return None
        with devices.on(plan.home):
            if on_host:
                return self._there_and_back(model, x, leaves, count)
            y = self._run(model, x)
            return y if plan.fresh else tree.map_structure(lambda leaf: leaf.copy(), y)

    def _takes(self, leaves) -> bool:
        """Whether arrays of the host become, on the GPU, what the plan is for."""
        kinds = self.plan.kinds
        if len(leaves) != len(kinds) or not self.plan.holds():
            return False
        for x, (dtype, shape) in zip(leaves, kinds, strict=True):
            if type(x) is not np.ndarray or x.shape[1:] != shape:
                return False
            if x.dtype is not dtype and float_to_cast(x.dtype) is not dtype:
                return False
        return True

    def _run(self, model, x):
        if model.jit_compile:
            return model.make_predict_function()(pack(x))
        return self.plan.run(x, training=False)

    def _there_and_back(self, model, x, leaves, count):
        waiting = self._waiting.get(count)
        try:
            passage = waiting.pop()
        except (AttributeError, IndexError):  # None, or others are using them.
            passage = Passage(count, self.plan.kinds)
        there = passage.there(leaves)
        y = self._run(model, there[0] if self.plan.single else tree.pack_sequence_as(x, there))
        if devices.is_cupy(y):
            (found,) = passage.back([y])
        else:
            found = tree.pack_sequence_as(y, passage.back(tree.flatten(y)))
        if waiting is not None:
            waiting.append(passage)
        elif passage.nbytes <= LARGEST and len(self._waiting) < KEPT:
            self._waiting.setdefault(count, []).append(passage)
        return found


class Passage:
    """Page-locked buffers for so many samples of a plan's inputs and of its outputs, and the arrays
    on the current GPU that its inputs become."""

    def __init__(self, count, kinds):
        import cupy

        self._cupy, self._results = cupy, []
        self._sources = [pinned((count, *shape), dtype) for dtype, shape in kinds]
        self._inputs = [cupy.empty(x.shape, x.dtype) for x in self._sources]

    @property
    def nbytes(self) -> int:
        """The bytes of the buffers."""
        return sum(x.nbytes for x in [*self._sources, *self._results])

    def there(self, arrays) -> list:
        """Arrays of the host on the GPU; floats may have been of another dtype."""
        stream = self._cupy.cuda.get_current_stream()
        for x, source, there in zip(arrays, self._sources, self._inputs, strict=True):
            source[...] = x
            there.set(source, stream=stream)
        return self._inputs

    def back(self, arrays) -> list[np.ndarray]:
        """Arrays on the GPU as new ones of the host, after the one wait."""
        stream = self._cupy.cuda.get_current_stream()
        if [(y.shape, y.dtype) for y in arrays] != [(y.shape, y.dtype) for y in self._results]:
            self._results = [pinned(y.shape, y.dtype) for y in arrays]
        for y, result in zip(arrays, self._results, strict=True):
            y.get(stream=stream, out=result, blocking=False)
        stream.synchronize()
        return [y.copy() for y in self._results]
