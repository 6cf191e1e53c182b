"""A run that was interrupted ends with the weights of one that was not."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

import gpulayers
from gpulayers import callbacks, layers, models, optimizers
from gpulayers.callbacks import training_state

X = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
EPOCHS, BATCHES = 4, 5


class Crash(RuntimeError):
    pass


class CrashAt(callbacks.Callback):
    def __init__(self, epoch, batch):
        super().__init__()
        self.at, self.epoch = (epoch, batch), None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise Crash


def new_model(seed, units=8):
    gpulayers.utils.clear_session()
    gpulayers.utils.set_random_seed(seed)
    model = models.Sequential(
        [
            layers.Input((5,)),
            layers.Dense(units, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(2, activation="softmax"),
        ]
    )
    optimizer = optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, *found):
    return model.fit(X, Y, batch_size=8, epochs=EPOCHS, verbose=0, callbacks=list(found))


@pytest.fixture(scope="module")
def uninterrupted():
    model = new_model(1)
    history = fit(model)
    return model.get_weights(), history.history


@pytest.mark.parametrize(
    ("save_freq", "crash", "epochs_left"),
    [("epoch", (2, 1), 2), ("epoch", (0, 3), 4), (3, (2, 4), 2), (1, (1, 4), 3), (2, (3, 0), 1)],
)
def test_a_run_goes_on_as_if_never_interrupted(
    tmp_path, uninterrupted, save_freq, crash, epochs_left
):
    folder = tmp_path / "backup"

    def backup():
        return callbacks.BackupAndRestore(folder, save_freq)

    if save_freq == "epoch" and crash[0] == 0:  # Nothing was saved: it begins anew.
        seed = 1
    else:
        seed = 999  # Another process, with other weights and other random numbers.
    with pytest.raises(Crash):
        fit(new_model(1), backup(), CrashAt(*crash))
    model = new_model(seed)
    history = fit(model, backup())
    weights, whole = uninterrupted
    for ours, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert len(history.epoch) == epochs_left
    assert history.epoch[-1] == EPOCHS - 1
    np.testing.assert_array_equal(history.history["loss"], whole["loss"][-epochs_left:])
    np.testing.assert_array_equal(history.history["accuracy"], whole["accuracy"][-epochs_left:])
    assert not folder.exists()
    assert len(fit(model).epoch) == EPOCHS  # The next run begins at its beginning.


def test_the_backup_can_be_kept(tmp_path):
    fit(new_model(1), callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False))
    assert os.listdir(tmp_path) == ["training_state.npz"]


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fit(new_model(1), callbacks.BackupAndRestore(tmp_path))
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_damaged_backup_falls_back_to_the_one_before(tmp_path):
    with pytest.raises(Crash):
        fit(
            new_model(1),
            callbacks.BackupAndRestore(tmp_path, double_checkpoint=True),
            CrashAt(3, 0),
        )
    path = tmp_path / "training_state.npz"
    assert sorted(os.listdir(tmp_path)) == ["training_state.npz", "training_state.npz.bkp"]
    path.write_bytes(path.read_bytes()[:100])
    history = fit(new_model(1), callbacks.BackupAndRestore(tmp_path))
    assert history.epoch == [2, 3]


def test_a_damaged_backup_alone_is_an_error(tmp_path):
    (tmp_path / "training_state.npz").write_bytes(b"nonsense")
    with pytest.raises(OSError, match="is damaged"):
        fit(new_model(1), callbacks.BackupAndRestore(tmp_path))


def test_a_backup_of_another_model_changes_nothing(tmp_path):
    with pytest.raises(Crash):
        fit(new_model(1), callbacks.BackupAndRestore(tmp_path), CrashAt(1, 0))
    other = new_model(1, units=9)
    before = other.get_weights()
    with pytest.raises(ValueError, match=r"weights of shape \(5, 8\) where .* of shape \(5, 9\)"):
        fit(other, callbacks.BackupAndRestore(tmp_path))
    for weight, old in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_a_failing_write_leaves_the_old_backup(tmp_path, monkeypatch):
    model = new_model(1)
    path = str(tmp_path / "state.npz")
    training_state.save(model, path, training_state.random_states(), epoch=1)
    whole = Path(path).read_bytes()

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        training_state.save(model, path, training_state.random_states(), epoch=2)
    assert os.listdir(tmp_path) == ["state.npz"]
    assert Path(path).read_bytes() == whole


def test_random_states_go_back():
    states = training_state.random_states()
    draw = gpulayers.random.normal
    first = random.random(), np.random.random(), np.asarray(draw((2,))).tolist()
    training_state.set_random_states(states)
    assert (random.random(), np.random.random(), np.asarray(draw((2,))).tolist()) == first


def test_models_must_be_built(tmp_path):
    calls = callbacks.CallbackList(
        callbacks.BackupAndRestore(tmp_path), model=models.Sequential([layers.Dense(2)])
    )
    with pytest.raises(ValueError, match="the model must be built before fit"):
        calls.on_train_begin()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backup_dir": ""}, "backup_dir must not be empty"),
        ({"backup_dir": "x", "save_freq": "batch"}, "save_freq must be 'epoch'"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        callbacks.BackupAndRestore(**options)
