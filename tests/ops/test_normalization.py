"""Arrays scaled to mean 0 and variance 1, or to length 1."""

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, positive, real, same

from gpulayers import ops
from gpulayers.arrays import KerasTensor

x, scale, offset = real(2, 3, 4), positive(4), real(4)


@pytest.mark.parametrize("axis", [-1, 0, None])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_normalize(axis, order):
    keep = (np.abs(x) ** order).sum(axis, keepdims=True) ** (1 / order)
    call = lambda a: ops.normalize(a, axis, order) if axis is not None or order == 2 else a
    expected = x / keep if axis is not None or order == 2 else x
    check_function(call, [x], expected, rtol=1e-9, strict=False)


def test_normalize_zeros():
    np.testing.assert_array_equal(ops.normalize(np.zeros(3)), np.zeros(3))
    check_gradient(lambda a: ops.normalize(a, epsilon=1.0), np.array([0.1, 0.2]))
    np.testing.assert_allclose(ops.normalize(np.array([0.1, 0.2]), epsilon=1.0), [0.1, 0.2])
    same(ops.normalize(-2.0), np.array([-1.0]))
    with pytest.raises(ValueError, match="positive integer"):
        ops.normalize(x, order=0)


def test_batches():
    mean, variance = real(3), positive(3)
    shape = (3, 1)
    out = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-3)
    call = lambda a, m, v: ops.batch_normalization(a, m, v, axis=1)
    check_function(call, [x, mean, variance], out)
    call = lambda a, m, v, o, s: ops.batch_normalization(a, m, v, 2, offset=o, scale=s, epsilon=0.1)
    arrays = [x, offset, scale + 1, offset + 1, scale]
    check_function(call, arrays, (x - offset) / np.sqrt(scale + 1.1) * scale + offset + 1)


def test_layers():
    for axis in (-1, (1, 2), [2, 1]):
        axes = tuple(axis) if isinstance(axis, list) else axis
        mean, var = (f(x, axis=axes, keepdims=True) for f in (np.mean, np.var))
        call = lambda a, axis=axis: ops.layer_normalization(a, axis=axis, epsilon=0.01)
        check_function(call, [x], (x - mean) / np.sqrt(var + 0.01))
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-7)
    check_function(ops.layer_normalization, [x, scale, offset], expected * scale + offset)
    gamma = real(3)
    expected = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-7)
    same(ops.layer_normalization(x, gamma, axis=1), expected * gamma[:, None])
    scaled = ops.layer_normalization(x, scale, offset, rms_scaling=True)
    same(scaled, x / np.sqrt(x.var(-1, keepdims=True) + 1e-7) * scale)


def test_root_mean_squares():
    expected = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-7)
    check_function(ops.rms_normalization, [x], expected)
    check_function(ops.rms_normalization, [x, scale], expected * scale)
    expected = x / np.sqrt((x * x).mean((0, 2), keepdims=True) + 1)
    check_function(lambda a: ops.rms_normalization(a, axis=[0, 2], epsilon=1), [x], expected)


def test_dtypes():
    half, weights = ops.cast(x, "bfloat16"), scale.astype(np.float16)
    assert ops.dtype(ops.rms_normalization(half, weights)) == "bfloat16"
    assert ops.dtype(ops.layer_normalization(half, weights)) == "bfloat16"
    assert ops.layer_normalization([[1, 2]]).dtype == np.float32
    assert ops.layer_normalization(KerasTensor((None, 4), "float16")).dtype == "float16"
    large = np.array([60000, -60000], np.float16)
    np.testing.assert_allclose(ops.rms_normalization(large), [1, -1])
