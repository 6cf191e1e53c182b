"""Images in files, by Pillow; and folders of them as batches."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from ... import config
from ...ops import image
from .dataset import PyDataset

ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".png"}
MODES = {"grayscale": ("L", 1), "rgb": ("RGB", 3), "rgba": ("RGBA", 4)}
GRAY = {"L", "I;16", "I"}  # Of 8, 16 and 32 bits: they stay what they are.


def _pillow():
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("images in files need the package pillow.") from None
    return Image


def load_img(
    path,
    color_mode: str = "rgb",
    target_size=None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
):
    """An image file as an image of Pillow's.

    Args:
        path: a path, or an open file.
        color_mode: "grayscale", "rgb" or "rgba".
        target_size: (height, width) to resize to.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
        keep_aspect_ratio: cut the middle of that shape out first.

    Raises ValueError for another mode or interpolation.
    """
    pillow = _pillow()
    if color_mode not in MODES:
        raise ValueError(f"load_img: color_mode must be one of {[*MODES]}, got {color_mode!r}.")
    found = pillow.open(path)
    mode = MODES[color_mode][0]
    if found.mode != mode and not (color_mode == "grayscale" and found.mode in GRAY):
        found = found.convert(mode)
    found.load()
    if target_size is None:
        return found
    height, width = target_size
    ways = {way.name.lower(): way for way in pillow.Resampling}
    if interpolation not in ways:
        raise ValueError(
            f"load_img: interpolation must be one of {sorted(ways)}, got {interpolation!r}."
        )
    box = None
    if keep_aspect_ratio:
        wide, high = found.size
        cut = min(wide, high * width // height), min(high, wide * height // width)
        left, top = (wide - cut[0]) // 2, (high - cut[1]) // 2
        box = (left, top, left + cut[0], top + cut[1])
    if found.size == (width, height) and box is None:
        return found
    return found.resize((width, height), ways[interpolation], box=box)


def img_to_array(img, data_format: str | None = None, dtype=None) -> np.ndarray:
    """An image of Pillow's (or an array of two or three axes) as an array of three axes.

    data_format, dtype: `config.image_data_format()` and floatx by default.
    """
    x = np.asarray(img, dtype=dtype or config.floatx())
    if x.ndim not in (2, 3):
        raise ValueError(f"img_to_array: expected 2 or 3 axes, got the shape {x.shape}.")
    x = x[:, :, None] if x.ndim == 2 else x
    first = (data_format or config.image_data_format()) == "channels_first"
    return x.transpose(2, 0, 1) if first else x


def array_to_img(x, data_format: str | None = None, scale: bool = True, dtype=None):
    """An array of three axes as an image of Pillow's.

    Args:
        x: one, three or four channels.
        scale: whether its least and largest values become 0 and 255.
        data_format, dtype: `config.image_data_format()` and floatx by default.

    Raises ValueError for another number of axes or channels.
    """
    x = np.array(x, dtype=dtype or config.floatx())
    if x.ndim != 3:
        raise ValueError(f"array_to_img: expected 3 axes, got the shape {x.shape}.")
    if (data_format or config.image_data_format()) == "channels_first":
        x = x.transpose(1, 2, 0)
    if x.shape[2] not in (1, 3, 4):
        raise ValueError(f"array_to_img: expected 1, 3 or 4 channels, got {x.shape[2]}.")
    if scale:
        x = x - x.min()
        x = x / (x.max() or 1) * 255
    if x.shape[2] > 1:
        return _pillow().fromarray(x.astype("uint8"))
    return _pillow().fromarray(x[:, :, 0].astype("int32" if x.max() > 255 else "uint8"))


def save_img(path, x, data_format=None, file_format=None, scale: bool = True, **kwargs) -> None:
    """Write an array as an image file.

    Args:
        path: a path, or a file that is open for writing.
        x, data_format, scale: as for `array_to_img`.
        file_format: "png", "jpeg", ...; by default what the path ends in.
        kwargs: options of Pillow's `Image.save`.
    """
    if file_format is None and isinstance(path, (str, Path)):
        file_format = Path(path).suffix[1:].lower()
    file_format = "jpeg" if (file_format or "").lower() == "jpg" else file_format
    img = array_to_img(x, data_format=data_format, scale=scale)
    if img.mode == "RGBA" and file_format == "jpeg":
        img = img.convert("RGB")
    img.save(path, format=file_format, **kwargs)


class ImageFolder(PyDataset):
    """Image files as batches: images, or (images, labels)."""

    def __init__(self, paths, labels, class_names, read, batch_size, rng):
        super().__init__()
        self.file_paths, self.class_names = [str(path) for path in paths], class_names
        self._labels, self._read, self._batch_size, self._rng = labels, read, batch_size, rng
        self._places = np.arange(len(paths))

    def __len__(self):
        return math.ceil(len(self.file_paths) / (self._batch_size or 1))

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} batches, got the number {index}.")
        if self._batch_size is None:
            place = self._places[index]
            x, places = self._read(self.file_paths[place]), place
        else:
            places = self._places[index * self._batch_size : (index + 1) * self._batch_size]
            x = np.stack([self._read(self.file_paths[place]) for place in places])
        return x if self._labels is None else (x, self._labels[places])

    def __iter__(self):
        return map(self.__getitem__, range(len(self)))

    def on_epoch_end(self):
        if self._rng is not None:
            self._places = self._rng.permutation(self._places)


def image_dataset_from_directory(
    directory,
    labels="inferred",
    label_mode: str | None = "int",
    class_names: list[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
):
    """The images of a folder as a `PyDataset` with the attributes `class_names`, `file_paths`.

    Args:
        directory: with a folder for each class, unless `labels` says otherwise.
        labels: "inferred" from the folders; None for images alone; or a list of whole numbers, in
            the order of the sorted paths.
        label_mode: "int", "categorical" (rows of 0 and 1), "binary" (floats of shape (N, 1)); None.
        class_names: the folders to take, in this order; all, sorted, by default.
        color_mode: "grayscale", "rgb" or "rgba".
        batch_size: None for single images.
        image_size: (height, width) that all are resized to.
        shuffle, seed: whether the order is drawn, anew for each epoch.
        validation_split, subset: a share of the images to keep apart, and which part to give:
            "training", "validation", or "both" as a pair. Parts fit if the seed is the same.
        interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio, data_format: as of
            `ops.image.resize`.
        follow_links: whether links to folders are entered.
        format: makes no difference: there is one kind of dataset here.
        verbose: whether to print how many files are found.

    Raises ValueError for a folder without images and for options that do not fit together.
    """
    who, root = "image_dataset_from_directory", Path(directory)
    if color_mode not in MODES:
        raise ValueError(f"{who}: color_mode must be one of {[*MODES]}, got {color_mode!r}.")
    if label_mode not in ("int", "categorical", "binary", None):
        raise ValueError(f"{who}: label_mode must be 'int', 'categorical', 'binary' or None.")
    if (validation_split is None) != (subset is None) or subset not in _PARTS:
        raise ValueError(
            f"{who}: validation_split and subset ('training', 'validation' or 'both') go together, "
            f"got {validation_split!r} and {subset!r}."
        )
    if subset is not None and shuffle and seed is None:
        raise ValueError(f"{who}: parts of shuffled images need a seed, the same for both.")
    labels = None if label_mode is None else labels
    paths, numbers, class_names = _indexed(root, labels, class_names, follow_links, who)
    if label_mode == "binary" and len(class_names) != 2:
        raise ValueError(f"{who}: label_mode='binary' needs 2 classes, got {len(class_names)}.")
    if verbose:
        classes = f" belonging to {len(class_names)} classes" if numbers is not None else ""
        print(f"Found {len(paths)} files{classes}.")
    order = np.arange(len(paths))
    if shuffle:
        np.random.RandomState(seed).shuffle(order)  # Keras's order.

    def read(path):
        x = img_to_array(load_img(path, color_mode), "channels_last")
        x = image.resize(
            x, image_size, interpolation=interpolation, data_format="channels_last",
            crop_to_aspect_ratio=crop_to_aspect_ratio, pad_to_aspect_ratio=pad_to_aspect_ratio,
        )  # fmt: skip
        first = (data_format or config.image_data_format()) == "channels_first"
        return x.transpose(2, 0, 1) if first else x

    def part(which):
        kept = order
        if which is not None:
            count = len(order) - int(validation_split * len(order))
            kept = order[:count] if which == "training" else order[count:]
        rows = None if numbers is None else _coded(numbers[kept], label_mode, len(class_names))
        rng = np.random.default_rng(seed) if shuffle and which != "validation" else None
        return ImageFolder([paths[i] for i in kept], rows, class_names, read, batch_size, rng)

    return (part("training"), part("validation")) if subset == "both" else part(subset)


_PARTS = ("training", "validation", "both", None)


def _indexed(root, labels, class_names, follow_links, who):
    """Paths, class numbers (or None) and names of classes."""
    if labels == "inferred":
        found = sorted(
            path.name for path in root.iterdir() if path.is_dir() and path.name[0] != "."
        )
        if class_names is not None and not set(class_names) <= set(found):
            raise ValueError(f"{who}: class_names {class_names} are not all among {found}.")
        class_names = found if class_names is None else list(class_names)
        pairs = [
            (path, number)
            for number, name in enumerate(class_names)
            for path in _images(root / name, follow_links)
        ]
        paths, numbers = [path for path, _ in pairs], np.array([n for _, n in pairs], "int32")
    else:
        paths = _images(root, follow_links)
        numbers = None if labels is None else np.asarray(labels, "int32")
        class_names = [] if labels is None else [str(label) for label in sorted(set(labels))]
    if not paths:
        raise ValueError(f"{who}: no images ({', '.join(sorted(ENDINGS))}) in {root}.")
    if numbers is not None and len(numbers) != len(paths):
        raise ValueError(f"{who}: {len(numbers)} labels for {len(paths)} files.")
    return paths, numbers, class_names


def _images(folder, follow_links):
    """The image files under a folder, in the order of their paths."""
    walk = os.walk(folder, followlinks=follow_links)
    return sorted(
        Path(place) / name
        for place, _, names in walk
        for name in names
        if Path(name).suffix.lower() in ENDINGS
    )


def _coded(numbers, label_mode, count):
    if label_mode == "int":
        return numbers
    if label_mode == "binary":
        return numbers.astype("float32")[:, None]
    return np.eye(count, dtype="float32")[numbers]
