"""Elementwise functions against NumPy's: values, gradients, shapes, dtypes."""

import math

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, inside, positive, real

from gpulayers import ops
from gpulayers.ops import arithmetic, elementwise

x = real(3, 4)

# Name, the array, and NumPy's function where it has another name.
OF_ONE = {
    "abs": (x, None),
    "angle": (x, None),
    "arccos": (inside(3, 4), None),
    "arccosh": (positive(3, 4) + 1, None),
    "arcsin": (inside(3, 4), None),
    "arcsinh": (x, None),
    "arctan": (x, None),
    "arctanh": (inside(3, 4), None),
    "bitwise_invert": (np.arange(-3, 3), None),
    "cbrt": (x, None),
    "ceil": (x, None),
    "cos": (x, None),
    "cosh": (x, None),
    "deg2rad": (x, None),
    "exp": (x, None),
    "exp2": (x, None),
    "expm1": (x, None),
    "fabs": (x, None),
    "floor": (x, None),
    "i0": (np.array([[0.5, -3.0], [1.0, 2.0]]), None),
    "isfinite": (np.array([1.0, math.inf, math.nan]), None),
    "isinf": (np.array([1.0, -math.inf, math.nan]), None),
    "isnan": (np.array([1.0, math.inf, math.nan]), None),
    "isneginf": (np.array([1.0, -math.inf, math.inf]), None),
    "isposinf": (np.array([1.0, -math.inf, math.inf]), None),
    "isreal": (np.array([1.0, 2.0]), None),
    "log": (positive(3, 4), None),
    "log10": (positive(3, 4), None),
    "log1p": (positive(3, 4), None),
    "log2": (positive(3, 4), None),
    "logical_not": (np.array([0.0, 2.0]), None),
    "nan_to_num": (x, None),
    "negative": (x, None),
    "positive": (x, None),
    "rad2deg": (x, None),
    "reciprocal": (x, None),
    "round": (x, None),
    "rsqrt": (positive(3, 4), lambda a: 1 / np.sqrt(a)),
    "sign": (x, None),
    "signbit": (x, None),
    "sin": (x, None),
    "sinc": (np.append(x, 0.0), None),
    "sinh": (x, None),
    "sqrt": (positive(3, 4), None),
    "square": (x, None),
    "tan": (inside(3, 4), None),
    "tanh": (x, None),
    "trunc": (x, None),
}

y, whole = real(4), np.array([[4, 9, 12], [0, 5, 7]])
OF_TWO = {
    "add": (x, y),
    "arctan2": (x, y),
    "bitwise_and": (whole, np.array([6, 3, 1])),
    "bitwise_left_shift": (whole, np.array([1, 0, 2])),
    "bitwise_or": (whole, np.array([6, 3, 1])),
    "bitwise_right_shift": (whole, np.array([1, 0, 2])),
    "bitwise_xor": (whole, np.array([6, 3, 1])),
    "copysign": (x, y),
    "divide": (x, y),
    "equal": (whole, np.array([4, 5, 6])),
    "floor_divide": (x, y),
    "fmax": (x, y),
    "fmin": (x, y),
    "fmod": (x, y),
    "gcd": (whole, np.array([6, 3, 0])),
    "greater": (x, y),
    "greater_equal": (x, y),
    "heaviside": (x, y),
    "hypot": (x, y),
    "lcm": (whole, np.array([6, 3, 0])),
    "less": (x, y),
    "less_equal": (x, y),
    "logaddexp": (x, y),
    "logaddexp2": (x, y),
    "logical_and": (whole, np.array([True, False, True])),
    "logical_or": (whole, np.array([True, False, True])),
    "logical_xor": (whole, np.array([True, False, True])),
    "maximum": (x, y),
    "minimum": (x, y),
    "mod": (x, y),
    "multiply": (x, y),
    "nextafter": (x, y),
    "not_equal": (whole, np.array([4, 5, 6])),
    "power": (positive(3, 4), y),
    "subtract": (x, y),
}


def test_every_function_is_tested():
    assert set(OF_ONE) == set(elementwise.__all__) | {"tanh"}
    others = {"clip", "divide_no_nan", "ldexp", "where"}
    assert set(OF_TWO) == set(arithmetic.__all__) - others


@pytest.mark.parametrize("name", OF_ONE)
def test_of_one(name):
    x, reference = OF_ONE[name]
    function = getattr(ops, name)
    check_function(function, [x], (reference or getattr(np, name))(x), rtol=1e-12)


@pytest.mark.parametrize("name", OF_TWO)
def test_of_two(name):
    function, reference = getattr(ops, name), getattr(np, name)
    steps = name in ("floor_divide", "heaviside", "nextafter")
    check_function(
        function, OF_TWO[name], reference(*OF_TWO[name]), gradient=False if steps else None
    )


@pytest.mark.parametrize("name", sorted(elementwise._made))
def test_integers_become_floats_or_stay(name):
    with np.errstate(all="ignore"):
        out = getattr(ops, name)(np.array([[0, 1]], np.int16))
    kinds = {"f": "float32", "i": "int16", "b": "bool"}
    assert out.dtype.name == kinds[out.dtype.kind]


@pytest.mark.parametrize("name", sorted({*elementwise._made} - {"bitwise_invert"}))
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_computed_in_float32(name, dtype):
    function = getattr(ops, name)
    x = ops.cast(np.array([0.25, 1.0]), dtype)
    with np.errstate(all="ignore"):
        out, wide = function(x), function(x.astype(np.float32))
    if wide.dtype.kind == "f":
        assert out.dtype == x.dtype
        rounded = wide.astype(x.dtype).astype(np.float32)
        np.testing.assert_array_equal(out.astype(np.float32), rounded)
    else:
        np.testing.assert_array_equal(out, wide)


@pytest.mark.parametrize(
    ("name", "args", "dtype"),
    [
        ("add", (np.ones(2, np.int32), np.ones(2, np.float32)), "float32"),
        ("add", (np.ones(2, np.int32), 1.0), "float32"),
        ("add", (np.ones(2, np.float16), 1.0), "float16"),
        ("add", (np.ones(2, np.float16), np.ones(2, np.int32)), "float16"),
        ("add", (np.ones(2), np.ones(2, np.float32)), "float64"),
        ("multiply", (np.ones(2, np.uint8), np.ones(2, np.int8)), "int16"),
        ("maximum", (np.ones(2, bool), 1), "int32"),
        ("divide", (np.ones(2, np.int8), 2), "float32"),
        ("power", (np.ones(2, bool), np.ones(2, bool)), "int32"),
        ("power", (2, np.ones(2, np.int64)), "int64"),
        ("arctan2", (1, np.ones(2, np.int32)), "float32"),
        ("less", (np.ones(2, np.int32), 0.5), "bool"),
        ("where", (np.ones(2, bool), np.ones(2, np.int32), 1.0), "float32"),
        ("where", ([True, False], 1, 2), "int32"),
        ("clip", (np.ones(2, np.int32), 0, 1), "int32"),
        ("clip", (np.ones(2, bool), 0, 1), "int32"),
        ("add", (1, 2), "int32"),
        ("add", ([1, 2], 2.5), "float32"),
    ],
)
def test_dtypes_meet_by_the_rules_of_keras(name, args, dtype):
    assert getattr(ops, name)(*args).dtype == dtype


def test_bfloat16_meets_float16():
    a, b = ops.ones(2, "bfloat16"), ops.ones(2, "float16")
    assert ops.add(a, b).dtype == np.float32
    assert ops.dtype(ops.add(a, ops.ones(2, "int32"))) == "bfloat16"
    assert ops.dtype(ops.where(a > 0, a, 1.0)) == "bfloat16"


def test_clip():
    check_function(lambda a: ops.clip(a, -0.9, 0.6), [x], np.clip(x, -0.9, 0.6))
    check_function(ops.clip, (x, np.array(-0.9), np.array(0.6)), np.clip(x, -0.9, 0.6))
    np.testing.assert_array_equal(ops.clip(x, None, 0.0), np.minimum(x, 0))
    np.testing.assert_array_equal(ops.clip(x, 0.0, None), np.maximum(x, 0))


def test_where():
    chosen = x > 0
    check_function(ops.where, (chosen, x, y), np.where(chosen, x, y))
    check_gradient(lambda a, b: ops.where(chosen, a, b), x, y)
    np.testing.assert_array_equal(ops.where(np.array([0, 2, 0, 1])), [[1, 3]])
    with pytest.raises(ValueError, match="together"):
        ops.where(chosen, x)


def test_divide_no_nan():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0, -4.0])
    check_function(ops.divide_no_nan, (a, b), np.array([0.5, 0, -0.75]), gradient=False)
    check_gradient(ops.divide_no_nan, x, y)
    check_gradient(lambda a: ops.divide_no_nan(a, b), a)


def test_ldexp():
    exponents = np.array([[1], [0], [-2]])
    check_function(lambda a: ops.ldexp(a, exponents), [x], np.ldexp(x, exponents), strict=False)
    with pytest.raises(TypeError, match="ldexp: x2 must hold integers"):
        ops.ldexp(x, y)


def test_numbers_come_before_nan():
    a, b = np.array([math.nan, 1.0, math.nan]), np.array([2.0, math.nan, math.nan])
    np.testing.assert_array_equal(ops.fmax(a, b), [2, 1, math.nan])
    np.testing.assert_array_equal(ops.fmin(a, b), [2, 1, math.nan])


def test_nan_to_num():
    a = np.array([math.nan, math.inf, -math.inf, 1.5], np.float32)
    np.testing.assert_array_equal(ops.nan_to_num(a), np.nan_to_num(a))
    np.testing.assert_array_equal(ops.nan_to_num(a, 1.0, 2.0, 3.0), [1, 2, 3, 1.5])
    assert ops.nan_to_num(a.astype(np.float16))[1] == 65504
    assert np.isfinite(ops.nan_to_num(ops.cast(a, "bfloat16")).astype(np.float32)).all()


def test_round():
    a = np.array([123.456, -0.5, 2.5])
    for decimals in (-2, -1, 0, 1, 2):
        np.testing.assert_allclose(ops.round(a, decimals), np.round(a, decimals), atol=1e-12)
    np.testing.assert_array_equal(ops.round(np.array([149, 151]), -2), [100, 200])
    assert ops.round(np.array([1, 2])).dtype == np.int64


def test_sixteen_bit_neighbours():
    for dtype in ("float16", "bfloat16"):
        one = ops.ones(1, dtype)
        assert ops.nextafter(one, 2.0)[0] > one[0]


def test_common_divisors_of_large_numbers():
    fibonacci = np.array([7540113804746346429]), np.array([4660046610375530309])
    reference = arithmetic.common_divisor.reference
    assert reference(*fibonacci)[0] == 1
    pairs = np.random.default_rng(0).integers(-500, 500, (2, 100))
    np.testing.assert_array_equal(reference(*pairs), np.gcd(*pairs))


def test_bessel_function():
    a = np.linspace(-60, 60, 301)
    np.testing.assert_allclose(ops.i0(a), np.i0(a), rtol=1e-7)


def test_complex_angles():
    z = np.array([1j, -1.0, 1 - 1j])
    np.testing.assert_allclose(ops.angle(z), np.angle(z))
    np.testing.assert_array_equal(ops.isreal(z), np.isreal(z))
