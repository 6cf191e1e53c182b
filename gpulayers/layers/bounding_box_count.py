"""As many bounding boxes in every image."""

from __future__ import annotations

from ..arrays import Abstract, namespace
from . import arguments
from .image_layer import ImageLayer


class MaxNumBoundingBoxes(ImageLayer):
    """Bounding boxes cut, or filled up, to a fixed number for each image.

    Args:
        max_number: the number.
        fill_value: what boxes and labels that are added consist of; -1 by default.
        bounding_box_format: of the boxes.

    All else passes unchanged. Raises ValueError unless the number is positive, TypeError unless it
    is an integer.
    """

    is_random = False

    def __init__(self, max_number, fill_value=-1, **kwargs):
        super().__init__(**kwargs)
        self.max_number = arguments.whole("MaxNumBoundingBoxes", "max_number", int(max_number))
        self.fill_value = int(fill_value)

    def transform_images(self, images, transformation=None, training=True):
        return images

    def transform_bounding_boxes(self, bounding_boxes, transformation=None, training=True):
        return {key: self._counted(value) for key, value in bounding_boxes.items()}

    def _counted(self, x):
        missing = self.max_number - x.shape[1]
        if missing <= 0:
            return x[:, : self.max_number, ...]
        xp, shape = namespace(x), (x.shape[0], missing, *x.shape[2:])
        return xp.concat([x, xp.full(shape, self.fill_value, dtype=x.dtype)], axis=1)

    def _abstract(self, data):
        if not isinstance(data, dict) or "bounding_boxes" not in data:
            return data
        boxes = {
            key: Abstract((x.shape[0], self.max_number, *x.shape[2:]), x.dtype)
            for key, x in data["bounding_boxes"].items()
        }
        return {**data, "bounding_boxes": boxes}

    def compute_output_shape(self, input_shape):
        if not isinstance(input_shape, dict) or "bounding_boxes" not in input_shape:
            return input_shape
        boxes = input_shape["bounding_boxes"]
        if set(boxes) - {"boxes", "labels"}:
            raise KeyError(
                "MaxNumBoundingBoxes: bounding_boxes may hold 'boxes' and 'labels', got "
                f"{sorted(boxes)}."
            )
        counted = {key: (s[0], self.max_number, *s[2:]) for key, s in boxes.items()}
        return {**input_shape, "bounding_boxes": counted}

    def get_config(self):
        own = {"max_number": self.max_number, "fill_value": self.fill_value}
        return {**super().get_config(), **own}
