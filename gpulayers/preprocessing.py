"""Older places of functions of `utils`.  The names of `keras.preprocessing`."""

from __future__ import annotations

from types import SimpleNamespace

from . import utils
from .utils import image_dataset_from_directory, timeseries_dataset_from_array

sequence = SimpleNamespace(pad_sequences=utils.pad_sequences)
image = SimpleNamespace(
    array_to_img=utils.array_to_img,
    img_to_array=utils.img_to_array,
    load_img=utils.load_img,
    save_img=utils.save_img,
)

__all__ = ["image", "image_dataset_from_directory", "sequence", "timeseries_dataset_from_array"]
