"""The order of keys."""

from __future__ import annotations

import numpy as np
import pytest

from gpulayers.cuda import order as kernels


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 700])
@pytest.mark.parametrize("kinds", [1, 5, 10**6])
def test_keys_rise_and_equal_ones_stay_in_order(cupy, order, size, kinds, dtype):
    keys = np.random.default_rng(size).integers(-kinds, kinds, size).astype(dtype)
    found = kernels.stable_order(cupy.asarray(keys))
    assert found.dtype == np.int64
    assert np.array_equal(found.get(), np.argsort(keys, kind="stable"))


def test_the_largest_keys(cupy):
    keys = np.array([2**63 - 1, -(2**63), 0, 2**63 - 1, -1])
    assert kernels.stable_order(cupy.asarray(keys)).get().tolist() == [1, 4, 2, 0, 3]


def test_views(cupy):
    keys = np.random.default_rng(0).integers(0, 9, 300)
    found = kernels.stable_order(cupy.asarray(keys)[::-3])
    assert np.array_equal(found.get(), np.argsort(keys[::-3], kind="stable"))


def test_many_keys_are_sorted_by_cupy(cupy, monkeypatch):
    monkeypatch.setattr(kernels, "FEW", 10)
    monkeypatch.setattr(kernels, "_source", None)
    keys = np.random.default_rng(0).integers(0, 9, 11)
    found = kernels.stable_order(cupy.asarray(keys))
    assert np.array_equal(found.get(), np.argsort(keys, kind="stable"))
