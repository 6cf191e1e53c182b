"""Parts of images."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..ops.box_formats import boxes_of, clip_to_image_size, convert_format, sides, within
from ..ops.resize import resize
from ..ops.warping import Geometry, warp
from .image_layer import SizedLayer, beside
from .random_geometry import host, identities


class Cut(NamedTuple):
    """Where the parts of images begin, numbers or (N,) each, and the shape of the images."""

    top: Any
    left: Any
    input_shape: tuple


class _Crop(SizedLayer):
    """A layer that gives parts of images."""

    def _part(self, cut) -> Geometry:
        """The parts of images that begin there."""
        matrix = identities(cut.input_shape[0] if len(cut.input_shape) == 4 else 1)
        matrix[:, 0, 2], matrix[:, 1, 2] = host(cut.left), host(cut.top)
        return Geometry(matrix, exact=True, size=(self.height, self.width))

    def _sliced(self, images, top, left):
        """The same part of all images, as far as they reach."""
        height, width = self._size(images)
        rows = slice(top, min(top + self.height, height))
        columns = slice(left, min(left + self.width, width))
        first = self.data_format == "channels_first"
        return images[(..., rows, columns)] if first else images[..., rows, columns, :]

    def _resized(self, images):
        """The largest part in the middle that has the wanted ratio, resized."""
        size, layout = (self.height, self.width), self.data_format
        return resize(images, size, crop_to_aspect_ratio=True, data_format=layout)

    def _cut_boxes(self, bounding_boxes, shape, top, left, rows, columns):
        """Boxes within parts of so many rows and columns, which become of the wanted sizes."""
        height, width = self._size_of(shape)
        boxes = convert_format(
            bounding_boxes, self.bounding_box_format, "xyxy", height=height, width=width
        )
        x1, y1, x2, y2 = sides(boxes["boxes"])
        top, left = (beside(host(v).reshape(-1, 1, 1), x1) for v in (top, left))
        x1, x2 = (within(x - left, 0, columns) * (self.width / columns) for x in (x1, x2))
        y1, y2 = (within(y - top, 0, rows) * (self.height / rows) for y in (y1, y2))
        sizes = {"height": self.height, "width": self.width}
        boxes = clip_to_image_size({**boxes, "boxes": boxes_of(x1, y1, x2, y2)}, **sizes)
        return convert_format(boxes, "xyxy", self.bounding_box_format, **sizes)

    def transform_segmentation_masks(self, segmentation_masks, transformation, training=True):
        return self.transform_images(segmentation_masks, transformation, training)


def largest_part(height, width, target_height, target_width):
    """Top, left, height and width of the largest part in the middle of the ratio of the target."""
    rows = max(min(height, int(width * target_height / target_width)), 1)
    columns = max(min(width, int(height * target_width / target_height)), 1)
    return (height - rows) // 2, (width - columns) // 2, rows, columns


class CenterCrop(_Crop):
    """The middle of images.

    Images that are smaller than that are resized: the largest part in their middle that has the
    ratio of the wanted sizes.

    Args:
        height, width: the sizes of the results.
        data_format: `config.image_data_format()` by default.
        bounding_box_format: of boxes in the inputs, which are cut, too.

    Raises ValueError unless the sizes are positive, TypeError unless they are integers.
    """

    is_random = False

    def __init__(self, height, width, data_format=None, **kwargs):
        super().__init__(height, width, data_format=data_format, **kwargs)

    def get_random_transformation(self, data, training=True, seed=None):
        return {"input_shape": tuple(self._images_of(data).shape)}

    def _start(self, shape):
        """Where the middle begins (top, left); None if the images are too small."""
        height, width = self._size_of(shape)
        down, across = height - self.height, width - self.width
        return (down // 2, across // 2) if down >= 0 and across >= 0 else None

    def transform_images(self, images, transformation=None, training=True):
        start = self._start(images.shape)
        if start is None:
            return self._resized(self._as_computed(images))
        return self._as_computed(self._sliced(images, *start))

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        shape = transformation["input_shape"]
        rows, columns, start = self.height, self.width, self._start(shape)
        if start is None:
            *start, rows, columns = largest_part(*self._size_of(shape), self.height, self.width)
        return self._cut_boxes(bounding_boxes, shape, *start, rows, columns)

    def geometry(self, transformation, height, width):
        shape = transformation["input_shape"]
        start = self._start(shape)
        return None if start is None else self._part(Cut(*start, shape))


class RandomCrop(_Crop):
    """Random parts of images, in training.

    Each image of a batch is cut elsewhere (in Keras 3.15, all in one place). Images that are not
    larger than that in both directions are cut around their middle, and resized if they are
    smaller. In inference images stay as they are, as in Keras 3.15, though its documentation says
    that they are resized: `Resizing` or `CenterCrop` give them the size of those in training. What
    belongs to them stays, too (Keras 3.15 cuts masks nevertheless). Symbolic shapes are those of
    training, as in Keras.

    Args:
        height, width: the sizes of the results.
        seed: a whole number for a repeatable sequence of draws.
        data_format: `config.image_data_format()` by default.
        bounding_box_format: of boxes in the inputs, which are moved and cut as the images are
            (Keras 3.15 moves them to the left by what the image is moved up, and does not cut
            them below and on the right).

    Raises ValueError unless the sizes are positive, TypeError unless they are integers.
    """

    def __init__(self, height, width, seed=None, data_format=None, name=None, **kwargs):
        how = {"seed": seed, "data_format": data_format}
        super().__init__(height, width, name=name, **how, **kwargs)

    def get_random_transformation(self, data, training=True, seed=None):
        shape = tuple(self._images_of(data).shape)
        height, width = self._size_of(shape)
        if not training or height <= self.height or width <= self.width:
            return Cut(*largest_part(height, width, self.height, self.width)[:2], shape)
        room = np.array([[height - self.height + 1], [width - self.width + 1]], np.float32)
        starts = self._uniform((2, self._count(data)), 0.0, room, seed)
        return Cut(*starts.astype(np.int32), shape)

    def _reaches(self, shape) -> bool:
        height, width = self._size_of(shape)
        return height >= self.height and width >= self.width

    def transform_images(self, images, transformation, training=True):
        if not training:
            return images
        top, left = transformation[:2]
        how = {"data_format": self.data_format}
        if self._reaches(images.shape):  # They are cast as they are copied.
            cut = Cut(top, left, tuple(images.shape))
            return warp(images, self._part(cut), dtype=self._output_dtype(images), **how)
        part = self._as_computed(self._sliced(images, int(top), int(left)))
        return resize(part, (self.height, self.width), **how)

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        if not training:
            return bounding_boxes
        top, left, shape = transformation
        height, width = self._size_of(shape)
        rows, columns = self.height, self.width
        if not self._reaches(shape):
            rows, columns = min(height - int(top), rows), min(width - int(left), columns)
        return self._cut_boxes(bounding_boxes, shape, top, left, rows, columns)

    def geometry(self, transformation, height, width):
        return self._part(transformation) if self._reaches(transformation.input_shape) else None
