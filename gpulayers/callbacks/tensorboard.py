"""`TensorBoard`: metrics, weights and the model's graph as files for TensorBoard."""

from __future__ import annotations

import os
import time
import warnings

import numpy as np

from .. import config
from ..arrays import devices
from .callback import Callback


class TensorBoard(Callback):
    """Writes what happens in training for TensorBoard (`pip install tensorboard`, and
    `tensorboard --logdir logs`); nothing needs to be installed to write.

    Args:
        log_dir: folder of this run; "train" and "validation" are made in it.
        histogram_freq: after how many epochs to write histograms of the weights; 0 for never.
        write_graph: whether to write the layers of the model for the tab "Graphs".
        write_images: whether to write weights as pictures, too, with the histograms.
        write_steps_per_second: whether to write how fast training is.
        update_freq: "epoch", "batch", or a number of batches after which metrics are written.
        profile_batch: must be 0; profilers of CPU and GPU write files of their own.
        embeddings_freq: after how many epochs to write the weights of Embedding layers for the
            tab "Projector"; 0 for never.
        embeddings_metadata: file with the names of an embedding's rows, or a dict from layers'
            names to files.

    Raises ValueError for another `update_freq`, a `profile_batch` other than 0, and, when the
    model is known, for metadata of layers that do not exist.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | dict | None = None,
    ):
        super().__init__()
        if profile_batch:
            raise ValueError(
                f"TensorBoard: profile_batch must be 0, got {profile_batch!r}. Profile with "
                f"cProfile, or on a GPU with nsys."
            )
        update_freq = 1 if update_freq == "batch" else update_freq
        if update_freq != "epoch" and not (isinstance(update_freq, int) and update_freq > 0):
            raise ValueError(
                f"TensorBoard: update_freq must be 'epoch', 'batch' or a number of batches, got "
                f"{update_freq!r}."
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq, self.write_graph = histogram_freq, write_graph
        self.write_images, self.write_steps_per_second = write_images, write_steps_per_second
        self.update_freq, self.embeddings_freq = update_freq, embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self._files = {}
        self._train_batches = self._test_batches = self._epoch_batches = 0
        self._in_fit = False

    def set_model(self, model) -> None:
        """Take the model; writes its graph, and where its embeddings will be."""
        super().set_model(model)
        self._close()
        if self.write_graph:
            self._write_graph()
        if self.embeddings_freq:
            self._write_projector()

    def on_train_begin(self, logs=None):
        self._train_batches, self._in_fit = 0, True

    def on_train_end(self, logs=None):
        self._in_fit = False
        self._close()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_batches, self._epoch_start = 0, time.perf_counter()

    def on_train_batch_begin(self, batch, logs=None):
        self._batch_start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self._train_batches += 1
        self._epoch_batches += 1
        if not self._is_due(self._train_batches):
            return
        values = dict(logs or {})
        if self.write_steps_per_second:
            values["steps_per_second"] = 1.0 / (time.perf_counter() - self._batch_start)
        self._write("train", "batch_{}", values, self._train_batches)

    def on_test_batch_end(self, batch, logs=None):
        self._test_batches += 1
        if self._is_due(self._test_batches):
            self._write("validation", "batch_{}", dict(logs or {}), self._test_batches)

    def on_test_end(self, logs=None):
        iterations = getattr(getattr(self.model, "optimizer", None), "iterations", None)
        if iterations is not None:
            name = "evaluation_{}_vs_iterations"
            self._write("validation", name, dict(logs or {}), int(iterations))
        if not self._in_fit:
            self._close()

    def on_epoch_end(self, epoch, logs=None):
        logs = dict(logs or {})
        train = {name: v for name, v in logs.items() if not name.startswith("val_")}
        for suffix, optimizer in _optimizers(self.model):
            train[f"learning_rate{suffix}"] = float(optimizer.learning_rate)
        if self.write_steps_per_second:
            seconds = time.perf_counter() - self._epoch_start
            train["steps_per_second"] = self._epoch_batches / seconds
        validation = {n.removeprefix("val_"): v for n, v in logs.items() if n.startswith("val_")}
        self._write("train", "epoch_{}", train, epoch)
        self._write("validation", "epoch_{}", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings()

    def _is_due(self, batches):
        return self.update_freq != "epoch" and batches % self.update_freq == 0

    def _file(self, name):
        if name not in self._files:
            from .event_file import EventFile

            self._files[name] = EventFile(os.path.join(self.log_dir, name))
        return self._files[name]

    def _close(self):
        for file in self._files.values():
            file.close()
        self._files = {}

    def _write(self, name, tag, values, step):
        numbers = {key: v for key, v in values.items() if isinstance(v, (int, float))}
        if numbers:
            file = self._file(name)
            for key, value in numbers.items():
                file.scalar(tag.format(key), value, step)
            file.flush()

    def _write_graph(self):
        if not hasattr(self.model, "to_json"):
            return
        try:
            text = self.model.to_json()
        except (TypeError, ValueError, NotImplementedError) as error:
            warnings.warn(f"TensorBoard: the model's graph is not written: {error}", stacklevel=3)
            return
        self._file("train").text("keras", text, 0, plugin="graph_keras_model")

    def _write_weights(self, epoch):
        file = self._file("train")
        for layer in self.model.layers:
            for weight in layer.weights:
                values = devices.to_numpy(weight.value)
                file.histogram(f"{weight.path}/histogram", values, epoch)
                pixels = _picture(values) if self.write_images else None
                if pixels is not None:
                    file.image(f"{weight.path}/image", pixels, epoch)
        file.flush()

    def _embeddings(self):
        for layer in self.model.layers:
            if type(layer).__name__ in ("Embedding", "ReversibleEmbedding"):
                yield layer, f"{layer.name.replace('/', '_')}.tsv"

    def _write_projector(self):
        metadata = self.embeddings_metadata
        names = {layer.name for layer, _ in self._embeddings()}
        if isinstance(metadata, dict) and set(metadata) - names:
            raise ValueError(
                f"TensorBoard: embeddings_metadata names {sorted(set(metadata) - names)}, but the "
                f"Embedding layers are {sorted(names)}."
            )
        text = ""
        for layer, file_name in self._embeddings():
            rows = metadata.get(layer.name) if isinstance(metadata, dict) else metadata
            text += f'embeddings {{\n  tensor_name: "{layer.name}"\n  tensor_path: "{file_name}"\n'
            text += f'  metadata_path: "{rows}"\n}}\n' if rows else "}\n"
        os.makedirs(self.log_dir, exist_ok=True)
        with open(os.path.join(self.log_dir, "projector_config.pbtxt"), "w") as file:
            file.write(text)

    def _write_embeddings(self):
        for layer, file_name in self._embeddings():
            table = devices.to_numpy(layer.embeddings.value)
            path = os.path.join(self.log_dir, file_name)
            np.savetxt(path, table.astype(np.float64), "%.6g", delimiter="\t")


def _optimizers(model):
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    several = getattr(optimizer, "optimizers", None)
    if several is not None:
        return [(f"_{one.name}", one) for one in several]
    return [("", optimizer)] if hasattr(optimizer, "learning_rate") else []


def _picture(values):
    """Weights as grey pixels, wider than high; None for those that make no picture."""
    values = np.squeeze(values).astype(np.float64)
    if values.ndim == 1:
        values = values[None]
    elif values.ndim == 3 and config.image_data_format() == "channels_last":
        values = np.concatenate(np.moveaxis(values, -1, 0), axis=1)
    elif values.ndim == 3:
        values = np.concatenate(values, axis=1)
    if values.ndim != 2 or not np.isfinite(values).all():
        return None
    if values.shape[0] > values.shape[1]:
        values = values.T
    low, high = values.min(), values.max()
    return np.rint((values - low) * (255 / (high - low or 1))).astype(np.uint8)[..., None]
