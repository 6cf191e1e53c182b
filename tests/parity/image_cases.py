"""Calls of `ops.image` that gpulayers and real Keras are compared on: names, inputs, options."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LAYOUTS = [(form, batch) for form in ("channels_last", "channels_first") for batch in (True, False)]
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
FILLS = ("constant", "nearest", "wrap", "mirror", "reflect")


class ImageCase(NamedTuple):
    """One call: `ops.image.<function>(*arrays, **options)`; `key` names its results."""

    key: str
    function: str
    arrays: tuple
    options: dict


def values(*shape, dtype="float32", seed=0):
    """Numbers from 0 to 1, or integers up to 255, the same ones wherever this runs."""
    numbers = np.random.RandomState(seed).random_sample(shape)
    return (numbers * 256 if dtype != "float32" else numbers).astype(dtype)


def images(layout="channels_last", batch=True, dtype="float32", size=(4, 5), channels=2):
    shape = (*size, channels) if layout == "channels_last" else (channels, *size)
    return values(*((2,) if batch else ()), *shape, dtype=dtype)


def cotangent(shape):
    """The weights of a result in the sum whose gradient is compared."""
    return np.cos(np.arange(np.prod(shape))).reshape(shape).astype("float32")


def image_cases():
    """All cases, with keys that say which is which."""
    seen = {}
    for part in (_resized, _moved, _seen, _mapped, _filtered, _coloured, _cut, _scaled):
        for function, arrays, options in part():
            count = seen[function] = seen.get(function, -1) + 1
            arrays = arrays if isinstance(arrays, tuple) else (arrays,)
            yield ImageCase(f"{function}_{count}", function, arrays, options)


def _resized():
    for i, (layout, batch) in enumerate(LAYOUTS):
        for dtype in ("float32", "uint8"):
            x = images(layout, batch, dtype)
            for interpolation in INTERPOLATIONS:
                options = {"interpolation": interpolation, "data_format": layout}
                for size in ((7, 6), (3, 2)) if i == 0 else ((4, 8),):
                    yield "resize", (x,), {"size": size, **options}
                if i == 0 and interpolation != "nearest":
                    yield "resize", (x,), {"size": (3, 2), "antialias": True, **options}
            for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
                for size in ((5, 3), (2, 6)):
                    options = {"size": size, name: True, "data_format": layout}
                    yield "resize", (x,), options
    x = images(channels=1)
    yield "resize", (x,), {"size": (9, 3), "pad_to_aspect_ratio": True, "fill_value": 0.5}
    yield "resize", (x,), {"size": (4, 5)}
    yield "resize", (images(size=(1, 1)),), {"size": (3, 2)}
    yield "resize", (images(size=(3, 4)),), {"size": (1, 1), "antialias": True}


# No pixel of these falls in the middle between two, where backends differ.
BENT = np.array([1.1313, 0.1217, -0.3719, -0.2111, 0.9347, 0.4153, 0, 0], "float32")
FAR = np.array([-1.7313, 0.4171, 9.3371, 0.6113, 2.1717, -8.2379, 0, 0], "float32")


def _moved():
    for fill in FILLS:
        for interpolation in ("nearest", "bilinear"):
            options = {"interpolation": interpolation, "fill_mode": fill, "fill_value": 0.25}
            yield "affine_transform", (images(), np.stack([BENT, FAR])), options
            far = FAR[None].repeat(2, 0)
            yield "affine_transform", (images(dtype="uint8"), far), {**options, "fill_value": 7}
    for layout, batch in LAYOUTS:
        x = images(layout, batch)
        transform = np.stack([BENT, FAR]) if batch else BENT
        yield "affine_transform", (x, transform), {"data_format": layout}


def _seen():
    start = np.array([[0, 0], [4, 0], [0, 3], [4, 3]], "float32")
    end = np.array([[0.4, -0.3], [3.6, 0.7], [-0.8, 3.7], [4.3, 2.2]], "float32")
    for layout, batch in LAYOUTS:
        for interpolation in ("nearest", "bilinear"):
            x = images(layout, batch)
            points = (np.stack([start, end]), np.stack([end, start])) if batch else (start, end)
            options = {"interpolation": interpolation, "fill_value": 0.5, "data_format": layout}
            yield "perspective_transform", (x, *points), options
    yield "perspective_transform", (images(batch=False, dtype="uint8"), start, end), {}


def _mapped():
    for rank in (1, 2, 3):
        shape = (4, 5, 3)[:rank]
        places = values(rank, 3, 4, seed=1) * 18 - 7
        for dtype in ("float32", "int32", "uint8"):
            for fill in FILLS if rank == 2 else ("constant", "reflect"):
                for order in (0, 1):
                    options = {"order": order, "fill_mode": fill, "fill_value": 3}
                    x = values(*shape, dtype=dtype)
                    yield "map_coordinates", (x, places), options


def _filtered():
    for layout, batch in LAYOUTS:
        options = {"data_format": layout}
        x = images(layout, batch)
        yield "gaussian_blur", (x,), options
        for size, sigma in (((5, 3), (0.7, 1.9)), ((3, 7), (2.0, 0.5))):
            yield "gaussian_blur", (x,), {"kernel_size": size, "sigma": sigma, **options}
        if batch:  # Keras takes nothing else.
            yield "sobel_edges", (x,), options
        small = {"filter_size": 3, "filter_sigma": 0.9, "k1": 0.02, "max_val": 2.0}
        yield "ssim", (x, x * x), {**small, **options}
    x = images(size=(11, 12))
    yield "ssim", (x, x * 0.7 + 0.1), {}


def _coloured():
    for layout, batch in LAYOUTS:
        options = {"data_format": layout}
        for function in ("rgb_to_grayscale", "rgb_to_hsv", "hsv_to_rgb"):
            yield function, (images(layout, batch, channels=3),), options
        for dtype in ("uint8", "int32"):
            yield "rgb_to_grayscale", (images(layout, batch, dtype, channels=3),), options


def _cut():
    for layout, batch in LAYOUTS:
        options = {"data_format": layout}
        for dtype in ("float32", "uint8"):
            x = images(layout, batch, dtype)
            margins = {"top_padding": 1, "left_padding": 2, "bottom_padding": 0}
            yield "pad_images", (x,), {**margins, "target_width": 8, **options}
            margins = {"top_cropping": 1, "left_cropping": 2, "right_cropping": 1}
            yield "crop_images", (x,), {**margins, "target_height": 2, **options}
        x = images(layout, batch)
        for size, strides, dilation in ((2, None, 1), ((3, 2), (1, 2), 1), (2, 1, 2)):
            for padding in ("valid", "same"):
                how = {"strides": strides, "dilation_rate": dilation, "padding": padding}
                yield "extract_patches", (x,), {"size": size, **how, **options}
        shape = (3, 4, 5, 2) if layout == "channels_last" else (2, 3, 4, 5)
        volumes = values(*((2,) if batch else ()), *shape)
        for strides, padding in ((None, "valid"), ((1, 2, 3), "same")):
            how = {"size": (2, 3, 2), "strides": strides, "padding": padding}
            yield "extract_patches_3d", (volumes,), {**how, **options}


def _scaled():
    scale, moved = np.array([1.4, 0.6], "float32"), np.array([0.7, -0.3], "float32")
    for method in ("linear", "cubic", "lanczos3", "lanczos5"):
        for antialias in (True, False):
            options = {"output_shape": (2, 6, 4, 2), "spatial_dims": (1, 2), "scale": scale}
            options.update(translation=moved, method=method, antialias=antialias)
            yield "scale_and_translate", (images(),), options
