"""Captured steps: the same weights as without, and nothing else changed but the speed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from capture_checks import MIDDLES, Batches, check_same, fitted, model_of, runs_of, settled

from gpulayers import Sequential, callbacks, config, layers, optimizers
from gpulayers.arrays import capturing, devices, random
from gpulayers.cuda import capture as kernels
from gpulayers.ops.dropout import dropout
from gpulayers.utils import set_random_seed

pytestmark = pytest.mark.usefixtures("same_products")

MORE = {
    "noise": lambda: [layers.GaussianNoise(0.1), layers.AlphaDropout(0.1)],
    "activation": lambda: [layers.Activation("gelu")],
    "regularizer": lambda: [layers.Dense(4, kernel_regularizer="l2", bias_constraint="non_neg")],
    "frozen": lambda: [layers.Dense(4, trainable=False)],
}

OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1, amsgrad=True),
    "lamb": lambda: optimizers.Lamb(0.01),
    "nadam": lambda: optimizers.Nadam(0.01),
    "global_clipnorm": lambda: optimizers.Adam(0.01, global_clipnorm=0.1),
    "clipnorm": lambda: optimizers.RMSprop(0.01, clipnorm=0.1),
    "clipvalue": lambda: optimizers.Adam(0.01, clipvalue=0.01),
    "average": lambda: optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=3),
    "accumulation": lambda: optimizers.Adam(0.01, gradient_accumulation_steps=3),
    "schedule": lambda: optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)),
    "loss_scale": lambda: optimizers.LossScaleOptimizer(
        optimizers.Adam(0.01), dynamic_growth_steps=3
    ),
}


@pytest.mark.parametrize("middle", MIDDLES | MORE)
def test_layers_learn_the_same(cupy, middle):
    model = check_same(cupy, (MIDDLES | MORE)[middle])
    assert runs_of(model)["train"] == 9


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_make_the_same_steps(cupy, name):
    check_same(cupy, make_optimizer=OPTIMIZERS[name])


def test_results_are_close_to_those_of_cublas_and_counts_on_the_host(cupy, monkeypatch):
    monkeypatch.undo()
    plain, _ = fitted(cupy, False, on_device=False)
    model, _ = fitted(cupy, True)
    for a, b in zip(plain.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_policies(cupy, policy):
    config.set_dtype_policy(policy)
    try:
        check_same(cupy, MIDDLES["dropout"])
    finally:
        config.set_dtype_policy(None)


def test_sample_weights_and_metrics(cupy):
    check_same(cupy, metrics=["mae", "cosine_similarity"], weighted=True)


def test_words_and_classes(cupy):
    """Gradients of tables, labels, what metrics count."""

    def trained(jit):
        set_random_seed(3)
        model = Sequential([layers.Embedding(20, 4), layers.Flatten(), layers.Dense(1, "sigmoid")])
        model.compile("adam", "binary_crossentropy", metrics=["accuracy", "AUC"], jit_compile=jit)
        model.optimizer.counts_on_device = True
        rng = np.random.default_rng(0)
        x, y = rng.integers(0, 20, (40, 5)).astype("i4"), rng.integers(0, 2, (40, 1)).astype("i4")
        history = model.fit(x, y, batch_size=10, epochs=2, verbose=0, shuffle=False)
        return model, history.history

    config.set_device("gpu")
    (plain, expected), (model, found) = trained(False), trained(True)
    assert runs_of(model)["train"] == 7
    assert found == expected
    for a, b in zip(plain.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_logs_of_each_batch(cupy):
    """A callback that looks at each batch gets numbers that stay as they are."""

    class Keep(callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.logs = []

        def on_train_batch_end(self, batch, logs=None):
            self.logs.append(logs)

    def kept(jit):
        keep = Keep()
        model, _ = fitted(cupy, jit, callbacks=[keep])
        return model, [dict(logs) for logs in keep.logs]

    model, logs = kept(True)
    assert runs_of(model)["train"] == 9
    assert logs == kept(False)[1]


def test_smaller_last_batches_have_their_own_graph(cupy):
    model = check_same(cupy, MIDDLES["dropout"], samples=57)
    graphs = [kind for kind in model._compiled.captured._graphs if kind[0] == "train"]
    assert len(graphs) == 2
    assert runs_of(model)["train"] == 10


def test_only_a_few_shapes_are_captured(cupy):
    model = settled(cupy, model_of(True))
    data = Batches(cupy, 80)
    for _ in range(2):
        for size in range(2, 10):
            model.train_on_batch(*data.first(size))
    assert runs_of(model)["train"] == 4


def test_training_waits_for_nothing(cupy):
    """No number comes to the host in a step."""
    model, data = settled(cupy, model_of(True)), Batches(cupy)
    step = model.make_train_function()
    step(data.batch(0))
    copies = Batches.copies()
    logs = [step(data.batch(i)) for i in range(1, 4)]
    assert Batches.copies() == copies
    assert len({float(log["loss"]) for log in logs}) == 3


# Evaluation and prediction.


def test_evaluation_and_prediction(cupy):
    def results(jit):
        model, _ = fitted(cupy, jit, MIDDLES["batch_normalization"])
        data = Batches(cupy)
        made = [model.evaluate(data.x, data.y, batch_size=10, verbose=0)]
        made.append(model.predict(data.x, batch_size=10))
        made.append(model.predict(data.x, batch_size=10))
        return model, made

    model, made = results(True)
    assert runs_of(model)["test"] == 5
    assert runs_of(model)["predict"] == 11
    for a, b in zip(made, results(False)[1], strict=True):
        assert np.array_equal(devices.to_numpy(a), devices.to_numpy(b))


def test_predictions_are_arrays_of_their_own(cupy):
    model, data = settled(cupy, model_of(True)), Batches(cupy)
    predict = model.make_predict_function()
    outputs = [predict(data.batch(i)[:1]) for i in range(3)]
    values = [output.get() for output in outputs]
    predict(data.batch(3)[:1])
    assert runs_of(model)["predict"] == 3
    for output, value in zip(outputs, values, strict=True):
        assert np.array_equal(output.get(), value)
    assert not np.array_equal(values[1], values[2])


def test_validation_within_training(cupy):
    data = Batches(cupy, 20)
    check_same(cupy, MIDDLES["batch_normalization"], validation_data=(data.x, data.y))


def test_threads_take_turns(cupy):
    """Predictions of several threads do not mix."""
    model, data = settled(cupy, model_of(True)), Batches(cupy)
    batches = [data.batch(i)[0] for i in range(6)]
    expected = [model.predict_on_batch(x).get() for x in batches]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(model.predict_on_batch, batches * 5))
    for value, output in zip(expected * 5, found, strict=True):
        assert np.array_equal(output.get(), value)


# The kernels.


@pytest.mark.parametrize("start", [0, 1, 4])
def test_copies_of_many_arrays(cupy, start):
    sizes = [0, 1, 15, 16, 17, 16383, 16384, 16385, 40000, *range(150)]
    values = [np.arange(n + start, dtype=np.uint32).astype(np.uint8) for n in sizes]
    pairs = [(cupy.asarray(v)[start:], cupy.empty(len(v), np.uint8)[start:]) for v in values]
    kernels.copy_arrays(pairs)
    for (_, copied), value in zip(pairs, values, strict=True):
        assert np.array_equal(copied.get(), value[start:])


@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_dropout_from_words_on_the_gpu(cupy, noise_shape):
    seed, counter = 2**63 + 5, 2**40
    x = np.random.default_rng(0).normal(size=(30, 50)).astype("f4")
    words = cupy.asarray(np.array([seed, counter], np.uint64))
    stream = capturing.DeviceStream(words, 3)
    out = dropout(cupy.asarray(x), rate=0.3, noise_shape=noise_shape, seed=stream)
    expected = dropout(x, rate=0.3, noise_shape=noise_shape, seed=(seed, counter + 3))
    assert out.get().tobytes() == expected.tobytes()


@pytest.mark.parametrize("function", [random.uniform, random.normal, random.truncated_normal])
def test_random_numbers_from_words_on_the_gpu(cupy, function):
    like, words = cupy.empty((1,), "f4"), cupy.asarray(np.array([3, 5], np.uint64))
    out = function((700,), like=like, seed=capturing.DeviceStream(words, 2))
    assert out.get().tobytes() == function((700,), seed=(3, 7), dtype="float32").tobytes()
