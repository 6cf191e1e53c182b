"""Attention block by block gives what its reference gives, whatever the blocks are."""

import tracemalloc

import numpy as np
import pytest
from checks import check_gradient

from gpulayers.arrays import Tape, plain
from gpulayers.cpu import attention as blocked
from gpulayers.ops.attention import attention

RULES = [
    {},
    {"causal": True},
    {"window": 2},
    {"causal": True, "window": 3, "scale": 0.4},
    {"window": 1, "unseeing": "zeros"},
]


@pytest.fixture
def small_blocks(monkeypatch):
    """All sizes go through blocks of 3 queries and 4 keys."""
    for name, value in {"ROWS": 3, "COLUMNS": 4, "LEAST": 0}.items():
        monkeypatch.setattr(blocked, name, value)


def example(length, keys, heads=4, key_heads=2, dtype="float64"):
    draw = np.random.default_rng(length + keys).normal
    shapes = [(2, length, heads, 3), (2, keys, key_heads, 3), (2, keys, key_heads, 2)]
    return [draw(size=shape).astype(dtype) for shape in shapes]


def masks(length, keys):
    some = np.random.default_rng(5).random((2, 1, length, keys)) < 0.5
    some[0, 0, 1] = False  # A query that sees nothing.
    return [None, some, some[0, 0, :1]]


@pytest.mark.parametrize("options", RULES, ids=str)
@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize(("length", "keys"), [(7, 9), (8, 4), (3, 13), (11, 2)])
@pytest.mark.usefixtures("small_blocks")
def test_blocks(length, keys, which, options):
    arrays, mask = example(length, keys), masks(length, keys)[which]
    expected = attention.reference(*arrays, None, mask, **options)
    np.testing.assert_allclose(attention(*arrays, None, mask, **options), expected, rtol=1e-10)
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in arrays]
        out = attention(*watched, None, mask, **options)
    weights = np.cos(np.arange(out.size)).reshape(out.shape)
    grads = tape.gradient(out, watched, weights)
    rule = attention._vjp(np, expected, *arrays, None, mask, **options)
    for grad, wanted in zip(grads, rule(weights), strict=False):
        np.testing.assert_allclose(grad, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", RULES, ids=str)
@pytest.mark.usefixtures("small_blocks")
def test_gradients(options):
    arrays, mask = example(4, 6), masks(4, 6)[1]
    check_gradient(lambda q, k, v: attention(q, k, v, None, mask, **options), *arrays)


@pytest.mark.usefixtures("small_blocks")
def test_large_scores_of_a_later_block():
    query, key, value = example(3, 9, dtype="float32")
    key[:, 7] *= 1e5
    out = attention(query, key, value)
    np.testing.assert_allclose(out, attention.reference(query, key, value), rtol=1e-5)
    assert np.isfinite(out).all()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("length", "keys"), [(0, 5), (5, 0)])
def test_empty_sequences(length, keys):
    out = attention(*example(length, keys), causal=True)
    np.testing.assert_array_equal(out, np.zeros((2, length, 4, 2)))


@pytest.mark.parametrize("causal", [False, True])
def test_real_blocks_on_all_cores_and_arrays_that_are_views(causal):
    arrays = example(600, 1500, dtype="float32")
    arrays = [np.ascontiguousarray(a.transpose(2, 1, 0, 3)).transpose(2, 1, 0, 3) for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in arrays]
        out = attention(*watched, causal=causal)
    expected = attention.reference(*arrays, causal=causal)
    np.testing.assert_allclose(plain(out), expected, rtol=1e-4, atol=1e-5)
    weights = np.cos(np.arange(out.size, dtype="float32")).reshape(out.shape)
    rule = attention._vjp(np, expected, *arrays, causal=causal)(weights)
    again = tape.gradient(out, watched, weights)
    for grad, wanted in zip(again, rule, strict=False):
        np.testing.assert_allclose(grad, wanted, rtol=1e-4, atol=1e-4)


def test_memory_is_linear_in_length():
    """A matrix of all scores would take 64 MiB here."""
    query = np.ones((1, 4096, 1, 4), "float32")
    tracemalloc.start()
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in (query, query, query)]
        out = attention(*watched)
    grads = tape.gradient(out, watched)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(plain(out), query, rtol=1e-6)
    np.testing.assert_allclose(grads[2], query, rtol=1e-5)
    assert peak < 2**23
