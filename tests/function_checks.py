"""The check that the functions of `gpulayers.ops` go through."""

from __future__ import annotations

import array_api_strict
import numpy as np
from checks import check_gradient, check_shape

from gpulayers import tree
from gpulayers.arrays import KerasTensor, Variable, dtypes
from gpulayers.arrays.devices import to_numpy

rng = np.random.default_rng(7)


def real(*shape):
    """Numbers of both signs, no two near each other, none near a whole number's half."""
    n = int(np.prod(shape))
    return (rng.permutation(n) * 0.37 - n * 0.18 + 0.053).reshape(shape)


def positive(*shape):
    return np.abs(real(*shape)) + 0.3


def inside(*shape):
    return rng.uniform(-0.9, 0.9, size=shape)


def holes(*shape):
    """Like `real`, with every third element missing."""
    x = real(*shape)
    x.flat[1::3] = np.nan
    return x


def check_function(function, arrays, expected, gradient=None, strict=True, rtol=1e-7):
    """A function of NumPy arrays in every way it may be called.

    Args:
        function: of the arrays, one array or a list or tuple of them.
        arrays: NumPy's; they are given read-only.
        expected: what NumPy gives.
        gradient: whether to check it; by default if the arrays and some results are floats.
        strict: whether to run over array_api_strict too.

    Compares results and dtypes, on arrays, on Variables, over another library; shape inference on
    Abstract arrays and KerasTensors; the gradient with finite differences.
    """
    for a in arrays:
        a.flags.writeable = False
    out = function(*arrays)
    same(out, expected, rtol)
    same(function(*map(Variable, arrays)), out, 0)
    check_shape(function, *arrays)
    graph = function(*(KerasTensor(a.shape, dtypes.name(a.dtype)) for a in arrays))
    for tensor, y in zip(tree.flatten(graph), tree.flatten(out), strict=True):
        assert tensor.shape == y.shape
        assert tensor.dtype == dtypes.name(y.dtype)
    if strict:
        same(function(*map(array_api_strict.asarray, arrays)), expected, max(rtol, 1e-7))
    if gradient is None:
        gradient = all(a.dtype.kind == "f" for a in arrays)
        gradient = gradient and any(dtypes.is_floating(y) for y in tree.flatten(out))
    if gradient:
        check_gradient(function, *arrays)


def same(out, expected, rtol=1e-7):
    """Equal values, shapes and kinds of dtypes."""
    out, expected = tree.flatten(out), tree.flatten(expected)
    for y, e in zip(out, expected, strict=True):
        y, e = to_numpy(y), np.asarray(e)
        assert y.shape == e.shape
        assert y.dtype.kind == e.dtype.kind
        np.testing.assert_allclose(y, e, rtol=rtol, atol=1e-12)
