"""Kernels of images: read at other places, changed in colour."""

from __future__ import annotations

import numpy as np
import pytest
from capture_checks import fitted
from kernel_checks import kind

from gpulayers import config, layers
from gpulayers.cuda import image as kernels
from gpulayers.layers.image_passes import through
from gpulayers.ops.cutting import cut, parts
from gpulayers.ops.warping import warped

MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
STEPS = {"uint8": 1, "float32": 2e-3, "float16": 0.13, "bfloat16": 1.1}  # At values up to 255.


def images(*shape, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(kind(dtype))


def turned(n, zoom=1.2, far=0.0):
    made = np.zeros((n, 3, 3), np.float32)
    for i in range(n):
        cos, sin = np.cos(0.4 + i), np.sin(0.4 + i)
        made[i] = [[zoom * cos, -zoom * sin, 2 + i], [sin, cos, -1.5 - i], [far, -far, 1]]
    return made


def colours(stages, n, channels):
    random = np.random.default_rng(3)
    made = random.normal(0, 0.3, (stages, n, channels, channels + 1)).astype(np.float32)
    made[..., range(channels), range(channels)] += 1
    return made


def check(cupy, x, *arrays, order="C", **how):
    """Against NumPy's version, which does the same steps, in float32."""
    dtype = how.pop("dtype", None) or x.dtype.name
    there = cupy.asarray(x)
    if order == "first":
        there = cupy.asarray(np.ascontiguousarray(np.moveaxis(x, 3, 1))).transpose(0, 2, 3, 1)
    elif order == "view":
        spaced = np.zeros((*x.shape[:2], x.shape[2] * 2, x.shape[3] + 1), x.dtype)
        spaced[:, :, ::2, 1:] = x
        there = cupy.asarray(spaced)[:, :, ::2, 1:]
    given = [None if a is None else cupy.asarray(a) for a in arrays]
    out = warped.version("cupy")(there, *given, dtype=dtype, **how)
    assert out is not NotImplemented
    assert out.dtype == kind(dtype)
    wide = x.astype(np.float32) if x.dtype.name in ("float16", "bfloat16") else x
    kept = "uint8" if dtype == "uint8" else "float32"
    expected = warped(wide, *arrays, dtype=kept, **how)
    out = out.get().astype(np.float32)
    assert out.shape == expected.shape
    near = np.abs(out - expected.astype(np.float32)) <= STEPS[dtype]
    assert near.mean() > 0.999  # Roundings may move a place across a pixel's edge.
    if dtype == "uint8":
        assert np.mean(out == expected) > 0.99


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_places(cupy, mode, interpolation):
    x, how = images(2, 17, 16, 3), {"fill_mode": mode, "fill_value": 9.0}
    for far in (0.0, 0.01):
        check(cupy, x, turned(2, far=far), interpolation=interpolation, dtype="float32", **how)
    one = images(2, 1, 1, 3)
    check(cupy, one, turned(2), interpolation=interpolation, size=(3, 5), **how)


def test_moves(cupy):
    moves = np.random.default_rng(1).normal(0, 3, (2, 2, 17, 16)).astype(np.float32)
    for interpolation in ("nearest", "bilinear"):
        how = {"interpolation": interpolation, "fill_mode": "mirror", "dtype": "float32"}
        check(cupy, images(2, 17, 16, 3), turned(2), None, None, moves, **how)


@pytest.mark.parametrize("constants", kernels.INSTANCES, ids=str)
def test_dtypes(cupy, constants):
    x = images(2, 15, 17, 3, dtype=constants["T"])
    check(cupy, x, turned(2), fill_mode="reflect", dtype=constants["Y"])
    how = {"clips": ((0.0, 255.0), (None, None)), "dtype": constants["Y"]}
    check(cupy, x, turned(2), colours(2, 2, 3), **how)


@pytest.mark.parametrize("pixels", [255, 256, 257, 1])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_sizes(cupy, pixels, channels):
    x = images(3, 9, 10, channels)
    check(cupy, x, turned(3), size=(1, pixels), dtype="float32", fill_mode="wrap")
    if channels <= kernels.MOST:
        how = {"clips": ((None, None),), "dtype": "float32"}
        check(cupy, x, None, colours(1, 3, channels), **how)


@pytest.mark.parametrize("order", ["C", "first", "view"])
def test_layouts(cupy, order):
    for channels in (3, 6):
        check(cupy, images(2, 11, 13, channels), turned(2), order=order, fill_mode="reflect")
    flip = np.tile(np.float32([[-1, 0, 12], [0, 1, 0], [0, 0, 1]]), (2, 1, 1))
    check(cupy, images(2, 11, 13, 3), flip, order=order, exact=True)


@pytest.mark.parametrize("pixels", [4095, 4096, 4097])
def test_means(cupy, pixels):
    x, parts = images(2, 1, pixels, 3), np.float32([[0.5, 0.0], [-0.3, 1.0]])
    how = {"clips": ((0.0, 255.0), (-50.0, 300.0)), "dtype": "float32", "fill_mode": "reflect"}
    check(cupy, x, None, colours(2, 2, 3), parts, **how)
    check(cupy, x, turned(2), colours(2, 2, 3), parts, **how)
    parts[0] = 0
    check(cupy, x, None, colours(2, 2, 3), parts, averaged=(False, True), **how)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_parts(cupy, dtype):
    x = images(3, 17, 16, 3, dtype=dtype)
    there, top, left = cupy.asarray(x), np.array([0, 2, 99]), np.array([4, -9, 1])
    for layout in ("channels_last", "channels_first"):
        if layout == "channels_first":
            x, there = np.moveaxis(x, 3, 1), there.transpose(0, 3, 1, 2)
        out = parts(there, top, left, (13, 11), "float32", layout)
        assert isinstance(out, cupy.ndarray)
        np.testing.assert_array_equal(out.get(), parts(x, top, left, (13, 11), "float32", layout))
    assert cut.version("cupy")(there, top, left, needs=(True,), size=(1, 1)) is NotImplemented


def test_what_is_left_to_the_reference(cupy):
    version = warped.version("cupy")
    there = cupy.asarray(images(1, 4, 4, 3))
    matrix = cupy.asarray(turned(1))
    assert version(there, matrix, dtype="int32") is NotImplemented
    assert version(there, matrix.astype("float64")) is NotImplemented
    assert version(there, matrix, needs=(True, False)) is NotImplemented
    many = cupy.asarray(colours(9, 1, 3))
    assert version(there, matrix, many, clips=((None, None),) * 9) is NotImplemented
    wide = cupy.asarray(images(1, 4, 4, 5))
    by = cupy.asarray(colours(1, 1, 5))
    assert version(wide, None, by, clips=((None, None),)) is NotImplemented
    none = cupy.asarray(images(0, 4, 4, 3))
    assert version(none, cupy.asarray(turned(0))) is NotImplemented


def test_a_pipeline_of_layers_gives_what_it_gives_on_the_cpu(cupy):
    def chosen():
        return [layers.RandomFlip(seed=1), layers.RandomRotation(0.2, seed=2),
                layers.RandomZoom(0.3, seed=3), layers.RandomCrop(20, 20, seed=4)]  # fmt: skip

    x = images(3, 24, 26, 3)
    there = through(chosen(), cupy.asarray(x))
    assert isinstance(there, cupy.ndarray)
    here = through(chosen(), x)
    assert np.mean(np.abs(there.get() - here) < 2e-3) > 0.999
    config.set_fused_augmentation(False)
    try:
        there = through(chosen(), cupy.asarray(x))
        here = through(chosen(), x)
    finally:
        config.set_fused_augmentation(True)
    assert np.mean(np.abs(there.get() - here) < 5e-3) > 0.999


@pytest.mark.usefixtures("same_products")
def test_steps_with_random_images_are_not_captured(cupy):
    """Their numbers are drawn on the CPU: the model learns as it would, and a warning says why."""

    def middle():
        return [layers.Reshape((2, 4, 1)), layers.RandomFlip(seed=1), layers.Flatten()]

    _, history = fitted(cupy, False, middle)
    with pytest.warns(UserWarning, match="captured.*RandomFlip"):
        _, other = fitted(cupy, True, middle)
    assert history.history == other.history
