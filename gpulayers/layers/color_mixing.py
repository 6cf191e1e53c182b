"""Colours that are sums of others: brighter, with more contrast, greyer or inverted."""

from __future__ import annotations

import numpy as np

from ..arrays import devices, dtypes, plain
from ..arrays.short_floats import cast
from ..ops.colors import GREY
from ..ops.warping import Colour
from .color_layer import MatrixLayer


def numbers(drawn) -> np.ndarray:
    """What was drawn for each image as a NumPy vector of float32."""
    return np.reshape(devices.to_numpy(plain(drawn)), -1).astype(np.float32)


def diagonal(scale, offset, channels: int) -> np.ndarray:
    """Matrices (N, C, C + 1) of scale[i] times each channel plus offset[i]."""
    matrix = np.zeros((len(scale), channels, channels + 1), np.float32)
    for k in range(channels):
        matrix[:, k, k] = scale
    matrix[:, :, channels] = offset[:, None]
    return matrix


def towards_grey(part, channels: int, who: str) -> np.ndarray:
    """Matrices of colours that are part[i] of the way to grey.

    Raises ValueError unless there are three channels, or one, which is grey.
    """
    if channels not in (1, 3):
        raise ValueError(f"{who}: images must have 3 channels or 1, got {channels}.")
    matrix = diagonal(1 - part * (channels == 3), 0 * part, channels)
    if channels == 3:
        matrix[:, :, :3] += part[:, None, None] * np.asarray(GREY, np.float32)
    return matrix


class RandomBrightness(MatrixLayer):
    """Make images brighter or darker, each by a number of its own, only in training.

    x + f (high - low), clipped to the range (low, high), with f drawn for each image. Images of
    integers stay such, as in Keras 3.15, and get a whole number (Keras 3.15 goes on from 0 where
    bytes are full).

    Args:
        factor: a number f from -1 to 1, or two between which it is drawn; a single one stands for
            -f ... f. With 1 everything is white, with -1 black.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    factor_bounds = (-1, 1)
    keeps_integers = True

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(factor=factor, value_range=value_range, seed=seed, **kwargs)

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        low, high = self.value_range
        factor = self._uniform((self._count(data), 1, 1, 1), *self.factor, seed)
        return {"rgb_delta": factor * (high - low)}

    def augment_images(self, images, transformation):
        if dtypes.is_integer(images.dtype):
            transformation = {"rgb_delta": np.trunc(numbers(transformation["rgb_delta"]))}
        return super().augment_images(images, transformation)

    def colour(self, transformation, channels):
        delta = numbers(transformation["rgb_delta"])
        return Colour(diagonal(np.ones_like(delta), delta, channels), *self.value_range)


class RandomContrast(MatrixLayer):
    """Bring the values of each channel nearer to their mean, or away from it, only in training.

    (x - mean) f + mean, clipped to the range of values, with f drawn for each image.

    Args:
        factor: a number from 0 to 1, or two: f is drawn between 1 - lower and 1 + upper.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    factor_bounds = (0, 1)

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(factor=factor, value_range=value_range, seed=seed, **kwargs)

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        lower, upper = self.factor
        shape = (self._count(data), 1, 1, 1)
        return {"contrast_factor": self._uniform(shape, 1 - lower, 1 + upper, seed)}

    def colour(self, transformation, channels):
        factor = numbers(transformation["contrast_factor"])
        return Colour(diagonal(factor, 0 * factor, channels), *self.value_range, mean=1 - factor)


class RandomColorDegeneration(MatrixLayer):
    """Take colours some way to grey, each image as far as is drawn for it, only in training.

    x + f (grey - x), clipped to the range of values.

    Args:
        factor: a number f from -1 to 1, or two between which it is drawn; a single one stands for
            -f ... f. 0 changes nothing, 1 gives grey, less than 0 more colour.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images of 3 channels, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    factor_bounds = (-1, 1)

    def __init__(self, factor, value_range=(0, 255), data_format=None, seed=None, **kwargs):
        super().__init__(
            factor=factor, value_range=value_range, data_format=data_format, seed=seed, **kwargs
        )

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        return {"factor": self._uniform((self._count(data), 1, 1, 1), *self.factor, seed)}

    def colour(self, transformation, channels):
        part = numbers(transformation["factor"])
        return Colour(towards_grey(part, channels, type(self).__name__), *self.value_range)

    def compute_output_shape(self, input_shape):
        if len(input_shape) not in (3, 4):
            raise ValueError(
                "RandomColorDegeneration: images must have rank 3 (one image) or 4 (a batch), got "
                f"the shape {tuple(input_shape)}."
            )
        channels = input_shape[-3 if self.data_format == "channels_first" else -1]
        if channels not in (None, 3):
            raise ValueError(
                f"RandomColorDegeneration: images must have 3 channels, got {channels}."
            )
        return input_shape


class RandomGrayscale(MatrixLayer):
    """Turn some images grey, only in training: 0.2989 red + 0.587 green + 0.114 blue.

    Args:
        factor: the part of the images that turn grey, 0.5 by default.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images of 3 channels, or a dict of them and what belongs to them: see `RandomFlip`. The
    number of channels stays, and integers stay such, rounded down, as in Keras 3.15. Raises
    ValueError for a factor that is not from 0 to 1.
    """

    keeps_integers = True

    def __init__(self, factor=0.5, data_format=None, seed=None, **kwargs):
        super().__init__(data_format=data_format, seed=seed, **kwargs)
        if not isinstance(factor, (int, float)) or not 0 <= factor <= 1:
            raise ValueError(
                f"RandomGrayscale: factor must be a number from 0 to 1, got {factor!r}."
            )
        self.factor = factor

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        return self._uniform((self._count(data), 1, 1, 1), 0.0, 1.0, seed) < self.factor

    def augment_images(self, images, transformation):
        if not dtypes.is_integer(images.dtype):
            return super().augment_images(images, transformation)
        made = self._recoloured(images, transformation, "float32")
        return cast(made, dtypes.name(images.dtype))

    def colour(self, transformation, channels):
        return Colour(towards_grey(numbers(transformation), channels, type(self).__name__))

    def get_config(self):
        """As in Keras, without the seed."""
        config = {**super().get_config(), "factor": self.factor}
        del config["seed"], config["value_range"]
        return config


class RandomInvert(MatrixLayer):
    """Invert the colours of some images, only in training: high - x.

    Args:
        factor: a number p from 0 to 1, or two: for each image, how probable it is that it turns
            is drawn between them; a single one stands for 0 ... p. 1 by default, so that half of
            all images turn.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        seed: a whole number for a repeatable sequence of draws.
        data_format: `config.image_data_format()` by default.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    factor_bounds = (0, 1)

    def __init__(self, factor=1.0, value_range=(0, 255), seed=None, data_format=None, **kwargs):
        super().__init__(
            factor=factor, value_range=value_range, data_format=data_format, seed=seed, **kwargs
        )

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        return {"apply_inversion": self._chosen(data, seed)}

    def colour(self, transformation, channels):
        turned = numbers(transformation["apply_inversion"])
        return Colour(diagonal(1 - 2 * turned, turned * self.value_range[1], channels))
