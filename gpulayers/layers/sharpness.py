"""Images made sharper or blurred."""

from __future__ import annotations

import numpy as np

from ..arrays import namespace
from ..ops.filtering import filtered
from ..ops.padding import pad
from .color_layer import ColorLayer


class RandomSharpness(ColorLayer):
    """Make images sharper or softer, each as far as is drawn for it, only in training.

    x + (1 - 2 f) (s - x), clipped to the range of values, where s is the mean of 3 x 3 pixels in
    which the middle one counts five times; what lies outside of the image is 0.

    Args:
        factor: a number f from 0 to 1, or two between which it is drawn; a single one stands for
            0 ... f. 0.5 changes nothing, 0 gives s, 1 what is as far from s on the other side.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`.
    """

    factor_bounds = (0, 1)
    computed_always = True

    def __init__(self, factor, value_range=(0, 255), data_format=None, seed=None, **kwargs):
        super().__init__(
            factor=factor, value_range=value_range, data_format=data_format, seed=seed, **kwargs
        )

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        return {"factor": self._uniform((self._count(data),), *self.factor, seed)}

    def drawn_of(self, transformation):
        return (transformation["factor"],)

    def changed(self, images, factor):
        down = 2 if self.data_format == "channels_first" else 1
        margins = [(1, 1) if axis in (down, down + 1) else (0, 0) for axis in range(4)]
        around = filtered(filtered(pad(images, margins), (1, 1, 1), down), (1, 1, 1), down + 1)
        # With s = (around + 4 x) / 13.
        part = (1 - 2 * factor) / 13
        made = images * (1 - 9 * part) + around * part
        return namespace(made).clip(made, *map(float, self.value_range))


class RandomGaussianBlur(ColorLayer):
    """Blur some images with a bell of weights, only in training.

    Args:
        factor: a number p from 0 to 1, or two: for each image, how probable it is that it is
            blurred is drawn between them; a single one stands for 0 ... p. 1 by default, so that
            half of all images are.
        kernel_size: how many pixels the bell spans, odd: a number, or two, of which the first is
            that across, as Keras 3.15 computes on NumPy and JAX. 3 by default.
        sigma: its width in pixels, from 0 to 1: a number s for 0 ... s, or two; one across and one
            down are drawn for all images together. 1 by default.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`. Pixels beyond the
    edges count as 0. Raises ValueError for factors out of bounds and for even sizes.
    """

    factor_bounds = (0, 1)
    computed_always = True

    def __init__(
        self,
        factor=1.0,
        kernel_size=3,
        sigma=1.0,
        value_range=(0, 255),
        data_format=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            factor=factor, value_range=value_range, data_format=data_format, seed=seed, **kwargs
        )
        sizes = kernel_size if isinstance(kernel_size, (tuple, list)) else (kernel_size,) * 2
        if len(sizes) != 2 or not all(isinstance(n, (int, float)) and n % 2 == 1 for n in sizes):
            raise ValueError(
                "RandomGaussianBlur: kernel_size must be an odd number, or two, got "
                f"{kernel_size!r}."
            )
        self.kernel_size = tuple(sizes)
        self.sigma = self._bounds("sigma", sigma, self.factor_bounds)

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        blurred = self._chosen(data, seed)
        widths = self._uniform((2,), *self.sigma, seed) + np.float32(1e-6)
        return {"should_apply_blur": blurred, "blur_factor": widths}

    def augment_images(self, images, transformation):
        across, down = (float(width) for width in transformation["blur_factor"])
        bells = [_bell(int(self.kernel_size[1]), down), _bell(int(self.kernel_size[0]), across)]
        return self._each(
            images, lambda part, chosen: self._blurred(part, chosen, bells),
            transformation["should_apply_blur"],
        )  # fmt: skip

    def _blurred(self, images, chosen, bells):
        first = 2 if self.data_format == "channels_first" else 1
        made = images
        for axis, bell in enumerate(bells, first):
            size = len(bell)
            margins = [(size // 2, size // 2) if a == axis else (0, 0) for a in range(4)]
            made = filtered(pad(made, margins), bell, axis)
        xp = namespace(made)
        return xp.clip(xp.where(chosen > 0, made, images), *map(float, self.value_range))

    def get_config(self):
        config = {"kernel_size": self.kernel_size, "sigma": self.sigma}
        return {**super().get_config(), **config}


def _bell(size, sigma):
    """Weights of a bell, of which those far from a narrow one may be 0 altogether."""
    t = np.arange(size) - (size - 1) / 2
    weights = np.exp(-np.minimum(0.5 * (t / sigma) ** 2, 700.0))
    return weights / weights.sum()
