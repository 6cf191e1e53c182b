"""Arrays from other things, in other dtypes."""

import array_api_strict
import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, real, same

from gpulayers import ops
from gpulayers.arrays import KerasTensor, Tape, Variable

x = real(2, 3)


def test_arrays():
    for function in (ops.convert_to_tensor, ops.array, ops.asarray):
        assert function(x) is x
        assert function([1, 2]).dtype == np.int32
        assert function([1, 2.5]).dtype == np.float32
        assert function(True).dtype == np.bool_
        assert function([1, 2], dtype="float16").dtype == np.float16
        assert function(x, "float32").dtype == np.float32
        assert type(function(Variable(x))) is np.ndarray
        assert function(KerasTensor((2,)), "int8").dtype == "int8"
    with pytest.raises(ValueError, match="dense"):
        ops.convert_to_tensor(x, sparse=True)


def test_numpy_arrays():
    for given in (x, Variable(x), array_api_strict.asarray(x), x.tolist()):
        out = ops.convert_to_numpy(given)
        assert type(out) is np.ndarray
        np.testing.assert_allclose(out, x, rtol=1e-6)
    with Tape() as tape:
        np.testing.assert_array_equal(ops.convert_to_numpy(tape.watch(x)), x)
    with pytest.raises(TypeError, match="KerasTensor"):
        ops.convert_to_numpy(KerasTensor((2,)))


def test_cast():
    check_function(lambda a: ops.cast(a, "int32"), [x], x.astype(np.int32))
    check_gradient(lambda a: ops.cast(ops.cast(a, "float64"), "float64") * 2, x)
    assert ops.cast(x, "float64") is x
    assert ops.cast(1, "bfloat16").dtype.name == "bfloat16"
    assert ops.astype is ops.cast
    with pytest.raises(ValueError, match="float33"):
        ops.cast(x, "float33")


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([-300.0, 300.5, 7.5], "int8", [-128, 127, 7]),
        ([-300.0, 300.0], "uint8", [0, 255]),
        ([1e6, -1e6], "float16", [65504, -65504]),
        ([3e9, -3e9], "int32", [2**31 - 128, -(2**31)]),
        ([300, -5], "uint8", [255, 0]),
        ([2, 0], "bool", [True, False]),
        ([True, False], "int8", [1, 0]),
        ([2**31 - 1, 5], "int64", [2**31 - 1, 5]),
    ],
)
def test_saturation(values, dtype, expected):
    out = ops.saturate_cast(values, dtype)
    assert out.dtype == dtype
    assert out.tolist() == expected


def test_saturation_of_short_floats():
    x = ops.cast([1e38, -1.0], "bfloat16")
    assert ops.saturate_cast(x, "float16").tolist() == [65504, -1]


def test_copies():
    out = ops.copy(x)
    assert not np.shares_memory(out, x)
    check_function(ops.copy, [x], x)


def test_bytes():
    a = np.arange(8, dtype=np.float32).reshape(2, 4)
    for dtype in ("int32", "uint8", "int16"):
        same(ops.view(a, dtype), a.view(dtype))
    assert ops.view(a) is a
    same(ops.view(a.T, "int32"), np.ascontiguousarray(a.T).view("int32"))
    with pytest.raises(TypeError, match="another dtype"):
        ops.view(array_api_strict.asarray(a), "int32")


def test_facts():
    assert ops.shape(x) == (2, 3)
    assert ops.shape([[1, 2]]) == (1, 2)
    assert ops.shape(KerasTensor((None, 3))) == (None, 3)
    assert (ops.ndim(x), ops.ndim(3)) == (2, 0)
    assert (ops.size(x), ops.size(KerasTensor((None, 3)))) == (6, None)
    assert (ops.dtype(x), ops.dtype(1), ops.dtype(KerasTensor((1,), "int8"))) == (
        "float64",
        "int32",
        "int8",
    )
    assert ops.is_tensor(x)
    assert ops.is_tensor(KerasTensor((2,)))
    assert not ops.is_tensor([1.0])
    assert not ops.is_tensor(Variable(x))


def test_result_types():
    assert ops.result_type(x, 1) == "float64"
    assert ops.result_type("int8", "uint8") == "int16"
    assert ops.result_type(np.dtype("float64"), np.dtype("float32")) == "float64"
    assert ops.result_type(np.dtype("int32"), float) == "float32"
    assert ops.result_type(int, bool) == "int32"
    assert ops.result_type("bfloat16", "float16") == "float32"


def test_equal_shapes():
    assert ops.shape_equal((2, None), (2, 3))
    assert not ops.shape_equal((2, None), (2, 3), allow_none=False)
    assert ops.shape_equal((2, 3), (2, 4), axis=-1)
    assert ops.shape_equal((2, 3, 4), (5, 3, 6), axis=[0, 2])
    assert not ops.shape_equal((2,), (2, 3))


def test_stopped_gradients():
    v = Variable(x)
    with Tape() as tape:
        y = ops.sum(v * ops.stop_gradient(v))
    np.testing.assert_allclose(tape.gradient(y, v), x)
    assert ops.stop_gradient(KerasTensor((2,))).shape == (2,)


# Complex numbers.


def test_complex_numbers():
    z = np.array([1 + 2j, -3j])
    for name in ("real", "imag", "conj", "conjugate"):
        same(getattr(ops, name)(z), getattr(np, name)(z))
        same(getattr(ops, name)(x), getattr(np, name)(x))
    parts = np.stack([z.real, z.imag], axis=-1)
    same(ops.view_as_real(z), parts)
    same(ops.view_as_complex(parts), z)
    same(ops.polar(np.abs(z), np.angle(z)), z, 1e-12)
    assert ops.polar([1.0], [2.0]).dtype == np.complex64
    assert ops.view_as_complex(KerasTensor((None, 2))).dtype == "complex64"
    assert ops.real(KerasTensor((None,), "complex64")).dtype == "float32"
    with pytest.raises(ValueError, match="2 elements"):
        ops.view_as_complex(x)
