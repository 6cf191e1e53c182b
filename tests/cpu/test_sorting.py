"""The largest elements of NumPy arrays against the reference."""

import numpy as np
import pytest

from gpulayers import ops
from gpulayers.arrays import Tape
from gpulayers.ops.sorting import places_of_largest

rng = np.random.default_rng(8)
KINDS = {
    "float32": rng.normal(size=(3, 4, 100)).astype("float32"),
    "float64": rng.normal(size=(300,)),
    "few values": rng.integers(0, 4, (20, 64)).astype("float32"),
    "int64": rng.integers(-(2**62), 2**62, (5, 90)) + 1,
    "uint8": np.stack([rng.permutation(256) for _ in range(4)]).astype("uint8"),
    "with NaN": np.where(rng.random((9, 64)) < 0.1, np.nan, rng.normal(size=(9, 64))),
    "NaN in one row, as large in another": np.array(
        [[np.nan, 9, 8, 7, 6, *[1] * 95], [9, 8, 7, 6, 5, 5, *[1] * 94]]
    ),
    "NaN, and as large": np.array([9, np.nan, 8, 7, 5, 5, *[1] * 94]),
    "infinite": np.where(rng.random((9, 64)) < 0.1, -np.inf, rng.normal(size=(9, 64))),
    "no rows": np.zeros((0, 64)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [0, 1, 5, 60])
def test_against_the_reference(kind, k):
    x = KINDS[kind]
    x.flags.writeable = False
    out = places_of_largest(x, k=k)
    assert out.dtype == np.int64
    np.testing.assert_array_equal(out, places_of_largest.reference(x, k=k))


def test_gradients_reach_the_largest_alone():
    x = KINDS["float32"]
    with Tape([]) as tape:
        watched = tape.watch(x)
        loss = ops.sum(ops.top_k(watched, 3).values ** 2)
    largest = np.zeros_like(x)
    np.put_along_axis(largest, np.argsort(x, axis=-1)[..., -3:], 1, -1)
    np.testing.assert_array_equal(tape.gradient(loss, watched), 2 * x * largest)
