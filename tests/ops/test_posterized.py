"""Values without their lowest bits: by hand, and the faster version against the reference."""

import numpy as np
import pytest
from checks import check_primitive

from gpulayers.ops.colors import posterized


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_posterized(dtype, xp):
    x = np.random.default_rng(0).uniform(0, 255.9, (8, 5, 4, 3)).astype(dtype)
    step = (2.0 ** np.arange(8)).astype(np.float32).reshape(-1, 1, 1, 1)
    bits = [image.astype(np.uint8) & np.uint8(256 - 2**k) for k, image in enumerate(x)]
    found = xp.to_numpy(posterized(xp.asarray(x), xp.asarray(step)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.stack(bits))
    np.testing.assert_array_equal(posterized.version("numpy")(x, step), np.stack(bits))


def test_values_beyond_are_clipped():
    x = np.array([-4.0, 254.9, 255, 300]).reshape(1, 1, 4, 1)
    check_primitive(posterized, x, np.full((1, 1, 1, 1), 4.0), differentiable=())
    assert posterized(x, np.full((1, 1, 1, 1), 4.0)).ravel().tolist() == [0, 252, 252, 252]
