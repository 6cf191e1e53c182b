"""Masks as boolean arrays of an ONNX graph: where they begin, and which layers hand them on.

ONNX's recurrent operations know lengths only, and no gaps.  Steps that count are therefore brought
to the front, each sample is as long as it has of them, and what comes out goes back to its place.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from ... import layers as made
from ... import tree
from ...layers.merging import Merge
from .writer import NotCovered, Value, Writer

_AFTER_ALL = 1 << 40  # More steps than there are.


def masks_of(writer: Writer, layer, given, count: int) -> list[Value | None]:
    """The masks of the outputs of a layer.

    Args:
        given: its first argument, of Values that carry masks.
        count: how many outputs there are.
    """
    inputs = [x for x in tree.flatten(given) if isinstance(x, Value)]
    found = _first_mask(writer, layer, inputs) if layer.supports_masking else None
    if not isinstance(layer, (made.RNN, made.Bidirectional)):
        return [found] + [None] * (count - 1)
    masked = 2 if getattr(layer, "merge_mode", "") is None else 1
    found = found if layer.return_sequences else None
    return [found if i < masked else None for i in range(count)]


def _first_mask(writer, layer, inputs):
    masks = [x.mask for x in inputs]
    if isinstance(layer, made.Masking):
        differs = writer.each("Not", writer.each("Equal", *inputs, layer.mask_value))
        return writer.cast(writer.along("ReduceMax", writer.cast(differs, "int32"), [-1]), "bool")
    if isinstance(layer, made.Embedding) and layer.mask_zero:
        is_index = not inputs[0].dtype.startswith("float")  # Else it is turned round.
        return writer.each("Not", writer.each("Equal", *inputs, 0)) if is_index else None
    if all(mask is None for mask in masks) or isinstance(layer, _WITHOUT):
        return None
    if isinstance(layer, made.Concatenate):
        return _joined(writer, layer, inputs)
    if isinstance(layer, Merge):
        every = all(mask is not None for mask in masks)
        return reduce(lambda a, b: writer.each("Or", a, b), masks) if every else None
    return masks[0]


_WITHOUT = (made.GlobalAveragePooling1D, made.Dot)


def _joined(writer, layer, inputs):
    if layer.axis % inputs[0].ndim == inputs[0].ndim - 1:  # All steps that count in any input.
        masks = [x.mask for x in inputs if x.mask is not None]
        if len(masks) < len(inputs) or any(m.ndim != inputs[0].ndim - 1 for m in masks):
            raise NotCovered("joins arrays with and without masks, which is not covered")
        return reduce(lambda a, b: writer.each("Or", a, b), masks)
    if any(x.mask is None or x.mask.ndim != x.ndim - 1 for x in inputs):
        raise NotCovered("joins arrays with and without masks, which is not covered")
    axis = layer.axis % inputs[0].ndim
    sizes = [x.mask.shape[axis] for x in inputs]
    shape = list(inputs[0].mask.shape)
    shape[axis] = None if None in sizes else sum(sizes)
    return writer.single("Concat", *(x.mask for x in inputs), shape=shape, dtype="bool", axis=axis)


def spread(writer, mask: Value | None, ndim: int) -> Value | None:
    """A mask with axes of size 1 at its end, up to a rank."""
    if mask is None or mask.ndim == ndim:
        return mask
    shape = (*mask.shape, *[1] * (ndim - mask.ndim))
    places = writer.integers(*range(mask.ndim, ndim))
    return writer.single("Unsqueeze", mask, places, shape=shape, dtype=mask.dtype)


def with_axis(writer, mask: Value | None, axis: int) -> Value | None:
    """A mask with one more axis, of size 1."""
    if mask is None:
        return None
    axis %= mask.ndim + 1
    shape = (*mask.shape[:axis], 1, *mask.shape[axis:])
    return writer.single("Unsqueeze", mask, writer.integers(axis), shape=shape, dtype=mask.dtype)


def together(writer, *masks: Value | None) -> Value | None:
    """Where all of these masks are True; None if there is none."""
    given = [mask for mask in masks if mask is not None]
    return reduce(lambda a, b: writer.each("And", a, b), given) if given else None


class Steps:
    """The steps that a mask (batch, steps) counts, of each sample.

    Attributes:
        lengths: the name of how many of each sample count, but at least 1, as ONNX takes them.
    """

    def __init__(self, writer: Writer, mask: Value):
        if mask.ndim != 2:
            raise NotCovered(f"has a mask with {mask.ndim} axes: only (batch, steps) is covered")
        self.writer, self.mask = writer, mask
        self.counted = writer.cast(mask, "int64")
        self.count = writer.along("ReduceSum", self.counted, [1])
        self.lengths = writer.cast(writer.each("Max", self.count, 1), "int32")

    def gathered(self, x: Value) -> Value:
        """`x` with the steps that count first, in their order."""
        writer = self.writer
        zero, one = (writer.constant(np.array(n, np.int64)) for n in (0, 1))
        length = writer.node("Shape", self.mask, start=1, end=2)
        every = writer.node("Range", zero, writer.node("Squeeze", length), one)
        places = Value((self.mask.shape[1],), "int64", plain=every)
        places = writer.each(
            "Add", with_axis(writer, places, 0), writer.each("Mul", self.counted, 0)
        )
        keys = writer.each("Where", self.mask, places, writer.each("Add", places, _AFTER_ALL))
        _, order = writer.several("TopK", keys, length, count=2, axis=1, largest=0, sorted=1)
        return self._taken(x, Value(self.mask.shape, "int64", plain=order))

    def _taken(self, x, places):
        """Of each sample the steps at these places."""
        writer = self.writer
        wide = with_axis(writer, places, 2)
        last = writer.node("Shape", x, start=2, end=3)
        target = writer.node("Concat", writer.node("Shape", places), last, axis=0)
        wide = writer.node("Expand", wide, target)
        return writer.single("GatherElements", x, wide, shape=x.shape, axis=1)

    def scattered(self, y: Value, first: Value | None, zeros: bool, backwards: bool) -> Value:
        """Outputs (batch, steps, units) of `gathered` steps, at the places of all steps.

        Steps that do not count repeat the output before (after, if `backwards`), which is `first`
        at the beginning (None for zeros); with `zeros` they give 0.
        """
        writer = self.writer
        axis = writer.constant(np.array(1, np.int64))
        until = writer.single("CumSum", self.counted, axis, shape=self.mask.shape, dtype="int64")
        if backwards:
            place = writer.each("Sub", until, self.counted)
            is_none = writer.each("GreaterOrEqual", place, with_axis(writer, self.count, 1))
        else:
            place = writer.each("Sub", until, 1)
            is_none = writer.each("Less", place, 0)
        found = self._taken(y, writer.each("Where", is_none, 0, place))
        start = 0.0 if first is None else with_axis(writer, first, 1)
        found = writer.each("Where", with_axis(writer, is_none, 2), start, found)
        return writer.each("Where", with_axis(writer, self.mask, 2), found, 0.0) if zeros else found

    def last(self, state: Value, first: Value | None) -> Value:
        """A last state, or `first` (None for zeros) of samples of which no step counts."""
        some = with_axis(self.writer, self.writer.each("Greater", self.count, 0), 1)
        return self.writer.each("Where", some, state, 0.0 if first is None else first)
