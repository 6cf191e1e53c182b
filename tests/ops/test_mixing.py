"""Images put together from two, by hand and against the references."""

import numpy as np
import pytest
from checks import check_primitive

from gpulayers.ops.mixing import mixed, pasted

random = np.random.default_rng(0)
IMAGES, OTHERS = random.normal(size=(2, 3, 5, 6, 2))
BOXES = np.array([[1.0, 4, 0, 2.5], [-1, 9, 4.5, 8], [2, 2, 0, 5]])


def test_weighted_sums(xp):
    order, weight = np.array([2, 0, 1]), np.array([0.25, 1, 0.5]).reshape(-1, 1, 1, 1)
    out = xp.to_numpy(mixed(*map(xp.asarray, (IMAGES, order, weight))))
    np.testing.assert_allclose(out[0], 0.25 * IMAGES[0] + 0.75 * IMAGES[2])
    np.testing.assert_allclose(out[1:], [IMAGES[1], (IMAGES[2] + IMAGES[1]) / 2])
    fast = mixed.version("numpy")(IMAGES, order, weight)
    np.testing.assert_allclose(fast, out, rtol=1e-12)


@pytest.mark.parametrize("first", [False, True])
def test_boxes(first, xp):
    images, others = (np.moveaxis(x, -1, 1) if first else x for x in (IMAGES, OTHERS))
    expected = np.array(IMAGES)
    expected[0, :3, 1:4] = OTHERS[0, :3, 1:4]
    out = xp.to_numpy(pasted(*map(xp.asarray, (images, others, BOXES)), first=first))
    out = np.moveaxis(out, 1, -1) if first else out
    np.testing.assert_array_equal(out, expected)  # The other two boxes hold no pixels.


def test_versions_and_gradients():
    check_primitive(pasted, IMAGES, OTHERS, BOXES, differentiable=(0, 1))
    check_primitive(pasted, IMAGES, OTHERS[0, 0, 0], BOXES, differentiable=(0, 1))
    check_primitive(mixed, IMAGES, np.array([1, 0, 2]), np.full((3, 1, 1, 1), 0.3))
