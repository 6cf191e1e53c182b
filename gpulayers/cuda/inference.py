"""What plans of inference do to CuPy arrays: products, and maps, sums and curves in one pass.

`cpu/inference.py` has the same functions for NumPy arrays.
"""

from __future__ import annotations

from functools import lru_cache, partial
from math import prod

import numpy as np

from ..ops.convolution import convolution, convolution_input_gradient
from ..ops.dense import dense
from ..ops.normalization import normalized_along, normalized_sum
from . import recurrent
from .activation import LINEAR, Curve, curve_of
from .module import Module, blocks, contiguous, empty, empty_like, is_float
from .partial_sums import accumulator
from .replay import remembered

_source = Module("inference")

THREADS, VECTOR, UNROLL = 256, 16, 2  # As in the source; VECTOR in bytes.
AT_ONCE = 4  # Arrays that one launch adds.
KEPT = 256  # Constants of NumPy's that have been uploaded.
_there: dict[tuple[int, int], tuple] = {}
curve = curve_of  # As `cpu.inference` has one of its own.

INSTANCES = [
    {"T": dtype, "ACTIVATION": activation}
    for dtype, activation in (
        ("float16", "RELU"), ("bfloat16", "GELU"), ("float32", "SILU"), ("float64", "LINEAR"),
    )
]  # fmt: skip


def applied(function):
    """An activation function of CuPy arrays."""
    ours = getattr(function, "__module__", "").startswith("gpulayers.")
    return _remembered(function) if ours else function


_remembered = lru_cache(maxsize=256)(remembered)


def wide(value):
    """The value of a Variable, to compute constants from: in float32 at least."""
    return value.astype(accumulator(value.dtype), copy=False)


def there(value, dtype=None):
    """A constant on the current GPU, in a dtype; None stays."""
    if value is None:
        return None
    if type(value) is np.ndarray:
        value = _uploaded(value)
    return value if dtype is None else value.astype(dtype, copy=False)


def joined(values, dtype):
    """Arrays side by side along their last axis, in a dtype; None for none."""
    import cupy

    values = [value.astype(dtype, copy=False) for value in values]
    return cupy.concatenate(values, axis=-1) if values else None


def _uploaded(value: np.ndarray):
    """An array of NumPy on the current GPU: once, since nothing is uploaded within a capture."""
    import cupy

    key = id(value), cupy.cuda.runtime.getDevice()
    if key not in _there:
        if len(_there) == KEPT:
            _there.pop(next(iter(_there)))
        _there[key] = value, cupy.asarray(value)  # With `value`, so that no other has its id.
    return _there[key][1]


def matrix_product(curve: Curve, options):
    """`ops.dense` with a curve: a function (x, kernel, bias, factor)."""
    return _product(dense, curve, options)


def convolved(curve: Curve, options):
    """`ops.convolution` with a curve: a function (x, kernel, bias, factor)."""
    return _product(convolution, curve, options)


def transposed(curve: Curve, options):
    """`ops.convolution_input_gradient` with a curve: a function (x, kernel, bias, factor)."""
    return _product(convolution_input_gradient, curve, options)


def _product(operation, curve, options):
    run = _remembered_product(operation, curve, tuple(options.items()))

    def product(x, kernel, bias, factor=None, added=None):
        return run(x, kernel if factor is None else kernel * factor, bias, added)

    return product


@lru_cache(maxsize=1024)
def _remembered_product(operation, curve, options):
    """A product with what follows it: in one launch, or the rest in another."""
    version, options = operation.version("cupy"), dict(options)

    @remembered
    def run(x, kernel, bias, added):
        added = [] if added is None else [contiguous(added)]
        y = NotImplemented
        if curve.name is not None:
            y = version(x, kernel, bias, activation=curve, added=(*added, None)[0], **options)
        if y is NotImplemented:
            y = operation(x, kernel, **options)
            if added or bias is not None or curve != LINEAR:
                y = merged([y, *added], None, bias, curve, y)
        return y

    return run


def widened(function, widths):
    """A function that puts margins of zeros around an array."""

    def run(x):
        import cupy

        pairs = [*zip(x.shape, widths, strict=True)]
        y = cupy.zeros([low + size + high for size, (low, high) in pairs], x.dtype)
        y[tuple([slice(low, low + size) for size, (low, _) in pairs])] = x
        return y

    return run


def over_time(operation, weights, options):
    """An operation of `ops.recurrent` from states of zeros: a function of sequences."""
    return recurrent.over_time(operation, weights, options)


def pooled(operation, options):
    """`ops.max_pooling` or `ops.average_pooling`: a function of an array."""
    return remembered(partial(operation, **options))


def normalized(options):
    """`ops.normalized_along`: a function (x, gamma, beta), and one (x, other, gamma, beta) that
    gives the sum of the first two, too."""
    alone, summed = (partial(op, **options) for op in (normalized_along, normalized_sum))
    return remembered(alone), remembered(summed)


def curved(x, curve: Curve, own: bool):
    """A curve of x, which may be overwritten if it is one's own."""
    return merged([x], None, None, curve, x if own else None)


def summed(arrays, curve: Curve, out):
    """A curve of the sum of arrays of one shape, into `out` or, if that is None, a new array."""
    first, rest = arrays[:AT_ONCE], arrays[AT_ONCE:]
    while rest:
        total = merged(first, None, None, LINEAR, out)
        first, rest = [total, *rest[: AT_ONCE - 1]], rest[AT_ONCE - 1 :]
    return merged(first, None, None, curve, out)


def mapped(x, factor, offset, curve: Curve, out):
    """A curve of x factor + offset (None for none), for each element of the last axis."""
    return merged([x], factor, offset, curve, out)


@lru_cache(maxsize=64)
def beside(axis: int):
    """A function of up to four arrays: they one behind the other along an axis."""

    @remembered
    def run(*arrays):
        first, widths = arrays[0], [prod(x.shape[axis:]) for x in arrays]
        size = sum(x.shape[axis] for x in arrays)
        y = empty((*first.shape[:axis], size, *first.shape[axis + 1 :]), first.dtype)
        rows, none = prod(first.shape[:axis]), AT_ONCE - len(arrays)
        given = [*map(contiguous, arrays), *[None] * none]
        kernel = _source.kernel("side_by_side", T=y.dtype, ACTIVATION="LINEAR")
        grid = blocks(y.size, THREADS * (VECTOR // y.itemsize))
        kernel(grid, THREADS, *given, y, rows, *widths, *[0] * none)
        return y

    return run


def merged(arrays, factor, offset, curve: Curve, out):
    """curve((sum of up to four arrays) factor + offset) in one pass, into `out`, one of them, if
    that is not None."""
    if curve.name is None:
        return curve.function(merged(arrays, factor, offset, LINEAR, out))
    place = next((i for i, x in enumerate(arrays) if x is out), None)
    return _merging(curve, place)(*arrays, factor, offset)


@lru_cache(maxsize=256)
def _merging(curve: Curve, place: int | None):
    """That as a function of the arrays, the factor and the offset; `place` is that of `out`."""

    @remembered
    def run(*given):
        *arrays, factor, offset = given
        return _merged(arrays, factor, offset, curve, None if place is None else arrays[place])

    return run


def _merged(arrays, factor, offset, curve, out):
    first = arrays[0]
    if not is_float(*arrays):
        raise TypeError(f"plan of inference: expected floats of one dtype, got {first.dtype}.")
    if out is None or not out.flags.c_contiguous:
        out = empty_like(first)
    wide = accumulator(first.dtype)
    weights = [
        None if w is None else contiguous(w.astype(wide, copy=False)) for w in (factor, offset)
    ]
    given = [contiguous(x) for x in arrays] + [None] * (AT_ONCE - len(arrays))
    grid = blocks(first.size, THREADS * UNROLL * (VECTOR // first.itemsize))
    kernel = _source.kernel("summed_and_mapped", T=first.dtype, ACTIVATION=curve.name)
    width = next((w.size for w in weights if w is not None), 1)
    kernel(grid, THREADS, *given, *weights, out, first.size, width, *curve.parameters)
    return out
