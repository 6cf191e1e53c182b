"""Parts of images covered."""

from __future__ import annotations

import numpy as np

from ..arrays import dtypes, namespace, random
from ..arrays.short_floats import cast
from ..ops.mixing import pasted
from .color_layer import ColorLayer
from .image_layer import beside


def boxes_beside(boxes, images, chosen=None):
    """Drawn boxes, four vectors of sides, as `pasted` takes them: none where not chosen."""
    sides = [np.asarray(side, np.float32).reshape(-1) for side in boxes]
    if chosen is not None:
        sides = [np.where(chosen, side, 0) for side in sides]
    return beside(np.stack(sides, axis=1), images)


def drawn_box(layer, size: int, part, seed):
    """Where boxes of a part of an axis begin and end, (N,) each, anywhere along it."""
    length = part * np.float32(size)
    start = layer._uniform(length.shape, 0.0, 1.0, seed) * (size - length)
    return start, start + length


class RandomErasing(ColorLayer):
    """Cover a rectangle in some images, only in training.

    Zhong, Zheng, Kang, Li and Yang, "Random erasing data augmentation", 2017.

    Args:
        factor: a number p from 0 to 1, or two: for each image, how probable it is that it gets a
            rectangle is drawn between them; a single one stands for 0 ... p. 1 by default, so that
            half of all images do.
        scale: two numbers from 0 to 1; the squares of height and of width, as parts of the image's,
            are drawn between them. (0.02, 0.33) by default.
        fill_value: the colour of the rectangle, a number or three of them; None, the default, for
            numbers of a normal distribution times the upper bound of the range, drawn for each
            pixel. All are clipped to the range.
        value_range: the numbers between which the values of images are, (0, 255) by default.
        seed: a whole number for a repeatable sequence of draws.
        data_format: `config.image_data_format()` by default.

    Takes images, or a dict of them and what belongs to them: see `RandomFlip`. Raises ValueError
    for factors out of bounds, and for another fill value.
    """

    factor_bounds = (0, 1)
    computed_always = True

    def __init__(
        self,
        factor=1.0,
        scale=(0.02, 0.33),
        fill_value=None,
        value_range=(0, 255),
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(
            factor=factor, value_range=value_range, data_format=data_format, seed=seed, **kwargs
        )
        self.scale = self._bounds("scale", scale, (0, 1))
        colours = fill_value if isinstance(fill_value, (tuple, list)) else [fill_value] * 3
        if len(colours) != 3 or not all(v is None or isinstance(v, (int, float)) for v in colours):
            raise ValueError(
                "RandomErasing: fill_value must be a number, three numbers or None, got "
                f"{fill_value!r}."
            )
        self.fill_value = fill_value

    def get_random_transformation(self, data, training=True, seed=None):
        """Which images get a rectangle, the rectangles' sides, and what fills them."""
        if not training:
            return None
        height, width = self._size(data)
        parts = np.sqrt(self._uniform((self._count(data), 2), *self.scale, seed))
        boxes = [
            *drawn_box(self, width, parts[:, 0], seed), *drawn_box(self, height, parts[:, 1], seed)
        ]  # fmt: skip
        chosen = self._chosen(data, seed)
        return {
            "apply_erasing": chosen,
            "boxes": boxes,
            "fill_value": self._filling(data, chosen, boxes, seed),
        }

    def _filling(self, data, chosen, boxes, seed):
        """What fills rectangles: noise that repeats over an image with none twice in its rectangle.

        Only as many numbers are drawn as the largest rectangle has: they take longer than the rest.
        """
        if self.fill_value is not None:
            return np.clip(np.asarray(self.fill_value, np.float32), *self.value_range)
        if not chosen.any():
            return np.float32(0)
        images = self._images_of(data)
        size, x0, x1, y0, y1 = self._size(data), *(side[chosen] for side in boxes)
        period = [
            min(max(int(np.ceil((end - start).max())), 1), length)
            for start, end, length in zip((y0, x0), (y1, x1), size, strict=True)
        ]
        down = 2 if self.data_format == "channels_first" else 1
        shape, times = [int(chosen.sum()), *images.shape[-3:]], [1] * 4
        shape[down : down + 2] = period
        times[down : down + 2] = (-(-n // p) for n, p in zip(size, period, strict=True))
        seed = self.generator if seed is None else seed
        drawn = random.normal(tuple(shape), 0.0, self.value_range[1], "float32", seed, like=images)
        xp, which = namespace(drawn), np.maximum(np.cumsum(chosen) - 1, 0)
        drawn = xp.clip(drawn, *map(float, self.value_range))
        drawn = xp.tile(xp.take(drawn, beside(which, drawn), axis=0), tuple(times))
        within = (slice(None),) * down + tuple(map(slice, size))
        return drawn[(*within, ...)]

    def augment_images(self, images, transformation):
        images, first = self._as_computed(images), self.data_format == "channels_first"
        filling = transformation["fill_value"]
        if isinstance(filling, (np.generic, int, float)):
            filling = np.asarray(filling)
        filling = cast(beside(filling, images), dtypes.name(images.dtype))
        if filling.ndim == 1 and first:
            filling = namespace(filling).reshape(filling, (-1, 1, 1))
        boxes = boxes_beside(transformation["boxes"], images, transformation["apply_erasing"])
        return pasted(images, filling, boxes, first=first)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "fill_value": self.fill_value}
