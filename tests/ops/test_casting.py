"""scaled and all_finite."""

import numpy as np
import pytest
from checks import check_primitive

from gpulayers.ops.casting import all_finite, scaled

X = np.random.default_rng(0).normal(size=(4, 3))


def test_scaled(xp):
    np.testing.assert_allclose(xp.to_numpy(scaled(xp.asarray(X), 0.5, dtype="float64")), X / 2)
    factor = xp.asarray(np.array(4.0))
    np.testing.assert_allclose(xp.to_numpy(scaled(xp.asarray(X), factor, dtype="float64")), X * 4)
    images = xp.asarray(np.array([0, 51, 255], np.uint8))
    out = xp.to_numpy(scaled(images, 1 / 255, dtype="float32"))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [0, 0.2, 1], rtol=1e-6)
    check_primitive(scaled, X, np.array(2.0), dtype="float64")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, None])
def test_all_finite(xp, wrong):
    arrays = [X.copy(), X[0].copy()]
    if wrong is not None:
        arrays[1][2] = wrong
    assert bool(all_finite(*map(xp.asarray, arrays))) == (wrong is None)
