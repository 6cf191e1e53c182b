"""Callbacks that watch a metric: early stopping, plateaus, checkpoints, schedules."""

from types import SimpleNamespace

import numpy as np
import pytest
from callbacks.fakes import FakeModel, fit, number

from gpulayers import callbacks


def losses(*values):
    return [{"loss": value, "val_loss": value} for value in values]


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({}, 3),
        ({"patience": 2}, 4),
        ({"patience": 2, "min_delta": 0.2}, 3),
        ({"start_from_epoch": 2}, 5),
        ({"mode": "max"}, 2),
        ({"baseline": 0.75, "patience": 3}, 3),
        ({"monitor": "loss"}, 3),
    ],
)
def test_early_stopping(options, epochs):
    model = FakeModel()
    values = losses(1.0, 0.9, 0.95, 0.92, 0.93, 0.8)
    assert fit(model, [callbacks.EarlyStopping(**options)], values) == epochs


def test_early_stopping_gives_back_the_best_weights(capsys):
    model = FakeModel()
    callback = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
    assert fit(model, [callback], losses(3.0, 1.0, 2.0, 2.5, 0.0)) == 4
    np.testing.assert_array_equal(model.weights[0].numpy(), [1, 1])
    assert (callback.stopped_epoch, callback.best_epoch, callback.best) == (3, 1, 1.0)
    out = capsys.readouterr().out
    assert "Epoch 4: early stopping" in out
    assert "best epoch: 2." in out


def test_early_stopping_without_the_metric_warns():
    with pytest.warns(UserWarning, match="no metric 'val_acc' to monitor, but loss, val_loss"):
        fit(FakeModel(), [callbacks.EarlyStopping("val_acc", mode="max")], losses(1.0))


@pytest.mark.parametrize(
    ("monitor", "direction", "best"),
    [("val_accuracy", "up", 0.9), ("val_error", "down", 0.1), ("val_out_accuracy", "up", 0.9)],
)
def test_the_metric_tells_which_direction_is_better(monitor, direction, best):
    model = FakeModel()
    name = "error" if "error" in monitor else "accuracy"
    inner = SimpleNamespace(name=name, _direction=direction)
    model.metrics = [SimpleNamespace(name="compile_metrics", metrics=[inner])]
    callback = callbacks.EarlyStopping(monitor, patience=9)
    fit(model, [callback], [{monitor: value} for value in (0.5, 0.9, 0.1)])
    assert callback.best == best


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="Pass mode='max' or mode='min'"):
        fit(FakeModel(), [callbacks.EarlyStopping("val_score")], [{"val_score": 1.0}])
    with pytest.warns(UserWarning, match="mode must be 'auto', 'min' or 'max', got 'up'"):
        callbacks.EarlyStopping(mode="up")


def test_reduce_on_plateau(capsys):
    model = FakeModel()
    callback = callbacks.ReduceLROnPlateau(
        "loss", factor=0.5, patience=2, cooldown=1, min_lr=0.03, verbose=1
    )
    rates = []
    watch = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: rates.append(model.optimizer.learning_rate)
    )
    fit(model, [callback, watch], losses(*[1.0] * 9))
    assert rates == [0.1, 0.1, 0.05, 0.05, 0.03, 0.03, 0.03, 0.03, 0.03]
    assert "Epoch 3: learning rate reduced to 0.05" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"factor must be below 1, got 1\.0"):
        callbacks.ReduceLROnPlateau(factor=1.0)
    with pytest.warns(UserWarning, match="no metric 'val_f1'"):
        fit(model, [callbacks.ReduceLROnPlateau("val_f1")], losses(1.0))


@pytest.mark.parametrize(
    "schedule",
    [lambda epoch: 0.1 / (epoch + 1), lambda epoch, rate: np.float32(rate) if not epoch else 0.05],
)
def test_learning_rate_scheduler(schedule):
    model, history = FakeModel(), callbacks.History()
    model.optimizer.learning_rate = number(0.1)
    fit(model, [callbacks.LearningRateScheduler(schedule), history], losses(1.0, 1.0))
    np.testing.assert_allclose(history.history["learning_rate"], [0.1, 0.05], rtol=1e-6)


def test_learning_rate_scheduler_says_so(capsys):
    fit(FakeModel(), [callbacks.LearningRateScheduler(lambda epoch: 0.5, verbose=1)], losses(1.0))
    assert "Epoch 1: learning rate set to 0.5." in capsys.readouterr().out


def test_schedules_of_several_optimizers():
    model, history = FakeModel(), callbacks.History()
    one, two = (
        SimpleNamespace(name="a", learning_rate=1.0),
        SimpleNamespace(name="b", learning_rate=2.0),
    )
    model.optimizer = SimpleNamespace(optimizers=[one, two])
    schedule = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    fit(model, [schedule, history], losses(1.0))
    assert history.history["learning_rate_a"] == [0.5]
    assert history.history["learning_rate_b"] == [1.0]


def test_bad_schedules():
    with pytest.raises(ValueError, match="must give a float, got 1"):
        fit(FakeModel(), [callbacks.LearningRateScheduler(lambda epoch: 1)], losses(1.0))
    with pytest.raises(TypeError, match=r"schedule must be a function, got 0\.1"):
        callbacks.LearningRateScheduler(0.1)

    def broken(epoch, rate):
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        fit(FakeModel(), [callbacks.LearningRateScheduler(broken)], losses(1.0))


def test_checkpoints_have_names_by_epoch_and_metric(tmp_path):
    model = FakeModel()
    path = tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.keras"
    fit(model, [callbacks.ModelCheckpoint(path)], losses(1.0, 0.5))
    names = sorted(p.name for p in (tmp_path / "new").iterdir())
    assert names == ["01-1.00.keras", "02-0.50.keras"]


def test_only_the_best_model_is_saved(tmp_path, capsys):
    model = FakeModel()
    path = str(tmp_path / "{epoch}.keras")
    callback = callbacks.ModelCheckpoint(path, save_best_only=True, verbose=1)
    fit(model, [callback], losses(1.0, 2.0, 0.5))
    assert [p[-7:] for p in model.saved] == ["1.keras", "3.keras"]
    out = capsys.readouterr().out
    assert "Epoch 2: val_loss did not improve from 1.00000" in out
    assert "Epoch 3: val_loss improved from 1.00000 to 0.50000, saving model to" in out
    limited = callbacks.ModelCheckpoint(path, save_best_only=True, initial_value_threshold=0.6)
    model.saved.clear()
    fit(model, [limited], losses(1.0, 0.5))
    assert len(model.saved) == 1


def test_checkpoints_after_batches(tmp_path):
    model = FakeModel()
    path = str(tmp_path / "{epoch}-{batch}.weights.h5")
    callback = callbacks.ModelCheckpoint(path, save_weights_only=True, save_freq=2)
    fit(model, [callback], losses(1.0, 1.0), batches=3)
    assert [p.rpartition("/")[2] for p in model.saved] == [
        "1-2.weights.h5",
        "2-1.weights.h5",
        "2-3.weights.h5",
    ]


def test_a_checkpoint_without_the_metric_warns_and_saves(tmp_path):
    model = FakeModel()
    callback = callbacks.ModelCheckpoint(tmp_path / "a.keras", "val_f1", save_best_only=True)
    with pytest.warns(UserWarning, match="val_f1 is not there"):
        fit(model, [callback], losses(1.0))
    assert len(model.saved) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filepath": "a.txt"}, r"must end in \.keras or \.h5 for models, got 'a\.txt'"),
        ({"filepath": "a.keras", "save_weights_only": True}, r"\.weights\.h5 for weights"),
        ({"filepath": "a.keras", "save_freq": "batch"}, "save_freq must be 'epoch' or a number"),
        ({"filepath": "a.keras", "save_freq": 0}, "save_freq must be 1 or more"),
    ],
)
def test_bad_checkpoints(options, message):
    with pytest.raises(ValueError, match=message):
        callbacks.ModelCheckpoint(**options)


def test_bad_paths_of_checkpoints(tmp_path):
    with pytest.raises(KeyError, match="names 'acc', but there are only loss"):
        fit(FakeModel(), [callbacks.ModelCheckpoint("{acc}.keras")], losses(1.0))
    (tmp_path / "a.keras").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        fit(FakeModel(), [callbacks.ModelCheckpoint(tmp_path / "a.keras")], losses(1.0))


def test_swapped_averages():
    model = FakeModel()
    weight, average = number(1), number(5)
    model.optimizer.use_ema = True
    model.optimizer._trainable_variables, model.optimizer._averages = [weight], [average]
    calls = callbacks.CallbackList(callbacks.SwapEMAWeights(), model=model)
    for begin, end in (("on_test_begin", "on_test_end"), ("on_predict_begin", "on_predict_end")):
        getattr(calls, begin)()
        assert (float(weight), float(average)) == (5, 1)
        getattr(calls, end)()
        assert (float(weight), float(average)) == (1, 5)
    seen = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(float(weight)))
    fit(model, [callbacks.SwapEMAWeights(swap_on_epoch=True), look], losses(1.0, 1.0))
    assert seen == [5, 5]
    assert (float(weight), float(average)) == (5, 5)
    model.optimizer.use_ema = False
    with pytest.raises(ValueError, match="use_ema=True"):
        calls.on_test_begin()
