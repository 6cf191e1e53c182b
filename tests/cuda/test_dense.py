"""The affine map of Dense layers on CuPy arrays."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from kernel_checks import FLOATS, check_version

import gpulayers
from gpulayers import config
from gpulayers.arrays import Tape
from gpulayers.cuda import gemm
from gpulayers.layers import Dense
from gpulayers.ops import activation as smooth
from gpulayers.ops import rectifier as ramps
from gpulayers.ops.dense import activated, dense

# Sums of products: errors are compared with the size of their terms.
ATOL = {"float64": 1e-12, "float32": 1e-5, "float16": 1.5e-2, "bfloat16": 1.2e-1}


def numbers(*shape, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(scale=scale, size=shape)


@pytest.fixture(params=[True, False], ids=["fused", "cublas"])
def fused(request, monkeypatch):
    """Everything in one launch, or by cuBLAS and one after it."""
    monkeypatch.setattr(gemm, "fusing_wins", lambda *about: request.param)
    return request.param


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients(cupy, fused, bias, activation, dtype):
    if dtype in ("float16", "bfloat16") and activation in ("sigmoid", "tanh"):
        activation = "relu" if dtype == "float16" else None  # Each would be compiled for itself.
    x, kernel = numbers(6, 11), numbers(11, 5, seed=1, scale=0.3)
    if activation == "relu":  # No numbers that rounding brings to the other side of 0.
        x, kernel = np.round(x * 4) / 4, np.round(kernel * 8) / 8
    offset = np.round(numbers(5, seed=2) * 4) / 4 + 1 / 64 if bias else None
    check_version(
        cupy, dense, x, kernel, offset, dtype=dtype, atol=ATOL[dtype], activation=activation
    )


CURVES = {
    "gelu": partial(smooth.gelu, approximate=False),
    "gelu_tanh": smooth.gelu,
    "silu": smooth.silu,
    "mish": smooth.mish,
    "softplus": smooth.softplus,
    "selu": smooth.selu,
    "elu": partial(smooth.elu, alpha=0.7),
    "leaky_relu": partial(ramps.leaky_relu, negative_slope=0.3),
    "relu6": ramps.relu6,
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, "float32") for name in CURVES]
    + [("gelu", "float16"), ("gelu", "bfloat16"), ("gelu", "float64")],
)
@pytest.mark.parametrize("bias", [True, False])
def test_activations_whose_gradient_needs_what_they_are_given(cupy, fused, bias, name, dtype):
    x, kernel, offset = numbers(6, 11), numbers(11, 5, seed=1, scale=0.3), numbers(5, seed=2)
    check_version(
        cupy, activated, x, kernel, offset if bias else None, dtype=dtype,
        atol=4 * ATOL[dtype], rtol=ATOL[dtype], operation=dense, activation=CURVES[name],
    )  # fmt: skip


@pytest.mark.parametrize("bias_is_trained", [True, False])
def test_a_step_takes_one_launch_each_way(cupy, fused, launched, bias_is_trained):
    """Beside the products: there the one that cuBLAS leaves, back the gradient before them."""
    layer, x = Dense(6, "gelu"), cupy.asarray(numbers(8, 5).astype("f4"))
    layer(x)
    layer.bias.trainable = bias_is_trained
    launched.clear()
    with Tape() as tape:
        y = layer(tape.watch(x))
    assert launched == (["gemm"] if fused else ["activation_forward"])
    launched.clear()
    tape.gradient(y, layer.trainable_variables)
    sums = ["partial_sums"] if bias_is_trained else []
    assert [name for name in launched if name != "gemm"] == ["bias_activation_backward", *sums]


@pytest.mark.parametrize("shape", [(7,), (1, 7), (2, 3, 7), (0, 7), (2, 0, 7), (4, 1, 2, 7)])
def test_any_number_of_axes(cupy, fused, shape):
    check_version(
        cupy, dense, numbers(*shape), numbers(7, 4, seed=1), numbers(4, seed=2),
        atol=1e-5, activation="tanh",
    )  # fmt: skip


@pytest.mark.parametrize("sizes", [(3, 1), (1, 3), (1, 1)])
def test_narrow_kernels(cupy, fused, sizes):
    inputs, units = sizes
    check_version(
        cupy, dense, numbers(5, inputs), numbers(inputs, units, seed=1), numbers(units, seed=2),
        atol=1e-5,
    )  # fmt: skip


def test_views(cupy, fused):
    """What is not contiguous is read where it lies, or copied."""
    x, kernel, bias = (
        cupy.asarray(numbers(*shape, seed=i).astype("f4"))
        for i, shape in enumerate([(6, 5, 4), (3, 6), (3,)])
    )
    x, kernel = x.transpose(1, 2, 0), kernel.T
    out, pullback = dense.version("cupy")(x, kernel, bias, needs=(True,) * 3)
    expected = x.get() @ kernel.get() + bias.get()
    np.testing.assert_allclose(out.get(), expected, rtol=1e-5, atol=1e-5)
    g = cupy.asarray(numbers(3, 4, 5, seed=4).astype("f4")).T
    dx, dkernel, dbias = pullback(g)
    g = g.get()
    np.testing.assert_allclose(dx.get(), g @ kernel.get().T, rtol=1e-5, atol=1e-5)
    rows = x.get().reshape(-1, 6)
    np.testing.assert_allclose(dkernel.get(), rows.T @ g.reshape(-1, 3), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(dbias.get(), g.sum((0, 1)), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(
    "needs", [(True, False, False), (False, True, False), (False, False, True)]
)
def test_only_what_is_needed(cupy, needs, activation):
    arrays = [
        cupy.asarray(numbers(*shape, seed=i).astype("f4"))
        for i, shape in enumerate([(6, 5), (5, 3), (3,)])
    ]
    version = dense.version("cupy")
    _, pullback = version(*arrays, activation=activation, needs=needs)
    every = version(*arrays, activation=activation, needs=(True,) * 3)[1]
    g = cupy.asarray(numbers(6, 3).astype("f4"))
    for found, expected, wanted in zip(pullback(g), every(g), needs, strict=True):
        assert (found is not None) == wanted
        assert not wanted or np.array_equal(found.get(), expected.get())


def test_sizes_that_do_not_match_are_refused(cupy):
    x, kernel = cupy.asarray(numbers(2, 3)), cupy.asarray(numbers(4, 5))
    with pytest.raises(ValueError, match="dense: the last axis of x must have the 4 elements"):
        dense(x, kernel)


def test_whole_numbers_are_left_to_the_reference(cupy):
    x, kernel = cupy.asarray(np.eye(3, dtype="i4")), cupy.asarray(numbers(3, 2).astype("f4"))
    assert dense.version("cupy")(x, kernel) is NotImplemented
    np.testing.assert_allclose(dense(x, kernel).get(), kernel.get())


def test_a_model_trains_as_on_the_cpu(cupy, fused):
    x, y = numbers(32, 6).astype("f4"), numbers(32, 2, seed=1).astype("f4")

    def trained(device):
        config.set_device(device)
        gpulayers.utils.set_random_seed(3)
        model = gpulayers.Sequential([Dense(8, "relu"), Dense(8, "gelu"), Dense(2)])
        model.compile("sgd", "mse")
        history = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
        return history.history["loss"], [w.numpy() for w in model.weights]

    (here, ours), (there, theirs) = trained("cpu"), trained("gpu")
    np.testing.assert_allclose(there, here, rtol=1e-5)
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
