"""Images read at other places and in other colours, in one pass: reference and NumPy's version."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive, check_shape

from gpulayers.ops.warping import Colour, Geometry, warp, warped

pytestmark = pytest.mark.usefixtures("loops")

random = np.random.default_rng(4)
MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def turned(n, angle=0.4, zoom=1.3, far=0.0):
    """Matrices that turn, stretch and move, differently for each of n images."""
    matrices = np.zeros((n, 3, 3))
    for i in range(n):
        cos, sin = np.cos(angle + i), np.sin(angle + i)
        matrices[i] = [[zoom * cos, -zoom * sin, 2 + i], [sin, cos, -1.5 - i], [far, -far, 1]]
    return matrices


def colours(stages, n, channels):
    return random.normal(0, 0.5, (stages, n, channels, channels + 1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("far", [0.0, 0.02])
def test_places(mode, interpolation, far):
    images = random.normal(size=(2, 5, 7, 3))
    how = {"fill_mode": mode, "fill_value": 0.7, "interpolation": interpolation, "size": (6, 4)}
    check_primitive(warped, images, turned(2, far=far), differentiable=[0], **how)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_moves(interpolation):
    images, moves = random.normal(size=(2, 5, 7, 3)), random.normal(0, 2, (2, 2, 6, 4))
    how = {"fill_mode": "wrap", "interpolation": interpolation, "size": (6, 4)}
    arrays = (images, turned(2), None, None, moves)
    check_primitive(warped, *arrays, differentiable=[0], **how)
    still = np.tile(np.eye(3), (2, 1, 1))
    down = np.zeros((2, 2, 5, 7))
    down[:, 0] = 1
    out = warped(images, still, None, None, down, fill_mode="wrap")
    np.testing.assert_allclose(out, np.roll(images, -1, axis=1))


def test_one_row_and_one_column():
    images = random.normal(size=(2, 1, 1, 2))
    for mode in MODES:
        check_primitive(warped, images, turned(2), differentiable=[0], fill_mode=mode, size=(2, 3))


@pytest.mark.parametrize("means", [None, np.array([[0.0, 0.3], [0.5, 0.0]])])
@pytest.mark.parametrize("matrix", [None, turned(2)])
def test_colours(means, matrix):
    images = random.normal(size=(2, 4, 5, 3))
    how = {"clips": ((-0.5, 0.5), (None, None)), "fill_mode": "reflect"}
    check_primitive(warped, images, matrix, colours(2, 2, 3), means, differentiable=[], **how)
    how["clips"] = ((None, None), (None, None))
    check_primitive(warped, images, matrix, colours(2, 2, 3), means, differentiable=[0, 2], **how)


def test_gradients_of_places():
    images, inside = random.normal(size=(1, 6, 6, 2)), turned(1, 0.1, 0.6)
    check_gradient(lambda m: warped(images, m, size=(3, 3)), inside, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("kind", ["uint8", "int32", "float32", "float64"])
def test_dtypes(kind, dtype):
    images = random.integers(0, 256, (3, 40, 50, 3)).astype(kind)
    float_type = "float64" if kind == "float64" else "float32"
    matrix, by = turned(3).astype(float_type), colours(1, 3, 3).astype(float_type)
    how = {"fill_mode": "reflect", "dtype": dtype, "clips": ((None, None),)}
    expected = warped.reference(images, matrix, by, **how)
    out = warped(images, matrix, by, **how)
    assert out.dtype == expected.dtype == dtype
    np.testing.assert_allclose(out, expected, atol=1e-2 if dtype == "float32" else 1)
    assert np.mean(out != expected) < 0.02 or dtype == "float32"
    check_shape(lambda x: warped(x, matrix, by, **how), images)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_exact_places_are_copies(first, channels):
    images = random.integers(0, 256, (3, 6, 8, channels), np.uint8)
    given = np.ascontiguousarray(np.moveaxis(images, 3, 1)) if first else images
    layout = "channels_first" if first else "channels_last"
    flip = np.array([[-1, 0, 7], [0, -1, 5], [0, 0, 1]], np.float32)
    cut = np.array([[1, 0, 2], [0, 1, 1], [0, 0, 1]], np.float32)
    both = np.array([[-1, 0, 5], [0, 1, 2], [0, 0, 1]], np.float32)
    for size, matrices, expected in (
        (None, [flip] * 3, images[:, ::-1, ::-1]),
        ((4, 5), [cut] * 3, images[:, 1:5, 2:7]),
        (
            (4, 5),
            [cut, both, cut],
            [images[0, 1:5, 2:7], images[1, 2:6, 5:0:-1], images[2, 1:5, 2:7]],
        ),
    ):
        geometry = Geometry(np.stack(matrices), exact=True, size=size)
        for dtype in (None, "float32"):
            y = warp(given, geometry, dtype=dtype, data_format=layout)
            assert y.dtype == (dtype or "uint8")
            np.testing.assert_array_equal(np.moveaxis(y, 1, 3) if first else y, expected)


def test_exact_places_beyond_the_image_are_filled():
    images = random.integers(0, 256, (1, 3, 3, 1), np.uint8)
    cut = np.array([[[1, 0, 1], [0, 1, 0], [0, 0, 1]]], np.float32)
    y = warp(images, Geometry(cut, exact=True, fill_value=9.0))
    np.testing.assert_array_equal(y[..., 0], [np.pad(images[0, :, 1:, 0], [(0, 0), (0, 1)],
                                                     constant_values=9)])  # fmt: skip


def test_both_layouts_and_single_images():
    images = random.normal(size=(2, 20, 30, 3)).astype(np.float32)
    geometry = Geometry(turned(2).astype(np.float32), fill_mode="wrap")
    colour = Colour(colours(1, 2, 3)[0].astype(np.float32), -1.0, 1.0, np.float32([0, 0.5]))
    y = warp(images, geometry, [colour], data_format="channels_last")
    first = warp(np.moveaxis(images, 3, 1).copy(), geometry, [colour], data_format="channels_first")
    np.testing.assert_allclose(np.moveaxis(first, 1, 3), y, atol=1e-6)
    one = geometry._replace(matrix=geometry.matrix[:1])
    only = Colour(colour.matrix[:1], -1.0, 1.0, colour.mean[:1])
    np.testing.assert_allclose(warp(images[0], one, [only], data_format="channels_last"), y[0])


def test_large_images_in_blocks_and_threads(monkeypatch):
    from gpulayers.cpu import threads

    monkeypatch.setattr(threads, "_available_at_all", lambda: 3)
    images = random.integers(0, 256, (5, 250, 270, 3)).astype(float)
    matrix, colour = turned(5, zoom=0.7), colours(1, 5, 3)
    for means in (None, np.array([[0, 0.5, 0, 1, 2]])):
        how = {"fill_mode": "reflect", "dtype": "float32", "clips": ((0.0, 255.0),)}
        out = warped(images, matrix, colour, means, **how)
        expected = warped.reference(images, matrix, colour, means, **how)
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)


def test_nothing_and_infinitely_far():
    assert warped(np.zeros((0, 3, 4, 3), np.uint8), np.zeros((0, 3, 3), np.float32)).shape == (
        0,
        3,
        4,
        3,
    )
    matrix = np.float32([[[1, 0, 0], [0, 1, 0], [-1, 0, 1]]])  # w is 0 at x = 1.
    images = np.ones((1, 3, 3, 1), np.float32)
    y = warped(images, matrix, fill_value=5.0)
    assert y[0, :, 0].ravel().tolist() == [1, 1, 1] and y[0, :, 1].ravel().tolist() == [5, 5, 5]
