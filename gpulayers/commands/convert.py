"""`gpulayers convert`: models and weights from one format to another."""

from __future__ import annotations

import os

from ..saving import hdf5, legacy_files, load_model, save_model, save_weights, tensors
from ..saving.files import blaming, replacing
from ..saving.weights_files import HDF5, WRITTEN

ONNX = ".onnx"


def convert(source, target) -> None:
    """Write what is in one file to another, in the format that its ending names.

    Args:
        source: a model (.keras, .h5), or weights alone (.weights.h5, .safetensors).
        target: for a model: .keras, .h5, .onnx, or its weights alone; for weights: .weights.h5,
            .safetensors.

    Raises ValueError for endings that do not go together; ValueError or OSError for files that
    cannot be read or written.
    """
    source, target = os.fspath(source), os.fspath(target)
    if source.endswith(WRITTEN):
        _weights(source, target)
        return
    model_ending = target.endswith((".keras", *legacy_files.ENDINGS, ONNX))
    if not target.endswith(WRITTEN) and not model_ending:
        raise ValueError(
            f"{target}: expected a name that ends in .keras, .h5, .onnx, .weights.h5 or "
            ".safetensors."
        )
    model = load_model(source, compile=not target.endswith(ONNX))
    if target.endswith(WRITTEN):
        save_weights(model, target)
    elif target.endswith(ONNX):
        model.export(target, format="onnx")
    else:
        save_model(model, target)


def _weights(source, target):
    stores = {HDF5: hdf5, tensors.ENDING: tensors}
    kinds = [next((e for e in stores if path.endswith(e)), None) for path in (source, target)]
    if None in kinds:
        raise ValueError(
            f"{source} holds weights alone, without the model that they belong to: they go to "
            f"{HDF5} or {tensors.ENDING}, got {target}."
        )
    opened = hdf5.WeightsFile if kinds[0] == HDF5 else tensors.SafeTensors
    with (
        blaming(source),
        open(source, "rb") as file,
        opened(file) as stored,
        replacing(target) as written,
    ):
        stores[kinds[1]].write(written, stored.parts())
