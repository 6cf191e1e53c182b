"""Colours changed in hue and saturation, and in all ways at once."""

from __future__ import annotations

import numpy as np

from .. import config
from ..arrays import namespace
from ..ops.colors import hsv_to_rgb, rgb_to_hsv, saturated, with_hue_turned
from .color_layer import ColorLayer
from .color_mixing import RandomBrightness, RandomContrast


class _HueLayer(ColorLayer):
    """Images as hue, saturation and value."""

    pointwise = True

    def __init__(self, factor, value_range=(0, 255), data_format=None, seed=None, **kwargs):
        super().__init__(
            factor=factor, value_range=value_range, data_format=data_format, seed=seed, **kwargs
        )

    def drawn_of(self, transformation):
        return (transformation["factor"],)

    @property
    def _axis(self):
        return 1 if self.data_format == "channels_first" else 3

    def _channels(self, images):
        """Hue, saturation and value, (n, height, width) each."""
        hsv = rgb_to_hsv(images, data_format=self.data_format)
        return namespace(hsv).unstack(hsv, axis=self._axis)

    def _together(self, *channels):
        hsv = namespace(channels[0]).stack(channels, axis=self._axis)
        return hsv_to_rgb(hsv, data_format=self.data_format)


class RandomSaturation(_HueLayer):
    """Make colours stronger or weaker, each image's by a number of its own, only in training.

    The saturation times f / (1 - f), clipped to the range of values.

    Args:
        factor: a number f, or two between which it is drawn; a single one stands for -f ... f.
            0.5 changes nothing, 0 gives grey, 1 full colour. The bounds are -1 and 1, as Keras 3.15
            has them, though less than 0 is none that its documentation knows.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images of 3 channels, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    factor_bounds = (-1, 1)

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        factor = self._uniform((self._count(data),), *self.factor, seed)
        return {"factor": factor / (1 - factor + np.float32(config.epsilon()))}

    def changed(self, images, factor):
        low, high = map(float, self.value_range)
        if low <= 0 <= high:
            return saturated(images, factor[..., 0], low, high, self._axis)
        hue, saturation, value = self._channels(images)
        saturation = namespace(saturation).clip(saturation * factor[..., 0], low, high)
        return self._together(hue, saturation, value)


class RandomHue(_HueLayer):
    """Turn the circle of colours, for each image by an angle of its own, only in training.

    The hue, from 0 to 1, plus or minus f / 2.

    Args:
        factor: a number f from 0 to 1, or two between which it is drawn; a single one stands for
            0 ... f. 0 changes nothing, 1 gives the colour opposite.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images of 3 channels, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    factor_bounds = (0, 1)

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        count = (self._count(data),)
        sign = np.where(self._uniform(count, 0.0, 1.0, seed) > 0.5, -0.5, 0.5)
        return {"factor": sign.astype(np.float32) * self._uniform(count, *self.factor, seed)}

    def changed(self, images, factor):
        low, high = map(float, self.value_range)
        made = with_hue_turned(images, factor[..., 0], low, self._axis)
        return namespace(made).clip(made, low, high)


class RandomColorJitter(ColorLayer):
    """Change brightness, contrast, saturation and hue, one after the other, only in training.

    Args:
        value_range: the numbers between which the values of images are, (0, 255) by default.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: as those of
            `RandomBrightness`, `RandomContrast`, `RandomSaturation`, `RandomHue`; None leaves one
            out.
        seed: a whole number for a repeatable sequence of draws.
        data_format: `config.image_data_format()` by default.

    Takes images of 3 channels, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    def __init__(
        self,
        value_range=(0, 255),
        brightness_factor=None,
        contrast_factor=None,
        saturation_factor=None,
        hue_factor=None,
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(value_range=value_range, data_format=data_format, seed=seed, **kwargs)
        given = {"value_range": self.value_range, "data_format": self.data_format}
        given["dtype"] = self.dtype_policy
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        factors = (brightness_factor, contrast_factor, saturation_factor, hue_factor)
        self._parts = [
            layer(factor, **given)
            for layer, factor in zip(PARTS, factors, strict=True)
            if factor is not None
        ]

    def get_random_transformation(self, data, training=True, seed=None):
        """What is drawn for each of the four that are used, in their order."""
        if not training:
            return None
        seed = self.generator if seed is None else seed
        return [part.get_random_transformation(data, seed=seed) for part in self._parts]

    def augment_images(self, images, transformation):
        for part, drawn in zip(self._parts, transformation, strict=True):
            images = part.transform_images(images, drawn)
        return self._as_computed(images)

    def get_config(self):
        config = {
            "brightness_factor": self.brightness_factor,
            "contrast_factor": self.contrast_factor,
            "saturation_factor": self.saturation_factor,
            "hue_factor": self.hue_factor,
        }
        return {**super().get_config(), **config}


PARTS = (RandomBrightness, RandomContrast, RandomSaturation, RandomHue)
