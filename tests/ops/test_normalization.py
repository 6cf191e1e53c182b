"""Arrays scaled to mean 0 and variance 1, or to length 1."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive
from function_checks import check_function, positive, real, same
from hypothesis import given, settings
from hypothesis import strategies as st

from gpulayers import ops
from gpulayers.arrays import KerasTensor, Tape
from gpulayers.ops import normalization as ops_normalization
from gpulayers.ops.batch_normalization import normalized_in_batch
from gpulayers.ops.normalization import (
    DEVIATION,
    LAYER,
    LENGTH,
    ROOT_MEAN_SQUARE,
    normalized_along,
    normalized_in_groups,
    normalized_sum,
)

pytestmark = pytest.mark.usefixtures("loops")

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


KINDS = ["layer", "rms", "deviation", "length"]
AXES = [((3, 4), (1,)), ((2, 3, 4), (2,)), ((2, 3, 4), (1, 2)), ((3, 2, 2), (1,)), ((4, 3), (0, 1))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "axes"), AXES, ids=str)
@pytest.mark.parametrize("weights", [0, 1, 2])
def test_along_axes(kind, shape, axes, weights, xp):
    sizes = [shape[axis] for axis in axes]
    arrays = [real(*shape), positive(*sizes), real(*sizes)][: 1 + weights]
    options = {"axes": axes, "epsilon": 0.1, "kind": kind}
    check_primitive(normalized_along, *arrays, **options)
    check_gradient(lambda *a: normalized_along(*a, **options), *arrays, xp=xp)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(("shape", "axis"), [((3, 6), -1), ((2, 3, 2, 6), 3), ((2, 6, 3), 1),
                                             ((2, 3, 6, 2), 2)])  # fmt: skip
def test_groups(shape, axis, groups, xp):
    arrays = real(*shape), positive(6), real(6)
    options = {"groups": groups, "axis": axis, "epsilon": 0.1}
    check_primitive(normalized_in_groups, *arrays, **options)
    check_primitive(normalized_in_groups, arrays[0], **options)
    check_gradient(lambda *a: normalized_in_groups(*a, **options), *arrays, xp=xp)


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_sums(kind, xp):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in ((3, 5), (3, 5), (5,), (5,))]
    options = {"axes": (1,), "epsilon": 0.1, "kind": kind}
    check_primitive(normalized_sum, *arrays, **options)
    check_gradient(lambda *a: normalized_sum(*a, **options), *arrays, xp=xp)
    total, y = normalized_sum(*arrays, **options)
    np.testing.assert_array_equal(total, arrays[0] + arrays[1])
    apart = normalized_along(total, *arrays[2:], axes=(1,), epsilon=0.1, kind=kind)
    np.testing.assert_array_equal(y, apart)


def test_views():
    x, (gamma, beta) = np.asfortranarray(real(2, 3, 4)), positive(8).reshape(4, 2).T
    check_primitive(normalized_along, x, gamma, beta, axes=(2,), epsilon=0.1)
    for axis in (1, 2):
        own = (gamma[: x.shape[axis]], beta[: x.shape[axis]])
        check_primitive(normalized_in_groups, x, *own, groups=1, axis=axis, epsilon=0.1)


def test_groups_before_axes_of_size_1():
    options = {"groups": 1, "axis": 2, "epsilon": 0.1}
    check_primitive(normalized_in_groups, real(1, 2, 2, 1), positive(2), real(2), **options)


def test_groups_are_normalized_apart():
    arrays = real(2, 3, 4, 6)
    out = ops_normalization.group_normalization(arrays, groups=3, epsilon=1e-9)
    parts = out.reshape(2, 12, 3, 2)
    np.testing.assert_allclose(parts.mean((1, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(parts.var((1, 3)), 1, rtol=1e-8)
    elsewhere = ops_normalization.group_normalization(
        np.moveaxis(arrays, -1, 1), groups=3, axis=1, epsilon=1e-9
    )
    np.testing.assert_allclose(np.moveaxis(elsewhere, 1, -1), out, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="4 groups need an axis"):
        ops_normalization.group_normalization(arrays, groups=4)


@pytest.mark.parametrize("shape", [(300, 700), (5, 70000), (70000, 3), (4000, 17)])
@pytest.mark.parametrize("kind", ["layer", "rms", "length"])
def test_many_blocks_in_float32(shape, kind):
    rng = np.random.default_rng(0)
    x, g = rng.normal(3, 2, size=(2, *shape)).astype("f4")
    weights = rng.normal(1, 0.5, size=(2, shape[1])).astype("f4")

    def run(call, *arrays):
        with Tape() as tape:
            given = [tape.watch(a) for a in arrays]
            out = call(*given, axes=(1,), epsilon=1e-3, kind=kind)
        return [out.value, *tape.gradient(out, given, g.astype(out.dtype))]

    found = run(normalized_along, x, *weights)
    wide = [a.astype("f8") for a in (x, *weights)]
    for a, b in zip(found, run(normalized_along.reference, *wide), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * np.abs(b).max())


def test_weights_that_are_broadcast():
    gamma = real(3, 1)
    expected = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-7) * gamma
    same(ops.rms_normalization(x, gamma), expected)
    expected = x / np.sqrt((x * x).mean((1, 2), keepdims=True) + 1e-7) * scale
    same(ops.rms_normalization(x, scale, axis=(1, 2)), expected)


@st.composite
def normalizations(draw):
    """A primitive, the shapes of its arrays (None for one that is not given), and options."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=2, max_size=4)))
    kind = draw(st.sampled_from([LAYER, ROOT_MEAN_SQUARE, DEVIATION, LENGTH, "groups", "batch"]))
    options = {"epsilon": draw(st.sampled_from([1e-3, 0.1]))}
    if kind in ("groups", "batch"):
        options["axis"] = axis = draw(st.integers(1 if kind == "groups" else 0, len(shape) - 1))
        wide = shape[axis : axis + 1]
        op = normalized_in_batch
        if kind == "groups":
            op, sizes = normalized_in_groups, range(1, wide[0] + 1)
            options["groups"] = draw(st.sampled_from([n for n in sizes if wide[0] % n == 0]))
    else:
        axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
        op, options["axes"], options["kind"] = normalized_along, tuple(sorted(axes)), kind
        if kind == LENGTH:
            options["epsilon"] **= 0.5  # Of a length, not of its square.
        wide = tuple(shape[axis] for axis in options["axes"])
    return op, [shape, *(draw(st.sampled_from([wide, None])) for _ in range(2))], options


@settings(max_examples=300, deadline=None)
@given(normalizations(), st.integers(0, 9))
def test_any_normalization(case, seed):
    """Versions for NumPy in float32, with all gradients, against references in float64."""
    op, shapes, options = case
    rng = np.random.default_rng(seed)
    arrays = [None if shape is None else rng.normal(size=shape) for shape in shapes]
    g = rng.normal(size=shapes[0])

    def run(call, dtype):
        with Tape() as tape:
            watched = [None if a is None else tape.watch(a.astype(dtype)) for a in arrays]
            out = call(*watched, **options)
            y = out[0] if isinstance(out, tuple) else out
        return [y.value, *tape.gradient(y, [w for w in watched if w is not None], g.astype(dtype))]

    found, expected = run(op, "float32"), run(op.reference, "float64")
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == np.float32
        # Gradients are differences of numbers as large as 1 / sqrt(epsilon).
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(np.abs(b).max(), 3))


def test_gradient_of_what_is_shorter_than_epsilon():
    """Whether epsilon divides does not depend on how its square is rounded."""
    for epsilon in np.sqrt(np.linspace(1e-3, 2e-3, 50)):
        x = np.asarray([0.9 * epsilon, 1.1 * epsilon], "float32").reshape(2, 1, 1)
        with Tape() as tape:
            watched = tape.watch(x)
            y = normalized_along(watched, axes=(1,), epsilon=float(epsilon), kind=LENGTH)
        found = tape.gradient(y, watched)[:, 0, 0]
        np.testing.assert_allclose(found, [1 / epsilon, 0], rtol=1e-5, atol=1e-4)
