"""Operations on images, against loops."""

import colorsys

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, real, same

from gpulayers import ops
from gpulayers.arrays import KerasTensor
from gpulayers.ops import image

rng = np.random.default_rng(5)
x = rng.uniform(size=(2, 5, 6, 3))


def both_layouts(function, images, expected, **options):
    """A function of batches, of single images, and of channels first."""
    check_function(lambda a: function(a, **options), [images], expected, strict=False)
    same(function(images[0], **options), expected[0], 1e-6)
    first, expected = np.moveaxis(images, -1, 1), np.moveaxis(expected, 3, 1)
    options["data_format"] = "channels_first"
    same(function(first, **options), expected, 1e-6)
    same(function(first[0], **options), expected[0], 1e-6)


def test_greys():
    grey = x @ np.array([0.2989, 0.587, 0.114])
    both_layouts(image.rgb_to_grayscale, x, grey[..., None])
    same(image.rgb_to_grayscale(x[..., :1]), x[..., :1])
    bytes_ = (x * 255).astype(np.uint8)
    assert image.rgb_to_grayscale(bytes_).dtype == np.uint8
    with pytest.raises(ValueError, match="3 channels or 1"):
        image.rgb_to_grayscale(x[..., :2])
    with pytest.raises(ValueError, match="rank 3"):
        image.rgb_to_grayscale(x[0, 0])


def test_hues():
    pixels = x.reshape(-1, 3).copy()
    pixels[:3] = [[0, 0, 0], [0.5, 0.5, 0.5], [1, 0, 0]]
    images = pixels.reshape(x.shape)
    hsv = np.array([colorsys.rgb_to_hsv(*p) for p in pixels]).reshape(x.shape)
    same(image.rgb_to_hsv(images), hsv)
    same(image.hsv_to_rgb(hsv), images)
    first = np.moveaxis(images, -1, 1)
    same(image.rgb_to_hsv(first, "channels_first"), np.moveaxis(hsv, -1, 1))
    same(image.hsv_to_rgb(np.moveaxis(hsv, -1, 1)[0], "channels_first"), first[0])
    check_gradient(image.rgb_to_hsv, rng.uniform(0.2, 1, size=(2, 2, 3)))
    check_gradient(image.hsv_to_rgb, rng.uniform(0.2, 0.8, size=(2, 2, 3)))
    with pytest.raises(ValueError, match="needs floats of 3 channels"):
        image.rgb_to_hsv(np.zeros((2, 2, 3), np.uint8))


def test_margins():
    padded = np.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)))
    both_layouts(image.pad_images, x, padded, top_padding=1, bottom_padding=0,
                 left_padding=0, target_width=8)  # fmt: skip
    both_layouts(image.crop_images, x, x[:, 1:4, 2:5], top_cropping=1, bottom_cropping=1,
                 right_cropping=1, target_width=3)  # fmt: skip
    for function in (image.pad_images, image.crop_images):
        with pytest.raises(ValueError, match="give two of two margins"):
            function(x, 1, 1)
        with pytest.raises(ValueError, match="must not be negative"):
            function(x, -1, 0, 1, 0)
    with pytest.raises(ValueError, match="must not be negative"):
        image.crop_images(x, 3, 0, 3, 0)


def blurred(images, size, sigma):
    weights = []
    for n, s in zip(size[::-1], sigma[::-1], strict=True):
        t = np.arange(n) - (n - 1) / 2
        w = np.exp(-(t**2) / (2 * s**2))
        weights.append(w / w.sum())
    margins = [((n - 1) // 2, n // 2) for n in size[::-1]]
    a = np.pad(images, ((0, 0), *margins, (0, 0)))
    out = np.zeros_like(images)
    for i, u in enumerate(weights[0]):
        for j, v in enumerate(weights[1]):
            out += u * v * a[:, i : i + images.shape[1], j : j + images.shape[2]]
    return out


@pytest.mark.parametrize(("size", "sigma"), [((3, 3), (1.0, 1.0)), ((5, 2), (0.8, 1.7))])
def test_blur(size, sigma):
    expected = blurred(x, size, sigma)
    both_layouts(image.gaussian_blur, x, expected, kernel_size=size, sigma=sigma)
    same(image.gaussian_blur(x, np.array(size), np.array(sigma)), expected)


def test_edges():
    a = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = a[:, :, :-2] + 2 * a[:, :, 1:-1] + a[:, :, 2:]
    columns = a[:, :-2] + 2 * a[:, 1:-1] + a[:, 2:]
    expected = np.stack([rows[:, 2:] - rows[:, :-2], columns[:, :, 2:] - columns[:, :, :-2]], -1)
    both_layouts(image.sobel_edges, x, expected)


def test_similarity():
    a, b = rng.uniform(size=(2, 12, 13, 2)), rng.uniform(size=(2, 12, 13, 2))
    np.testing.assert_allclose(image.ssim(a, a), [1, 1])
    t = np.arange(11) - 5
    w = np.exp(-(t**2) / 4.5)
    w = np.outer(w, w) / w.sum() ** 2
    total = np.zeros(2)
    for i in range(2):
        for j in range(3):
            p, q = (z[:, i : i + 11, j : j + 11] for z in (a, b))
            mp, mq = (np.einsum("nijc,ij->nc", z, w) for z in (p, q))
            vp, vq, vpq = (
                np.einsum("nijc,ij->nc", z, w) - m
                for z, m in ((p * p, mp * mp), (q * q, mq * mq), (p * q, mp * mq))
            )
            c1, c2 = 1e-4, 9e-4
            quotient = (2 * mp * mq + c1) * (2 * vpq + c2)
            quotient /= (mp**2 + mq**2 + c1) * (vp + vq + c2)
            total += quotient.mean(-1) / 6
    same(image.ssim(a, b), total, 1e-6)
    same(image.ssim(a[0], b[0]), total[0], 1e-6)
    first = [np.moveaxis(z, -1, 1) for z in (a, b)]
    same(image.ssim(*first, data_format="channels_first"), total, 1e-6)
    check_gradient(lambda a, b: image.ssim(a, b, filter_size=3), a[:1, :3, :4], b[:1, :3, :4])


# Other places.


def outside(i, n, mode):
    """The index that is read in the place of i."""
    if mode == "nearest":
        return min(max(i, 0), n - 1)
    if mode == "wrap":
        return i % n
    line = list(range(n)) + (list(range(n - 2, 0, -1)) if mode == "mirror" else [*range(n)][::-1])
    return line[i % len(line)]


@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
@pytest.mark.parametrize("order", [0, 1])
def test_coordinates(mode, order):
    a = real(4, 5)
    places = rng.uniform(-7, 11, size=(2, 3, 4))
    expected = np.zeros((3, 4))
    for at in np.ndindex(3, 4):
        point = places[(slice(None), *at)]
        corners = [np.round(point)] if order == 0 else [
            np.floor(point) + d for d in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]  # fmt: skip
        for corner in corners:
            weight = 1 if order == 0 else np.prod(1 - np.abs(point - corner))
            i, j = map(int, corner)
            if mode == "constant":
                value = a[i, j] if 0 <= i < 4 and 0 <= j < 5 else 9.0
            else:
                value = a[outside(i, 4, mode), outside(j, 5, mode)]
            expected[at] += weight * value
    call = lambda a, p: image.map_coordinates(a, p, order, mode, 9.0)
    check_function(call, [a, places], expected, gradient=order == 1)
    same(call(a, list(places)), expected)
    whole = (a * 10).astype(np.int32)
    assert call(whole, places).dtype == np.int32


def test_coordinates_of_one_axis():
    same(image.map_coordinates([0.0, 10.0, 20.0], [[0.25, 1.5]], 1), np.array([2.5, 15.0]))
    same(image.map_coordinates([7.0], [[0.0, 3.0]], 0, "mirror"), np.array([7.0, 7.0]))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((x, np.zeros((3, 2)), 1), r"coordinates must have the shape \(4, ...\)"),
        ((x, np.zeros((4, 2)), 2), "order must be 0 or 1"),
        ((x, np.zeros((4, 2)), 1, "edge"), "fill_mode"),
    ],
)
def test_coordinates_that_do_not_fit(args, message):
    with pytest.raises(ValueError, match=message):
        image.map_coordinates(*args)


def test_affine_maps():
    shift = np.array([1.0, 0, 2, 0, 1, -1, 0, 0])  # Read 2 to the right, 1 above.
    expected = np.zeros_like(x)
    expected[:, 1:, :-2] = x[:, :-1, 2:]
    call = lambda a: image.affine_transform(a, shift)
    check_function(call, [x], expected, strict=False)
    same(call(x[0]), expected[0])
    first = image.affine_transform(np.moveaxis(x, -1, 1), shift, data_format="channels_first")
    same(first, np.moveaxis(expected, -1, 1))
    turn = np.array([0.0, 1, 0, 1, 0, 0, 0, 0])
    square = x[:, :5, :5]
    each = np.stack([shift, turn])
    same(image.affine_transform(square, each)[1], square[1].transpose(1, 0, 2))
    bent = np.array([1.13, 0.1, -0.35, -0.21, 0.93, 0.4, 0, 0])
    call = lambda a, t: image.affine_transform(a, t, fill_mode="nearest")
    check_gradient(call, x[0, :3, :3, :1], bent)
    for wrong, message in (
        ({"interpolation": "cubic"}, "interpolation"),
        ({"fill_mode": "a"}, "fill"),
    ):
        with pytest.raises(ValueError, match=message):
            image.affine_transform(x, shift, **wrong)
    with pytest.raises(ValueError, match="transform must have"):
        image.affine_transform(x, np.zeros(6))


def test_perspective():
    start = np.array([[0.0, 0], [5, 0], [0, 4], [5, 4]])
    same(image.perspective_transform(x, start, start), x, 1e-6)
    moved = image.perspective_transform(x, start, start + [1, 0])
    same(moved[:, :, 1:], x[:, :, :-1], 1e-6)
    end = start + rng.uniform(-1, 1, size=(2, 4, 2))
    starts = np.stack([start, start])
    call = lambda a, s, e: image.perspective_transform(a, s, e, "bilinear")
    out = call(x, starts, end)
    same(call(x[0], start, end[0]), out[0], 1e-9)
    first = image.perspective_transform(np.moveaxis(x, -1, 1), starts, end,
                                        data_format="channels_first")  # fmt: skip
    same(first, np.moveaxis(out, -1, 1), 1e-9)
    check_gradient(call, x[:1, :3, :3, :1], starts[:1], end[:1])
    spec = image.perspective_transform(KerasTensor((2, 5, 6, 3)), starts, end)
    assert spec.shape == x.shape
    with pytest.raises(ValueError, match="points must have"):
        image.perspective_transform(x, start[:3], start[:3])


def test_corners_go_where_they_are_told():
    a = np.zeros((9, 9, 1))
    a[2, 2] = a[6, 2] = a[2, 6] = a[6, 6] = 1
    start = np.array([[2.0, 2], [6, 2], [2, 6], [6, 6]])
    end = np.array([[1.0, 1], [7, 2], [2, 7], [6, 6]])
    out = image.perspective_transform(a, start, end)
    for u, v in end.astype(int):
        np.testing.assert_allclose(out[v, u], 1)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_elastic_maps(dtype):
    a = (x * 200).astype(dtype)
    out = image.elastic_transform(a, alpha=2.0, sigma=0.5, seed=3)
    assert out.shape == a.shape
    assert out.dtype == a.dtype
    np.testing.assert_array_equal(out, image.elastic_transform(a, alpha=2.0, sigma=0.5, seed=3))
    assert np.any(out != image.elastic_transform(a, alpha=2.0, sigma=0.5, seed=4))
    np.testing.assert_array_equal(image.elastic_transform(a, alpha=0.0, seed=3), a)
    first = image.elastic_transform(np.moveaxis(a, -1, 1), 2.0, 0.5, seed=3,
                                    data_format="channels_first")  # fmt: skip
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), out)
    one = image.elastic_transform(a[0], 2.0, 0.5, "nearest", "constant", 0.0, seed=1)
    assert one.shape == a[0].shape


# Patches and scales.


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("size", "strides", "dilation"), [(2, None, 1), ((3, 2), (1, 2), 2)])
def test_patches(size, strides, dilation, padding, data_format):
    kh, kw = (size, size) if isinstance(size, int) else size
    sh, sw = strides or (kh, kw)
    a = x
    if padding == "same":
        missing = [
            max((-(-n // s) - 1) * s + (k - 1) * dilation + 1 - n, 0)
            for n, s, k in ((5, sh, kh), (6, sw, kw))
        ]
        a = np.pad(a, ((0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)))
    rows = range(0, a.shape[1] - (kh - 1) * dilation, sh)
    columns = range(0, a.shape[2] - (kw - 1) * dilation, sw)
    expected = np.stack(
        [
            np.stack(
                [
                    a[
                        :, i : i + kh * dilation : dilation, j : j + kw * dilation : dilation
                    ].reshape(2, -1)
                    for j in columns
                ],
                axis=1,
            )
            for i in rows
        ],
        axis=1,
    )
    given = x
    if data_format == "channels_first":
        given, expected = (np.moveaxis(z, -1, 1) for z in (x, expected))
    call = lambda a: image.extract_patches(a, size, strides, dilation, padding, data_format)
    check_function(call, [given], expected)
    same(call(given[0]), expected[0])


def test_patches_of_volumes():
    a = real(2, 4, 4, 6, 2)
    expected = (
        a.reshape(2, 2, 2, 2, 2, 3, 2, 2).transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(2, 2, 2, 3, 16)
    )
    check_function(lambda a: image.extract_patches_3d(a, 2), [a], expected)
    same(image.extract_patches(a, (2, 2, 2)), expected)
    with pytest.raises(ValueError, match="size"):
        image.extract_patches(a, (2,))
    with pytest.raises(ValueError, match="strides must have 3"):
        image.extract_patches_3d(a, 2, strides=(1, 1))
    with pytest.raises(ValueError, match="padding"):
        image.extract_patches_3d(a, 2, padding="full")
    with pytest.raises(ValueError, match="needs rank 4 or 5"):
        image.extract_patches_3d(a[0, 0], 2)


@pytest.mark.parametrize("method", ["linear", "cubic", "lanczos3", "lanczos5"])
def test_scales(method):
    """Scaled by the ratio of the sizes, and not moved, is `resize`."""
    names = {"linear": "bilinear", "cubic": "bicubic"}
    for size, antialias in (((8, 9), True), ((3, 4), True), ((3, 4), False)):
        scale = np.array([size[0] / 5, size[1] / 6])
        out = image.scale_and_translate(
            x, (2, *size, 3), scale, np.zeros(2), (1, 2), method, antialias
        )
        resized = image.resize(x, size, names.get(method, method), antialias)
        np.testing.assert_allclose(out, resized, atol=2e-6)


def test_translation():
    one, two = np.array([1.0]), np.array([2.0])
    out = image.scale_and_translate(x, (2, 5, 6, 3), one, two, [-2], "linear")
    expected = np.zeros_like(x)
    expected[:, :, 2:] = x[:, :, :-2]
    same(out, expected)
    call = lambda a, s, t: image.scale_and_translate(a, (4,), s, t, [0], "cubic")
    check_gradient(call, real(5), np.array([0.7]), np.array([0.4]))
    whole = (x * 255).astype(np.uint8)
    out = image.scale_and_translate(whole, whole.shape, one * 1.5, one, [1], "lanczos3")
    assert out.dtype == np.uint8
    spec = image.scale_and_translate(KerasTensor((None, 5)), (None, 9), one * 2, one, [1], "linear")
    assert spec.shape == (None, 9)
    with pytest.raises(ValueError, match="method"):
        image.scale_and_translate(x, x.shape, one, one, [1], "nearest")
    assert ops.image.resize(x, (2, 2)).shape == (2, 2, 2, 3)


def test_the_last_two_numbers_of_an_affine_map_count_as_zeros():
    """As Keras documents (but on JAX and PyTorch it moves the channels by them)."""
    maps = np.array([[1.0, 0, 1, 0, 1, 0, 0, 0], [1.0, 0, 1, 0, 1, 0, 1, 1]])
    out = image.affine_transform(np.stack([x[0], x[0]]), maps)
    np.testing.assert_array_equal(out[0], out[1])


def test_short_floats_move_as_float32():
    start = np.array([[0.0, 0], [5, 0], [0, 4], [5, 4]])
    half = x.astype(np.float16), start.astype(np.float16), (start + 0.3).astype(np.float16)
    out = image.perspective_transform(*half)
    wide = image.perspective_transform(*(a.astype(np.float32) for a in half))
    np.testing.assert_array_equal(out, wide.astype(np.float16))
