"""fit, evaluate, predict and their forms for one batch: values, names, order of events, errors."""

import numpy as np
import pytest

from gpulayers import callbacks, layers, ops, optimizers, regularizers, utils
from gpulayers.models import Model, Sequential, progress
from gpulayers.models.patient_bar import PatientBar

X = np.sin(np.arange(160.0)).reshape(40, 4).astype("float32")
YA = np.cos(np.arange(120.0)).reshape(40, 3).astype("float32")
YB = np.arange(40) * 7 % 5
WEIGHTS = (1 + 0.5 * np.sin(np.arange(40.0))).astype("float32")
KA = np.cos(np.arange(12.0)).reshape(4, 3).astype("float32")
KB = np.sin(np.arange(20.0)).reshape(4, 5).astype("float32")
SPARSE = "sparse_categorical_crossentropy"


def classifier(regularizer=None):
    inputs = layers.Input((4,))
    dense = layers.Dense(5, activation="softmax", name="b", kernel_regularizer=regularizer)
    model = Model(inputs, dense(inputs))
    model.set_weights([KB, np.zeros(5, "float32")])
    return model


def two_outputs():
    inputs = layers.Input((4,))
    first = layers.Dense(3, name="a", kernel_regularizer=regularizers.L2(0.01))
    second = layers.Dense(5, activation="softmax", name="b")
    model = Model(inputs, [first(inputs), second(inputs)])
    model.set_weights([KA, np.zeros(3, "float32"), KB, np.zeros(5, "float32")])
    return model


def close(found: dict, expected: dict):
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=2e-5, err_msg=name)


def test_history_of_two_outputs_is_keras_s():
    """Regularizer, loss weights, sample weights, validation split: recorded from Keras 3.15."""
    model = two_outputs()
    model.compile(
        "adam",
        loss=["mse", SPARSE],
        loss_weights=[0.5, 2.0],
        metrics=[["mae"], ["accuracy"]],
        weighted_metrics=[["mae"], ["accuracy"]],
    )
    history = model.fit(
        X, [YA, YB], 16, 2, 0, validation_split=0.25, shuffle=False, sample_weight=WEIGHTS
    )
    expected = {
        "a_loss": [0.56431, 0.56211],
        "a_mae": [0.67071, 0.66975],
        "a_weighted_mae": [0.59444, 0.59364],
        "b_accuracy": [0.26667, 0.26667],
        "b_loss": [2.46307, 2.45923],
        "b_weighted_accuracy": [0.26997, 0.26997],
        "loss": [5.26828, 5.25944],
        "val_a_loss": [0.73023, 0.72696],
        "val_a_mae": [0.78683, 0.78562],
        "val_a_weighted_mae": [0.75141, 0.74989],
        "val_b_accuracy": [0.0, 0.0],
        "val_b_loss": [3.26238, 3.25664],
        "val_b_weighted_accuracy": [0.0, 0.0],
        "val_loss": [6.94982, 6.93667],
    }
    close(history.history, expected)
    assert all(type(value) is float for values in history.history.values() for value in values)
    evaluated = model.evaluate(X, [YA, YB], verbose=0)
    expected = [5.64704, 0.70713, 2.61679, 0.69819, 0.69819, 0.2, 0.2]
    np.testing.assert_allclose(evaluated, expected, atol=2e-5)
    assert model.metrics_names == ["loss", "compile_metrics", "a_loss", "b_loss"]


def test_history_with_class_weights_is_keras_s():
    model = classifier(regularizers.L1(0.01))
    sgd = optimizers.SGD(0.1, momentum=0.9)
    model.compile(sgd, SPARSE, metrics=["accuracy"], weighted_metrics=["accuracy"])
    history = model.fit(X, YB, 16, 3, 0, shuffle=False, class_weight={0: 2.0, 3: 0.5})
    expected = {
        "accuracy": [0.175, 0.15, 0.15],
        "loss": [2.98868, 2.64853, 2.16451],
        "weighted_accuracy": [0.19318, 0.17045, 0.17045],
    }
    close(history.history, expected)
    np.testing.assert_allclose(
        model.train_on_batch(X[:8], YB[:8]), [2.0716897, 0.125, 0.125], atol=2e-5
    )
    tested = model.test_on_batch(X[:8], YB[:8], return_dict=True)
    close(tested, {"accuracy": 0.25, "loss": 1.8330975, "weighted_accuracy": 0.25})
    kernel = [0.71159536, 0.62828386, 0.08355448, -0.20618774, -0.181692]
    np.testing.assert_allclose(model.get_weights()[0][0], kernel, atol=2e-5)


def test_averaged_weights_are_taken_at_the_end():
    model = classifier()
    model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), SPARSE)
    seen = []
    keep = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights())
    )
    model.fit(X, YB, 20, 1, 0, callbacks=[keep], shuffle=False)
    for found, first, second in zip(model.get_weights(), *seen, strict=True):
        np.testing.assert_allclose(found, (first + second) / 2, atol=1e-6)


class Events(callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []


for _hook in (name for name in vars(callbacks.Callback) if name.startswith("on_")):

    def _note(self, *args, _hook=_hook, logs=None):
        *args, logs = (*args, logs) if logs is not None or "batch" in _hook else args
        self.seen.append((_hook.removeprefix("on_"), *args, sorted(logs or {})))

    setattr(Events, _hook, _note)
del Events.on_batch_begin, Events.on_batch_end


def test_callbacks_are_called_in_keras_s_order_with_its_logs():
    model = classifier()
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    events = Events()
    model.fit(X, YB, 20, 1, 0, callbacks=[events], validation_data=(X[:4], YB[:4]))
    logs = ["accuracy", "loss"]
    all_logs = [*logs, "val_accuracy", "val_loss"]
    assert events.seen == [
        ("train_begin", []),
        ("epoch_begin", 0, []),
        ("train_batch_begin", 0, []),
        ("train_batch_end", 0, logs),
        ("train_batch_begin", 1, []),
        ("train_batch_end", 1, logs),
        ("test_begin", []),
        ("test_batch_begin", 0, []),
        ("test_batch_end", 0, logs),
        ("test_end", logs),
        ("epoch_end", 0, all_logs),
        ("train_end", all_logs),
    ]
    events.seen.clear()
    model.predict(X[:3], callbacks=[events], verbose=0)
    assert events.seen == [
        ("predict_begin", []),
        ("predict_batch_begin", 0, []),
        ("predict_batch_end", 0, ["outputs"]),
        ("predict_end", []),
    ]


def test_logs_of_batches_may_be_kept():
    """Each batch's logs hold that batch's values, also if they are read much later."""
    model = classifier()
    model.compile(optimizers.SGD(0.5), SPARSE)
    kept = []
    keep = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: kept.append(logs))
    model.fit(X, YB, 10, 1, 0, callbacks=[keep])
    assert len({logs["loss"] for logs in kept}) == 4


@pytest.mark.parametrize(("steps", "calls"), [(1, [0, 1, 2, 3, 4]), (2, [1, 3, 4]), (9, [4])])
def test_steps_per_execution_groups_batches(steps, calls):
    model = classifier()
    model.compile("sgd", SPARSE, steps_per_execution=steps)
    seen = []
    note = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(X, YB, 8, 1, 0, callbacks=[note])
    assert seen == calls
    assert int(model.optimizer.iterations) == 5


@pytest.mark.parametrize("verb", ["training", "evaluating", "predicting"])
def test_callbacks_stop_endless_data(verb):
    model = classifier()
    model.compile("sgd", SPARSE)

    class Stop(callbacks.Callback):
        count = 0

        def stop(self, *args, **kwargs):
            self.count += 1
            if self.count == 5:
                setattr(self.model, f"stop_{verb}", True)

        on_train_batch_end = on_test_batch_end = on_predict_batch_end = stop

    def endless():
        while True:
            yield (X[:2],) if verb == "predicting" else (X[:2], YB[:2])

    stop = Stop()
    run = {"training": model.fit, "evaluating": model.evaluate, "predicting": model.predict}[verb]
    run(endless(), callbacks=[stop], verbose=0)
    assert stop.count == 5


@pytest.mark.parametrize(
    ("frequency", "epochs"), [(1, [1, 2, 3, 4]), (2, [2, 4]), ([1, 4], [1, 4])]
)
def test_validation_frequency(frequency, epochs):
    model = classifier()
    model.compile("sgd", SPARSE)
    history = model.fit(
        X, YB, epochs=4, verbose=0, validation_data=(X, YB), validation_freq=frequency
    )
    assert len(history.history["val_loss"]) == len(epochs)
    assert history.epoch == [0, 1, 2, 3]


def test_initial_epoch():
    model = classifier()
    model.compile("sgd", SPARSE)
    assert model.fit(X, YB, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    assert model.fit(X, YB, epochs=2, initial_epoch=2, verbose=0).history == {}


def test_validation_leaves_the_training_metrics_alone():
    model = classifier()
    model.compile(optimizers.SGD(0.0), SPARSE)
    alone = model.fit(X[:30], YB[:30], verbose=0).history["loss"]
    both = model.fit(X, YB, verbose=0, validation_split=0.25).history
    np.testing.assert_allclose(both["loss"], alone, rtol=1e-5)
    np.testing.assert_allclose(both["val_loss"], model.evaluate(X[30:], YB[30:], verbose=0))


@pytest.mark.parametrize("samples", [1, 7, 32, 33, 100])
@pytest.mark.parametrize("verbose", [0, "auto"])
def test_predict(samples, verbose):
    model = classifier()
    x = np.resize(X, (samples, 4))
    expected = np.asarray(model(x))
    found = model.predict(x, verbose=verbose)
    assert type(found) is np.ndarray
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(x), expected, rtol=1e-6)
    np.testing.assert_allclose(model.predict(iter([(x,), (x, None)]), verbose=0), [*expected] * 2)


def test_predict_keeps_the_structure_of_outputs():
    model = two_outputs()
    first, second = model.predict(X, batch_size=7, verbose=0)
    assert (first.shape, second.shape) == ((40, 3), (40, 5))
    inputs = layers.Input((4,))
    named = Model(inputs, {"twice": inputs * 2.0, "parts": (inputs, inputs + 1.0)})
    found = named.predict(X, batch_size=16, verbose=0)
    np.testing.assert_allclose(found["twice"], X * 2)
    assert isinstance(found["parts"], tuple)
    np.testing.assert_allclose(found["parts"][1], X + 1)


@pytest.mark.parametrize("rows", [3, 50])
def test_predictions_are_never_views_of_the_data(rows):
    model = Sequential([layers.Input((4,)), layers.Reshape((2, 2))])
    x = np.zeros((rows, 4), "float32")
    model.predict(x, verbose=0)[...] = 1.0
    assert (x == 0.0).all()


def test_predict_gives_the_kind_of_array_it_was_given():
    strict = pytest.importorskip("array_api_strict")
    model = classifier()
    found = model.predict(strict.asarray(X), verbose=0)
    assert isinstance(found, type(strict.asarray(X)))
    np.testing.assert_allclose(np.from_dlpack(found), model.predict(X, verbose=0), rtol=1e-6)


def test_evaluate_gives_numbers_in_the_order_of_metrics():
    model = classifier()

    def zero(y_true, y_pred):
        return y_pred[:, 0] * 0

    def one(y_true, y_pred):
        return y_pred[:, 0] * 0 + 1

    model.compile("sgd", SPARSE, metrics=[one, zero, "accuracy"])
    found = model.evaluate(X, YB, verbose=0)
    assert len(found) == 4
    assert found[1:3] == [1.0, 0.0]
    assert list(model.evaluate(X, YB, verbose=0, return_dict=True)) == [
        "accuracy",
        "loss",
        "one",
        "zero",
    ]
    model.compile("sgd", SPARSE)
    assert isinstance(model.evaluate(X, YB, verbose=0), float)


def test_models_without_inputs_are_built_by_the_first_batch():
    model = Sequential([layers.Dense(6, activation="relu"), layers.Dense(5, activation="softmax")])
    model.compile("adam", SPARSE, metrics=["accuracy"])
    seen = []
    begin = callbacks.LambdaCallback(
        on_train_begin=lambda logs: seen.append(
            (model.built, model.optimizer.built, len(model.metrics_variables))
        )
    )
    history = model.fit(iter([(X, YB)]), callbacks=[begin], verbose=0)  # Nothing is used up.
    assert seen == [(True, True, 4)]
    assert list(history.history) == ["accuracy", "loss"]
    assert Sequential([layers.Dense(2)]).predict(X, verbose=0).shape == (40, 2)


def test_a_compiled_model_that_looks_at_values_is_built_by_a_call():
    class Looking(Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            if float(ops.sum(inputs)) > 1e9:
                raise AssertionError
            return self.dense(inputs)

    model = Looking()
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, X[:, :1], verbose=0)
    assert model.dense.built


def test_evaluate_and_predict_show_a_bar_if_they_take_long_on_a_screen(monkeypatch, capsys):
    model = classifier()
    model.compile("sgd", SPARSE)
    model.fit(X, YB, epochs=1)
    assert "loss" in capsys.readouterr().out

    def shown():
        model.evaluate(X, YB)
        model.predict(X)
        return capsys.readouterr().out

    assert shown() == ""
    monkeypatch.setattr(PatientBar, "PATIENCE", 0.0)
    assert shown() == ""
    monkeypatch.setattr(progress, "_can_redraw", lambda: True)
    assert "loss" in shown()
    monkeypatch.setattr(PatientBar, "PATIENCE", 100.0)
    assert shown() == ""
    model.evaluate(X, YB, verbose=2)
    assert "loss" in capsys.readouterr().out


def test_validation_data_may_be_endless():
    def endless():
        while True:
            yield X[:4], YB[:4]

    model = classifier()
    model.compile("sgd", SPARSE)
    history = model.fit(
        X, YB, epochs=3, verbose=0, validation_data=endless(), validation_steps=2
    ).history
    assert len(history["val_loss"]) == 3
    with pytest.raises(ValueError, match="validation_split"):
        model.fit(endless(), validation_split=0.5, steps_per_epoch=2, verbose=0)


def test_prediction_of_one_batch_says_what_was_asked_for(capsys):
    model = classifier()
    for verbose, shown in ((2, "1/1 - "), (2, "1/1 - "), (1, "1/1 "), (0, ""), ("auto", "")):
        model.predict(X[:4], verbose=verbose)
        out = capsys.readouterr().out
        assert out.startswith(shown) if shown else out == ""
    with pytest.raises(ValueError, match="verbose must be"):
        model.predict(X[:4], verbose=7)


def test_each_validation_begins_with_the_first_batch():
    """With `validation_steps`, as Keras documents it: the same samples each time."""

    class Pairs(utils.PyDataset):
        def __len__(self):
            return len(X) // 4

        def __getitem__(self, i):
            return X[4 * i : 4 * i + 4], YB[4 * i : 4 * i + 4]

    model = classifier()
    model.compile(optimizers.SGD(0.0), SPARSE)
    expected = model.evaluate(X[:8], YB[:8], verbose=0)
    for data in (Pairs(), (X, YB)):
        history = model.fit(
            X, YB, 4, 3, 0, validation_data=data, validation_steps=2, validation_batch_size=4
        ).history
        np.testing.assert_allclose(history["val_loss"], [expected] * 3, rtol=1e-6)


def test_training_goes_on_where_a_backup_was_made(tmp_path):
    """Interrupted in the middle of the second epoch, with metrics, dropout and shuffling."""

    def model():
        made = Sequential(
            [layers.Input((4,)), layers.Dropout(0.3, seed=1), layers.Dense(5, name="b")]
        )
        made.set_weights([KB, np.zeros(5, "float32")])
        made.compile("adam", "mse", metrics=["mae"])
        return made

    targets = np.eye(5, dtype="float32")[YB]
    utils.set_random_seed(3)
    whole = model()
    expected = whole.fit(X, targets, 8, 3, 0).history
    utils.set_random_seed(3)

    def stop(batch, logs):
        stop.count += 1
        if stop.count == 8:
            raise OSError("the power is gone")

    stop.count = 0
    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
    broken = [backup, callbacks.LambdaCallback(on_train_batch_end=stop)]
    with pytest.raises(OSError, match="power"):
        model().fit(X, targets, 8, 3, 0, callbacks=broken)
    again = model()
    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
    history = again.fit(X, targets, 8, 3, 0, callbacks=[backup]).history
    assert history == {name: values[1:] for name, values in expected.items()}
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
