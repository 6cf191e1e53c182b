"""What a test of a kernel needs: a version for CuPy against its reference in float64."""

from __future__ import annotations

import array_api_strict as strict
import ml_dtypes
import numpy as np

from gpulayers import tree
from gpulayers.arrays import Tape

# A few roundings to the dtype, of the result and of what is in between.
TOLERANCE = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
FLOATS = ("float32", "float16", "bfloat16", "float64")
SHORT = ("float32", "float16", "bfloat16")


def kind(dtype: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def on_host(x) -> np.ndarray:
    """An array of CuPy or of the reference, as float64 if it is floating."""
    x = x.get() if hasattr(x, "get") else np.asarray(x._array)
    return x.astype(np.float64) if x.dtype.kind in "fV" or x.dtype.name == "bfloat16" else x


def is_float(a) -> bool:
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def check_version(
    cupy, op, *arrays, dtype="float32", atol=None, rtol=None, gradients=True, order="C", **options
):
    """The version for CuPy gives what the reference gives in float64, and so do its gradients.

    Args:
        arrays: NumPy arrays, Python numbers or None; floating arrays are cast to `dtype` first.
        atol, rtol: TOLERANCE of the dtype by default.
        gradients: whether to compare gradients too (of all floating arrays).
        order: "C", or "view" for arrays with strides.
    """
    rtol = TOLERANCE[dtype] if rtol is None else rtol
    atol = rtol if atol is None else atol
    rounded = [a.astype(kind(dtype)) if is_float(a) else a for a in arrays]
    there = [_put(cupy, a, order) if isinstance(a, np.ndarray) else a for a in rounded]
    wide = [
        strict.asarray(a.astype(np.float64) if is_float(b) else a)
        if isinstance(a, np.ndarray)
        else a
        for a, b in zip(rounded, arrays)
    ]
    version = op.version("cupy")
    out = version(*there, **options)
    assert out is not NotImplemented, "the version leaves this case to the reference"
    expected = op.reference(*wide, **options)
    _compare(out, expected, dtype, rtol, atol)
    if gradients:
        _check_gradients(cupy, op, there, wide, arrays, dtype, rtol, atol, options)
    for a, b in zip(there, rounded):
        if isinstance(b, np.ndarray):
            assert a.get().tobytes() == b.tobytes(), "an argument was changed"
    return out


def _put(cupy, a, order):
    if order == "C" or not a.size:
        return cupy.asarray(a)
    spaced = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    spaced[..., ::2] = a
    return cupy.asarray(spaced)[..., ::2]


def _compare(out, expected, dtype, rtol, atol):
    for a, b in zip(tree.flatten(out), tree.flatten(expected), strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        if "float" in str(b.dtype):
            assert a.dtype == kind(dtype)
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(on_host(a), on_host(b), rtol=rtol, atol=atol)


def _check_gradients(cupy, op, there, wide, arrays, dtype, rtol, atol, options):
    places = [i for i, a in enumerate(arrays) if is_float(a)]

    def gradients(values, weight):
        with Tape() as tape:
            given = list(values)
            for i in places:
                given[i] = tape.watch(values[i])
            out = tree.flatten(op(*given, **options))
        weights = [weight(i, o.value) for i, o in enumerate(out)]
        return tape.gradient(out, [values[i] for i in places], weights)

    def numbers(i, o):  # The same on both sides: rounded to the dtype.
        n = int(np.prod(o.shape))
        return np.cos(np.arange(n) + i).reshape(o.shape).astype(kind(dtype))

    found = gradients(there, lambda i, o: cupy.asarray(numbers(i, o)))
    expected = gradients(wide, lambda i, o: strict.asarray(numbers(i, o).astype(np.float64)))
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            _compare(a, b, dtype, rtol, atol)
