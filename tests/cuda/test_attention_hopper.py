"""Attention by wgmma and TMA: tiles, rules, arrays that TMA cannot reach."""

from __future__ import annotations

import numpy as np
import pytest
from attention_checks import SHORT, check, example

from gpulayers.cuda import hopper
from gpulayers.ops.attention import attention


@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.parametrize(("length", "keys", "size", "value_size", "options"), [
    (129, 300, 64, 64, {}), (70, 257, 128, 128, {"causal": True}),
    (140, 700, 80, 96, {"window": 30}),
    (127, 64, 256, 200, {"causal": True}), (300, 20, 40, 64, {"window": 9, "unseeing": "zeros"}),
])  # fmt: skip
def test_warpgroups_give_the_same(
    cupy, monkeypatch, length, keys, size, value_size, options, dtype
):
    """On sm_90 and, by other instructions, on all GPUs from sm_80 on."""
    arrays = example(length, keys, 2, 1, size, value_size, 2)
    lengths, starts = np.array([keys, keys // 2]), np.array([0, keys - length])
    for runs in (True, False):
        monkeypatch.setattr(hopper, "runs_here", lambda runs=runs: runs)
        check(cupy, arrays, dtype=dtype, gradients=False, **options)
        beside = None, None, lengths, starts
        given = options | {"unseeing": "zeros"}
        check(cupy, arrays, *beside, dtype=dtype, gradients=False, **given)


def test_warpgroups_in_all_orders(cupy, order):
    check(cupy, example(130, 600, 1, 1, 64, 64, 1), dtype="bfloat16", gradients=False)


def test_what_tma_cannot_reach(cupy, monkeypatch):
    """Lines that are no multiples of 16 bytes, parts of others, heads first: all give the same."""
    query, key, value = example(130, 130, 2, 2, 60, 64, 1)
    check(cupy, [query, key, value], dtype="float16", gradients=False)
    query, key, value = (cupy.asarray(a.astype("f2")) for a in example(130, 130, 3, 3, 64, 64, 2))
    expected = attention(query[:, :, 1:].copy(), key[:, :, 1:].copy(), value[:, :, 1:].copy()).get()
    parts = attention(query[:, :, 1:], key[:, :, 1:], value[:, :, 1:]).get()
    assert parts.tobytes() == expected.tobytes()
