"""Sums in plans of inference on CuPy arrays: in products, and in normalizations of them."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_plan_checks import check, model_of, numbers, residual
from kernel_checks import FLOATS, TOLERANCE, kind

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.cuda import gemm, inference
from gpulayers.ops import rectifier as ramps
from gpulayers.ops.convolution import convolution_input_gradient

# Sums in products.


SUMS = {
    "convolution": (lambda x: residual(x), 1),
    "product": (lambda x: residual(x, window=1), 1),
    "projection around": (lambda x: residual(x, 6, around=lambda x: L.Conv2D(6, 1)(x)), 2),
    "depthwise": (lambda x: L.Add()([x, L.DepthwiseConv2D(3, padding="same")(x)]), 1),
    "groups": (lambda x: L.Add()([L.Conv2D(4, 3, padding="same", groups=2)(x), x]), 1),
    "transposed": (
        lambda x: L.ReLU()(L.Add()([x, L.Conv2DTranspose(4, 3, padding="same")(x)])),
        1,
    ),
    "dense": (lambda x: L.Activation("gelu")(L.Add()([x, L.Dense(4)(x)])), 1),
    "elu": (lambda x: L.Activation("elu")(L.Add()([x, L.Dense(4)(x)])), 1),
    "a curve before": (lambda x: L.Add()([x, L.Dense(4, "relu")(x)]), 2),
    "normalized afterwards": (lambda x: L.BatchNormalization()(residual(x)), 2),
    "itself": (lambda x: (lambda y: L.Add()([y, y]))(L.Dense(4)(x)), 2),
    "three": (lambda x: L.Add()([x, L.Dense(4)(x), L.Dense(4)(x)]), 3),
    "read twice": (lambda x: (lambda y: L.Add()([L.Add()([x, y]), y]))(L.Dense(4)(x)), 3),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_become_a_part_of_products(cupy, name):
    build, steps = SUMS[name]
    check(cupy, model_of(build, (6, 6, 4)), numbers(3, 6, 6, 4), steps=steps, rtol=2e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["convolution", "product", "elu", "transposed"])
def test_sums_in_16_bits(cupy, name, policy):
    model = model_of(SUMS[name][0], (6, 6, 4), policy)
    check(cupy, model, numbers(3, 6, 6, 4), rtol=2e-3 if policy == "mixed_float16" else 2e-2)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_sum_in_a_product_or_after_it(cupy, launched, monkeypatch, fused, bias):
    """By our kernel in one launch; by cuBLAS, where that is faster, and one more."""
    monkeypatch.setattr(gemm, "fusing_wins", lambda *about, **options: fused)
    x, kernel, other, offset = numbers(70, 9), numbers(9, 70), numbers(70, 70), numbers(70)
    run = inference.matrix_product(inference.curve(ramps.relu), {})
    given = [cupy.asarray(a) for a in (x, kernel)] + [cupy.asarray(offset) if bias else None]
    there = cupy.asarray(other)
    found = run(*given, added=there).get()
    expected = np.maximum(x @ kernel + other + (offset if bias else 0), 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(there.get(), other)
    assert launched == (["gemm"] if fused else ["summed_and_mapped"])


@pytest.mark.parametrize("shape", [(1, 40, 6), (2, 9, 5), (3, 1, 1)])
def test_sums_around_tiles_and_with_a_split_depth(cupy, launched, shape):
    """Places, and channels of which a deep kernel makes one tile for many blocks."""
    batch, size, channels = shape
    x, other = numbers(batch, size, channels), numbers(batch, size, channels)
    kernel, bias = numbers(300 if size > 9 else 3, channels, channels), numbers(channels)
    options = {"strides": (1,), "padding": ((len(kernel) // 2, (len(kernel) - 1) // 2),)}
    run = inference.convolved(inference.LINEAR, {**options, "dilations": (1,), "groups": 1})
    found = run(*[cupy.asarray(a) for a in (x, kernel, bias)], added=cupy.asarray(other)).get()
    apart = run(*[cupy.asarray(a) for a in (x, kernel, bias)]).get()
    np.testing.assert_allclose(found, apart + other, rtol=1e-4, atol=1e-4)
    assert ("convolution_finish" in launched) == (size > 9)


# Sums that are normalized.


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("width", "kind_of_it"), [(5, "layer"), (64, "rms"), (1000, "layer")])
def test_a_sum_and_its_normalization(cupy, dtype, width, kind_of_it):
    """They are what the sum, rounded to the dtype, and a normalization of that are."""
    a, b = (numbers(3, 7, width).astype(kind(dtype)) for _ in range(2))
    wide = "f8" if dtype == "float64" else "f4"
    gamma, beta = (cupy.asarray(numbers(width).astype(wide)) for _ in range(2))
    alone, summed = inference.normalized({"axes": (2,), "epsilon": 1e-3, "kind": kind_of_it})
    total, found = summed(cupy.asarray(a), cupy.asarray(b), gamma, beta)
    expected = (a.astype(wide) + b.astype(wide)).astype(kind(dtype))
    assert total.dtype == found.dtype == kind(dtype)
    assert np.array_equal(total.get(), expected)
    assert np.array_equal(found.get(), alone(cupy.asarray(expected), gamma, beta).get())


def test_long_rows_and_views(cupy, monkeypatch):
    from gpulayers.cuda import normalization

    monkeypatch.setattr(normalization, "LARGEST_OF_SUM", 32)
    alone, summed = inference.normalized({"axes": (0, 1), "epsilon": 1e-3, "kind": "layer"})
    x = cupy.asarray(numbers(6, 900))
    total, found = summed(x[:, ::2], x[:, 1::2], None, None)
    assert np.array_equal(total.get(), (x[:, ::2] + x[:, 1::2]).get())
    expected = alone(total, None, None).get()  # By moments in another order.
    np.testing.assert_allclose(found.get(), expected, rtol=1e-5, atol=1e-6)
    other, there = inference.normalized({"axes": (0,), "epsilon": 1e-3, "kind": "layer"})
    total, found = there(x, x, None, None)
    np.testing.assert_allclose(found.get(), other(x + x, None, None).get(), rtol=1e-6, atol=1e-6)


def before_and_after(x):
    """Blocks of a transformer with the normalization in front, and one with it behind."""
    x = L.Add()([x, L.Attention()([x, x])])
    y = L.RMSNormalization()(x)
    x = L.Add()([x, L.Dense(8)(L.Dense(16, "gelu")(y))])
    z = L.Add()([x, L.Attention()([x, x])])
    return L.LayerNormalization()(z)


def test_blocks_of_a_transformer(cupy, launched):
    model = model_of(before_and_after, (5, 8))
    plan = check(cupy, model, numbers(3, 5, 8), steps=6)
    text = repr(plan)
    assert text.count("sum, rms normalization") == text.count("sum, layer normalization") == 1
    assert text.count("dense with 16 x 8, sum") == 1
    launched.clear()
    plan.run(cupy.asarray(numbers(3, 5, 8)))
    assert launched.count("normalize_sum") == 2
    assert "summed_and_mapped" not in launched


def test_sums_by_operators(cupy):
    """They are those of `Add`; but not with numbers, or with arrays of other shapes."""

    def build(x):
        y = gl.ops.add(x, L.Dense(8)(x))
        z = L.LayerNormalization()(y + L.Dropout(0.1)(gl.ops.tanh(y)))
        return L.Activation("relu")(z + z[:, :1]) + 1.0

    text = repr(check(cupy, model_of(build, (5, 8)), numbers(3, 5, 8)))
    assert "dense with 8 x 8, sum" in text and "sum, layer normalization" in text
    assert text.count(" = add of ") == 2


def test_sums_that_are_outputs_or_read_before_they_are_normalized(cupy):
    def build(x):
        y = L.Add()([x, L.Dropout(0.1)(gl.ops.tanh(x))])
        return [y, L.Dense(2)(y), L.LayerNormalization()(y), L.RMSNormalization()(y)]

    check(cupy, model_of(build, (5, 8)), numbers(3, 5, 8))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_blocks_in_16_bits(cupy, policy):
    model = model_of(before_and_after, (5, 8), policy)
    check(cupy, model, numbers(3, 5, 8), rtol=2e-3 if policy == "mixed_float16" else 2e-2)


# What follows a transposed convolution, in its launch.


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [(1, 1, 1), (63, 7, 63), (64, 8, 64), (65, 9, 65), (9, 400, 8)])
def test_all_that_follows_a_transposed_convolution(cupy, launched, dtype, size):
    """Places, channels and filters around tiles, and a depth that is split."""
    places, channels, filters = size
    rng = np.random.default_rng(3)

    def of(*shape):
        return cupy.asarray(rng.normal(size=shape).astype(kind(dtype)))

    x, kernel, bias = of(2, places, channels), of(3, filters, channels), of(filters)
    options = {"sizes": (2 * places + 1,), "strides": (2,), "padding": ((0, 0),), "dilations": (1,)}
    other = of(2, 2 * places + 1, filters)
    run = inference.transposed(inference.curve(ramps.relu), options)
    found = run(x, kernel, bias, added=other)
    assert len(launched) == 1 + launched.count("convolution_finish")
    wide = [a.get().astype("f8") for a in (x, kernel, bias, other)]
    expected = convolution_input_gradient.reference(*wide[:2], **options) + wide[2] + wide[3]
    tolerance = TOLERANCE[dtype] * 3 * max(channels, 4) ** 0.5
    np.testing.assert_allclose(
        found.get().astype("f8"), np.maximum(expected, 0), rtol=tolerance, atol=tolerance
    )


def test_transposed_groups_and_depthwise_in_another_launch(cupy, launched):
    """Groups are a part of the launch; a group for each channel has a kernel of its own."""
    for groups, names in ((2, {"convolution"}), (4, {"depthwise_forward", "summed_and_mapped"})):
        x, kernel, bias = (
            cupy.asarray(numbers(*s)) for s in ((2, 5, 4), (3, 4 // groups, 4), (4,))
        )
        options = {"sizes": (7,), "strides": (1,), "padding": ((0, 0),), "dilations": (1,)}
        options["groups"] = groups
        launched.clear()
        found = inference.transposed(inference.LINEAR, options)(x, kernel, bias)
        expected = convolution_input_gradient.reference(x.get(), kernel.get(), **options)
        np.testing.assert_allclose(found.get(), expected + bias.get(), rtol=1e-5, atol=1e-5)
        assert set(launched) == names


# Attention.


ATTENTION = {
    "itself": (lambda x: L.MultiHeadAttention(2, 4)(x, x), 3),
    "without biases": (lambda x: L.MultiHeadAttention(2, 3, 5, use_bias=False)(x, x), 3),
    "causal": (lambda x: L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True), 3),
    "by name": (lambda x: L.MultiHeadAttention(2, 4)(x, value=x, key=x), 3),
    "groups": (lambda x: L.GroupQueryAttention(4, 4, 2)(x, x, use_causal_mask=True), 3),
    "a window": (lambda x: L.MultiHeadAttention(2, 4, sliding_window=2)(x, x), 3),
    "other outputs": (lambda x: L.MultiHeadAttention(2, 4, output_shape=3)(x, x), 3),
    "and a residual": (lambda x: L.Add()([x, L.MultiHeadAttention(2, 4, dropout=0.1)(x, x)]), 3),
    "several axes of outputs": (lambda x: L.MultiHeadAttention(2, 4, output_shape=(3, 2))(x, x), 1),
    "gated": (lambda x: L.MultiHeadAttention(2, 4, use_gate=True)(x, x), 1),
    "across": (lambda x: L.MultiHeadAttention(2, 4)(x, L.Dense(6)(x)), 2),
    "other values": (lambda x: L.MultiHeadAttention(2, 4)(x, L.Dense(8)(x), x), 2),
    "scores": (lambda x: L.MultiHeadAttention(2, 4)(x, x, return_attention_scores=True)[1], 1),
    "a mask": (
        lambda x: L.MultiHeadAttention(2, 4)(x, x, attention_mask=gl.ops.abs(x[..., :5]) > 0.5), 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_two_products_and_what_is_between(cupy, name):
    build, steps = ATTENTION[name]
    check(cupy, model_of(build, (5, 8)), numbers(3, 5, 8), steps=steps)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_attention_in_16_bits_and_its_launches(cupy, launched, policy):
    """Kernels are joined and cast once."""
    model = model_of(ATTENTION["and a residual"][0], (5, 8), policy)
    x = cupy.asarray(numbers(3, 5, 8))
    plan = check(cupy, model, x.get(), rtol=2e-3 if policy == "mixed_float16" else 2e-2)
    launched.clear()
    found = plan.run(x).get()
    between = launched[1:-1]
    assert launched[0] == launched[-1] == "gemm"
    assert between in (["attention_forward"], ["attention_decode", "attention_combine"])
    model.weights[0].assign(-model.weights[0].numpy())
    expected = model._call((x,), {"training": False}).get()
    assert not np.array_equal(found, expected)
    tolerance = 2e-3 if policy == "mixed_float16" else 2e-2
    np.testing.assert_allclose(
        plan.run(x).get().astype("f4"), expected.astype("f4"), rtol=tolerance, atol=4 * tolerance
    )


# Arrays one behind the other.


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("widths", [(8, 16), (3, 5, 8), (16, 8, 24, 8), (1, 0), (7, 300, 1, 2)])
def test_arrays_side_by_side(cupy, dtype, start, widths):
    """Whole vectors, or not, aligned, or not."""
    memory = [numbers(5 * width + 1).astype(kind(dtype)) for width in widths]
    arrays = [m[start : start + 5 * w].reshape(5, w) for m, w in zip(memory, widths, strict=True)]
    there = [cupy.asarray(m) for m in memory]
    there = [m[start : start + 5 * w].reshape(5, w) for m, w in zip(there, widths, strict=True)]
    for _ in range(3):
        found = inference.beside(1)(*there)
        assert found.dtype == kind(dtype)
        assert found.get().tobytes() == np.concatenate(arrays, 1).tobytes()


JOINED = {  # With the steps, and whether our kernel joins them.
    "two": (lambda x: L.Concatenate()([L.Dense(3)(x), x]), 2, True),
    "three along the first inner axis": (
        lambda x: L.Concatenate(1)([L.Dense(8)(x), x, L.Dense(8, "relu")(x)]), 3, True,
    ),
    "samples": (lambda x: L.Concatenate(0)([x, L.Dense(8)(x)]), 2, True),
    "an array twice": (lambda x: L.Concatenate()([x, x]), 1, False),
    "five": (lambda x: L.Concatenate()([L.Dense(i)(x) for i in range(1, 6)]), 6, False),
    "numbers of another kind": (
        lambda x: L.Concatenate(dtype="float32")([x, gl.ops.cast(x > 0, "int32")]), 3, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", JOINED)
def test_joined_arrays(cupy, launched, name, policy):
    build, steps, ours = JOINED[name]
    model, whole = model_of(build, (5, 8), policy), policy == "float32"
    plan = check(cupy, model, numbers(3, 5, 8), rtol=1e-5 if whole else 2e-2)
    assert len(plan.steps) == steps or not whole, plan
    assert ("side_by_side" in launched) == ours
    assert repr(plan).count("cast to") <= 1
