"""Pooling of NumPy arrays against the references."""

import numpy as np
import pytest
from checks import check_primitive

from gpulayers.arrays import Tape
from gpulayers.cpu import pooling as versions
from gpulayers.ops.pooling import average_pooling, max_pooling
from gpulayers.ops.sliding import counts

pytestmark = pytest.mark.usefixtures("loops")

BOTH = pytest.mark.parametrize("op", [max_pooling, average_pooling], ids=["largest", "mean"])


def drawn(rng):
    """An array with many equal values, and options."""
    rank = int(rng.integers(1, 4))
    numbers = lambda low, high: tuple(int(n) for n in rng.integers(low, high, rank))
    sizes, windows = numbers(3, 9), numbers(1, 4)
    options = {
        "windows": windows,
        "strides": numbers(1, 4) if rng.random() < 0.5 else windows,
        "padding": tuple(zip(numbers(0, 3), numbers(-1, 3))),
    }
    if 0 in counts(sizes, windows, options["strides"], options["padding"], (1,) * rank):
        return drawn(rng)
    x = rng.integers(0, 4, size=(int(rng.integers(1, 4)), *sizes, int(rng.integers(1, 4))))
    x = x.astype("f8")
    return np.asfortranarray(x) if rng.random() < 0.3 else x, options


@BOTH
@pytest.mark.parametrize("block", [1, 50, 1 << 18])
def test_against_the_references(op, block, monkeypatch):
    monkeypatch.setattr(versions, "BLOCK", block)
    monkeypatch.setattr("gpulayers.cpu.threads.ENOUGH", 0)
    versions._blocks.cache_clear()
    versions._regions.cache_clear()
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, options = drawn(rng)
        x.flags.writeable = False
        expected = op.reference(x, **options)
        g = np.cos(np.arange(expected.size)).reshape(expected.shape)
        out, pullback = op.version("numpy")(x, needs=(True,), **options)
        np.testing.assert_allclose(op(x, **options), expected, rtol=1e-14)
        np.testing.assert_allclose(out, expected, rtol=1e-14)
        with Tape() as tape:
            given = tape.watch(x)
            y = op.reference(given, **options)
        if op is max_pooling:  # The reference shares out what equal values get; the rule does not.
            expected = op._vjp(np, expected, x, **options)[0](g)
        else:
            expected = tape.gradient(y, given, g)
        np.testing.assert_allclose(pullback(g)[0], expected, rtol=1e-12, atol=1e-12)
    versions._blocks.cache_clear()
    versions._regions.cache_clear()


@BOTH
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (2, 3), (3, 1)])
def test_each_way_to_run(op, rank, window, stride):
    x = np.sin(np.arange(2 * 5**rank * 2) * 1.7).reshape(2, *(5,) * rank, 2)
    for around in ((0, 0), (1, 1), (0, 1)):
        options = {"strides": (stride,) * rank, "padding": (around,) * rank}
        check_primitive(op, x, windows=(window,) * rank, **options)


def test_integers_and_positions_of_two_bytes():
    x = np.arange(-50, 0).reshape(1, 50, 1)
    options = {"strides": (3,), "padding": ((1, 1),)}
    expected = max_pooling.reference(x, windows=(3,), **options)
    np.testing.assert_array_equal(max_pooling(x, windows=(3,), **options), expected)
    x = np.sin(np.arange(400.0)).reshape(1, 20, 20, 1)
    check_primitive(max_pooling, x, windows=(20, 20), strides=(1, 1), padding=((0, 0),) * 2)


def test_windows_of_nothing_but_margins():
    x = np.ones((1, 2, 1), "f4")
    options = {"windows": (1,), "strides": (1,), "padding": ((1, 1),)}
    np.testing.assert_array_equal(max_pooling(x, **options).ravel(), [-np.inf, 1, 1, -np.inf])
    np.testing.assert_array_equal(average_pooling(x, **options).ravel(), [0, 1, 1, 0])


@BOTH
def test_empty_batches(op):
    x = np.ones((0, 4, 4, 2), "f4")
    options = {"windows": (2, 2), "strides": (2, 2), "padding": ((0, 0),) * 2}
    with Tape() as tape:
        given = tape.watch(x)
        y = op(given, **options)
    assert y.shape == (0, 2, 2, 2)
    assert tape.gradient(y, given).shape == x.shape


def test_infinite_and_undefined_values():
    x = np.array([np.nan, 1, -np.inf, -np.inf, np.inf, 2], "f4").reshape(1, 6, 1)
    options = {"windows": (2,), "strides": (2,), "padding": ((0, 0),)}
    out, pullback = max_pooling.version("numpy")(x, needs=(True,), **options)
    np.testing.assert_array_equal(out.ravel(), [np.nan, -np.inf, np.inf])
    by_x = pullback(np.ones_like(out))[0].ravel()
    np.testing.assert_array_equal(by_x[2:], [1, 0, 1, 0])


@pytest.mark.parametrize("window", [2, 3])
def test_means_of_windows_side_by_side(window):
    x = np.random.default_rng(1).normal(size=(2, 2 * window, 5 * window, 7))
    options = {"windows": (window,) * 2, "strides": (window,) * 2, "padding": ((0, 0),) * 2}
    out = average_pooling.version("numpy")(x, **options)
    expected = x.reshape(2, 2, window, 5, window, 7).mean((2, 4))
    np.testing.assert_allclose(out, expected, rtol=1e-14, atol=1e-15)
    back = average_pooling.version("numpy")(x[..., ::-1], **options)
    np.testing.assert_array_equal(back, out[..., ::-1])
    check_primitive(average_pooling, x, **options)
