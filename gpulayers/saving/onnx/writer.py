"""The nodes and constants of an ONNX graph while it is being written.

Layers here keep channels last, ONNX's convolutions have them first.  A `Value` may be there in both
orders; the other order is made when something asks for it, and once.  What works on single elements
stays in the order it finds, so that a line of convolutions is turned once in and once out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...arrays import devices, plain

MOST_WEIGHTS = 2 * 10**9  # Bytes: Protocol Buffers end at 2^31, with all that stands around.
_COMPARISONS = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Not"}


class NotCovered(ValueError):
    """Why something cannot be written; whoever knows the place adds it."""


class Step(NamedTuple):
    """One node: an operation of ONNX, the names of what it takes and gives, its attributes."""

    operation: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict


class Value:
    """An array of the graph.

    Args:
        shape: sizes, as the layers count them; None for unknown ones.
        dtype: a name.
        plain: its name with the axes as the layers have them; None if it is not there so.
        turned: its name with the last axis in second place, likewise.
        mask: the Value of the mask that the array carries, None for none.
    """

    __slots__ = ("dtype", "mask", "plain", "shape", "turned")

    def __init__(self, shape, dtype="float32", plain=None, turned=None, mask=None):
        self.shape, self.dtype, self.plain, self.turned = tuple(shape), dtype, plain, turned
        self.mask = mask

    def masked(self, mask: Value | None) -> Value:
        """The same array, carrying a mask."""
        if mask is None and self.mask is None:
            return self
        return Value(self.shape, self.dtype, self.plain, self.turned, mask)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def prefers_turned(self) -> bool:
        return self.turned is not None and self.ndim > 2


class Writer:
    """Collects nodes and constants.

    Args:
        taken: names that nodes must not use.
    """

    def __init__(self, taken=()):
        self.steps: list[Step] = []
        self.constants: dict[str, np.ndarray] = {}
        self.place = ""  # Of the layer that is being written: nodes are named after it.
        self._taken = set(taken)
        self._known: dict[tuple, str] = {}

    # Names and nodes.

    def unique(self, name: str) -> str:
        """`name`, or that with a number if it is taken."""
        found, count = name, 0
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._taken.add(found)
        return found

    def several(self, operation, *inputs, count, **attributes) -> list[str]:
        """A node with several outputs: their names.  Inputs are names, Values or None."""
        names = ["" if x is None else x if isinstance(x, str) else self.plain(x) for x in inputs]
        while names and not names[-1]:
            names.pop()
        outputs = [self.unique(f"{self.place}/{operation}") for _ in range(count)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.steps.append(Step(operation, names, outputs, given))
        return outputs

    def node(self, operation, *inputs, **attributes) -> str:
        """A node with one output: its name."""
        return self.several(operation, *inputs, count=1, **attributes)[0]

    def constant(self, array, dtype=None) -> str:
        """The name of a constant; equal ones are kept once, so that shared weights stay shared."""
        array = np.asarray(numbers(array), dtype=dtype, order="C")
        key = (array.dtype.str, array.shape, array.tobytes() if array.size < 64 else _hash(array))
        if key not in self._known:
            self._known[key] = self.unique(f"{self.place}/constant")
            self.constants[self._known[key]] = array
        return self._known[key]

    def integers(self, *values) -> str:
        """A constant of int64 numbers, of one axis."""
        return self.constant(np.array(values, np.int64).reshape(-1))

    # Values.

    def plain(self, x: Value) -> str:
        """The name of `x` with its axes as the layers have them."""
        if x.plain is None:
            order = [0, *range(2, x.ndim), 1]
            x.plain = self.node("Transpose", x.turned, perm=order)
        return x.plain

    def turned(self, x: Value) -> str:
        """The name of `x` with its channels in second place."""
        if x.ndim < 3:
            return self.plain(x)
        if x.turned is None:
            order = [0, x.ndim - 1, *range(1, x.ndim - 1)]
            x.turned = self.node("Transpose", x.plain, perm=order)
        return x.turned

    def channels_first(self, x: Value, data_format: str) -> str:
        """The name of `x` with its channels in second place, wherever the layer has them."""
        return self.turned(x) if data_format == "channels_last" else self.plain(x)

    def from_channels_first(self, name: str, shape, data_format: str) -> Value:
        """A Value with its channels in second place; `shape` is as the layer has it."""
        if data_format == "channels_last" and len(shape) > 2:
            return Value(shape, turned=name)
        return Value(shape, plain=name)

    def single(self, operation, *inputs, shape, dtype="float32", **attributes) -> Value:
        """A node whose output has its axes as the layers have them."""
        return Value(shape, dtype, plain=self.node(operation, *inputs, **attributes))

    def each(self, operation, *arguments, **attributes) -> Value:
        """An operation on single elements: of Values, numbers and arrays, which are broadcast."""
        values = [x for x in arguments if isinstance(x, Value)]
        ndim = max([x.ndim for x in values] + [np.ndim(x) for x in arguments if _is_array(x)])
        full = [x for x in values if x.ndim == ndim]
        some = any(x.plain is None for x in full) or all(x.turned is not None for x in full)
        turned = ndim > 2 and some and len(full) == len(values)
        dtype = _common([x.dtype for x in values])
        names = [self._operand(x, ndim, turned, dtype) for x in arguments]
        shape = _broadcast([x.shape if isinstance(x, Value) else np.shape(x) for x in arguments])
        name = self.node(operation, *names, **attributes)
        dtype = "bool" if operation in _COMPARISONS else dtype
        return Value(shape, dtype, turned=name) if turned else Value(shape, dtype, plain=name)

    def _operand(self, x, ndim, turned, dtype):
        if isinstance(x, Value):
            x = x if x.dtype == "bool" else self.cast(x, dtype)
            return self.turned(x) if turned else self.plain(x)
        x = numbers(x)
        x = x if x.dtype == bool else x.astype(dtype)
        if turned and x.ndim:
            x = np.moveaxis(x.reshape((1,) * (ndim - x.ndim) + x.shape), -1, 1)
        return self.constant(x)

    def cast(self, x: Value, dtype: str) -> Value:
        """`x` as numbers of another kind."""
        if x.dtype == dtype:
            return x
        from onnx import helper

        to = int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
        if x.prefers_turned and x.plain is None:
            return Value(x.shape, dtype, turned=self.node("Cast", x.turned, to=to))
        return Value(x.shape, dtype, plain=self.node("Cast", x, to=to))

    def floating(self, x):
        """`x` as floats; what is no Value stays."""
        whole = isinstance(x, Value) and not x.dtype.startswith("float")
        return self.cast(x, "float32") if whole else x

    def along(self, operation, x: Value, axes, keepdims=False) -> Value:
        """A reduction over axes, as the layers count them."""
        axes = sorted(axis % x.ndim for axis in axes)
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        inner = axes == list(range(1, x.ndim - 1))
        if x.prefers_turned and (keepdims or inner):
            places = self.integers(*(turned_axis(axis, x.ndim) for axis in axes))
            name = self.node(operation, x.turned, places, keepdims=int(keepdims))
            if keepdims:
                return Value(shape, x.dtype, turned=name)
        else:
            name = self.node(operation, x, self.integers(*axes), keepdims=int(keepdims))
        if not keepdims:
            shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
        return Value(shape, x.dtype, plain=name)

    def reshaped(self, x: Value, shape) -> Value:
        """`x` in another shape, in which at most one size besides the batch's may be unknown."""
        sample = shape[1:]
        if sum(n is None for n in sample) + (0 in sample) > 1:
            raise NotCovered(f"has more than one unknown size in its outputs {tuple(shape)}")
        sizes = [0 if shape[0] is None else shape[0], *(-1 if n is None else n for n in sample)]
        return self.single("Reshape", x, self.integers(*sizes), shape=shape, dtype=x.dtype)

    def transposed(self, x: Value, order) -> Value:
        """`x` with its axes in another order."""
        shape = tuple(x.shape[axis] for axis in order)
        return self.single("Transpose", x, shape=shape, dtype=x.dtype, perm=list(order))


def numbers(x) -> np.ndarray:
    """A Variable, an array or a number as a NumPy array."""
    value = plain(getattr(x, "value", x))
    return np.asarray(devices.to_numpy(value) if hasattr(value, "shape") else value)


def turned_axis(axis: int, ndim: int) -> int:
    """Where an axis stands once the last one has come to the second place."""
    axis %= ndim
    return axis if axis == 0 else 1 if axis == ndim - 1 else axis + 1


def _is_array(x):
    return not isinstance(x, Value) and np.ndim(x) > 0


def _hash(array):
    from hashlib import sha256

    return sha256(array).digest()


def _common(dtypes):
    floats = [dtype for dtype in dtypes if dtype.startswith("float")]
    found = [dtype for dtype in dtypes if dtype != "bool"]
    return (floats or found or ["float32"])[0]


def _broadcast(shapes):
    ndim, found = max(len(shape) for shape in shapes), []
    for axis in range(ndim):
        sizes = {s[axis - ndim + len(s)] for s in shapes if axis - ndim + len(s) >= 0}
        known = [n for n in sizes if n not in (None, 1)]
        found.append(known[0] if known else None if None in sizes else 1)
    return tuple(found)
