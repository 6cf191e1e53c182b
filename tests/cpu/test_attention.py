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
    {"rate": 0.3, "seed": (3, 5)},
    {"rate": 0.3, "seed": (3, 5), "unseeing": "zeros", "causal": True},
    {"rate": 1.0, "seed": (3, 5)},
]
LENGTHS = [(None, None), ([0, 2], None), ([2, 1], [1, 0]), (None, [-3, 1])]


@pytest.fixture
def small_blocks(monkeypatch):
    """All sizes go through blocks of 3 queries of two heads, and 4 keys."""
    for name, value in {"ROWS": 6, "COLUMNS": 4, "SCORES": 24}.items():
        monkeypatch.setattr(blocked, name, value)


def example(length, keys, heads=4, key_heads=2, dtype="float64"):
    draw = np.random.default_rng(length + keys).normal
    shapes = [(2, length, heads, 3), (2, keys, key_heads, 3), (2, keys, key_heads, 2)]
    return [draw(size=shape).astype(dtype) for shape in shapes]


def masks(length, keys):
    some = np.random.default_rng(5).random((2, 1, length, keys)) < 0.5
    some[0, 0, 1] = False  # A query that sees nothing.
    return [None, some, some[0, 0, :1]]


def integers(values):
    return None if values is None else np.array(values, "int32")


def check(arrays, others, options):
    """Outputs and gradients against the reference and its gradient rule."""
    expected = attention.reference(*arrays, *others, **options)
    np.testing.assert_allclose(attention(*arrays, *others, **options), expected, rtol=1e-10)
    given = [*arrays] if others[0] is None else [*arrays, others[0]]
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in given]
        rest = others if others[0] is None else (watched[3], *others[1:])
        out = attention(*watched[:3], *rest, **options)
    weights = np.cos(np.arange(out.size)).reshape(out.shape)
    grads = tape.gradient(out, watched, weights)
    wanted = attention._vjp(np, expected, *arrays, *others, **options)(weights)
    for grad, like, array in zip(grads, wanted, given, strict=False):
        np.testing.assert_allclose(grad, summed_to(like, array.shape), rtol=1e-9, atol=1e-12)


def summed_to(x, shape):
    """The gradient of an array that was broadcast to x's shape."""
    padded = (1,) * (x.ndim - len(shape)) + tuple(shape)
    over = tuple(axis for axis, n in enumerate(padded) if n == 1)
    return x.sum(axis=over, keepdims=True).reshape(shape)


@pytest.mark.parametrize("options", RULES, ids=str)
@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize(("length", "keys"), [(7, 9), (8, 4), (3, 13), (11, 2)])
@pytest.mark.usefixtures("small_blocks")
def test_blocks(length, keys, which, options):
    check(example(length, keys), (None, masks(length, keys)[which], None, None), options)


@pytest.mark.parametrize("options", RULES, ids=str)
@pytest.mark.parametrize(("lengths", "starts"), LENGTHS)
@pytest.mark.usefixtures("small_blocks")
def test_lengths_and_starts(lengths, starts, options):
    check(example(7, 9), (None, None, integers(lengths), integers(starts)), options)


@pytest.mark.parametrize("options", RULES[2:6], ids=str)
@pytest.mark.parametrize(
    "shape", [(2, 4, 7, 9), (2, 1, 7, 9), (1, 4, 1, 9), (4, 7, 1), (7, 9), (9,), ()], ids=str
)
@pytest.mark.usefixtures("small_blocks")
def test_biases(shape, options):
    bias = np.random.default_rng(7).normal(size=shape)
    check(example(7, 9), (bias, masks(7, 9)[1], None, None), options)


@pytest.mark.parametrize("options", RULES, ids=str)
@pytest.mark.usefixtures("small_blocks")
def test_gradients(options):
    arrays, mask = example(4, 6), masks(4, 6)[1]
    bias = np.random.default_rng(8).normal(size=(4, 1, 6))
    check_gradient(lambda *xs: attention(*xs, mask, **options), *arrays, bias)


@pytest.mark.parametrize("options", [*RULES[:4], {"scale": 0.3}], ids=str)
@pytest.mark.parametrize("starts", [None, [5, 5], [9, 2]])
@pytest.mark.parametrize("length", [1, 3])
def test_few_queries(length, starts, options):
    """As when generating, over a cache with more room than is taken."""
    query, key, value = example(length, 14)
    lengths = np.array(starts or [0, 0]) + length
    given = (query, key, value, None, None, lengths, integers(starts))
    expected = attention.reference(*given, **options)
    np.testing.assert_allclose(attention(*given, **options), expected, rtol=1e-10)


@pytest.mark.parametrize("lengths", [[4, 4], [3, 6]])
def test_few_queries_do_not_read_what_they_do_not_see(lengths):
    query, key, value = example(1, 14)
    for i, n in enumerate(lengths):
        key[i, n:] = value[i, n:] = np.nan
    lengths = np.array(lengths)
    out = attention(query, key, value, lengths=lengths, starts=lengths - 1, causal=True)
    finite = (np.nan_to_num(x) for x in (key, value))
    expected = attention.reference(query, *finite, lengths=lengths)
    np.testing.assert_allclose(out, expected, rtol=1e-10)


def test_few_queries_of_which_one_sees_nothing():
    query, key, value = example(1, 14)
    out = attention(query, key, value, lengths=np.array([3, 0]))
    means = np.repeat(value[1].mean(axis=0), 2, axis=0)
    np.testing.assert_allclose(out[1, 0], means, rtol=1e-10)


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


@pytest.mark.parametrize(
    "options",
    [{}, {"causal": True}, {"mask": True}, {"bias": True}, {"rate": 0.1, "seed": (1, 2)}],
    ids=str,
)
def test_memory_is_linear_in_length(options):
    """A matrix of all scores would take 256 MiB here."""
    query = np.ones((1, 8192, 1, 4), "float32")
    others = [None, None]
    if options.pop("mask", False):
        others[1] = np.ones((1, 1, 1, 8192), bool)
    if options.pop("bias", False):
        others[0] = np.ones((1, 1, 1, 8192), "float32")
    tracemalloc.start()
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in (query, query, query)]
        out = attention(*watched, *others, **options)
    grads = tape.gradient(out, watched)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if not options.get("rate"):
        np.testing.assert_allclose(plain(out), query, rtol=1e-5)
    assert np.abs(plain(out)).max() < 1.5
    np.testing.assert_allclose(grads[2].sum(), plain(out).sum(), rtol=1e-4)
    assert peak < 2**24
