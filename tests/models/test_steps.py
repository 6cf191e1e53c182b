"""Steps of one's own, and steps that go wrong: errors, Ctrl-C, what is left of them."""

import gc
import os
import signal
import threading
import time
import tracemalloc

import numpy as np
import pytest

import gpulayers
from gpulayers import callbacks, layers, losses, metrics, ops, optimizers
from gpulayers.models import Model, Sequential
from gpulayers.models.interruption import Interruption

X = np.sin(np.arange(160.0)).reshape(40, 4).astype("float32")
Y = np.cos(np.arange(80.0)).reshape(40, 2).astype("float32")
LABELS = np.arange(40) * 7 % 5


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


# What is wrong is refused, and leaves the model as it was.


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_compile_comes_first(method):
    with pytest.raises(ValueError, match=rf"you must call `compile\(\)` before `{method}\(\)`"):
        getattr(dense_model(), method)(X, Y)


def raising():
    yield X[:8], Y[:8]
    raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "message"),
    [
        (X[:0], Y[:0], {}, ValueError, "no samples"),
        (X, Y[:39], {}, ValueError, "same number of samples.*40.*39"),
        (X, None, {}, ValueError, "y: there are no targets"),
        (X[:, :3], Y, {}, ValueError, "expected.*4"),
        (iter([]), None, {}, ValueError, "generator"),
        ("data", None, {}, TypeError, "str"),
        (X, Y, {"batch_size": 0}, ValueError, "batch_size"),
        (X, Y, {"validation_split": 1.5}, ValueError, "validation_split"),
        (X, Y, {"validation_freq": 0}, ValueError, "validation_freq must be"),
        (X, Y, {"validation_freq": "often"}, ValueError, "validation_freq must be"),
        (X, Y, {"sample_weight": np.ones(7)}, ValueError, "same number of samples"),
        (X, Y, {"class_weight": {0: 1.0}, "sample_weight": np.ones(40)}, ValueError, "exclude"),
        (X, Y, {"callbacks": [callbacks.History]}, TypeError, "callbacks: expected"),
        (raising(), None, {"epochs": 2, "steps_per_epoch": 2}, OSError, "the disk is gone"),
    ],
)
def test_wrong_arguments_of_fit(x, y, options, error, message):
    model = dense_model()
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    before, expected = weights_of(model), model.predict(X, verbose=0)
    with pytest.raises(error, match=message):
        model.fit(x, y, verbose=0, **options)
    if error is not OSError:
        assert same(before, weights_of(model))
        np.testing.assert_array_equal(model.predict(X, verbose=0), expected)
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"optimizer": "adamm"}, ValueError, "compile: optimizer: .*adam"),
        ({"loss": "msee"}, ValueError, "compile: loss: .*'msee'"),
        ({"metrics": ["acuracy"]}, ValueError, "compile: metrics: .*'acuracy'"),
        ({"weighted_metrics": "mae"}, TypeError, "weighted_metrics must be a list"),
        ({"steps_per_execution": 0}, ValueError, "steps_per_execution must be a positive"),
    ],
)
def test_wrong_arguments_of_compile(arguments, error, message):
    model = dense_model()
    model.compile("sgd", "mse")
    with pytest.raises(error, match=message):
        model.compile(**arguments)
    assert model.loss == "mse"


def test_jit_compile_and_run_eagerly_exclude_each_other():
    model = dense_model()
    with pytest.warns(UserWarning, match="run_eagerly=True wins"):
        model.compile("sgd", "mse", run_eagerly=True, jit_compile=True)
    assert model.jit_compile is False


@pytest.mark.parametrize("labels", [LABELS + 1, LABELS - 1])
def test_labels_out_of_range_are_refused(labels):
    model = dense_model(5, activation="softmax")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = weights_of(model)
    with pytest.raises(ValueError, match=r"-?\d"):
        model.fit(X, labels, verbose=0, batch_size=40)
    assert same(before, weights_of(model))
    model.fit(X, LABELS, verbose=0)


def test_a_step_that_fails_is_undone():
    class Counting(layers.Layer):
        def __init__(self):
            super().__init__()
            self.count = self.add_weight((), "zeros", trainable=False)

        def call(self, inputs):
            self.count.assign_add(1.0)
            return inputs

    class Failing(losses.Loss):
        fail = False

        def call(self, y_true, y_pred):
            if self.fail:
                raise ArithmeticError("no")
            return (y_true - y_pred) ** 2

    loss = Failing()
    model = Sequential([layers.Input((4,)), Counting(), layers.Dropout(0.5), layers.Dense(2)])
    model.compile("adam", loss)
    model.train_on_batch(X, Y)
    state = [np.array(v.numpy()) for v in (*model.variables, *model.optimizer.variables)]
    loss.fail = True
    with pytest.raises(ArithmeticError):
        model.train_on_batch(X, Y)
    after = [np.array(v.numpy()) for v in (*model.variables, *model.optimizer.variables)]
    assert same(state, after)


# Ctrl-C.


@pytest.mark.parametrize("moment", ["inside a step", "between steps"])
def test_ctrl_c_ends_fit_after_a_whole_step(moment):
    model = dense_model()
    model.compile("adam", "mse", metrics=["mae"])

    def press():
        signal.raise_signal(signal.SIGINT)

    apply, done = model.optimizer.apply, []

    def pressed_while_applying(gradients, variables):
        if len(done) == 2 and moment == "inside a step":
            press()
        apply(gradients, variables)
        done.append(len(done))

    model.optimizer.apply = pressed_while_applying
    between = callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: batch == 3 and press()
    )
    ended = callbacks.LambdaCallback(on_train_end=lambda logs: done.append("end"))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=[between, ended])
    assert done == [0, 1, 2]
    assert int(model.optimizer.iterations) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    del model.optimizer.apply
    assert list(model.fit(X, Y, verbose=0).history) == ["loss", "mae"]


def test_a_second_ctrl_c_does_not_wait():
    steps = []

    def step(data):
        signal.raise_signal(signal.SIGINT)
        steps.append(1)
        signal.raise_signal(signal.SIGINT)
        steps.append(2)

    with Interruption() as interruption, pytest.raises(KeyboardInterrupt):
        interruption.whole(step, None)
    assert steps == [1]


def test_ctrl_c_while_data_is_awaited():
    model = dense_model()
    model.compile("sgd", "mse")

    def slow():
        yield X, Y
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        time.sleep(20)
        yield X, Y

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        model.fit(slow(), verbose=0)
    assert time.perf_counter() - start < 10


def test_fit_in_a_thread():
    model = dense_model()
    model.compile("sgd", "mse")
    histories = []
    thread = threading.Thread(target=lambda: histories.append(model.fit(X, Y, verbose=0)))
    thread.start()
    thread.join()
    assert len(histories[0].history["loss"]) == 1


# Memory.


def test_nothing_is_kept_between_steps():
    model = Sequential([layers.Input((64,)), layers.Dense(128, activation="relu"), layers.Dense(5)])
    model.compile("adam", "mse", metrics=["mae"])
    x, y = np.ones((320, 64), "float32"), np.ones((320, 5), "float32")
    model.fit(x, y, epochs=2, verbose=0)
    gc.collect()
    tracemalloc.start()
    model.fit(x, y, epochs=1, verbose=0)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    model.fit(x, y, epochs=50, verbose=0)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 50_000


def test_a_step_leaves_nothing_to_the_garbage_collector():
    """Else the weights of many steps would fill a GPU before Python sees a reason to collect."""
    model = dense_model()
    model.compile("adam", "mse", metrics=["mae"])
    model.train_on_batch(X, Y)
    train = model._silent_function("train")
    for _ in range(3):
        train((X, Y))
    gc.collect()
    gc.disable()
    try:
        train((X, Y))
        assert gc.collect() == 0
    finally:
        gc.enable()
