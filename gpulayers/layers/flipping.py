"""Images turned over."""

from __future__ import annotations

from ..arrays import namespace
from ..ops.box_formats import boxes_of, clip_to_image_size, convert_format, sides
from ..ops.warping import Geometry, warp
from .image_layer import ImageLayer, beside
from .random_geometry import host, identities

MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(ImageLayer):
    """Turn half of the images over: left and right change places, top and bottom, or both.

    Only in training. With both, an image is turned in both directions or in none, as in Keras.

    Args:
        mode: "horizontal", "vertical" or "horizontal_and_vertical" (the default).
        seed: a whole number for a repeatable sequence of decisions.
        data_format: `config.image_data_format()` by default.
        bounding_box_format: of boxes in the inputs, which turn over too and are clipped to the
            images (Keras 3.15 leaves what lies beyond the right and lower edges).

    Images and their segmentation masks, of any dtype, come out in the compute dtype.

    Raises ValueError for another mode.
    """

    def __init__(self, mode="horizontal_and_vertical", seed=None, data_format=None, **kwargs):
        super().__init__(data_format=data_format, seed=seed, **kwargs)
        if mode not in MODES:
            raise ValueError(f"RandomFlip: mode must be one of {', '.join(MODES)}, got {mode!r}.")
        self.mode = mode

    @property
    def _across(self) -> bool:
        return self.mode != "vertical"

    @property
    def _down(self) -> bool:
        return self.mode != "horizontal"

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        flips = self._uniform((self._count(data), 1, 1, 1), 0.0, 1.0, seed) <= 0.5
        return {"flips": flips, "input_shape": tuple(self._images_of(data).shape)}

    def transform_images(self, images, transformation, training=True):
        if not training or transformation is None:
            return self._as_computed(images)
        geometry = self.geometry(transformation, *self._size(images))
        dtype = self._output_dtype(images)  # They are cast as they are copied.
        return warp(images, geometry, dtype=dtype, data_format=self.data_format)

    def transform_segmentation_masks(self, segmentation_masks, transformation, training=True):
        return self.transform_images(segmentation_masks, transformation, training)

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        if not training or transformation is None:
            return bounding_boxes
        height, width = self._size_of(transformation["input_shape"])
        sizes = {"height": height, "width": width}
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "rel_xyxy", **sizes)
        x1, y1, x2, y2 = sides(boxes["boxes"])
        left, right = (1 - x2, 1 - x1) if self._across else (x1, x2)
        top, bottom = (1 - y2, 1 - y1) if self._down else (y1, y2)
        turned = boxes_of(left, top, right, bottom)
        flips = beside(transformation["flips"], turned)[..., 0]
        boxes["boxes"] = namespace(turned).where(flips, turned, boxes["boxes"])
        boxes = clip_to_image_size(boxes, bounding_box_format="rel_xyxy")
        return convert_format(boxes, "rel_xyxy", self.bounding_box_format, **sizes)

    def geometry(self, transformation, height, width):
        flips = host(transformation["flips"]).reshape(-1) > 0
        matrix = identities(len(flips))
        if self._across:
            matrix[flips, 0] = -1, 0, width - 1
        if self._down:
            matrix[flips, 1] = 0, -1, height - 1
        return Geometry(matrix, exact=True)

    def get_config(self):
        return {**super().get_config(), "mode": self.mode}
