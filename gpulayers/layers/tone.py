"""The scale of brightness cut into few steps, turned over, stretched or spread."""

from __future__ import annotations

import numpy as np

from ..arrays import dtypes, namespace
from ..arrays.short_floats import cast
from ..ops.colors import posterized
from ..ops.histograms import equalized, locally_equalized
from .color_layer import ColorLayer
from .image_layer import in_range, per_image

BYTES = (0, 255)


class RandomPosterization(ColorLayer):
    """Keep only the highest bits of each value, as many as are drawn for an image, in training.

    Args:
        factor: how many of 8 bits are kept, a whole number from 1 to 8, or two: the number is one
            from the first to the second, without the second itself unless they are equal. A single
            one stands for 1 ... factor.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    factor_bounds = (1, 8)

    def __init__(self, factor, value_range=(0, 255), data_format=None, seed=None, **kwargs):
        super().__init__(
            factor=factor, value_range=value_range, data_format=data_format, seed=seed, **kwargs
        )

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        low, high = map(int, self.factor)
        drawn = self._uniform((self._count(data),), 0.0, 1.0, seed)
        bits = np.minimum(low + np.floor(drawn * (high - low)), max(high - 1, low))
        return {"shift_factor": (8 - bits).astype(np.uint8)}

    def augment_images(self, images, transformation):
        dtype = self._output_dtype(images)
        work = "float64" if dtype == "float64" else "float32"
        if self.value_range != BYTES or dtypes.name(images.dtype) != "uint8":
            images = in_range(cast(images, work), self.value_range, BYTES, work)
        step = 2.0 ** cast(per_image(transformation["shift_factor"], images), work)
        made = in_range(posterized(images, step), BYTES, self.value_range, work)
        return cast(made, dtype)


class Solarization(ColorLayer):
    """Turn over all values above a threshold, only in training: 255 - x.

    To x something is added before, and the threshold is that of the sum: both are drawn for each
    image. As in Keras 3.15, of two numbers that are given only the upper one is taken as a part of
    255: the sum lies between the lower number and 255 times the upper one.

    Args:
        addition_factor: a number from 0 to 1, or two; a single one stands for 0 ... f. 0 by
            default, by which nothing is added.
        threshold_factor: the same for the threshold, 0 by default: everything turns.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    pointwise = True
    computed_always = True

    def __init__(
        self,
        addition_factor=0.0,
        threshold_factor=0.0,
        value_range=(0, 255),
        seed=None,
        **kwargs,
    ):
        super().__init__(value_range=value_range, seed=seed, **kwargs)
        self.addition_factor = self._strict("addition_factor", addition_factor)
        self.threshold_factor = self._strict("threshold_factor", threshold_factor)

    def _strict(self, name, value):
        both = value if isinstance(value, (tuple, list)) else (0, value)
        if len(both) == 2 and all(isinstance(v, (int, float)) and 0 <= v <= 1 for v in both):
            return tuple(sorted(both))
        raise ValueError(
            f"Solarization: {name} must be a number, or two numbers, from 0 to 1, got {value!r}."
        )

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        shape = (self._count(data), 1, 1, 1)
        drawn = {"additions": self.addition_factor, "thresholds": self.threshold_factor}
        return {
            name: self._uniform(shape, low, high * 255, seed) for name, (low, high) in drawn.items()
        }

    def drawn_of(self, transformation):
        return transformation["additions"], transformation["thresholds"]

    def changed(self, images, addition, threshold):
        dtype, xp = dtypes.name(images.dtype), namespace(images)
        images = in_range(images, self.value_range, BYTES, dtype)
        images = xp.clip(images + addition, 0.0, 255.0)
        above = xp.astype(images >= threshold, images.dtype)
        images = images + above * (255 - 2 * images)
        return in_range(images, BYTES, self.value_range, dtype)

    def get_config(self):
        factors = {name: getattr(self, name) for name in ("addition_factor", "threshold_factor")}
        return {**super().get_config(), **factors}


class _ToneLayer(ColorLayer):
    """A layer without chance."""

    is_random = False

    def drawn_of(self, transformation):
        return ()


class AutoContrast(_ToneLayer):
    """Stretch each channel of each image over the whole range of values, also in inference.

    The least value becomes the lower bound, the greatest the upper one; a channel of one value
    stays as it is. (With channels first, Keras 3.15 takes the extremes of each column of all
    channels instead of each channel's.)

    value_range: the numbers between which the values of images are, (0, 255) by default.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    def __init__(self, value_range=(0, 255), **kwargs):
        super().__init__(value_range=value_range, **kwargs)

    def transform_images(self, images, transformation=None, training=True):
        """A batch of images, stretched, in the compute dtype."""
        return self._each(images, self.changed)

    def changed(self, images):
        xp, (low, high) = namespace(images), self.value_range
        first = self.data_format == "channels_first"
        down, across = (2, 3) if first else (1, 2)
        # One axis after the other: long rows, where three channels at a time would be slow.
        least, most = (
            f(f(images, axis=down, keepdims=True), axis=across, keepdims=True)
            for f in (xp.min, xp.max)
        )
        spread, wide = most - least, most > least
        scale = xp.where(wide, (high - low) / xp.where(wide, spread, 1.0), 1.0)
        offset = xp.where(wide, low - least * scale, 0.0)
        bounds = (low - xp.where(wide, 0.0, low - least), high - xp.where(wide, 0.0, high - most))
        if not first:
            count = images.shape[2]
            scale, offset, *bounds = (
                xp.repeat(part, count, axis=2) for part in (scale, offset, *bounds)
            )
        made = images * scale + offset
        return xp.minimum(xp.maximum(made, bounds[0]), bounds[1])


class Equalization(_ToneLayer):
    """Spread the values of each channel so that all are about as frequent, only in training.

    As in Keras 3.15, all images of a batch have one histogram for each channel together, and the
    layer, though it draws nothing, does nothing in inference: give one image at a time, and
    training=True, for what is usual elsewhere. See `ops.histograms.equalized` for the formula.

    Args:
        value_range: the numbers between which the values of images are, (0, 255) by default.
        bins: of the histograms, 256 by default.
        data_format: `config.image_data_format()` by default.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    def __init__(self, value_range=(0, 255), bins=256, data_format=None, **kwargs):
        super().__init__(value_range=value_range, data_format=data_format, **kwargs)
        if not isinstance(bins, int) or bins < 2:
            raise ValueError(f"Equalization: bins must be a whole number from 2 on, got {bins!r}.")
        self.bins = bins

    def transform_images(self, images, transformation=None, training=True):
        """A batch of images: equalized, and in the compute dtype, if `training`."""
        if not training:
            return images
        images = self._as_computed(images)
        dtype = dtypes.name(images.dtype)
        work = "float64" if dtype == "float64" else "float32"
        axis = images.ndim - (3 if self.data_format == "channels_first" else 1)
        values = in_range(cast(images, work), self.value_range, BYTES, work)
        made = equalized(values, bins=self.bins, axis=axis)
        return cast(in_range(made, BYTES, self.value_range, work), dtype)

    def get_config(self):
        return {**super().get_config(), "bins": self.bins}


class ContrastLimitedAdaptiveHistogramEqualization(_ToneLayer):
    """Spread the values around each place so that all are about as frequent, also in inference.

    See `ops.histograms.locally_equalized`: Zuiderveld, "Contrast limited adaptive histogram
    equalization", 1994.

    Args:
        value_range: the numbers between which the values of images are, (0, 255) by default.
        clip_limit: how often a level may count, as a multiple of the mean, 4 by default; 0 for no
            limit. Where all are alike, a higher limit brings out more noise.
        tile_grid_size: how many tiles an image has, (down, across), 8 times 8 by default.
        data_format: `config.image_data_format()` by default.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`; as in Keras, images
    come out in the dtype that they have. Raises ValueError for another size of the grid.
    """

    def __init__(
        self,
        value_range=(0, 255),
        clip_limit=4.0,
        tile_grid_size=(8, 8),
        data_format=None,
        **kwargs,
    ):
        super().__init__(value_range=value_range, data_format=data_format, **kwargs)
        tiles = tuple(tile_grid_size) if isinstance(tile_grid_size, (tuple, list)) else ()
        if len(tiles) != 2 or not all(isinstance(n, int) and n > 0 for n in tiles):
            raise ValueError(
                f"{type(self).__name__}: tile_grid_size must be two positive whole numbers, got "
                f"{tile_grid_size!r}."
            )
        self.clip_limit, self.tile_grid_size = clip_limit, tiles

    def _output_dtype(self, images):
        return dtypes.name(images.dtype)

    def transform_images(self, images, transformation=None, training=True):
        """A batch of images, equalized around each place, in their dtype."""
        return self._each(images, self.changed)

    def changed(self, images):
        dtype, first = dtypes.name(images.dtype), self.data_format == "channels_first"
        images = in_range(images, self.value_range, BYTES, dtype)
        images = namespace(images).moveaxis(images, 1, 3) if first else images
        made = locally_equalized(images, self.clip_limit, self.tile_grid_size)
        made = namespace(made).moveaxis(made, 3, 1) if first else made
        return in_range(made, BYTES, self.value_range, dtype)

    def get_config(self):
        config = {"clip_limit": self.clip_limit, "tile_grid_size": self.tile_grid_size}
        return {**super().get_config(), **config}
