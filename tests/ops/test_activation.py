"""Activation functions: values, gradients, kinks, extremes, dtypes."""

import math

import array_api_strict
import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers.arrays import Tape, plain
from gpulayers.ops import activation, rectifier
from gpulayers.ops.activation import elu, gelu, glu, sigmoid
from gpulayers.ops.rectifier import leaky_relu, prelu, relu

pytestmark = pytest.mark.usefixtures("loops")


def at(x):
    return 1 / (1 + math.exp(-x))


# Name, options, and the function of one Python number.
FORMULAS = [
    ("celu", {"alpha": 0.7}, lambda x: x if x > 0 else 0.7 * math.expm1(x / 0.7)),
    ("elu", {}, lambda x: x if x > 0 else math.expm1(x)),
    ("elu", {"alpha": 0.7}, lambda x: x if x > 0 else 0.7 * math.expm1(x)),
    ("exponential", {}, math.exp),
    ("gelu", {"approximate": False}, lambda x: x * math.erfc(-x / math.sqrt(2)) / 2),
    (
        "gelu",
        {},
        lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    ("log_sigmoid", {}, lambda x: math.log(at(x))),
    ("mish", {}, lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    (
        "selu",
        {},
        lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    ),
    ("sigmoid", {}, at),
    ("silu", {}, lambda x: x * at(x)),
    ("softplus", {}, lambda x: math.log1p(math.exp(x))),
    ("softsign", {}, lambda x: x / (1 + abs(x))),
    ("squareplus", {}, lambda x: (x + math.sqrt(x * x + 4)) / 2),
    ("squareplus", {"b": 0.5}, lambda x: (x + math.sqrt(x * x + 0.5)) / 2),
    ("tanh", {}, math.tanh),
    ("tanh_shrink", {}, lambda x: x - math.tanh(x)),
    ("hard_shrink", {}, lambda x: x if abs(x) > 0.5 else 0),
    ("hard_sigmoid", {}, lambda x: min(max(x / 6 + 0.5, 0), 1)),
    ("hard_silu", {}, lambda x: x * min(max(x / 6 + 0.5, 0), 1)),
    ("hard_tanh", {}, lambda x: min(max(x, -1), 1)),
    ("leaky_relu", {}, lambda x: x if x > 0 else 0.2 * x),
    ("leaky_relu", {"negative_slope": 1.5}, lambda x: x if x > 0 else 1.5 * x),
    ("relu", {}, lambda x: max(x, 0)),
    ("relu", {"negative_slope": 0.1}, lambda x: x if x > 0 else 0.1 * x),
    ("relu", {"max_value": 1.5}, lambda x: min(max(x, 0), 1.5)),
    ("relu", {"max_value": 6}, lambda x: min(max(x, 0), 6)),
    (
        "relu",
        {"negative_slope": 0.1, "max_value": 2, "threshold": 0.5},
        lambda x: min(x, 2) if x > 0.5 else 0.1 * (x - 0.5),
    ),
    ("relu6", {}, lambda x: min(max(x, 0), 6)),
    ("soft_shrink", {}, lambda x: math.copysign(max(abs(x) - 0.5, 0), x)),
    ("sparse_plus", {}, lambda x: 0 if x < -1 else x if x > 1 else (x + 1) ** 2 / 4),
    ("sparse_sigmoid", {}, lambda x: min(max((x + 1) / 2, 0), 1)),
    ("threshold", {"threshold": 0.3, "default_value": -2.0}, lambda x: x if x > 0.3 else -2),
]
IDS = [f"{name}-{'-'.join(map(str, options.values()))}" for name, options, _ in FORMULAS]


def function(name):
    return getattr(activation, name, None) or getattr(rectifier, name)


def example(shape=(3, 5), seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(size=shape) * scale


def test_every_function_is_tested():
    names = {name for name, *_ in FORMULAS} | {"glu", "prelu"}
    assert names == {*activation.__all__, *rectifier.__all__}


@pytest.mark.parametrize(("name", "options", "formula"), FORMULAS, ids=IDS)
def test_values_over_every_library(xp, name, options, formula):
    x = example((4, 25))
    expected = np.vectorize(formula, otypes=[float])(x)
    for dtype, rtol in (("float64", 1e-13), ("float32", 3e-6)):
        out = function(name)(xp.asarray(x.astype(dtype)), **options)
        assert isinstance(out, xp.kind)
        assert str(xp.to_numpy(out).dtype) == dtype
        np.testing.assert_allclose(xp.to_numpy(out), expected, rtol=rtol, atol=rtol / 10)


@pytest.mark.parametrize(("name", "options", "formula"), FORMULAS, ids=IDS)
def test_version_gradient_and_shape(name, options, formula):
    check_primitive(function(name), example(), **options)


@pytest.mark.parametrize(("name", "options", "formula"), FORMULAS, ids=IDS)
def test_gradient_rule_over_every_library(xp, name, options, formula):
    check_gradient(lambda x: function(name)(x, **options), example(seed=1), xp=xp)


@pytest.mark.parametrize(("name", "options", "formula"), FORMULAS, ids=IDS)
@pytest.mark.parametrize("shape", [(), (0, 3), (1, 64), (3, 4, 5)])
def test_every_shape_and_layout(name, options, formula, shape):
    op = function(name)
    x = example(shape).astype("float32")
    for arranged in (x, x.T, x[..., ::2] if x.ndim else x):
        out = op(arranged, **options)
        assert out.shape == arranged.shape
        reference = op.reference(arranged, **options)
        np.testing.assert_allclose(out, reference, rtol=3e-6, atol=3e-7)


SAFE = [(name, options) for name, options, _ in FORMULAS if name != "exponential"]


@pytest.mark.parametrize(("name", "options"), SAFE, ids=[i for i in IDS if "exponential" not in i])
def test_extremes_give_no_warning_and_no_infinity(xp, name, options):
    x = np.array([-1e4, -800, -90, -20, -1e-30, 0, 1e-30, 20, 90, 800, 1e4], np.float32)
    with Tape([]) as tape:
        watched = tape.watch(xp.asarray(x))
        out = function(name)(watched, **options)
        total = out.__array_namespace__().sum(out)
    (grad,) = tape.gradient(total, [watched])
    assert np.isfinite(xp.to_numpy(plain(out))).all()
    assert np.isfinite(xp.to_numpy(grad)).all()


def test_sigmoid_keeps_its_digits_far_below_zero(xp):
    x = np.array([-80.0, -40.0, -10.0], np.float32)
    expected = [at(v) for v in x]
    np.testing.assert_allclose(xp.to_numpy(sigmoid(xp.asarray(x))), expected, rtol=1e-5)
    wide = xp.asarray(np.array([-600.0, -100.0]))
    np.testing.assert_allclose(xp.to_numpy(sigmoid(wide)), [at(-600), at(-100)], rtol=1e-12)


# Gradients where the slope jumps: those of Keras on PyTorch.
KINKS = [
    ("relu", {}, 0.0, 0.0),
    ("relu", {"negative_slope": 0.1}, 0.0, 0.1),
    ("relu", {"max_value": 2.0}, 2.0, 1.0),
    ("relu", {"max_value": 6}, 6.0, 0.0),
    ("relu", {"threshold": 1.0, "negative_slope": 0.1}, 1.0, 0.1),
    ("leaky_relu", {}, 0.0, 0.2),
    ("relu6", {}, 0.0, 0.0),
    ("relu6", {}, 6.0, 0.0),
    ("hard_sigmoid", {}, 3.0, 0.0),
    ("hard_silu", {}, -3.0, 0.0),
    ("hard_silu", {}, 3.0, 1.0),
    ("hard_tanh", {}, -1.0, 0.0),
    ("hard_shrink", {}, 0.5, 0.0),
    ("soft_shrink", {}, -0.5, 0.0),
    ("elu", {"alpha": 0.7}, 0.0, 0.7),
    ("threshold", {"threshold": 1.0, "default_value": 0.0}, 1.0, 0.0),
]


@pytest.mark.parametrize(("name", "options", "x", "slope"), KINKS)
def test_gradients_at_kinks(xp, name, options, x, slope):
    with Tape([]) as tape:
        watched = tape.watch(xp.asarray(np.array([x, x])))
        out = function(name)(watched, **options)
    (grad,) = tape.gradient(out, [watched])
    np.testing.assert_allclose(xp.to_numpy(grad), [slope, slope], rtol=1e-12)


@pytest.mark.parametrize("numbers", [[1, -2], np.array([1, -2]), np.array([True, False])])
def test_integers_and_lists_become_floats(numbers):
    out = sigmoid(numbers)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [at(float(v)) for v in numbers], rtol=1e-6)
    assert relu(np.array([1, -2])).dtype == np.array([1]).dtype


def test_options_may_stand_as_positions():
    x = example()
    np.testing.assert_array_equal(leaky_relu(x, 0.5), leaky_relu(x, negative_slope=0.5))
    np.testing.assert_array_equal(elu(x, 2.0), elu(x, alpha=2.0))
    with Tape([]) as tape:
        watched = tape.watch(x)
        out = elu(watched, 2.0)
    np.testing.assert_allclose(tape.gradient(out, [watched])[0], np.where(x > 0, 1, 2 * np.exp(x)))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_glu(axis, xp):
    x = example((2, 4, 6))
    a, b = np.split(x, 2, axis=axis)
    out = xp.to_numpy(glu(xp.asarray(x), axis=axis))
    np.testing.assert_allclose(out, a / (1 + np.exp(-b)), rtol=1e-12)
    check_primitive(glu, x, axis=axis)


def test_glu_refuses_an_odd_axis():
    with pytest.raises(ValueError, match=r"glu: axis 1 must have an even size.*\(2, 3\)"):
        glu(np.ones((2, 3)))


def test_prelu_sums_the_gradient_of_shared_slopes():
    x, alpha = example((4, 3, 2)), np.array([[0.1, -0.4]])
    expected = np.where(x > 0, x, alpha * x)
    np.testing.assert_array_equal(prelu(x, alpha), expected)
    check_primitive(prelu, x, alpha)
    with Tape([]) as tape:
        watched, slopes = tape.watch(np.zeros(3)), tape.watch(np.ones(3))
        out = prelu(watched, slopes)
    for grad in tape.gradient(out, [watched, slopes]):
        np.testing.assert_array_equal(grad, 0)


def test_second_derivatives():
    x = np.array([-1.5, 0.3, 2.0])
    with Tape([]) as outer:
        watched = outer.watch(x)
        with Tape([]) as inner:
            again = inner.watch(watched)
            out = gelu(again, approximate=False)
        (first,) = inner.gradient(out, [again])
    (second,) = outer.gradient(first, [watched])
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(plain(second), density * (2 - x * x), rtol=1e-10)


def test_large_arrays_go_through_erf_in_blocks():
    x = example((300, 200)).astype("float32")
    exact = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in x[::60].astype(float).ravel()]
    np.testing.assert_allclose(gelu(x, approximate=False)[::60].ravel(), exact, atol=1e-6)


def test_strict_arrays_stay_strict():
    assert type(sigmoid(array_api_strict.ones(3))) is type(array_api_strict.ones(3))
