"""Training that goes wrong: what is refused, Ctrl-C, and what is left in memory."""

import gc
import os
import signal
import threading
import time
import tracemalloc

import numpy as np
import pytest

from gpulayers import callbacks, layers, losses
from gpulayers.models import Sequential
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
