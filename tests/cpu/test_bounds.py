"""Largest and smallest values of arrays and a number."""

import numpy as np
import pytest

from gpulayers.cpu import bounds


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i4"])
@pytest.mark.parametrize(
    "size", [0, 1, *(bounds.SMALL + i for i in (-1, 0, 1, bounds.ROW, 2 * bounds.ROW - 1))]
)
def test_as_numpy_has_them(size, dtype):
    x = np.arange(-(size // 2), size - size // 2).astype(dtype)
    x[: size // 9] = 0 if dtype == "i4" else np.nan
    x.flags.writeable = False
    for function, plain in ((bounds.at_least, np.maximum), (bounds.at_most, np.minimum)):
        for bound in (0, 2, np.array(1, "f4") if dtype in ("f4", "f8") else 1):
            expected = plain(x, bound)
            found = function(x, bound)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
            out = np.array(x)
            assert function(out, bound, out=out) is out
            np.testing.assert_array_equal(out, expected)


def test_views():
    x = np.sin(np.arange(20000.0)).reshape(100, 200)
    for view in (x.T, x[:, ::2], np.broadcast_to(x[0], (50, 200)), x.reshape(50, 2, 200)):
        np.testing.assert_array_equal(bounds.at_least(view, 0), np.maximum(view, 0))
        out = np.empty((*view.shape, 2))[..., 0]
        np.testing.assert_array_equal(bounds.at_most(view, 0.5, out), np.minimum(view, 0.5))
