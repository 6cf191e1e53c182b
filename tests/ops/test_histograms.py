"""Histograms by hand, and as faster versions count them."""

import numpy as np
import pytest
from checks import check_shape

from gpulayers.ops.histograms import equalized, locally_equalized, running_counts


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (4, 50), (3, 1000)])
@pytest.mark.parametrize("bins", [2, 7, 256])
def test_running_counts(shape, bins, xp):
    numbers = np.random.default_rng(0).integers(0, bins, shape)
    out = xp.to_numpy(running_counts(xp.asarray(numbers), bins=bins))
    expected = [[np.sum(row <= k) for k in range(bins)] for row in numbers]
    np.testing.assert_array_equal(out, expected)
    fast = running_counts.version("numpy")(numbers, bins=bins)
    np.testing.assert_array_equal(fast, expected)
    np.testing.assert_array_equal(running_counts.reference(numbers, bins=bins), expected)
    check_shape(lambda x: running_counts(x, bins=bins), numbers)


def test_equalized_values_by_hand(xp):
    # Counts 1, 2, 3, 4: 255 (c - 1) / 3.
    x = np.array([[10.0, 20], [200, 100]], np.float32)
    out = xp.to_numpy(equalized(xp.asarray(x), bins=256))
    np.testing.assert_array_equal(out, [[0, 85], [255, 170]])
    one = np.full((2, 2), 9, np.float32)
    np.testing.assert_array_equal(xp.to_numpy(equalized(xp.asarray(one), bins=256)), one)


@pytest.mark.parametrize("bins", [256, 40])
@pytest.mark.parametrize("axis", [1, 3])
def test_many_values_are_counted_in_portions(axis, bins, monkeypatch):
    monkeypatch.setattr("gpulayers.cpu.histograms.PORTION", 100)
    x = np.random.default_rng(2).uniform(-3, 258, (3, 11, 9, 2)).astype(np.float32)
    x[..., 1] = np.square(x[..., 1] / 255) * 255
    x = np.ascontiguousarray(np.moveaxis(x, 3, axis))
    x.flags.writeable = False
    how = {"bins": bins, "axis": axis}
    expected = equalized.reference(x, **how)
    fast = equalized.version("numpy")
    np.testing.assert_array_equal(fast(x, **how), expected)
    channels = [equalized.reference(c, bins=bins) for c in np.unstack(x, axis=axis)]
    np.testing.assert_array_equal(expected, np.stack(channels, axis=axis))
    check_shape(lambda a: equalized(a, **how), x)
    same = np.array(x)
    same[(slice(None),) * axis + (1,)] = 7  # It stays.
    made = fast(same, **how)
    np.testing.assert_array_equal(made, equalized.reference(same, **how))
    assert (made.take(1, axis=axis) == 7).all()


def test_one_tile_is_equalized_alone():
    """With a single tile and no limit: 255 (c - c0) / (n - c0), without rounding."""
    x = np.random.default_rng(1).integers(0, 256, (2, 8, 10, 2)).astype("float32")
    out = locally_equalized(x, 0.0, (1, 1))
    for image, made in zip(x, out, strict=True):
        for k in range(2):
            channel = image[..., k]
            counts = np.array([np.sum(channel <= v) for v in channel.ravel()])
            least = np.sum(channel <= 0)
            expected = 255 * (counts - least) / (80 - least)
            np.testing.assert_allclose(made[..., k].ravel(), expected, rtol=1e-5)


def test_a_limit_keeps_even_places_even():
    """Where all is alike, a limit keeps a small difference small."""
    x = np.full((1, 32, 32, 1), 100, np.float32)
    x[:, ::2] = 101
    wide, narrow = (np.ptp(locally_equalized(x, limit, (2, 2))[:, 4:-4]) for limit in (0.0, 1.2))
    assert wide > 120 and narrow < 3
