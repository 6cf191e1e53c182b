"""Models in several threads: one serves while another trains."""

import threading

import numpy as np
import pytest

from gpulayers import layers
from gpulayers.callbacks import LambdaCallback
from gpulayers.models import Sequential
from gpulayers.utils import set_random_seed

X = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
Y = X[:, :1] - X[:, 1:2]


def together(*functions):
    errors = []

    def run(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def trained(serving, **options):
    set_random_seed(1)
    model = Sequential(
        [layers.Input((8,)), layers.Dense(16, activation="tanh", **options), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    losses, done = [], threading.Event()

    def train():
        try:
            losses.extend(model.fit(X, Y, epochs=30, verbose=0, shuffle=False).history["loss"])
        finally:
            done.set()

    def serve():
        while not done.is_set():
            y = model(X)
            assert type(y) is np.ndarray and y.shape == (256, 1)
            assert model.predict(X[:3], verbose=0).shape == (3, 1)

    together(train, *[serve] * serving)
    return losses


@pytest.mark.parametrize("options", [{}, {"activity_regularizer": "l2"}])
def test_one_thread_serves_while_another_trains(options):
    np.testing.assert_allclose(trained(1, **options), trained(0, **options), rtol=1e-6)


def test_threads_that_meet_an_unbuilt_model_build_it_once():
    for _ in range(20):
        model = Sequential([layers.Dense(16), layers.Dense(1)])
        outputs = []

        def call(model=model, outputs=outputs):
            outputs.append(model(X))

        together(call, call, call, call)
        assert len(model.weights) == 4
        for y in outputs:
            np.testing.assert_array_equal(y, outputs[0])


def test_callbacks_and_metrics_may_call_the_model():
    def reading(y_true, y_pred):
        model(X)
        return abs(y_true - y_pred)

    model = Sequential([layers.Dropout(0.1), layers.Dense(1)])
    model.compile("adam", "mse", metrics=[reading])
    calls = LambdaCallback(on_train_batch_end=lambda batch, logs: model.predict(X, verbose=0))
    losses = model.fit(X, Y, epochs=5, verbose=0, callbacks=[calls]).history["loss"]
    assert losses[-1] < losses[0]
