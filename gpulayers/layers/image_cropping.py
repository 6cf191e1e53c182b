"""Parts of images."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import tree
from ..arrays import Abstract, KerasTensor, dtypes, is_array, random
from ..arrays.short_floats import cast
from ..ops.box_formats import boxes_of, clip_to_image_size, convert_format, sides, within
from ..ops.cutting import parts
from ..ops.resize import resize
from ..ops.warping import Geometry
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

    def _cut(self, images, top, left, dtype):
        """Copies of parts of images, cast as they are copied."""
        size = (self.height, self.width)
        return parts(images, top, left, size, dtype, self.data_format)

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
    ratio of the wanted sizes. Where nothing is to be cast, the result is a view: it shares memory
    with the images.

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
        dtype = self._output_dtype(images)
        if dtypes.name(images.dtype) == dtype:
            return self._sliced(images, *start)
        return self._cut(images, *start, dtype)

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
    smaller. In inference images stay as they are, in their own dtype, as in Keras 3.15, though its
    documentation says that they are resized: `Resizing` or `CenterCrop` give them the size of those
    in training. What belongs to them stays, too (Keras 3.15 cuts masks nevertheless). Symbolic
    shapes and dtypes are those of training, as in Keras.

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
        self.autocast = False  # They are cast as they are cut.

    def _arrays_of(self, args, kwargs):
        dtype = self._working_dtype(args) or self.compute_dtype

        def convert(x):
            known = is_array(x) and not isinstance(x, KerasTensor)
            return cast(x, dtype) if known and dtypes.name(x.dtype) == "float64" else x

        return tree.map_structure(convert, super()._arrays_of(args, kwargs))

    def _compute(self, args, kwargs, arrays):
        of_shapes = any(type(x) is Abstract for x in tree.leaves(list(arrays.values())))
        if not of_shapes and not (args[1:] or [kwargs.get("training", True)])[0]:
            return self.call(*args, **kwargs)
        return super()._compute(args, kwargs, arrays)

    def get_random_transformation(self, data, training=True, seed=None):
        shape = tuple(self._images_of(data).shape)
        height, width = self._size_of(shape)
        if not training or height <= self.height or width <= self.width:
            return Cut(*largest_part(height, width, self.height, self.width)[:2], shape)
        room = [height - self.height + 1], [width - self.width + 1]
        source = self.generator if seed is None else seed
        return Cut(*random.below(room, (2, self._count(data)), source), shape)

    def _reaches(self, shape) -> bool:
        height, width = self._size_of(shape)
        return height >= self.height and width >= self.width

    def transform_images(self, images, transformation, training=True):
        if not training:
            return images
        top, left = transformation[:2]
        if self._reaches(images.shape):
            return self._cut(images, top, left, self._output_dtype(images))
        part = self._as_computed(self._sliced(images, int(top), int(left)))
        return resize(part, (self.height, self.width), data_format=self.data_format)

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
