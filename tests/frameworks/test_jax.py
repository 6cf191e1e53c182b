"""Functions of JAX as layers, and layers as functions of JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers, saving
from gpulayers.utils import as_jax_function

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


@saving.register_keras_serializable("tests")
def call(params, state, rng, inputs, training):
    y = jnp.tanh(inputs @ params["w"] + params["b"])
    if training:
        y = y * (jax.random.uniform(rng, y.shape) > 0.2)
    return y, {"calls": state["calls"] + 1}


@saving.register_keras_serializable("tests")
def init(rng, inputs):
    params = {"w": jax.random.normal(rng, (inputs.shape[-1], 3)), "b": jnp.zeros(3), "kind": None}
    return params, {"calls": jnp.zeros((), "int32")}


def test_values_and_gradients():
    layer, x = layers.JaxLayer(call, init, seed=1), gl.Variable(X)
    with gl.Tape() as tape:
        y = layer(x.value, training=False)
        loss = gl.ops.sum(y**2)
    found = tape.gradient(loss, [x, *layer.trainable_weights])

    def there(params, x):
        return jnp.sum(call(params, {"calls": 0}, None, x, False)[0] ** 2)

    of_params, of_x = jax.grad(there, (0, 1))(layer.params, X)
    expected = [of_x, of_params["b"], of_params["w"]]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert int(layer.state["calls"]) == 1


def test_training_in_a_model(tmp_path):
    model = gl.Sequential([gl.Input((4,)), layers.JaxLayer(call, init, seed=1), layers.Dense(1)])
    assert model.output_shape == (None, 1)
    model.compile(gl.optimizers.Adam(0.02), "mse")
    losses = model.fit(X, X[:, :1], epochs=60, verbose=0).history["loss"]
    assert np.mean(losses[-9:]) < losses[0] / 2
    assert [v.name for v in model.layers[0].weights] == ["b", "w", "calls"]
    model.save(tmp_path / "m.keras")
    again = saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_seed_gives_the_same_masks():
    params, _ = init(jax.random.PRNGKey(0), X)
    one, other, third = (
        layers.JaxLayer(call, params=params, state={"calls": 0}, seed=seed)(X, training=True)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, other)
    assert (np.asarray(one) != np.asarray(third)).any()


def test_structures_without_params():
    def double(inputs):
        return {"a": inputs["x"] * 2, "b": [inputs["x"].sum(-1)]}

    found = layers.JaxLayer(double)({"x": X})
    np.testing.assert_array_equal(found["a"], X * 2)
    assert found["b"][0].shape == (16,)
    assert layers.JaxLayer(double)({"x": gl.Input((4,))})["a"].shape == (None, 4)


def test_wrong_functions():
    with pytest.raises(ValueError, match="call_fn takes inputs.*unknown are weights"):
        layers.JaxLayer(lambda weights, inputs: inputs)
    with pytest.raises(ValueError, match="inputs is missing"):
        layers.JaxLayer(lambda params: params, params={})
    with pytest.raises(ValueError, match="cannot all be None when call_fn takes params"):
        layers.JaxLayer(lambda params, inputs: inputs)

    def grows(state, inputs):
        return inputs, [*state, 1]

    with pytest.raises(ValueError, match="a state of another structure"):
        layers.JaxLayer(grows, state=[1])(X)


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


def test_a_layer_as_a_function():
    model = ours()
    apply, params, state = as_jax_function(model)
    np.testing.assert_array_equal(apply(params, state, X)[0], model(X, training=False))

    def loss(params, x):
        return jnp.sum(apply(params, state, x)[0] ** 2)

    found, of_x = jax.jit(jax.grad(loss, (0, 1)))(params, X)
    variable = gl.Variable(X)
    with gl.Tape() as tape:
        total = gl.ops.sum(model(variable.value, training=False) ** 2)
    expected = tape.gradient(total, [*model.trainable_weights, variable])
    for a, b in zip([*found, of_x], expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    rows = jax.vmap(lambda row: apply(params, state, row[None])[0][0])(X)
    np.testing.assert_allclose(rows, model(X, training=False), rtol=1e-5, atol=1e-6)


def test_a_layer_trains_in_jax():
    model = ours()
    before = model.get_weights()
    apply, params, state = as_jax_function(model)

    @jax.jit
    def step(params, state):
        def loss(params):
            y, new = apply(params, state, X, training=True)
            return jnp.mean((y - X[:, :2]) ** 2), new

        (value, new), grads = jax.value_and_grad(loss, has_aux=True)(params)
        return [p - 0.1 * g for p, g in zip(params, grads, strict=True)], new, value

    losses, seeds = [], []
    for _ in range(40):
        params, state, value = step(params, state)
        losses.append(float(value))
        seeds.append(np.asarray(state[-1]).tobytes())
    assert np.mean(losses[-5:]) < losses[0] / 3
    assert len(set(seeds)) == 40  # Each step drops others.
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_no_layer():
    with pytest.raises(TypeError, match="expected a layer or model, got int"):
        as_jax_function(3)
    with pytest.raises(ValueError, match="is not built"):
        as_jax_function(layers.Dense(2))


# Functions of JAX in a Lambda.


def test_a_lambda_of_jax():
    model = gl.Sequential(
        [gl.Input((4,)), layers.Lambda(lambda x: jnp.sin(x) * 2), layers.Dense(1)]
    )
    dense = model.layers[-1]
    expected = np.sin(X) * 2 @ dense.kernel.numpy() + dense.bias.numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert type(model.layers[0](X)) is np.ndarray
    variable = gl.Variable(X)
    with gl.Tape() as tape:
        loss = gl.ops.sum(model.layers[0](variable.value))
    np.testing.assert_allclose(tape.gradient(loss, variable), 2 * np.cos(X), rtol=1e-5, atol=1e-6)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)


def test_a_lambda_of_jax_with_further_arguments():
    scaled = layers.Lambda(lambda x, by: jnp.multiply(x, by), arguments={"by": 3.0})
    np.testing.assert_allclose(scaled(X), 3 * X, rtol=1e-6)
    arrays = layers.Lambda(lambda x, by: jnp.multiply(x, by), arguments={"by": X})
    np.testing.assert_allclose(arrays(X), X * X, rtol=1e-6)
    arrays.arguments["by"] = 2 * X
    np.testing.assert_allclose(arrays(X), 2 * X * X, rtol=1e-6)
