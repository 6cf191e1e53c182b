"""Plans of inference on CuPy arrays give what layer after layer gives, in fewer launches."""

from __future__ import annotations

import numpy as np
import pytest
from capture_checks import runs_of
from gpu_plan_checks import block, check, in_full, model_of, numbers, randomized, residual
from kernel_checks import FLOATS, TOLERANCE, kind

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.cuda import inference
from gpulayers.models.inference_plan import plan_of
from gpulayers.ops import activation as smooth
from gpulayers.ops import rectifier as ramps

# The kernel.


CURVES = {
    None: lambda x: x,
    ramps.relu: lambda x: np.maximum(x, 0),
    ramps.relu6: lambda x: np.clip(x, 0, 6),
    smooth.silu: lambda x: x / (1 + np.exp(-x)),
    smooth.elu: lambda x: np.where(x > 0, x, np.expm1(x)),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_sums_maps_and_curves(cupy, dtype, count):
    arrays = [numbers(7, 5).astype(kind(dtype)) for _ in range(count)]
    factor, offset = numbers(5).astype("f8"), numbers(5).astype("f8")
    function = [None, ramps.relu, smooth.silu][count // 2]
    wide = "f8" if dtype == "float64" else "f4"
    made = inference.merged(
        [cupy.asarray(a) for a in arrays],
        *(cupy.asarray(w.astype(wide)) for w in (factor, offset)),
        inference.curve(function), None,
    )  # fmt: skip
    total = sum(a.astype("f8") for a in arrays) * factor.astype(wide) + offset.astype(wide)
    tolerance = TOLERANCE[dtype]
    assert made.dtype == kind(dtype)
    np.testing.assert_allclose(
        made.get().astype("f8"), CURVES[function](total), rtol=tolerance, atol=4 * tolerance
    )


@pytest.mark.parametrize("size", [0, 1, 3, 2047, 2048, 2049])
@pytest.mark.parametrize("function", CURVES, ids=lambda f: getattr(f, "__name__", "none"))
def test_any_size_and_in_place(cupy, size, function):
    x = numbers(size)
    curve, there = inference.curve(function), cupy.asarray(x)
    apart, expected = inference.curved(there, curve, False), CURVES[function](x)
    np.testing.assert_allclose(apart.get(), expected, rtol=2e-6, atol=1e-6)
    assert np.array_equal(there.get(), x)
    assert inference.curved(there, curve, True) is there
    np.testing.assert_allclose(there.get(), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("factor", [True, False])
@pytest.mark.parametrize("offset", [True, False])
def test_factors_or_offsets_alone(cupy, start, factor, offset):
    x, weights = numbers(40), [numbers(13) if there else None for there in (factor, offset)]
    there = [None if w is None else cupy.asarray(w) for w in weights]
    y = inference.mapped(cupy.asarray(x)[start : start + 39], *there, inference.LINEAR, None)
    expected = x[start : start + 39].reshape(3, 13)
    expected = expected if weights[0] is None else expected * weights[0]
    expected = expected if weights[1] is None else expected + weights[1]
    np.testing.assert_allclose(y.get(), expected.reshape(-1), rtol=2e-6, atol=1e-6)


def test_many_arrays(cupy, launched):
    arrays = [numbers(3, 4) for _ in range(8)]
    there = [cupy.asarray(a) for a in arrays]
    made = inference.summed(there, inference.curve(ramps.relu), there[1])
    assert made is there[1]
    expected = np.maximum(np.sum(arrays, 0), 0)
    np.testing.assert_allclose(made.get(), expected, rtol=1e-5, atol=1e-6)
    assert len(launched) == 3


# What becomes one step.


def after(x):
    return L.ReLU()(L.BatchNormalization()(x))


FUSED = {
    "convolution, normalization, activation": (block, 1),
    "no factors": (lambda x: block(x, scale=False), 1),
    "no offsets": (lambda x: block(x, center=False, epsilon=0.1), 1),
    "strided": (lambda x: L.Conv2D(3, 3, 2, activation="silu")(x), 1),
    "elu": (lambda x: L.ELU()(L.Conv2D(3, 1, activation="elu")(x)), 2),
    "depthwise": (
        lambda x: L.ReLU(6)(L.BatchNormalization()(L.DepthwiseConv2D(3, depth_multiplier=2)(x))),
        1,
    ),
    "separable": (lambda x: L.BatchNormalization()(L.SeparableConv2D(5, 3)(x)), 2),
    "groups": (lambda x: L.BatchNormalization()(L.Conv2D(6, 3, groups=2)(x)), 1),
    "transposed": (lambda x: after(L.Conv2DTranspose(3, 2, 2)(x)), 1),
    "transposed, alone": (lambda x: L.Conv2DTranspose(3, 3, use_bias=False)(x), 1),
    "transposed, cut": (
        lambda x: after(L.Conv2DTranspose(5, 3, 2, "same", activation="linear")(x)), 1,
    ),
    "transposed, strides above the window": (lambda x: after(L.Conv2DTranspose(3, 2, 3)(x)), 1),
    "transposed, a product": (lambda x: after(L.Conv2DTranspose(3, 1)(x)), 1),
    "transposed, dilated": (lambda x: after(L.Conv2DTranspose(3, 3, dilation_rate=2)(x)), 1),
    "transposed in one dimension": (
        lambda x: after(L.Conv1DTranspose(3, 4, 2, "same")(L.Reshape((36, 4))(x))), 2,
    ),
    "transposed in three dimensions": (
        lambda x: after(L.Conv3DTranspose(3, 2, 2)(L.Reshape((6, 3, 2, 4))(x))), 2,
    ),
    "transposed, with parameters of a curve": (
        lambda x: L.Conv2DTranspose(3, 2, 2, activation="leaky_relu")(x), 1,
    ),
    "transposed behind what is rescaled": (
        lambda x: L.Conv2DTranspose(3, 3, padding="same")(L.Rescaling(0.5, 1)(x)), 2,
    ),
    "transposed behind margins": (
        lambda x: L.Conv2DTranspose(3, 2, 2)(L.ZeroPadding2D(1)(x)), 2,
    ),
    "dense": (lambda x: L.Dense(5, activation="gelu")(x), 1),
    "leaky": (lambda x: L.Dense(5, activation="leaky_relu")(x), 1),
    "softmax": (lambda x: L.Dense(5, activation="softmax")(x), 2),
    "margins": (lambda x: L.Conv2D(3, 3, 2)(L.ZeroPadding2D(((0, 1), (2, 1)))(x)), 1),
    "margins of what is not below zero": (
        lambda x: L.MaxPooling2D(3, 2)(L.ZeroPadding2D(1)(block(x))), 2,
    ),
    "margins beside others": (
        lambda x: L.MaxPooling2D(4, 2, "same")(L.ZeroPadding2D(((1, 0), (0, 2)))(block(x))), 2,
    ),
    "margins as wide as windows": (
        lambda x: L.MaxPooling2D(2, 2)(L.ZeroPadding2D(2)(block(x))), 3,
    ),
    "margins that are larger": (
        lambda x: L.MaxPooling2D(3, 2)(L.ZeroPadding2D(1)(L.Conv2D(3, 3)(x))), 3,
    ),
    "margins that count": (
        lambda x: L.AveragePooling2D(3, 2)(L.ZeroPadding2D(1)(block(x))), 3,
    ),
    "rescaled": (lambda x: L.Conv2D(3, 3)(L.Rescaling(0.5, -1)(x)), 1),
    "rescaled before margins": (
        lambda x: L.Conv2D(3, 3, padding="same")(L.Rescaling(0.5, -1)(x)), 2,
    ),
    "normalization, rescaled": (lambda x: L.Rescaling(2.0, 1)(L.BatchNormalization()(x)), 1),
    "activation first": (lambda x: L.BatchNormalization()(L.Conv2D(3, 1, activation="tanh")(x)), 2),
    "for training only": (lambda x: L.Dense(3)(L.Dropout(0.5)(L.GaussianNoise(0.5)(x))), 1),
    "pooling": (lambda x: L.AveragePooling2D(2, padding="same")(L.MaxPooling2D(3, 1)(x)), 2),
    "layer normalization": (lambda x: L.LayerNormalization()(L.Dense(3)(x)), 2),
    "rows": (lambda x: L.Dense(3)(L.Flatten()(x)), 2),
    "own functions": (lambda x: gl.ops.sin(L.Dense(3)(x)) * 2, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", FUSED)
def test_neighbours_become_one(cupy, name):
    build, steps = FUSED[name]
    check(cupy, model_of(build, (6, 6, 4)), numbers(3, 6, 6, 4), steps=steps, rtol=2e-5)


def test_a_block_is_so_many_launches(cupy, launched):
    model = model_of(lambda x: L.ReLU()(L.Add()([block(x, 4), x])), (6, 6, 4))
    x = cupy.asarray(numbers(2, 6, 6, 4))
    plan = check(cupy, model, x.get())
    launched.clear()
    plan.run(x)
    assert launched == ["convolution", "summed_and_mapped"]
    model = model_of(lambda x: residual(residual(x), window=1), (6, 6, 4))
    plan = check(cupy, model, x.get(), steps=2)
    launched.clear()
    plan.run(x)
    assert launched == ["convolution", "gemm"]


def test_several_inputs_and_outputs_and_models_in_models(cupy):
    gl.config.set_device("gpu")
    inner = gl.Sequential([L.Input((5,)), L.Dense(5, "relu"), L.Dense(5)])
    a, b = gl.Input((5,)), gl.Input((5,))
    model = randomized(gl.Model([a, b], [L.Add()([inner(a), inner(b)]), L.Concatenate()([a, b])]))
    check(cupy, model, numbers(3, 5), numbers(3, 5))


def test_recurrent_and_attention_layers(cupy):
    def build(x):
        x = L.Add()([x, L.MultiHeadAttention(2, 4)(x, x)])
        return L.Dense(2)(L.LSTM(4)(x))

    check(cupy, model_of(build, (5, 8)), numbers(2, 5, 8))


# 16 bits.

MIXED = {
    "convolution": lambda x: L.Dense(3, dtype="float32")(L.Flatten()(block(x))),
    "residual": lambda x: L.ReLU()(L.Add()([block(x, 4), x])),
    "normalization": lambda x: L.LayerNormalization()(L.BatchNormalization()(x)),
    "attention": lambda x: L.MultiHeadAttention(2, 4)(L.Reshape((36, 4))(x), L.Reshape((36, 4))(x)),
    "recurrent": lambda x: L.GRU(3)(L.Reshape((36, 4))(x)),
    "pooling": lambda x: L.GlobalAveragePooling2D()(L.MaxPooling2D(2)(x)),
    "transposed": lambda x: after(L.Conv2DTranspose(3, 2, 2)(x)),
}


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", MIXED)
def test_mixed_precision(cupy, name, policy):
    model = model_of(MIXED[name], (6, 6, 4), policy)
    tolerance = 2e-3 if policy == "mixed_float16" else 2e-2
    plan = check(cupy, model, numbers(3, 6, 6, 4), rtol=tolerance)
    there = [step for step in plan.steps if "cast" not in step.piece.what]
    alone = plan_of(model_of(MIXED[name], (6, 6, 4)), cupy.asarray(numbers(3, 6, 6, 4)))
    assert [step.piece.what for step in there] == [step.piece.what for step in alone.steps]


def test_weights_are_cast_once(cupy, launched):
    """A plan casts the kernel and the bias once, not at each call."""
    model = model_of(lambda x: L.Dense(3, "relu")(x), (4,), "mixed_float16")
    plan, x = plan_of(model, cupy.asarray(numbers(2, 4))), cupy.asarray(numbers(2, 4))
    first = plan.run(x)
    launched.clear()
    assert np.array_equal(plan.run(x).get(), first.get())
    assert launched == ["gemm"]
    model.layers[-1].kernel.assign(np.zeros((4, 3)))
    bias = np.maximum(model.layers[-1].bias.numpy(), 0).astype("f2")
    assert np.array_equal(plan.run(x).get(), np.stack([bias] * 2))


# When a plan is made, and what it notices.


def test_calls_and_predict_use_it(cupy):
    model, x = model_of(block, (6, 6, 4)), numbers(3, 6, 6, 4)
    expected = in_full(model, cupy.asarray(x)).get()
    for _ in range(3):
        found = model.predict(x, verbose=0)
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert model._plan_for(cupy.asarray(x)) is not None
    there = model.predict(cupy.asarray(x), verbose=0)
    assert type(there) is cupy.ndarray
    np.testing.assert_allclose(there.get(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model(cupy.asarray(x)).get(), expected, rtol=1e-5, atol=1e-5)


def test_arrays_of_the_host_make_no_plan_for_a_model_on_a_gpu(cupy):
    model, x = model_of(lambda x: L.Dense(3)(x), (4,)), numbers(2, 4)
    for _ in range(3):
        with pytest.raises(TypeError, match="arrays of cupy and of numpy"):
            model(x)
    assert plan_of(model, x) is None


def test_a_model_that_moves_plans_anew(cupy):
    model, x = model_of(block, (6, 6, 4)), numbers(3, 6, 6, 4)
    before = model.predict(x, verbose=0)
    model.predict(x, verbose=0)
    model.to("cpu")
    for _ in range(3):
        np.testing.assert_allclose(model.predict(x, verbose=0), before, rtol=1e-5, atol=1e-5)
    model.to("gpu:1")
    for _ in range(3):
        np.testing.assert_allclose(model.predict(x, verbose=0), before, rtol=1e-5, atol=1e-5)


def test_changes_are_noticed(cupy):
    model, x = model_of(block, (6, 6, 4)), cupy.asarray(numbers(3, 6, 6, 4))
    for _ in range(2):
        model(x)
    for weight in model.weights:
        weight.assign(weight.numpy() * 0.5 + 0.25)
        np.testing.assert_allclose(model(x).get(), in_full(model, x).get(), rtol=1e-5, atol=1e-5)
    model.layers[2].epsilon = 0.5
    np.testing.assert_allclose(model(x).get(), in_full(model, x).get(), rtol=1e-5, atol=1e-5)


def test_a_plan_that_fails_is_left_with_one_warning(cupy, monkeypatch):
    model, x = model_of(block, (6, 6, 4)), cupy.asarray(numbers(3, 6, 6, 4))
    expected = in_full(model, x).get()

    def broken(curve, options):
        def run(*args):
            raise RuntimeError("CUDA_ERROR_INVALID_IMAGE")

        return run

    monkeypatch.setattr(inference, "convolved", broken)
    model(x)
    with pytest.warns(UserWarning, match="layers are called one by one .*INVALID_IMAGE") as seen:
        found = [model(x).get() for _ in range(3)]
    assert len(seen) == 1
    for one in found:
        assert np.array_equal(one, expected)


def test_what_is_wrong_with_inputs_is_said_as_ever(cupy):
    model = model_of(lambda x: L.Dense(3)(x), (4,))
    for _ in range(2):
        model(cupy.asarray(numbers(2, 4)))
    with pytest.raises(ValueError, match="4"):
        model(cupy.asarray(numbers(2, 5)))
    assert not model._plans().refused


# As a graph.


def captured(build, policy="float32"):
    model = model_of(build, (6, 6, 4), policy)
    model.compile("sgd", "mse", jit_compile=True)
    return model


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_captured_predictions_are_those_of_the_plan(cupy, same_products, policy):
    """Also after weights were assigned, or trained by another graph."""
    model = captured(lambda x: L.Dense(2)(L.Flatten()(block(L.Rescaling(0.5, 1)(x)))), policy)
    x, y = numbers(8, 6, 6, 4), numbers(8, 2)
    tolerance = 1e-5 if policy == "float32" else 3e-2

    def compare():
        expected = in_full(model, cupy.asarray(x)).get()
        for found in (model.predict(x, batch_size=4, verbose=0), model(cupy.asarray(x)).get()):
            np.testing.assert_allclose(
                found.astype("f4"), expected.astype("f4"), rtol=tolerance, atol=tolerance
            )

    compare()
    compare()
    assert runs_of(model)["predict"] == 3
    for weight in model.weights:
        weight.assign(weight.numpy() * 0.5 + 0.25)
    compare()
    for _ in range(2):
        model.fit(x, y, batch_size=4, epochs=2, verbose=0)
        compare()
    model.layers[-1].bias.assign([5.0, 7.0])
    model.predict(x, batch_size=4, verbose=0)
    compare()
    assert runs_of(model)["train"] == 7


def test_captured_evaluation_makes_use_of_the_plan(cupy, launched):
    model, x, y = captured(block), numbers(4, 6, 6, 4), numbers(4, 6, 6, 6)
    expected = model.evaluate(x, y, batch_size=2, verbose=0)
    launched.clear()
    np.testing.assert_allclose(model.evaluate(x, y, batch_size=2, verbose=0), expected, rtol=1e-6)
    assert runs_of(model)["test"] == 3
    assert "columns_apply" not in launched
