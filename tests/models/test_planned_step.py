"""A step without a tape gives what a step with one gives, and stands back where it cannot."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers.arrays import plain
from gpulayers.layers import Activation, Dense, Dropout, Flatten, GaussianNoise
from gpulayers.models.planned_step import PlannedStep

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 2, 3)).astype("float32")
CLASSES = RNG.integers(0, 4, size=8).astype("int32")
ONE_HOT = np.eye(4, dtype="float32")[CLASSES]


def built(layers, loss="sparse_categorical_crossentropy", optimizer="sgd", x=X):
    model = gl.Sequential([gl.Input(x.shape[1:]), *layers])
    model.compile(optimizer, loss)
    model(x)
    return model


def planned(model, x, y):
    model.train_on_batch(x, y)  # Builds what is missing.
    return PlannedStep(model, x)(x, y, None, model.trainable_variables)


def functional():
    inputs = gl.Input((2, 3))
    x = Dense(5, "tanh")(Flatten()(inputs))
    return gl.Model(inputs, Dense(4, "softmax")(x))


def doubled(y_true, y_pred):
    return 2 * gl.losses.sparse_categorical_crossentropy(y_true, y_pred)


LINES = {
    "probabilities": ([Flatten(), Dense(5, "relu"), Dense(4, "softmax")], None, CLASSES),
    "logits": (
        [Flatten(), Dense(5, "sigmoid"), Dense(4)],
        gl.losses.SparseCategoricalCrossentropy(from_logits=True),
        CLASSES,
    ),
    "one hot": (
        [Flatten(), Dense(5, "softplus", use_bias=False), Activation("linear"), Dense(4)],
        gl.losses.CategoricalCrossentropy(from_logits=True),
        ONE_HOT,
    ),
    "binary": (
        [Flatten(), gl.Sequential([Dense(5, "elu"), Activation("tanh")]), Dense(4, "sigmoid")],
        "binary_crossentropy",
        ONE_HOT,
    ),
    "own loss": ([Flatten(), Dense(4, "softmax")], doubled, CLASSES),
    "smoothed": (
        [Flatten(), Dense(4, "sigmoid")],
        gl.losses.BinaryCrossentropy(label_smoothing=0.1),
        ONE_HOT,
    ),
    "a sum": (
        [Flatten(), Dense(4, "softmax")],
        gl.losses.SparseCategoricalCrossentropy(reduction="sum"),
        CLASSES,
    ),
    "mean of squares": ([Flatten(), Dense(4)], "mse", ONE_HOT),
}


@pytest.mark.parametrize("name", LINES)
def test_the_same_as_with_a_tape(name):
    layers, loss, y = LINES[name]
    model = built(layers, loss or "sparse_categorical_crossentropy")
    made = planned(model, X, y)
    assert made is not None
    check(made, model._recorded(X, y, None))


def test_sample_weights():
    model = built([Flatten(), Dense(5, "relu"), Dense(4, "softmax")])
    weight = np.arange(8, dtype="float32")
    model.train_on_batch(X, CLASSES)
    made = PlannedStep(model, X)(X, CLASSES, weight, model.trainable_variables)
    check(made, model._recorded(X, CLASSES, weight))


def check(made, expected):
    """Compare outputs, losses and gradients."""
    np.testing.assert_allclose(plain(made[0]), plain(expected[0]), rtol=1e-6)
    np.testing.assert_allclose(plain(made[1]), plain(expected[1]), rtol=1e-6)
    for got, wanted in zip(made[2], expected[2], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_a_graph_that_is_a_line():
    model = functional()
    model.compile("sgd", "sparse_categorical_crossentropy")
    made = planned(model, X, CLASSES)
    for got, wanted in zip(made[2], model._recorded(X, CLASSES, None)[2], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_a_layer_that_comes_twice():
    twice = Dense(6, "relu")
    inputs = gl.Input((2, 3))
    model = gl.Model(inputs, Dense(4, "softmax")(twice(twice(Flatten()(inputs)))))
    model.compile("sgd", "sparse_categorical_crossentropy")
    made = planned(model, X, CLASSES)
    for got, wanted in zip(made[2], model._recorded(X, CLASSES, None)[2], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


def test_frozen_layers():
    model = built([Flatten(), Dense(5, "relu"), Dense(5, "relu"), Dense(4, "softmax")])
    model.layers[1].trainable = False
    made = planned(model, X, CLASSES)
    assert len(made[2]) == 4
    before = model.layers[1].get_weights()
    model.train_on_batch(X, CLASSES)
    np.testing.assert_array_equal(before[0], model.layers[1].get_weights()[0])
    model.layers[3].kernel.trainable = False  # A Variable by itself: no layer is set.
    variables = model.trainable_variables
    assert len(variables) == 3
    assert len(PlannedStep(model, X)(X, CLASSES, None, variables)[2]) == 3


@pytest.mark.parametrize("noise", [Dropout, GaussianNoise])
def test_the_same_noise(noise):
    def trained(short):
        gl.utils.set_random_seed(1)
        model = built([Flatten(), Dense(64, "relu"), noise(0.5), Dense(4, "softmax")], "mse")
        if not short:
            model._planned = lambda *batch: None
        assert model._training_plan(X) is not None
        model.compile("sgd", "categorical_crossentropy")
        model.fit(X, ONE_HOT, epochs=3, shuffle=False, verbose=0)
        return model.get_weights()

    for a, b in zip(trained(True), trained(False), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def with_regularizer():
    return built([Flatten(), Dense(4, "softmax", kernel_regularizer="l2")])


def with_activity_regularizer():
    return built([Flatten(), Dense(4, "softmax", activity_regularizer="l2")])


def with_a_scaled_loss():
    optimizer = gl.optimizers.SGD(loss_scale_factor=8.0)
    return built([Flatten(), Dense(4, "softmax")], optimizer=optimizer)


def with_own_layer():
    class Twice(gl.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    return built([Flatten(), Twice(), Dense(4, "softmax")])


@pytest.mark.parametrize(
    "make",
    [
        with_regularizer,
        with_activity_regularizer,
        with_a_scaled_loss,
        with_own_layer,
    ],
)
def test_more_than_a_line_takes_a_tape(make):
    assert planned(make(), X, CLASSES) is None


def test_added_losses_and_masks_take_a_tape():
    model = built([Flatten(), Dense(4, "softmax")])
    model.train_on_batch(X, CLASSES)
    step = PlannedStep(model, X)
    assert step(X, CLASSES, None, model.trainable_variables) is not None
    model.layers[1].add_loss(1.0)
    assert step(X, CLASSES, None, model.trainable_variables) is None
    model.layers[1]._losses.clear()
    x = X.copy()
    gl.arrays.set_mask(x, np.ones((8, 2), bool))
    assert step(x, CLASSES, None, model.trainable_variables) is None


def test_plans_follow_changes():
    model = built([Flatten(), Dense(4, "softmax")])
    model.train_on_batch(X, CLASSES)
    model.layers[1].activation = gl.activations.relu
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.train_on_batch(X, ONE_HOT)
    y = np.maximum(X.reshape(8, 6) @ before[0] + before[1], 0)
    g = 2 * (y - ONE_HOT) * (y > 0) / y.size
    wanted = before[0] - 0.01 * X.reshape(8, 6).T @ g
    np.testing.assert_allclose(model.get_weights()[0], wanted, rtol=1e-5, atol=1e-7)


def test_a_persistent_tape_runs_a_line_twice():
    model = built([Flatten(), Dense(5, "relu"), Dense(4, "softmax")])
    model(X)
    with gl.Tape(persistent=True) as tape:
        loss = gl.ops.sum(model(X, training=True) ** 2)
    one, two = (tape.gradient(loss, model.trainable_variables) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_of_inputs_through_a_line():
    model = built([Flatten(), Dense(5, "relu"), Dense(4, "softmax")])
    model(X)
    with gl.Tape() as tape:
        x = tape.watch(X)
        loss = gl.ops.sum(model(x, training=True) ** 2)
    with gl.Tape() as other:
        x2 = other.watch(X)
        y = x2
        for layer in model.layers:
            y = layer(y)
        expected = gl.ops.sum(y**2)
    np.testing.assert_allclose(
        tape.gradient(loss, X), other.gradient(expected, X), rtol=1e-5, atol=1e-7
    )
