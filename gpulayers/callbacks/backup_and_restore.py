"""`BackupAndRestore`: a training run that was interrupted goes on where it was."""

from __future__ import annotations

import os

from . import training_state
from .callback import Callback
from .model_checkpoint import BatchFrequency


class BackupAndRestore(Callback):
    """Saves the state of training, and goes on from there when `fit` is run again.

    The state is that of the weights, the optimizer, all random numbers and the metrics, with the
    epoch and the batch (see `training_state`). `fit` with the same arguments then gives the same
    weights as if it had never been interrupted; data from generators must itself be given from the
    place on. The file is removed when `fit` ends.

    Args:
        backup_dir: a folder for this run's backup alone; made if it is missing.
        save_freq: "epoch", or a number of batches; False saves nothing by itself.
        double_checkpoint: whether the backup before the last is kept, for a file that is damaged.
        delete_checkpoint: whether the backup is removed when `fit` ends.

    Raises ValueError for an empty `backup_dir` or another `save_freq`, and when `fit` begins, for a
    model that is not built.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike,
        save_freq: str | int | bool = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        super().__init__()
        if not backup_dir:
            raise ValueError("BackupAndRestore: backup_dir must not be empty.")
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._frequency = BatchFrequency(
            "BackupAndRestore", "epoch" if save_freq is False else save_freq
        )
        self._path = os.path.join(self.backup_dir, "training_state.npz")
        self._previous = self._path + ".bkp"
        self._epoch = 0
        self._randoms = None

    def on_train_begin(self, logs=None):
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore: the model must be built before fit: give it an Input, or call "
                "it on a batch of data."
            )
        progress = self._restored()
        if progress is not None:
            # `fit` begins at this epoch, and leaves out as many of its batches.
            self.model._initial_epoch = progress["epoch"]
            self.model._initial_batch = progress["batch"]

    def _restored(self):
        import zipfile

        for path in (self._path, self._previous):
            if not os.path.exists(path):
                continue
            try:
                return training_state.load(self.model, path)
            except (OSError, EOFError, KeyError, zipfile.BadZipFile):
                if path == self._previous or not os.path.exists(self._previous):
                    raise
        return None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        # The order of the epoch's samples is drawn after this.
        self._randoms = training_state.random_states()

    def on_train_batch_end(self, batch, logs=None):
        if self._frequency.is_due(batch):
            self._save(self._randoms, epoch=self._epoch, batch=batch + 1)

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch":
            self._save(training_state.random_states(), epoch=epoch + 1, batch=0)

    def on_train_end(self, logs=None):
        self.model._initial_epoch, self.model._initial_batch = None, 0
        if self.delete_checkpoint:
            for path in (self._path, self._previous):
                if os.path.exists(path):
                    os.unlink(path)
            if os.path.isdir(self.backup_dir) and not os.listdir(self.backup_dir):
                os.rmdir(self.backup_dir)

    def _save(self, randoms, **progress):
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and os.path.exists(self._path):
            os.replace(self._path, self._previous)
        training_state.save(self.model, self._path, randoms, **progress)
