"""Steps of one's own, and what compile() sets up for the usual ones."""

import numpy as np
import pytest

import gpulayers
from gpulayers import layers, losses, metrics, ops, optimizers
from gpulayers.models import Model, Sequential

X = np.sin(np.arange(160.0)).reshape(40, 4).astype("float32")
Y = np.cos(np.arange(80.0)).reshape(40, 2).astype("float32")


def dense_model(units=2, **kwargs):
    return Sequential([layers.Input((4,)), layers.Dense(units, **kwargs)])


def weights_of(model):
    return [np.array(w) for w in model.get_weights()]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


class OwnStep(Model):
    """The example of `train_step`'s docstring."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2, kernel_initializer="ones")

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, data):
        x, y = data
        with gpulayers.Tape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self.compute_metrics(x, y, y_pred)


def test_an_own_train_step_learns_like_the_usual_one():
    own, usual = OwnStep(), dense_model(kernel_initializer="ones")
    for model in (own, usual):
        model.compile(optimizers.SGD(0.1), "mse", metrics=["mae"])
        model.fit(X, Y, epochs=3, verbose=0, shuffle=False)
    for a, b in zip(own.get_weights(), usual.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_own_steps_with_own_metrics():
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)
            self.loss_tracker = metrics.Mean(name="loss")
            self.mae = metrics.MeanAbsoluteError(name="mae")

        def call(self, inputs):
            return self.dense(inputs)

        @property
        def metrics(self):
            return [self.loss_tracker, self.mae]

        def train_step(self, data):
            x, y = data
            with gpulayers.Tape() as tape:
                y_pred = self(x, training=True)
                loss = ops.mean((y_pred - y) ** 2)
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply(gradients, self.trainable_weights)
            self.loss_tracker.update_state(loss)
            self.mae.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

        def test_step(self, data):
            x, y = data
            y_pred = self(x, training=False)
            self.mae.update_state(y, y_pred)
            return {"mae": self.mae.result(), "constant": 3}

    model = Own()
    model.compile("adam")
    history = model.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y)).history
    assert list(history) == ["loss", "mae", "val_constant", "val_mae"]
    assert history["mae"][1] < history["mae"][0]
    assert history["val_constant"] == [3.0, 3.0]
    assert model.predict(X[:3], verbose=0).shape == (3, 2)


def test_a_model_without_call_trains_by_its_step_alone():
    class Pair(Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(3), layers.Dense(2)

        def compile(self, optimizer_a, optimizer_b):
            super().compile(loss="mse")
            self.optimizer_a, self.optimizer_b = optimizer_a, optimizer_b

        def train_step(self, data):
            x, y = data
            with gpulayers.Tape(persistent=True) as tape:
                loss = ops.mean((self.b(self.a(x)) - y) ** 2)
            for part, optimizer in ((self.a, self.optimizer_a), (self.b, self.optimizer_b)):
                gradients = tape.gradient(loss, part.trainable_weights)
                optimizer.apply(gradients, part.trainable_weights)
            return {"error": loss}

    model = Pair()
    model.compile(optimizers.Adam(0.01), optimizers.SGD(0.01))
    errors = model.fit(X, Y, epochs=5, verbose=0).history["error"]
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("with_training", [True, False])
def test_an_own_loss_may_lack_the_argument_training(with_training):
    seen = []

    class Own(Sequential):
        if with_training:

            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
                seen.append(training)
                return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)

        else:

            def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
                return 2 * super().compute_loss(x, y, y_pred, sample_weight)

    model, usual = Own([layers.Dense(2)]), Sequential([layers.Dense(2)])
    for each in (model, usual):
        each.build((None, 4))
        each.compile(optimizers.SGD(0.0), "mse")
    usual.set_weights(model.get_weights())
    np.testing.assert_allclose(
        model.fit(X, Y, verbose=0).history["loss"][0],
        2 * usual.fit(X, Y, verbose=0).history["loss"][0],
        rtol=1e-5,
    )
    model.evaluate(X, Y, verbose=0)
    if with_training:
        assert seen == [True, True, False, False]


def test_own_metrics_beside_compiled_ones():
    class Own(Sequential):
        def __init__(self, *args):
            super().__init__(*args)
            self.biggest = metrics.Mean(name="biggest")

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            self.biggest.update_state(ops.max(y_pred))
            return super().compute_metrics(x, y, y_pred, sample_weight)

    model = Own([layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(X, Y, verbose=0, validation_data=(X, Y)).history
    assert list(history) == [
        "biggest", "loss", "mae", "val_biggest", "val_loss", "val_mae",
    ]  # fmt: skip
    assert [m.name for m in model.metrics] == ["loss", "compile_metrics", "biggest"]


def test_added_losses_and_losses_alone():
    class Adding(layers.Layer):
        def call(self, inputs):
            self.add_loss(0.5 * ops.mean(inputs**2))
            return inputs

    model = Sequential([layers.Dense(2, kernel_initializer="ones"), Adding()])
    model.compile(optimizers.SGD(0.0))
    loss = model.fit(X, verbose=0).history["loss"][0]
    outputs = np.repeat(X.sum(axis=1, keepdims=True), 2, axis=1)
    np.testing.assert_allclose(loss, 0.5 * np.mean(outputs**2), rtol=1e-5)
    model.compile(optimizers.SGD(0.0), "mse")
    both = model.evaluate(X, Y, verbose=0)
    np.testing.assert_allclose(both, loss + np.mean((outputs - Y) ** 2), rtol=1e-5)
    model = dense_model()
    model.compile("sgd")
    with pytest.raises(ValueError, match="there is no loss to compute"):
        model.fit(X, Y, verbose=0)


def test_mixed_precision_scales_the_loss():
    model = Sequential([layers.Dense(2, dtype="mixed_float16")])
    model.dtype_policy = "mixed_float16"
    model.compile("sgd", "mse")
    assert isinstance(model.optimizer, optimizers.LossScaleOptimizer)
    history = model.fit(X, Y, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0] < 10
    model.compile("sgd", "mse", auto_scale_loss=False)
    assert type(model.optimizer) is optimizers.SGD


def test_frozen_models_warn_and_stay():
    model = dense_model()
    model.trainable = False
    model.compile("sgd", "mse")
    before = weights_of(model)
    with pytest.warns(UserWarning, match="no trainable weights"):
        model.fit(X[:8], Y[:8], verbose=0)
    assert same(before, weights_of(model))


def test_freezing_a_layer_between_steps_counts():
    model = Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.train_on_batch(X, Y)
    before = weights_of(model)
    model.layers[0].trainable = False
    model.train_on_batch(X, Y)
    after = weights_of(model)
    assert same(before[:2], after[:2])
    assert not same(before[2:], after[2:])


# Descriptions.


def test_compile_config_round_trip():
    model = dense_model()
    assert not model.compiled
    model.compile(
        optimizers.Adam(0.01),
        losses.MeanSquaredError(),
        loss_weights=0.5,
        metrics=["mae", metrics.MeanSquaredError(name="m")],
        weighted_metrics=["mse"],
    )
    config = model.get_compile_config()
    assert list(config) == [
        "optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly",
        "steps_per_execution", "jit_compile",
    ]  # fmt: skip
    other = dense_model()
    other.set_weights(model.get_weights())
    other.compile_from_config(config)
    assert other.optimizer.built
    assert float(other.optimizer.learning_rate) == pytest.approx(0.01)
    a, b = (m.fit(X, Y, verbose=0, shuffle=False).history for m in (model, other))
    assert a == b


def test_models_with_their_own_compile_are_not_compiled_by_a_config():
    class Own(Sequential):
        def compile(self, temperature):
            super().compile("sgd", "mse")

    model = Own([layers.Dense(2)])
    with pytest.warns(UserWarning, match="has its own compile"):
        model.compile_from_config({"optimizer": "sgd"})
    assert not model.compiled
