"""What layers of colours have in common."""

from __future__ import annotations

from ..arrays import dtypes
from ..arrays.short_floats import cast
from ..ops.each_image import each_image
from ..ops.warping import warp
from .image_layer import ImageLayer, per_image


class ColorLayer(ImageLayer):
    """A layer that changes the colours of images, and nothing of what belongs to them.

    A subclass defines, for what is not a `Colour`,
        changed(images, *drawn): a part of a batch, as float32 or float64 numbers, after the change;
            `drawn` are arrays (n, 1, 1, 1).
        drawn_of(transformation): these, (N,) or (N, 1, 1, 1) each.

    Args:
        value_range: the two numbers between which the values of images are, (0, 255) by default.
    """

    pointwise = False  # Whether no pixel depends on others.
    computed_always = (
        False  # Whether images are in the compute dtype in inference too, as in Keras.
    )

    def __init__(self, value_range=(0, 255), **kwargs):
        super().__init__(**kwargs)
        self.value_range = self._checked_range(value_range)

    def _checked_range(self, value):
        if (
            isinstance(value, (tuple, list))
            and len(value) == 2
            and all(isinstance(v, (int, float)) for v in value)
            and value[0] != value[1]
        ):
            return tuple(sorted(value))
        raise ValueError(
            f"{type(self).__name__}: value_range must be two different numbers, got {value!r}."
        )

    def transform_images(self, images, transformation=None, training=True):
        """A batch of images: changed as was drawn, and in the compute dtype, if `training`."""
        if training and transformation is not None:
            return self.augment_images(images, transformation)
        return self._as_computed(images) if self.computed_always else images

    def augment_images(self, images, transformation):
        return self._each(images, self.changed, *self.drawn_of(transformation))

    def _each(self, images, function, *drawn):
        """A function of images in float32, or float64 if that is the compute dtype."""
        dtype = self._output_dtype(images)
        work = "float64" if dtype == "float64" else "float32"
        if dtypes.name(images.dtype) in ("float16", "bfloat16"):
            images = cast(images, work)

        def in_work(part, *values):
            return cast(function(cast(part, work), *values), dtype)

        drawn = [cast(per_image(values, images), work) for values in drawn]
        rows = (2 if self.data_format == "channels_first" else 1) if self.pointwise else None
        return each_image(images, *drawn, function=in_work, dtype=dtype, rows=rows)

    def get_config(self):
        return {**super().get_config(), "value_range": self.value_range}


class MatrixLayer(ColorLayer):
    """A layer of colours that is a `Colour`: new ones are sums of old ones."""

    def augment_images(self, images, transformation):
        return self._recoloured(images, transformation, self._output_dtype(images))

    def _recoloured(self, images, transformation, dtype):
        axis = -3 if self.data_format == "channels_first" else -1
        colour = self.colour(transformation, images.shape[axis])
        return warp(images, colours=[colour], dtype=dtype, data_format=self.data_format)
