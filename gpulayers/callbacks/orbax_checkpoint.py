"""`OrbaxCheckpoint`: the state of training saved by Orbax, in the background if wanted."""

from __future__ import annotations

import json
import os
import warnings

from .. import registry
from .model_checkpoint import BatchFrequency
from .monitor import MonitorCallback


class OrbaxCheckpoint(MonitorCallback):
    """Saves weights, optimizer and metrics as Orbax checkpoints, in the layout that Keras reads.

    A checkpoint holds the nested dict "pytree" (variables by their paths) and, unless weights alone
    are saved, "model_config". Its number is the epoch's, or with `save_freq` in batches how many
    batches have been trained.

    Args:
        directory: where to; each checkpoint is a folder in it.
        monitor: the metric that tells the best model.
        verbose: not used.
        save_best_only: whether only a model that is better than all before is saved.
        mode: "min" if less is better, "max" if more is, "auto" to ask the metric.
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: the value that the first model to be saved must be better than.
        max_to_keep: how many of the latest checkpoints stay; None for all.
        save_on_background: whether training goes on while a checkpoint is written.
        save_weights_only: whether to leave out the optimizer, the metrics and the configuration.

    Raises ImportError without orbax-checkpoint, ValueError for another kind of `save_freq`.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ):
        super().__init__(monitor, mode, initial_value_threshold)
        self.directory = os.path.abspath(directory)
        self.verbose, self.save_best_only, self.save_freq = verbose, save_best_only, save_freq
        self.max_to_keep, self.save_on_background = max_to_keep, save_on_background
        self.save_weights_only = save_weights_only
        self._frequency = BatchFrequency("OrbaxCheckpoint", save_freq)
        self._batches = 0
        self._pending = []
        self.checkpointer = self._new_checkpointer()

    def _new_checkpointer(self):
        training = _orbax().training
        keep = None
        if self.max_to_keep is not None:
            keep = training.preservation_policies.LatestN(self.max_to_keep)
        return training.Checkpointer(
            directory=self.directory,
            preservation_policy=keep,
            save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
        )

    def set_model(self, model) -> None:
        """Take the model; batches are counted from those its optimizer has seen."""
        super().set_model(model)
        if getattr(model, "optimizer", None) is not None:
            self._batches = int(model.optimizer.iterations)

    def on_train_batch_end(self, batch, logs=None):
        self._batches += 1
        if self._frequency.is_due(batch) and self._is_wanted(logs):
            self._save(self._batches)

    def on_epoch_end(self, epoch, logs=None):
        if self.save_freq == "epoch" and self._is_wanted(logs):
            self._save(epoch)

    def on_train_end(self, logs=None):
        self.wait_until_finished()
        self.checkpointer.close()

    def wait_until_finished(self) -> None:
        """Wait until all checkpoints are written; raises what went wrong in the background."""
        pending, self._pending = self._pending, []
        for saved in pending:
            saved.result()

    def _is_wanted(self, logs):
        if not self.save_best_only:
            return True
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"OrbaxCheckpoint: there is no metric {self.monitor!r} to tell the best model by; "
                f"nothing is saved.",
                stacklevel=3,
            )
            return False
        if not self._is_improvement(value, self.best):
            return False
        self.best = value
        return True

    def _save(self, step):
        state = {"pytree": self._variables()}
        if not self.save_weights_only:
            config = json.dumps(registry.serialize(self.model))
            state["model_config"] = {"config": config}
        if self.save_on_background:
            self._pending.append(self.checkpointer.save_checkpointables_async(step, state))
        else:
            self.checkpointer.save_checkpointables(step, state)

    def _variables(self):
        model = self.model
        groups = {
            "trainable_variables": model.trainable_variables,
            "non_trainable_variables": model.non_trainable_variables,
        }
        if not self.save_weights_only:
            groups["optimizer_variables"] = model.optimizer.variables
            groups["metrics_variables"] = model.metrics_variables
        return {group: _by_path(variables) for group, variables in groups.items()}


def _by_path(variables):
    tree = {}
    for variable in variables:
        *folders, name = variable.path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        if name in place:
            raise ValueError(
                f"OrbaxCheckpoint: two variables have the path {variable.path!r}; give layers "
                f"names of their own."
            )
        value = variable.numpy()
        place[name] = value if value.ndim else value.item()
    return tree


def _orbax():
    try:
        from orbax.checkpoint import v1
    except ImportError as error:
        raise ImportError(
            "OrbaxCheckpoint needs Orbax: pip install orbax-checkpoint. ModelCheckpoint and "
            "BackupAndRestore need nothing."
        ) from error
    return v1
