"""Images of another size."""

from __future__ import annotations

from ..arrays import dtypes, namespace
from ..arrays.short_floats import cast
from ..ops.box_formats import boxes_of, clip_to_image_size, convert_format, sides
from ..ops.resize import require_way, resize
from .image_layer import SizedLayer


class Resizing(SizedLayer):
    """Images resized, by the rules of `ops.image.resize`.

    Args:
        height, width: the sizes of the results.
        interpolation: "bilinear" (the default), "nearest", "bicubic", "lanczos3", "lanczos5" or
            "area" (the mean of what a pixel covers, which Keras 3.15 does not have).
        crop_to_aspect_ratio: cut the middle of the images to the ratio of the results first.
        pad_to_aspect_ratio: add margins of `fill_value` up to that ratio first.
        fill_mode: only "constant".
        fill_value: 0 by default.
        antialias: when shrinking, widen the kernel to the size of an output pixel.
        data_format: `config.image_data_format()` by default.
        bounding_box_format: of boxes in the inputs; boxes of four 0 or four -1 stand for none, and
            become four 0.

    Images keep their dtype; integers are rounded, and clipped to what it can hold. Segmentation
    masks are read at the nearest pixels.

    Raises ValueError for sizes that are not positive, other names, and for cropping and padding at
    once, TypeError for sizes that are no integers.
    """

    is_random = False

    def __init__(
        self,
        height,
        width,
        interpolation="bilinear",
        crop_to_aspect_ratio=False,
        pad_to_aspect_ratio=False,
        fill_mode="constant",
        fill_value=0.0,
        antialias=False,
        data_format=None,
        **kwargs,
    ):
        super().__init__(height, width, data_format=data_format, **kwargs)
        self.interpolation, self.antialias = interpolation, bool(antialias)
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode, self.fill_value = fill_mode, fill_value
        require_way(interpolation, fill_mode, crop_to_aspect_ratio, pad_to_aspect_ratio)

    def get_random_transformation(self, data, training=True, seed=None):
        return self._size(data)

    def transform_images(self, images, transformation=None, training=True):
        return self._resized(cast(images, self._output_dtype(images)), self.interpolation)

    def transform_segmentation_masks(self, segmentation_masks, transformation=None, training=True):
        return self._resized(segmentation_masks, "nearest")

    def _resized(self, images, interpolation):
        return resize(
            images,
            (self.height, self.width),
            interpolation=interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )

    def _output_dtype(self, images):
        """That of the images, but for floats in a layer of integers, as Keras casts them."""
        if dtypes.is_floating(images.dtype) and not dtypes.is_floating(self.compute_dtype):
            return self.compute_dtype
        return dtypes.name(images.dtype)

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        height, width = transformation
        given = bounding_boxes["boxes"]
        xp = namespace(given)
        none = xp.all(given == -1, axis=-1, keepdims=True)
        none = none | xp.all(given == 0, axis=-1, keepdims=True)
        boxes = convert_format(
            bounding_boxes, self.bounding_box_format, "xyxy", height=height, width=width
        )
        (across, left), (down, top) = self._scales(height, width)
        x1, y1, x2, y2 = sides(boxes["boxes"])
        boxes["boxes"] = boxes_of(
            x1 * across + left, y1 * down + top, x2 * across + left, y2 * down + top
        )
        sizes = {"height": self.height, "width": self.width}
        boxes = clip_to_image_size(boxes, **sizes)
        boxes["boxes"] = xp.where(none, xp.zeros_like(boxes["boxes"]), boxes["boxes"])
        return convert_format(boxes, "xyxy", self.bounding_box_format, **sizes)

    def _scales(self, height, width):
        """What places are multiplied by, and what is added to them, across and down."""
        across, down = self.width / width, self.height / height
        if self.pad_to_aspect_ratio:
            across = down = min(across, down)
            left, top = ((self.width - width * across) // 2, (self.height - height * down) // 2)
        elif self.crop_to_aspect_ratio:
            across = down = max(across, down)
            left, top = (-((width * across - self.width) // 2),
                         -((height * down - self.height) // 2))  # fmt: skip
        else:
            left = top = 0.0
        return (across, left), (down, top)

    def get_config(self):
        names = ("interpolation", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_mode",
                 "fill_value", "antialias")  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
