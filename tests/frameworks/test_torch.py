"""Modules of PyTorch as layers, and layers as modules of PyTorch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import gpulayers as gl
from gpulayers import layers, saving
from gpulayers.utils import as_torch_module

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


def module():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU(), torch.nn.Linear(3, 2)
    )


class Two(torch.nn.Module):
    """Several inputs, options, and a dict of outputs."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, a, scale=1.0, *, b=None):
        y = self.linear(a) * scale
        return {"sum": y if b is None else y + self.linear(b), "ends": (a[:, :1], y.argmax(1))}


@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients(training):
    layer, there = layers.TorchModuleWrapper(module()), module().train(training)
    x = gl.Variable(X)
    with gl.Tape() as tape:
        y = layer(x.value, training=training)
        loss = gl.ops.sum(y**2)
    found = tape.gradient(loss, [x, *layer.trainable_weights])
    t = torch.from_numpy(X.copy()).requires_grad_()
    (there(t) ** 2).sum().backward()
    for a, b in zip(found, [t, *there.parameters()], strict=True):
        np.testing.assert_allclose(a, b.grad.numpy(), rtol=1e-5, atol=1e-5)
    for variable, buffer in zip(layer.non_trainable_weights, there.buffers(), strict=True):
        np.testing.assert_allclose(variable.numpy(), buffer.numpy(), rtol=1e-6)


def test_no_copies_on_the_way_in_and_out():
    class Same(torch.nn.Module):
        def forward(self, x):
            return x

    layer, x = layers.TorchModuleWrapper(Same()), X.copy()
    assert np.shares_memory(layer(x), x)


def test_training_in_a_model():
    model = gl.Sequential([gl.Input((4,)), layers.TorchModuleWrapper(module()), layers.Dense(1)])
    assert model.output_shape == (None, 1)
    model.compile("adam", "mse")
    losses = model.fit(X, X[:, :1], epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 1.2


def test_frozen_parameters():
    frozen = module()
    frozen[0].weight.requires_grad_(False)
    layer = layers.TorchModuleWrapper(frozen)
    assert layer.trainable_weights[0].name == "0_bias"
    assert len(layer.non_trainable_weights) == 4


def test_several_inputs_and_outputs():
    layer, there = layers.TorchModuleWrapper(Two()), None
    there = layer.module
    y = layer(X, 2.0, b=-X)
    expected = there(torch.from_numpy(X), 2.0, b=torch.from_numpy(-X))
    np.testing.assert_allclose(y["sum"], expected["sum"].detach().numpy(), rtol=1e-6)
    assert type(y["ends"][1]) is np.ndarray
    with gl.Tape() as tape:
        y = layer(X, 2.0, b=-X)
        loss = gl.ops.sum(y["sum"] ** 2)
    assert np.abs(tape.gradient(loss, layer.trainable_weights[0])).max() > 0
    a, b = gl.Input((4,)), gl.Input((4,))
    assert layer(a, b=b)["sum"].shape == (None, 3)


def test_the_module_has_the_layers_weights():
    layer = layers.TorchModuleWrapper(module())
    layer.weights[0].assign(np.ones((3, 4)))
    assert (layer.module[0].weight == 1).all()
    assert len(list(layer.parameters())) == 6


def test_files(tmp_path):
    model = gl.Sequential([gl.Input((4,)), layers.TorchModuleWrapper(module())])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="pickled torch.nn.Module.*safe_mode=False"):
        saving.load_model(tmp_path / "m.keras")
    again = saving.load_model(tmp_path / "m.keras", safe_mode=False)
    expected = model.predict(X, verbose=0)
    np.testing.assert_array_equal(again.predict(X, verbose=0), expected)
    model.save_weights(tmp_path / "m.weights.h5")
    model.fit(X, X[:, :2], verbose=0)
    model.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(model.predict(X, verbose=0), expected)


def test_what_is_no_module():
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module, got str"):
        layers.TorchModuleWrapper("linear")
    with pytest.raises(ValueError, match="is lazy and has no parameters yet"):
        layers.TorchModuleWrapper(torch.nn.LazyLinear(3))
    layer = layers.TorchModuleWrapper(torch.nn.Linear(4, 2))
    with gl.Tape() as outer:
        x = outer.watch(X)
        with gl.Tape() as inner:
            y = inner.watch(x)
            with pytest.raises(NotImplementedError, match="gradients of gradients"):
                layer(y)


def test_shapes_given(tmp_path):
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.from_numpy(x.detach().numpy()[:, :2].copy())  # No "meta" version.

    assert layers.TorchModuleWrapper(Odd())(gl.Input((4,))).shape == (None, 2)
    given = layers.TorchModuleWrapper(Odd(), output_shape=(None, 7))
    assert given(gl.Input((4,))).shape == (None, 7)


# The other way.


def ours():
    gl.utils.set_random_seed(0)
    return gl.Sequential(
        [
            gl.Input((4,)),
            layers.Dense(6, "tanh"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(2),
        ]
    )


def test_a_layer_as_a_module():
    model = ours()
    made = as_torch_module(model).eval()
    x = torch.from_numpy(X.copy()).requires_grad_()
    y = made(x)
    np.testing.assert_array_equal(y.detach().numpy(), model(X, training=False))
    (y**2).sum().backward()
    variable = gl.Variable(X)
    with gl.Tape() as tape:
        loss = gl.ops.sum(model(variable.value, training=False) ** 2)
    expected = tape.gradient(loss, [variable, *model.trainable_weights])
    for a, b in zip([x, *made.parameters()], expected, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        assert not made(x).requires_grad


def test_a_layer_trains_in_pytorch():
    model = ours()
    made = as_torch_module(model).train()
    network = torch.nn.Sequential(made, torch.nn.Linear(2, 1))
    adam, x = torch.optim.Adam(network.parameters(), 1e-2), torch.from_numpy(X)
    losses, before = [], copy.deepcopy(made.state_dict())
    for _ in range(80):
        adam.zero_grad()
        loss = ((network(x) - x[:, :1]) ** 2).mean()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < losses[0] / 2
    after = made.state_dict()
    assert all(not torch.equal(before[key], after[key]) for key in before)
    made.load_state_dict(before)
    made.eval()
    np.testing.assert_array_equal(made(x).detach().numpy(), ours()(X, training=False))


def test_what_is_no_layer():
    with pytest.raises(TypeError, match="expected a layer or model, got int"):
        as_torch_module(3)
    with pytest.raises(ValueError, match="is not built"):
        as_torch_module(layers.Dense(2))
