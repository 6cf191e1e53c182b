"""Calls of layers of colours that gpulayers and real Keras are compared on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ColorCase(NamedTuple):
    """`layers.<layer>(**options).transform_images(images, drawn)`; `key` names its result.

    drawn: what was drawn for the images, {} for layers that draw nothing.
    """

    key: str
    layer: str
    options: dict
    images: np.ndarray
    drawn: dict


def photographs(range_=(0, 255), dtype="float32", first=False, channels=3, size=(9, 12), count=3):
    """Smooth images of all colours with some noise, the same ones wherever this runs."""
    random = np.random.RandomState(count)
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    shape = (count, 1, 1, channels)
    waves = np.sin(6 * random.random_sample(shape) * y[..., None] + 5 * random.random_sample(shape))
    waves = waves + np.cos(7 * random.random_sample(shape) * x[..., None])
    values = 0.5 + 0.2 * waves + 0.1 * random.random_sample((count, *size, channels))
    values = np.clip(values, 0, 1) * (range_[1] - range_[0]) + range_[0]
    values = np.moveaxis(values, -1, 1) if first else values
    return np.ascontiguousarray(values.astype(dtype))


def per_image(*values):
    return np.array(values, np.float32).reshape(-1, 1, 1, 1)


FACTORS = per_image(0.3, 1.0, 0.0)
VECTOR = FACTORS.reshape(-1)
LINEAR = {  # The layer, its arguments, and what is drawn.
    "RandomBrightness": ({"factor": 0.5}, {"rgb_delta": 0.4}),
    "RandomContrast": ({"factor": 0.5}, {"contrast_factor": 1.0}),
    "RandomColorDegeneration": ({"factor": 0.5}, {"factor": 1.0}),
    "RandomHue": ({"factor": 0.5}, {"factor": 1.0}),
    "RandomSaturation": ({"factor": 0.5}, {"factor": 1.5}),
    "RandomSharpness": ({"factor": 0.5}, {"factor": 1.0}),
}


def color_cases():
    """All cases."""
    count = {}
    for layer, options, images, drawn in (*_drawn(), *_tones(), *_equalizations(), *_others()):
        number = count[layer] = count.get(layer, -1) + 1
        yield ColorCase(f"{layer}_{number}", layer, options, images, drawn)


def _inputs():
    for range_ in ((0, 255), (0, 1), (-20, 200)):
        yield range_, False, photographs(range_)
    yield (0, 255), True, photographs(first=True)


def _layout(first):
    return {"data_format": "channels_first" if first else "channels_last"}


def _drawn():
    for layer, (options, drawn) in LINEAR.items():
        for range_, first, images in _inputs():
            given = {**options, "value_range": range_, **_layout(first)}
            ((name, scale),) = drawn.items()
            flat = layer in ("RandomHue", "RandomSaturation", "RandomSharpness")
            values = (VECTOR if flat else FACTORS) * np.float32(scale)
            if layer == "RandomBrightness":
                values = (values - 0.2) * np.float32(range_[1] - range_[0])
            if layer == "RandomHue":
                values = values - np.float32(0.4)
            yield layer, given, images, {name: values}
    for range_, first, images in _inputs():
        chosen = np.array([True, False, True])
        given = {"value_range": range_, **_layout(first)}
        yield "RandomInvert", given, images, {"apply_inversion": chosen}


def _tones():
    for range_, first, images in _inputs():
        given = {"value_range": range_, **_layout(first)}
        shifts = np.array([3, 7, 0], np.uint8)
        yield "RandomPosterization", {"factor": 4, **given}, images, {"shift_factor": shifts}
        drawn = {"additions": FACTORS * 50, "thresholds": FACTORS[::-1] * 200}
        yield "Solarization", given, images, drawn
        if not first:
            yield "AutoContrast", given, images, {}
    flat = photographs()
    flat[1, :, :, 0] = 40
    yield "AutoContrast", {}, flat, {}
    yield "AutoContrast", {}, photographs(dtype="uint8"), {}


def _equalizations():
    for range_, first, images in _inputs():
        given = {"value_range": range_, **_layout(first)}
        yield "Equalization", given, images, {}
        yield "Equalization", {**given, "bins": 16}, images, {}
    yield "Equalization", {}, np.full((2, 4, 4, 1), 7, np.float32), {}
    for options, size in (
        ({}, (16, 24)), ({"tile_grid_size": (2, 3)}, (9, 13)), ({"clip_limit": 0.0}, (8, 8)),
        ({"tile_grid_size": (3, 2), "clip_limit": 1.5}, (20, 5)), ({}, (4, 3)),
    ):  # fmt: skip
        for range_ in ((0, 255), (0, 1)):
            x = photographs(range_, size=size, channels=2, count=2)
            name = "ContrastLimitedAdaptiveHistogramEqualization"
            yield name, {**options, "value_range": range_}, x, {}
    x = photographs(first=True, size=(16, 8))
    yield name, {"tile_grid_size": (2, 2), **_layout(True)}, x, {}
    yield name, {"tile_grid_size": (2, 2)}, photographs(dtype="int32", size=(16, 8)), {}


def _others():
    chosen = np.array([True, False, True])
    for range_, first, images in _inputs():
        given = {"value_range": range_, **_layout(first)}
        for size in (3, (5, 3)):
            drawn = {"should_apply_blur": chosen, "blur_factor": np.array([0.8, 0.5], np.float32)}
            yield "RandomGaussianBlur", {"kernel_size": size, **given}, images, drawn
        sides = np.array([[1.5, 0, 3], [7, 12, 3.5], [0, 2.2, 4], [3, 8.9, 9]], np.float32)
        drawn = {"apply_erasing": chosen, "boxes": list(sides), "fill_value": np.float32(0.5)}
        yield "RandomErasing", {"fill_value": 0.5, **given}, images, drawn
        order = np.array([2, 0, 1])
        drawn = {"permutation_order": order, "boxes": list(sides), "mix_weight": VECTOR}
        yield "CutMix", _layout(first), images, drawn
        drawn = {"permutation_order": order, "mix_weight": VECTOR}
        yield "MixUp", _layout(first), images, drawn
