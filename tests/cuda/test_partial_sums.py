"""The second half of sums: rows of a small matrix added in a fixed order."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_checks import FLOATS, TOLERANCE, kind

from gpulayers.cuda.partial_sums import accumulator, partial_sums


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 100])
@pytest.mark.parametrize("width", [1, 31, 32, 33])
def test_columns_are_added(cupy, order, rows, width, dtype):
    partial = np.random.default_rng(0).normal(size=(rows, width)).astype(accumulator(kind(dtype)))
    there = cupy.asarray(partial)
    sums = partial_sums(there, kind(dtype))
    assert sums.dtype == kind(dtype)
    expected = partial.sum(axis=0, dtype="f8")
    close = TOLERANCE[dtype]
    np.testing.assert_allclose(sums.get().astype("f8"), expected, rtol=close, atol=10 * close)
    assert there.get().tobytes() == partial.tobytes()


def test_nothing_adds_up_to_zero(cupy):
    sums = partial_sums(cupy.asarray(np.zeros((0, 5), "f4")), np.dtype("f4"))
    assert sums.get().tolist() == [0] * 5
    assert partial_sums(cupy.asarray(np.zeros((3, 0), "f4")), np.dtype("f4")).shape == (0,)
