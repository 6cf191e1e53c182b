"""Parts of images: reference and NumPy's version."""

import numpy as np
import pytest
from checks import check_primitive

from gpulayers.ops.cutting import cut, parts

pytestmark = pytest.mark.usefixtures("loops")

random = np.random.default_rng(2)
TOP, LEFT = np.array([0, 2, 1]), np.array([3, 0, 2])


def expected(images, size):
    starts = zip(images, TOP, LEFT, strict=True)
    return np.stack([image[y : y + size[0], x : x + size[1]] for image, y, x in starts])


@pytest.mark.parametrize("channels", [1, 3])
def test_parts(channels):
    images = random.normal(size=(3, 6, 8, channels))
    check_primitive(cut, images, TOP, LEFT, differentiable=[0], size=(4, 5))
    np.testing.assert_array_equal(cut(images, TOP, LEFT, size=(4, 5)), expected(images, (4, 5)))


@pytest.mark.parametrize("dtype", [None, "float32", "float64", "float16", "int32"])
@pytest.mark.parametrize("kind", ["bool", "uint8", "int64", "float16", "float32"])
def test_dtypes(kind, dtype):
    images = random.integers(0, 200, (3, 6, 8, 3)).astype(kind)
    y = parts(images, TOP, LEFT, (4, 5), dtype)
    assert y.dtype == (dtype or kind) and not np.shares_memory(y, images)
    np.testing.assert_array_equal(y, expected(images, (4, 5)).astype(dtype or kind))


@pytest.mark.parametrize("images", [
    random.normal(size=(3, 6, 8, 2)).astype("float32")[:, ::-1],
    np.moveaxis(random.normal(size=(3, 2, 6, 8)).astype("float32"), 1, 3),
    random.normal(size=(3, 6, 8, 4)).astype("float32")[..., ::2],
    random.normal(size=(3, 8, 6, 2)).astype("float32").swapaxes(1, 2),
])  # fmt: skip
def test_views(images):
    images.flags.writeable = False
    np.testing.assert_array_equal(parts(images, TOP, LEFT, (4, 5)), expected(images, (4, 5)))
    first = parts(np.moveaxis(images, 3, 1), TOP, LEFT, (4, 5), data_format="channels_first")
    np.testing.assert_array_equal(np.moveaxis(first, 1, 3), expected(images, (4, 5)))


def test_one_image_and_one_place_for_all():
    images = random.integers(0, 256, (3, 6, 8, 3), np.uint8)
    np.testing.assert_array_equal(parts(images[1], 2, 3, (4, 5), "float32"), images[1, 2:, 3:])
    np.testing.assert_array_equal(parts(images, 2, 3, (4, 5), "float32"), images[:, 2:, 3:])
    one = parts(images, np.int64(2), np.array([3]), (4, 5))
    np.testing.assert_array_equal(one, images[:, 2:, 3:])
    assert parts(images[:0], 2, 3, (4, 5)).shape == (0, 4, 5, 3)


@pytest.mark.parametrize("far", [100, 2**40])
def test_parts_stay_within_their_images(far):
    images = random.integers(0, 256, (2, 6, 8, 3)).astype("float32")
    top, left = np.array([far, -far]), np.array([-far, far])
    corners = np.stack([images[0, 2:, :5], images[1, :4, 3:]])
    np.testing.assert_array_equal(parts(images, top, left, (4, 5)), corners)
    np.testing.assert_array_equal(cut.reference(images, top, left, size=(4, 5)), corners)


def test_what_does_not_fit():
    images = np.zeros((2, 6, 8, 3))
    with pytest.raises(ValueError, match=r"images \(6, 8\) are smaller than their parts \(7, 5\)"):
        parts(images, 0, 0, (7, 5))
    with pytest.raises(ValueError, match="rank 3"):
        parts(images[0, 0], 0, 0, (4, 5))
