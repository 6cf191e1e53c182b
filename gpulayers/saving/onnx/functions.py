"""Functions that stand in graphs, such as x + y, ops.relu(x) and x[:, 0], as nodes of ONNX."""

from __future__ import annotations

import numpy as np

from ... import activations, ops
from ...arrays.symbolic import Function
from ...models.operations import name_of
from .activations import FUNCTIONS as ACTIVATIONS
from .activations import clipped, gelu
from .shaping import concatenated
from .writer import NotCovered, Value, Writer, numbers

LARGEST = np.iinfo(np.int64).max


def function(writer: Writer, operation, args, kwargs):
    """A call of a function on Values and other arguments."""
    name = name_of(operation)
    ours = (getattr(place, name, None) for place in (ops, ops.image, activations))
    if not isinstance(operation, Function) and all(operation is not one for one in ours):
        raise NotCovered("is a function of your own: put it into layers that ONNX has")
    if name in FUNCTIONS:
        return FUNCTIONS[name](writer, *args, **kwargs)
    if name not in ACTIVATIONS:
        raise NotCovered("is not covered")
    kwargs = {key: writer.floating(x) for key, x in kwargs.items()}
    return ACTIVATIONS[name](writer, *map(writer.floating, args), **kwargs)


# Of single elements.


def _arithmetic(operation, only_floats=False):
    def run(writer, x1, x2):
        fractions = any(isinstance(x, float) for x in (x1, x2))
        if only_floats or fractions:
            x1, x2 = (writer.floating(x) for x in (x1, x2))
        return writer.each(operation, x1, x2)

    return run


def _one(operation):
    return lambda writer, x: writer.each(operation, writer.floating(x))


def _same_kind(operation):
    return lambda writer, x: writer.each(operation, x)


def square(writer, x):
    return writer.each("Mul", x, x)


def reciprocal_root(writer, x):
    return writer.each("Reciprocal", writer.each("Sqrt", x))


def clip(writer, x, *limits, x_min=None, x_max=None, min=None, max=None):
    given = [*limits, None, None][:2]
    low = next((n for n in (given[0], x_min, min) if n is not None), None)
    high = next((n for n in (given[1], x_max, max) if n is not None), None)
    return clipped(writer, x, low, high)


def where(writer, condition, x1, x2):
    return writer.each("Where", condition, x1, x2)


def not_equal(writer, x1, x2):
    return writer.each("Not", writer.each("Equal", x1, x2))


def cast(writer, x, dtype, **_):
    return writer.cast(x, getattr(dtype, "name", None) or str(dtype))


# Of axes.


def _axes(x, axis):
    """An axis, several or None for all, as several."""
    axes = range(x.ndim) if axis is None else axis
    return [axes] if isinstance(axes, int) else axes


def _reduction(operation):
    def run(writer, x, axis=None, keepdims=False):
        x = writer.floating(x) if operation == "ReduceMean" else x
        return writer.along(operation, x, _axes(x, axis), keepdims)

    return run


def variance(writer, x, axis=None, keepdims=False):
    x, axes = writer.floating(x), _axes(x, axis)
    away = writer.each("Sub", x, writer.along("ReduceMean", x, axes, keepdims=True))
    return writer.along("ReduceMean", square(writer, away), axes, keepdims)


def deviation(writer, x, axis=None, keepdims=False):
    return writer.each("Sqrt", variance(writer, x, axis, keepdims))


def _place_of(operation):
    def run(writer, x, axis=None, keepdims=False):
        if axis is None:
            raise NotCovered("looks along all axes at once, which is not covered")
        axis %= x.ndim
        kept = (1,) if keepdims else ()
        shape = (*x.shape[:axis], *kept, *x.shape[axis + 1 :])
        options = {"axis": axis, "keepdims": int(keepdims)}
        return writer.single(operation, x, shape=shape, dtype="int64", **options)

    return run


def reshape(writer, x, *shape, newshape=None, **given):
    shape = shape[0] if shape else newshape or given["shape"]
    shape = [-1 if n is None else int(n) for n in shape]
    if shape.count(-1) > 1:
        raise NotCovered(f"has more than one unknown size in its new shape {tuple(shape)}")
    sizes = [None if n == -1 else n for n in shape]
    return writer.single("Reshape", x, writer.integers(*shape), shape=sizes, dtype=x.dtype)


def transpose(writer, x, axes=None):
    return writer.transposed(x, [a % x.ndim for a in axes or range(x.ndim - 1, -1, -1)])


def swap_axes(writer, x, axis1, axis2):
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return writer.transposed(x, order)


def move_axis(writer, x, source, destination):
    if not isinstance(source, int) or not isinstance(destination, int):
        raise NotCovered("moves several axes at once, which is not covered")
    order = [axis for axis in range(x.ndim) if axis != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return writer.transposed(x, order)


def concatenate(writer, xs, axis=0):
    return concatenated(writer, xs, axis)


def stack(writer, xs, axis=0):
    return concatenated(writer, [expand_dims(writer, x, axis) for x in xs], axis)


def expand_dims(writer, x, axis):
    axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    ndim = x.ndim + len(axes)
    axes, sizes = {a % ndim for a in axes}, iter(x.shape)
    shape = [1 if i in axes else next(sizes) for i in range(ndim)]
    places = writer.integers(*sorted(axes))
    return writer.single("Unsqueeze", x, places, shape=shape, dtype=x.dtype)


def squeeze(writer, x, axis=None):
    if axis is None:
        axis = [i for i, n in enumerate(x.shape) if n == 1]
    axes = {a % x.ndim for a in (axis if isinstance(axis, (list, tuple)) else [axis])}
    shape = [n for i, n in enumerate(x.shape) if i not in axes]
    places = writer.integers(*sorted(axes))
    return writer.single("Squeeze", x, places, shape=shape, dtype=x.dtype)


def get_item(writer, x, key):
    """Slices, whole numbers, None and an ellipsis."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if not all(k is None or k is ... or isinstance(k, (int, np.integer, slice)) for k in keys):
        raise NotCovered(f"takes {key!r:.60} of an array: only slices and numbers are covered")
    count = sum(k is not None and k is not ... for k in keys)
    if ... in keys:
        place = keys.index(...)
        keys[place : place + 1] = [slice(None)] * (x.ndim - count)
    cuts, dropped, added, axis = [], [], [], 0
    for k in keys:
        if k is None:
            added.append(axis - len(dropped) + len(added))
            continue
        if isinstance(k, slice):
            if k != slice(None):
                cuts.append((axis, k.start, k.stop, k.step or 1))
        else:
            cuts.append((axis, int(k), int(k) + 1 or None, 1))
            dropped.append(axis)
        axis += 1
    x = _sliced(writer, x, cuts) if cuts else x
    x = squeeze(writer, x, dropped) if dropped else x
    return expand_dims(writer, x, added) if added else x


def _sliced(writer, x, cuts):
    starts, ends, shape = [], [], list(x.shape)
    for axis, start, stop, step in cuts:
        starts.append(start if start is not None else 0 if step > 0 else LARGEST)
        ends.append(stop if stop is not None else LARGEST if step > 0 else -LARGEST)
        if shape[axis] is not None:
            shape[axis] = len(range(*slice(start, stop, step).indices(shape[axis])))
    rest = [cut[0] for cut in cuts], [cut[3] for cut in cuts]
    given = (writer.integers(*each) for each in (starts, ends, *rest))
    return writer.single("Slice", x, *given, shape=shape, dtype=x.dtype)


def matmul(writer, x1, x2):
    made = [x if isinstance(x, Value) else _as_value(writer, x) for x in (x1, x2)]
    one, other = made
    if min(one.ndim, other.ndim) < 2:
        raise NotCovered("multiplies vectors, which is not covered")
    batch = one.shape[:-2] if one.ndim >= other.ndim else other.shape[:-2]
    return writer.single("MatMul", one, other, shape=(*batch, one.shape[-2], other.shape[-1]))


def _as_value(writer, x):
    x = numbers(x)
    return Value(x.shape, x.dtype.name, plain=writer.constant(x))


def repeat(writer, x, repeats, axis=None):
    if axis is None or not isinstance(repeats, int):
        raise NotCovered("repeats by several counts, or without an axis")
    axis %= x.ndim
    wide = expand_dims(writer, x, axis + 1)
    counts = [repeats if i == axis + 1 else 1 for i in range(wide.ndim)]
    tiled = writer.node("Tile", wide, writer.integers(*counts))
    size = x.shape[axis]
    shape = [*x.shape[:axis], None if size is None else size * repeats, *x.shape[axis + 1 :]]
    sizes = [0 if n is None else n for n in shape]
    if None in x.shape[axis:]:
        raise NotCovered("needs to know the sizes from the axis that it repeats on")
    return writer.single("Reshape", tiled, writer.integers(*sizes), shape=shape, dtype=x.dtype)


FUNCTIONS = {
    "add": _arithmetic("Add"), "subtract": _arithmetic("Sub"), "multiply": _arithmetic("Mul"),
    "true_divide": _arithmetic("Div", True), "divide": _arithmetic("Div", True),
    "power": _arithmetic("Pow"), "maximum": _arithmetic("Max"), "minimum": _arithmetic("Min"),
    "greater": _arithmetic("Greater"), "greater_equal": _arithmetic("GreaterOrEqual"),
    "less": _arithmetic("Less"), "less_equal": _arithmetic("LessOrEqual"),
    "equal": _arithmetic("Equal"), "not_equal": not_equal, "where": where,
    "logical_and": _arithmetic("And"), "logical_or": _arithmetic("Or"),
    "logical_not": _same_kind("Not"), "negative": _same_kind("Neg"),
    "absolute": _same_kind("Abs"), "abs": _same_kind("Abs"), "sign": _same_kind("Sign"),
    "exp": _one("Exp"), "log": _one("Log"), "sqrt": _one("Sqrt"), "sin": _one("Sin"),
    "cos": _one("Cos"), "tan": _one("Tan"), "erf": _one("Erf"), "floor": _one("Floor"),
    "ceil": _one("Ceil"), "round": _one("Round"), "reciprocal": _one("Reciprocal"),
    "sinh": _one("Sinh"), "cosh": _one("Cosh"), "square": square, "rsqrt": reciprocal_root,
    "clip": clip, "cast": cast, "stop_gradient": lambda writer, x: x,
    "positive": lambda writer, x: x,
    "gelu": lambda writer, x, approximate=True: gelu(writer, x, approximate),
    "mean": _reduction("ReduceMean"), "sum": _reduction("ReduceSum"),
    "max": _reduction("ReduceMax"), "min": _reduction("ReduceMin"),
    "prod": _reduction("ReduceProd"), "logsumexp": _reduction("ReduceLogSumExp"),
    "var": variance, "std": deviation, "argmax": _place_of("ArgMax"),
    "argmin": _place_of("ArgMin"), "swapaxes": swap_axes, "moveaxis": move_axis,
    "reshape": reshape, "transpose": transpose,
    "concatenate": concatenate, "stack": stack, "expand_dims": expand_dims, "squeeze": squeeze,
    "get_item": get_item, "matmul": matmul, "repeat": repeat,
}  # fmt: skip
