"""Runs that were broken off, and go on in another process: nothing tells them from whole ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gpulayers
from gpulayers import callbacks, layers, losses, models, optimizers

X = np.random.default_rng(0).normal(size=(44, 5)).astype(np.float32)
Y = np.stack([X[:, 0] > 0, X[:, 1] > 0], 1).astype(np.float32)
IMPORTANCE = np.linspace(0.5, 2, 36, dtype="float32")
EPOCHS, BATCHES = 4, 5


def new_model(seed):
    """A model with all that a run has: random layers, a schedule, statistics, averages."""
    gpulayers.utils.clear_session()
    gpulayers.utils.set_random_seed(seed)
    model = models.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.4),
            layers.GaussianNoise(0.1),
            layers.Dense(2),
        ]
    )
    rate = optimizers.schedules.CosineDecay(0.02, 15, warmup_target=0.05, warmup_steps=4)
    model.compile(
        optimizers.AdamW(rate, use_ema=True, ema_momentum=0.9, clipnorm=1.0),
        losses.BinaryCrossentropy(from_logits=True),
        metrics=["mae"],
        weighted_metrics=["binary_accuracy", gpulayers.metrics.AUC(num_thresholds=20)],
    )
    return model


class BreakOff(callbacks.Callback):
    """Calls a function at a batch of an epoch, or (batch None) between it and the next one."""

    def __init__(self, epoch, batch, how):
        super().__init__()
        self.epoch, self.batch, self.how, self.now = epoch, batch, how, None

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch
        if self.batch is None and epoch == self.epoch + 1:
            self.how()

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.epoch, self.batch):
            self.how()


class Broken(RuntimeError):
    pass


def broken():
    raise Broken


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def fit(model, *more):
    """The history of a run, as a dictionary."""
    found = model.fit(
        X[:36],
        Y[:36],
        batch_size=8,
        epochs=EPOCHS,
        verbose=0,
        shuffle=True,
        sample_weight=IMPORTANCE,
        validation_data=(X[36:], Y[36:]),
        callbacks=list(more),
    )
    return found.history


def state(model):
    return [np.asarray(v) for v in (*model.variables, *model.optimizer.variables)]


def backup(folder, frequency):
    return callbacks.BackupAndRestore(folder, frequency)


@pytest.fixture(scope="module")
def whole():
    model = new_model(1)
    return fit(model), state(model)


def same_as(whole, history, found):
    expected, values = whole
    assert history.keys() == expected.keys()
    for key, numbers in history.items():
        assert numbers == expected[key][-len(numbers) :], key
    assert len(found) == len(values)
    for one, other in zip(found, values, strict=True):
        np.testing.assert_array_equal(one, other)


PLACES = [("epoch", 1, 2), ("epoch", 1, None), (1, 2, 3), (2, 1, 3), (2, 2, None), (1, 3, 4)]


@pytest.mark.parametrize(("frequency", "epoch", "batch"), PLACES)
def test_an_exception(tmp_path, whole, frequency, epoch, batch):
    with pytest.raises(Broken):
        fit(new_model(1), backup(tmp_path, frequency), BreakOff(epoch, batch, broken))
    model = new_model(999)  # Other weights, and other random numbers.
    history = fit(model, backup(tmp_path, frequency))
    same_as(whole, history, state(model))


def test_several_in_one_run(tmp_path, whole):
    for place in ((0, 1), (0, 3), (2, None), (3, 0)):
        with pytest.raises(Broken):
            fit(new_model(sum(place[:1]) + 1), backup(tmp_path, 1), BreakOff(*place, broken))
    model = new_model(999)
    history = fit(model, backup(tmp_path, 1))
    same_as(whole, history, state(model))


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(("frequency", "epoch", "batch"), [("epoch", 1, None), (1, 2, 3)])
def test_a_killed_process(tmp_path, whole, frequency, epoch, batch):
    place = [str(tmp_path / "backup"), frequency, epoch, batch]
    for last, code in ((False, -signal.SIGKILL), (True, 0)):
        text = json.dumps([*place, str(tmp_path / "found.npz"), last])
        paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
        run = subprocess.run(
            [sys.executable, __file__, text],
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == code, run.stderr
    with np.load(tmp_path / "found.npz") as file:
        values = [file[f"arr_{i}"] for i in range(len(file.files) - 1)]
        same_as(whole, json.loads(str(file["history"])), values)


def main(folder, frequency, epoch, batch, found, last):
    """One of two processes: the first is killed, the second ends the run."""
    model = new_model(999 if last else 1)
    more = [] if last else [BreakOff(epoch, batch, killed)]
    history = fit(model, backup(folder, frequency), *more)
    np.savez(found, *state(model), history=np.array(json.dumps(history)))


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
