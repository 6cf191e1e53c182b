"""Attention's gradients by wgmma and TMA: tiles, rules, groups of heads, the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from attention_checks import SHORT, check, example
from kernel_checks import kind

from gpulayers.arrays import Tape
from gpulayers.cuda import attention_hopper_gradients, hopper
from gpulayers.ops.attention import attention


@pytest.fixture
def launched(monkeypatch):
    """The passes that warpgroups have done."""
    passes, launch = [], attention_hopper_gradients._launch

    def counted(work, way, *given):
        found = launch(work, way, *given)
        passes.append((way, found is not None))
        return found

    monkeypatch.setattr(attention_hopper_gradients, "_launch", counted)
    return passes


@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.parametrize(("length", "keys", "size", "value_size", "options"), [
    (129, 260, 64, 64, {}), (70, 197, 128, 128, {"causal": True}),
    (140, 300, 80, 96, {"window": 30}), (1, 1, 64, 40, {}), (65, 128, 64, 128, {}),
    (63, 64, 256, 200, {"causal": True}), (33, 127, 256, 256, {}),
    (300, 20, 40, 64, {"window": 9, "unseeing": "zeros"}),
])  # fmt: skip
def test_warpgroups_give_the_same(
    cupy, monkeypatch, launched, length, keys, size, value_size, options, dtype
):
    """On sm_90 and, by other instructions, on all GPUs from sm_80 on."""
    arrays = example(length, keys, 2, 1, size, value_size, 2)
    runs_here = hopper.runs_here()
    check(cupy, arrays, dtype=dtype, **options)
    assert launched == [("QUERY", runs_here), ("KEY", runs_here)]
    lengths, starts = np.array([keys, keys // 2]), np.array([0, keys - length])
    given = options | {"unseeing": "zeros"}
    check(cupy, arrays, None, None, lengths, starts, dtype=dtype, **given)
    monkeypatch.setattr(hopper, "runs_here", lambda: False)
    check(cupy, arrays, dtype=dtype, **options)


@pytest.mark.parametrize("causal", [False, True])
def test_warpgroups_in_all_orders(cupy, order, causal):
    check(cupy, example(130, 270, 4, 2, 64, 64, 1), dtype="bfloat16", causal=causal)


@pytest.mark.parametrize("places", [63, 64, 65, 95, 96, 97, 127, 128, 129])
def test_tiles(cupy, launched, places):
    """Queries and keys around the tiles of both passes."""
    check(cupy, example(places, places, 1, 1, 128, 128, 1), dtype="float16", causal=True)
    check(cupy, example(7, places, 1, 1, 64, 64, 1), dtype="float16")
    check(cupy, example(places, 7, 1, 1, 64, 64, 1), dtype="float16")
    assert len(launched) == 6


def gradients(cupy, arrays, g=None):
    arrays = [cupy.asarray(a) for a in arrays]
    with Tape() as tape:
        out = attention(*map(tape.watch, arrays), causal=True)
    g = cupy.ones_like(out.value) if g is None else g
    return [x.get() for x in tape.gradient(out, arrays, g)]


@pytest.mark.parametrize("dtype", SHORT)
def test_the_same_bits_each_time(cupy, dtype):
    arrays = [a.astype(kind(dtype)) for a in example(300, 300, 4, 2, 64, 64, 2)]
    for a, b in zip(gradients(cupy, arrays), gradients(cupy, arrays), strict=True):
        assert a.tobytes() == b.tobytes()


def test_one_gradient_for_all_outputs(cupy, launched):
    """As sums have it: an array without distances, which TMA does not reach."""
    arrays = [a.astype("f2") for a in example(70, 70, 2, 2, 64, 64, 2)]
    one = cupy.broadcast_to(cupy.ones((64,), "float16"), (2, 70, 2, 64))
    for a, b in zip(gradients(cupy, arrays, one), gradients(cupy, arrays), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-3)
    assert not any(done for _, done in launched[:2])
