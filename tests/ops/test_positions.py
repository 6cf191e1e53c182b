"""Rotary positions: values, gradients, what products depend on, bad shapes."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers import ops
from gpulayers.arrays import KerasTensor
from gpulayers.ops.positions import turned

X = np.random.default_rng(0).normal(size=(2, 5, 3, 4))
PLACES = np.array([[3, 0, 7, 7, 2], [1, 2, 3, 4, 100]])


def by_hand(x, positions, interleaved, longest=10000.0):
    """Pairs as complex numbers, one after the other."""
    half = x.shape[3] // 2
    positions = np.broadcast_to(positions, x.shape[:2])
    out = np.empty_like(x)
    for b, t, n, i in np.ndindex(*x.shape[:3], half):
        first, second = (2 * i, 2 * i + 1) if interleaved else (i, i + half)
        turn = np.exp(1j * positions[b, t] * longest ** (-i / half))
        z = complex(x[b, t, n, first], x[b, t, n, second]) * turn
        out[b, t, n, first], out[b, t, n, second] = z.real, z.imag
    return out


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("positions", [None, PLACES, PLACES[0]], ids=["0...", "(B,T)", "(T,)"])
def test_values(positions, interleaved, xp):
    given = None if positions is None else xp.asarray(positions)
    out = ops.rotary_embedding(xp.asarray(X), given, 50.0, interleaved=interleaved)
    assert isinstance(out, xp.kind)
    expected = by_hand(X, np.arange(5) if positions is None else positions, interleaved, 50.0)
    np.testing.assert_allclose(xp.to_numpy(out), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("interleaved", [False, True])
def test_versions_and_gradients(interleaved, xp):
    options = {"max_wavelength": 100.0, "interleaved": interleaved}
    check_primitive(turned, X, PLACES, **options)
    check_gradient(lambda x: ops.rotary_embedding(x, None, **options), X, xp=xp)


@pytest.mark.parametrize("interleaved", [False, True])
def test_products_depend_on_distances_only(interleaved):
    query, key = X[:1, :1], X[1:, :1]

    def product(i, j):
        turned_ones = [
            ops.rotary_embedding(x, np.array([p]), interleaved=interleaved)
            for x, p in ((query, i), (key, j))
        ]
        return (turned_ones[0] * turned_ones[1]).sum(axis=-1)

    np.testing.assert_allclose(product(9, 4), product(105, 100), rtol=1e-10)
    np.testing.assert_allclose(product(0, 0), (query * key).sum(axis=-1), rtol=1e-12)
    assert np.abs(product(9, 4) - product(9, 5)).max() > 1e-3


def test_symbolic_and_short_floats_and_integers():
    out = ops.rotary_embedding(KerasTensor((None, None, 3, 4), "float16"))
    assert (out.shape, out.dtype) == ((None, None, 3, 4), "float16")
    half = ops.rotary_embedding(X.astype("float16"))
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, by_hand(X, np.arange(5), False), atol=4e-3)
    assert ops.rotary_embedding(np.ones((1, 2, 1, 2), int)).dtype == np.float32
    assert ops.rotary_embedding(np.ones((1, 0, 2, 4), "float32")).shape == (1, 0, 2, 4)


@pytest.mark.parametrize(
    ("shape", "positions", "said"),
    [
        ((2, 5, 4), None, r"must have 4 axes .*got shape \(2, 5, 4\)"),
        ((2, 5, 3, 3), None, r"of an even size, got shape \(2, 5, 3, 3\)"),
        ((2, 5, 3, 4), (3,), r"must have the shape \(5,\) or \(2, 5\), got \(3,\)"),
        ((2, 5, 3, 4), (1, 5), r"must have the shape \(5,\) or \(2, 5\), got \(1, 5\)"),
    ],
)
def test_bad_shapes(shape, positions, said):
    given = None if positions is None else np.zeros(positions, int)
    with pytest.raises(ValueError, match=f"rotary_embedding: .*{said}"):
        ops.rotary_embedding(np.ones(shape), given)
