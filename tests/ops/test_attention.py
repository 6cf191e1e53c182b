"""Attention of queries to keys: values, gradients, masks, groups of heads, bad shapes."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers import ops
from gpulayers.arrays import KerasTensor, Tape, Variable, is_recorded, plain, random
from gpulayers.ops.attention import attention, attention_weights, weighted_mean


def example(batch=2, length=3, keys=4, heads=4, key_heads=2, size=3, value_size=2, seed=0):
    draw = np.random.default_rng(seed).normal
    shapes = [
        (batch, length, heads, size),
        (batch, keys, key_heads, size),
        (batch, keys, key_heads, value_size),
    ]
    return [draw(size=shape) for shape in shapes]


def rows_seen(shape, seed=1):
    """A mask with a key for each query."""
    mask = np.random.default_rng(seed).random(shape) < 0.6
    mask[..., 0] = True
    return mask


def by_hand(query, key, value, bias=None, mask=None, scale=None):
    """One sample, head and query after the other."""
    batch, length, heads, size = query.shape
    group = heads // key.shape[2]
    full = (batch, heads, length, key.shape[1])
    bias = np.zeros(full) if bias is None else np.broadcast_to(bias, full)
    mask = np.ones(full, bool) if mask is None else np.broadcast_to(mask, full)
    out = np.zeros((batch, length, heads, value.shape[3]))
    for b, n, t in np.ndindex(batch, heads, length):
        scores = key[b, :, n // group] @ query[b, t, n] * (scale or size**-0.5) + bias[b, n, t]
        if mask[b, n, t].any():
            scores = np.where(mask[b, n, t], scores, -np.inf)
        else:
            scores = np.zeros_like(scores)
        weights = np.exp(scores - scores.max())
        out[b, t, n] = weights / weights.sum() @ value[b, :, n // group]
    return out


BIAS = np.random.default_rng(2).normal(size=(1, 4, 3, 4))
SOME = [
    {},
    {"bias": BIAS},
    {"mask": rows_seen((2, 1, 3, 4))},
    {"mask": rows_seen((3, 4)), "bias": BIAS[0], "scale": 0.3},
    {"mask": np.array([[True] * 4, [False] * 4, [True, False] * 2])},
]


@pytest.mark.parametrize("key_heads", [1, 2, 4])
@pytest.mark.parametrize("how", SOME, ids=range(len(SOME)))
def test_values(how, key_heads, xp):
    arrays = example(key_heads=key_heads)
    given = {k: xp.asarray(v) if isinstance(v, np.ndarray) else v for k, v in how.items()}
    out = ops.dot_product_attention(*map(xp.asarray, arrays), **given)
    assert isinstance(out, xp.kind)
    np.testing.assert_allclose(xp.to_numpy(out), by_hand(*arrays, **how), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("window", [None, 1, 2])
@pytest.mark.parametrize("causal", [False, True])
def test_causal_and_windows(causal, window, xp):
    arrays = example(length=5, keys=4)
    i, j = np.arange(5)[:, None], np.arange(4)
    seen = np.ones((5, 4), bool)
    if causal:
        seen &= i >= j
    if window is not None:
        seen &= abs(i - j) < window
    out = attention(*map(xp.asarray, arrays), causal=causal, window=window)
    expected = by_hand(*arrays, mask=seen)
    np.testing.assert_allclose(xp.to_numpy(out), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("causal", [False, True])
def test_lengths_and_starts(causal, window, xp):
    """Queries stand anywhere among the keys; what lies behind a sample's length is not seen."""
    arrays, lengths, starts = example(length=3, keys=7), np.array([7, 5]), np.array([4, 2])
    i, j = starts[:, None, None, None] + np.arange(3)[:, None], np.arange(7)
    seen = np.broadcast_to(j < lengths[:, None, None, None], (2, 1, 3, 7)).copy()
    if causal:
        seen &= i >= j
    if window is not None:
        seen &= abs(i - j) < window
    given = {"is_causal": causal, "window": window}
    given |= {"lengths": xp.asarray(lengths), "starts": xp.asarray(starts)}
    out = ops.dot_product_attention(*map(xp.asarray, arrays), **given)
    expected = by_hand(*arrays, mask=seen)
    np.testing.assert_allclose(xp.to_numpy(out), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_gradients_with_lengths_and_starts(causal):
    """The second sample has no keys: its queries see nothing."""
    options, lengths = {"causal": causal, "window": 3}, np.array([3, 0])
    arrays = (*example(), None, None, lengths, np.array([1, 0]))
    check_primitive(attention, *arrays, differentiable=[0, 1, 2], **options)


@pytest.mark.parametrize(
    ("options", "bias", "mask"),
    [
        ({}, None, None),
        ({"causal": True}, None, None),
        ({"window": 2, "scale": 0.7}, BIAS, None),
        ({"causal": True}, BIAS[0, :1], rows_seen((2, 1, 1, 4))),
        ({"rate": 0.3, "seed": (3, 5)}, None, rows_seen((2, 4, 3, 4))),
        ({}, None, np.array([[True] * 4, [False] * 4, [True, False] * 2])),
        ({"unseeing": "zeros"}, None, np.array([[True] * 4, [False] * 4, [True, False] * 2])),
    ],
    ids=range(7),
)
def test_versions_and_gradients(options, bias, mask, xp):
    arrays = example()
    wanted = [0, 1, 2] if bias is None else [0, 1, 2, 3]
    check_primitive(attention, *arrays, bias, mask, differentiable=wanted, **options)

    def function(query, key, value, bias=None):
        beside = xp.asarray if is_recorded(query) else np.asarray
        given = None if mask is None else beside(mask)
        return attention(query, key, value, bias, given, **options)

    check_gradient(function, *arrays, *([] if bias is None else [bias]), xp=xp)


def test_dropout_is_that_of_the_weights():
    query, key, value = example(heads=2)
    kept = random.dropout_mask((2, 2, 3, 4), 0.4, (7, 2))
    weights = np.where(kept, attention_weights(query, key, causal=True) / 0.6, 0.0)
    out = attention(query, key, value, causal=True, rate=0.4, seed=(7, 2))
    np.testing.assert_allclose(out, weighted_mean(weights, value), rtol=1e-12)


def test_dropout_has_a_seed(xp):
    query, key, value = map(xp.asarray, example())
    out = ops.dot_product_attention(query, key, value, dropout=0.4, seed=(7, 2))
    expected = attention(query, key, value, rate=0.4, seed=(7, 2))
    np.testing.assert_array_equal(xp.to_numpy(out), xp.to_numpy(expected))
    seeds = random.SeedGenerator(3)
    one, two = (
        xp.to_numpy(ops.dot_product_attention(query, key, value, dropout=0.4, seed=seeds))
        for _ in range(2)
    )
    assert np.abs(one - two).max() > 1e-3


def test_weights_and_their_mean(xp):
    query, key, value = map(xp.asarray, example())
    mask = xp.asarray(np.array([[True] * 4, [False] * 4, [True, False] * 2]))
    weights = attention_weights(query, key, mask)
    sums = xp.to_numpy(weights).sum(axis=-1)
    np.testing.assert_allclose(sums, np.broadcast_to([1.0, 0.0, 1.0], sums.shape), atol=1e-12)
    expected = attention(query, key, value, None, mask, unseeing="zeros")
    out = xp.to_numpy(weighted_mean(weights, value))
    np.testing.assert_allclose(out, xp.to_numpy(expected), rtol=1e-12)
    check_primitive(attention_weights, *example()[:2])
    check_primitive(weighted_mean, np.random.default_rng(4).random((2, 4, 3, 4)), example()[2])


def test_rows_that_see_nothing_have_finite_gradients(xp):
    """The mean of all values, of which the query is no part."""
    query, key, value = (a.astype("float32") for a in example())
    with Tape([]) as tape:
        watched = [tape.watch(xp.asarray(a)) for a in (query, key, value)]
        out = ops.dot_product_attention(*watched, mask=xp.asarray(np.zeros((3, 4), bool)))
    means = np.repeat(value.mean(axis=1), 2, axis=1)
    np.testing.assert_allclose(
        xp.to_numpy(plain(out)), np.broadcast_to(means[:, None], (2, 3, 4, 2)), rtol=1e-5, atol=1e-7
    )
    dquery, dkey, dvalue = map(xp.to_numpy, tape.gradient(out, watched))
    assert not dquery.any()
    assert not dkey.any()
    np.testing.assert_allclose(dvalue, np.full((2, 4, 2, 2), 1.5), rtol=1e-6)  # 2 * 3 queries / 4.


@pytest.mark.parametrize(("length", "keys"), [(0, 4), (3, 0), (0, 0)])
def test_empty_sequences(length, keys, xp):
    arrays = [a.astype("float32") for a in example(length=length, keys=keys)]
    with Tape([]) as tape:
        watched = [tape.watch(xp.asarray(a)) for a in arrays]
        out = attention(*watched, causal=True)
    np.testing.assert_array_equal(xp.to_numpy(plain(out)), np.zeros((2, length, 4, 2), "float32"))
    for array, grad in zip(arrays, tape.gradient(out, watched), strict=True):
        np.testing.assert_array_equal(xp.to_numpy(grad), np.zeros_like(array))


def test_large_scores_give_numbers():
    query, key, value = (a.astype("float32") for a in example())
    out = attention(query * 1e5, key * 1e5, value, causal=True)
    assert np.isfinite(out).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats(dtype):
    arrays = [ops.cast(a, dtype) for a in example()]
    out = ops.dot_product_attention(*arrays)
    assert str(out.dtype) == dtype
    expected = by_hand(*(np.asarray(a, "float64") for a in arrays))
    np.testing.assert_allclose(out.astype("float64"), expected, rtol=1e-2, atol=1e-2)


def test_dtypes_meet_and_lists_and_variables_come():
    query, key, value = example()
    value32 = Variable(value.astype("float32"))
    out = ops.dot_product_attention(query.astype("float32"), key.tolist(), value32)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, by_hand(query, key, value), rtol=1e-4, atol=1e-5)


def test_symbolic():
    query, key = KerasTensor((None, None, 4, 3)), KerasTensor((None, 7, 2, 3))
    out = ops.dot_product_attention(query, key, KerasTensor((None, 7, 2, 5)), is_causal=True)
    assert (out.shape, out.dtype) == ((None, None, 4, 5), "float32")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"heads": 3}, r"heads of the key must divide .*\(2, 3, 3, 3\), key \(2, 4, 2, 3\)"),
        ({"mask": np.ones((3, 5), bool)}, r"scores' shape \(2, 4, 3, 4\).*mask of shape \(3, 5\)"),
        ({"bias": np.ones((1, 1, 1, 3, 4))}, r"a bias of shape \(1, 1, 1, 3, 4\)"),
        ({"lengths": np.array([1, 5])}, r"lengths must be from 0 to .* keys, 4, got \[1, 5\]"),
        ({"lengths": np.array([-1, 3])}, r"lengths must be from 0 .*got \[-1, 3\]"),
        ({"lengths": np.array([3])}, r"lengths must be an integer for each of 2 .*shape \(1,\)"),
        ({"starts": np.ones(2)}, r"starts must be an integer .*of float64"),
        ({"dropout": 1.5}, r"dropout must be from 0 to 1, got 1.5"),
        ({"attn_logits_soft_cap": 2.0}, r"soft_cap must be None, got 2.0"),
    ],
)
def test_bad_arguments(change, said):
    heads = change.pop("heads", 4)
    with pytest.raises(ValueError, match=f"dot_product_attention: .*{said}"):
        ops.dot_product_attention(*example(heads=heads), **change)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ([(2, 3, 4), (2, 3, 4), (2, 3, 4)], "must have 4 axes"),
        ([(2, 3, 4, 5), (2, 6, 4, 5), (2, 7, 4, 5)], "same first 3 sizes"),
        ([(2, 3, 4, 5), (1, 6, 4, 5), (1, 6, 4, 5)], "equally many samples"),
        ([(2, 3, 4, 5), (2, 6, 4, 6), (2, 6, 4, 5)], "same last size"),
    ],
)
def test_bad_shapes(shapes, said):
    with pytest.raises(ValueError, match=said):
        ops.dot_product_attention(*map(np.ones, shapes))


def test_mixed_dtypes():
    """The function lets them meet, as Keras does; what layers use wants one."""
    query, key, value = example()
    short = query.astype("float32")
    np.testing.assert_allclose(
        ops.dot_product_attention(short, key, value),
        by_hand(short.astype("float64"), key, value),
        rtol=1e-6,
    )
    for call in (attention, attention.reference):
        with pytest.raises(TypeError, match="must have one dtype, got float32, float64, float64"):
            call(short, key, value)
