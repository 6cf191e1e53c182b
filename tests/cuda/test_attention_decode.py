"""Attention of a few queries to many keys: parts of the keys, groups of heads, lengths."""

from __future__ import annotations

import numpy as np
import pytest
import rig
from attention_checks import check, example, numbers, some
from kernel_checks import FLOATS

from gpulayers.cuda import attention_decode


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("length", "heads", "key_heads"), [(1, 4, 1), (3, 12, 2), (8, 8, 1)])
@pytest.mark.parametrize("multiprocessors", [4, 400])
def test_a_few_queries(cupy, monkeypatch, length, heads, key_heads, multiprocessors, dtype):
    """Blocks share the keys, and have all queries that share them."""
    monkeypatch.setattr(attention_decode, "multiprocessors", lambda: multiprocessors)
    arrays = example(length, 700, heads, key_heads, 24, 40)
    lengths, starts = np.array([690, 70]), np.array([600, 69])
    check(cupy, arrays, dtype=dtype)
    check(cupy, arrays, None, None, lengths, starts, dtype=dtype, causal=True, unseeing="zeros")
    mask, bias = some(2, heads, length, 700), numbers(heads, 1, 700)
    check(cupy, arrays, bias, mask, lengths * 0 + [0, 700], dtype=dtype, window=500)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_splits_in_all_orders(cupy, order, monkeypatch, dtype):
    monkeypatch.setattr(attention_decode, "multiprocessors", lambda: 400)
    check(cupy, example(2, 600, 4, 2, 16, 16, 1), dtype=dtype, gradients=False)


@pytest.mark.parametrize("keys", [1, 255, 256, 257, 8192, 100000])
@pytest.mark.parametrize("others", [1, 7, 300, 5000])
def test_splits_have_all_keys(monkeypatch, keys, others):
    monkeypatch.setattr(attention_decode, "multiprocessors", lambda: 132)
    splits, each = attention_decode.parts(keys, others, 64)
    assert (splits - 1) * each < keys <= splits * each
    assert each % 64 == 0
    assert splits == 1 or each >= attention_decode.LEAST


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_races(cupy, dtype):
    with rig.schedule("random", seed=1, sanitize="thread"):
        check(cupy, example(2, 300, 4, 2, 16, 16, 1), dtype=dtype, gradients=False)
