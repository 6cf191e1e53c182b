"""Kernels of attention: tiles, masks, biases, dropout, groups of heads, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import rig
from attention_checks import LIMITS, SHORT, check, example, numbers, some
from capture_checks import check_same
from kernel_checks import FLOATS, kind

from gpulayers import layers
from gpulayers.arrays import Tape
from gpulayers.cuda import attention as kernels
from gpulayers.cuda import attention_decode, products
from gpulayers.ops.attention import attention


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("keys", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("length", [1, 65, 130])
def test_lengths(cupy, length, keys, dtype):
    check(cupy, example(length, keys, 2, 1, batch=1), dtype=dtype, causal=length > 1)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [16, 32, 64, 80, 128, 256])
def test_sizes(cupy, size, dtype):
    check(cupy, example(33, 70, 2, 1, size, size, 1), dtype=dtype, causal=True)
    check(cupy, example(9, 7, 1, 1, size - 1, size // 2, 1), None, some(9, 7), dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("size", "value_size"), [(1, 1), (3, 40), (40, 8)])
def test_values_of_another_size_than_keys(cupy, size, value_size, dtype):
    check(cupy, example(20, 70, 2, 2, size, value_size), dtype=dtype)


RULES = [
    {"causal": True},
    {"window": 1},
    {"window": 40},
    {"causal": True, "window": 70, "scale": 0.4},
    {"scale": 0.0},
    {"scale": -0.3, "causal": True},
    {"window": 0},
    {"window": 3, "unseeing": "zeros"},
]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("options", RULES, ids=str)
@pytest.mark.parametrize(("length", "keys"), [(70, 200), (200, 70)])
def test_rules(cupy, length, keys, options, dtype):
    """Whole tiles are skipped, in both directions; some queries see nothing."""
    check(cupy, example(length, keys, 2, 1, 16, 16, 1), dtype=dtype, **options)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [
    (2, 2, 70, 131), (2, 1, 70, 131), (70, 131), (2, 1, 1, 131), (2, 70, 1), (1, 131),
])  # fmt: skip
def test_masks(cupy, shape, dtype):
    arrays, unseeing = example(70, 131, 2, 1), "mean" if shape[-2] == 70 else "zeros"
    check(cupy, arrays, None, some(*shape), dtype=dtype, unseeing=unseeing, causal=True)


def test_masks_of_numbers_and_masks_that_are_views(cupy):
    arrays = [cupy.asarray(a.astype("f4")) for a in example(20, 30)]
    mask = some(2, 4, 20, 30)
    expected = attention.reference(*example(20, 30), None, mask)
    for given in (
        cupy.asarray(mask.astype("i4") * 3),
        cupy.asarray(np.ascontiguousarray(mask.transpose(3, 1, 2, 0))).transpose(3, 1, 2, 0),
        cupy.asarray(mask[:, :, ::-1])[:, :, ::-1],
        cupy.broadcast_to(cupy.asarray(mask), mask.shape),
    ):
        out = attention.version("cupy")(*arrays, None, given)
        np.testing.assert_allclose(out.get(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [
    (2, 2, 70, 131), (1, 2, 70, 131), (2, 1, 70, 1), (2, 1, 131), (1,), (2, 1, 1, 131),
])  # fmt: skip
def test_biases_have_gradients_of_their_own_shape(cupy, shape, dtype):
    # Where a bias is shared, thousands of gradients of scores that nearly cancel are summed.
    arrays, shared = example(70, 131, 2, 1, 16, 16), 2 * 2 * 70 * 131 / np.prod(shape)
    atol = LIMITS[dtype] * max(shared**0.5 / 4, 1)
    check(cupy, arrays, numbers(*shape), dtype=dtype, atol=atol)


def test_a_bias_of_another_dtype(cupy):
    query, key, value = (cupy.asarray(a.astype("f2")) for a in example(10, 70))
    bias = cupy.asarray(numbers(4, 10, 70).astype("f4"))
    with Tape([]) as tape:
        watched = tape.watch(bias)
        out = attention(query, key, value, watched)
    (grad,) = tape.gradient(out, [watched])
    assert (grad.dtype, grad.shape) == (np.float32, bias.shape)
    wide = [a.get().astype("f8") for a in (query, key, value, bias)]
    rule = attention._vjp(np, None, *wide)(np.ones(out.shape))
    np.testing.assert_allclose(grad.get(), rule[3].sum(axis=0), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("keys", "options"), [
    (128, {"rate": 0.3, "seed": (3, 5)}), (77, {"rate": 0.9, "seed": (2**40, 7), "causal": True}),
])  # fmt: skip
def test_dropout_is_that_of_the_reference(cupy, keys, options, dtype):
    arrays = example(70, keys, 2, 1, 16, 16)
    atol = LIMITS[dtype] / (1 - options["rate"])  # Weights that stay are so much larger.
    check(cupy, arrays, dtype=dtype, atol=atol, **options)
    beside = numbers(2, 70, keys), some(2, 1, 70, keys)
    check(cupy, arrays, *beside, dtype=dtype, atol=atol, **options)


@pytest.mark.parametrize("keys", [130, 64])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dropout_bit_by_bit(cupy, keys, dtype):
    """With values that tell the keys apart, and equal weights."""
    from gpulayers.arrays import random

    length, heads = 70, 2
    query = np.zeros((1, length, heads, 8))
    key = np.zeros((1, keys, heads, 8))
    value = np.zeros((1, keys, heads, 256))
    value[0, np.arange(keys), :, np.arange(keys)] = keys
    arrays = [cupy.asarray(a.astype(kind(dtype))) for a in (query, key, value)]
    out = attention(*arrays, rate=0.5, seed=(11, 4)).get().astype("f8")
    kept = random.keep((1, heads, length, keys), 0.5, 11, 4)
    np.testing.assert_array_equal(out[..., :keys] > 1, kept.transpose(0, 2, 1, 3))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("unseeing", ["mean", "zeros"])
@pytest.mark.parametrize("options", [{}, {"causal": True}, {"window": 30}], ids=str)
def test_lengths_and_starts_of_samples(cupy, options, unseeing, dtype):
    arrays = example(70, 140, 2, 1, 16, 16, batch=4)
    lengths, starts = np.array([140, 0, 65, 9]), np.array([70, 3, -5, 0], "i4")
    check(cupy, arrays, None, None, lengths, None, dtype=dtype, unseeing=unseeing, **options)
    check(cupy, arrays, None, None, lengths, starts, dtype=dtype, unseeing=unseeing, **options)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("key_heads", [1, 2, 6])
def test_groups_of_heads(cupy, key_heads, dtype):
    arrays = example(66, 70, 6, key_heads, 16, 16)
    check(cupy, arrays, dtype=dtype)
    check(cupy, arrays, None, some(2, 6, 66, 70), dtype=dtype, rate=0.2, seed=(1, 1))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_orders_of_threads(cupy, order, dtype):
    arrays = example(70, 70, 2, 1, 16, 16)
    check(cupy, arrays, dtype=dtype, causal=True)
    beside = numbers(2, 70, 1), some(70, 70)
    check(cupy, arrays, *beside, dtype=dtype, rate=0.2, seed=(1, 1), atol=5 * LIMITS[dtype])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("form", ["heads first", "spaced", "reversed", "one of three", "offset"])
def test_arrays_that_are_views(cupy, form, dtype):
    """Queries, keys and values may be parts of one product; nothing is copied that need not be."""
    arrays = example(66, 66, 2, 2, 16, 16)
    if form == "heads first":
        there = [a.transpose(2, 0, 1, 3) for a in arrays]
        views = [cupy.asarray(a.astype(kind(dtype)).copy()).transpose(1, 2, 0, 3) for a in there]
    elif form == "spaced":
        there = [np.repeat(a, 2, axis=3) for a in arrays]
        views = [cupy.asarray(a.astype(kind(dtype)))[..., ::2] for a in there]
    elif form == "reversed":
        views = [cupy.asarray(a[:, ::-1].astype(kind(dtype)).copy())[:, ::-1] for a in arrays]
    elif form == "one of three":
        together = cupy.asarray(np.concatenate(arrays, axis=3).astype(kind(dtype)))
        views = [together[..., i : i + 16] for i in (0, 16, 32)]
    else:
        together = cupy.asarray(np.concatenate([a[..., :3] for a in arrays], 3).astype(kind(dtype)))
        views = [together[..., i : i + 3] for i in (0, 3, 6)]
    wide = [v.get().astype("f8") for v in views]
    with Tape([]) as tape:
        watched = [tape.watch(v) for v in views]
        out = attention(*watched, causal=True)
    expected = attention.reference(*wide, causal=True)
    tolerance = {"rtol": LIMITS[dtype], "atol": LIMITS[dtype]}
    np.testing.assert_allclose(out.value.get().astype("f8"), expected, **tolerance)
    g = numbers(*expected.shape).transpose(1, 0, 2, 3).astype(kind(dtype)).copy()
    grads = tape.gradient(out, watched, cupy.asarray(g).transpose(1, 0, 2, 3))
    rule = attention._vjp(np, expected, *wide, causal=True)(g.transpose(1, 0, 2, 3).astype("f8"))
    for grad, wanted in zip(grads, rule, strict=False):
        np.testing.assert_allclose(grad.get().astype("f8"), wanted, **tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_only_what_is_needed(cupy, dtype):
    arrays = [cupy.asarray(a.astype(dtype)) for a in example(9, 8)]
    bias = cupy.asarray(numbers(9, 8).astype(dtype))
    for wanted in range(4):
        needs = tuple(i == wanted for i in range(7))
        _, pullback = attention.version("cupy")(*arrays, bias, None, None, None, needs=needs)
        grads = pullback(cupy.ones((2, 9, 4, 20), dtype))
        assert grads[wanted] is not None
        assert all(grads[i] is None for i in range(7) if {i, wanted} not in ({i}, {1, 2}))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_same_bits_each_time(cupy, dtype):
    arrays = [cupy.asarray(a.astype(kind(dtype))) for a in example(130, 130, 4, 1, 16, 16)]
    bias = cupy.asarray(numbers(130).astype(kind(dtype)))

    def once():
        with Tape([]) as tape:
            watched = [tape.watch(a) for a in (*arrays, bias)]
            out = attention(*watched, causal=True, rate=0.1, seed=(3, 3))
        grads = tape.gradient(out, watched, out.value)
        return [x.get().tobytes() for x in (out.value, *grads)]

    first = once()
    for seed in range(2):
        with rig.schedule("random", seed=seed):
            assert once() == first


@pytest.mark.parametrize(("length", "keys", "batch"), [(0, 4, 2), (3, 0, 2), (0, 0, 2), (3, 4, 0)])
def test_empty_sequences_and_batches(cupy, length, keys, batch):
    arrays = [cupy.asarray(a.astype("f4")) for a in example(length, keys, batch=batch)]
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in arrays]
        out = attention(*watched, causal=True)
    np.testing.assert_array_equal(out.value.get(), np.zeros((batch, length, 4, 20), "f4"))
    for array, grad in zip(arrays, tape.gradient(out, watched), strict=True):
        np.testing.assert_array_equal(grad.get(), np.zeros(array.shape, "f4"))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_large_scores_of_a_later_tile(cupy, dtype):
    query, key, value = (a.astype(kind(dtype)) for a in example(3, 150))
    key[:, 140] *= np.asarray(1e3, key.dtype)
    check(cupy, [a.astype("f8") for a in (query, key, value)], dtype=dtype, gradients=False)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_not_a_number_stays_in_its_row(cupy, dtype):
    query, key, value = example(70, 70, 1, 1, batch=1)
    query[0, 5] = np.nan
    arrays = [cupy.asarray(a.astype(kind(dtype))) for a in (query, key, value)]
    out = attention(*arrays).get().astype("f8")
    assert np.isnan(out[0, 5]).all()
    assert np.isfinite(np.delete(out, 5, axis=1)).all()


def test_what_is_left_to_the_reference(cupy):
    version = attention.version("cupy")
    large = [cupy.asarray(a.astype("f4")) for a in example(3, 4, size=257)]
    assert version(*large) is NotImplemented
    arrays = [cupy.asarray(a.astype("f4")) for a in example(3, 4)]
    assert version(*arrays, rate=1.0, seed=(1, 1)) is NotImplemented
    with pytest.raises(TypeError, match="must have one dtype, got float32, float32, float16"):
        version(arrays[0], arrays[1], arrays[2].astype("f2"))


def test_shapes_that_do_not_fit(cupy):
    query, key, value = (cupy.asarray(a.astype("f4")) for a in example(3, 4))
    with pytest.raises(ValueError, match="heads of the key must divide"):
        attention(query[:, :, :3], key, value)
    with pytest.raises(ValueError, match=r"scores' shape \(2, 4, 3, 4\).*mask of shape \(3, 5\)"):
        attention(query, key, value, None, cupy.ones((3, 5), bool))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("sanitize", ["thread", "address"])
def test_no_races(cupy, dtype, sanitize):
    with rig.schedule("random", seed=1, sanitize=sanitize):
        check(
            cupy, example(70, 70, 2, 1, 16, 16, 1), numbers(1, 70), some(70, 70),
            dtype=dtype, rate=0.2, seed=(1, 1), atol=5 * LIMITS[dtype],
        )  # fmt: skip


@pytest.mark.parametrize("dtype", SHORT)
def test_little_shared_memory(cupy, monkeypatch, dtype):
    """Smaller tiles, then none of tensor cores."""
    for limit in (101376, 65536, 49152):
        for module in (kernels, attention_decode):
            monkeypatch.setattr(module, "shared_memory_limit", lambda limit=limit: limit)
        for size in (64, 128, 256):
            check(cupy, example(9, 70, 1, 1, size, size, 1), None, some(9, 70), dtype=dtype)


def test_old_gpus_have_no_tensor_cores_for_bfloat16(cupy, monkeypatch):
    monkeypatch.setattr(products, "capability", lambda: 75)
    check(cupy, example(40, 70), dtype="bfloat16", causal=True)


def test_memory_is_what_goes_in_and_out(cupy):
    """A number a row beside it: none of (B, N, T, S)."""
    arrays = [cupy.asarray(a.astype("f4")) for a in example(90, 300, 1, 1, 16, 16, 1)]
    made = []

    def empty(shape, dtype):
        made.append(int(np.prod(shape)))
        return cupy.empty(shape, dtype)

    original, kernels.empty = kernels.empty, empty
    try:
        with Tape([]) as tape:
            watched = [tape.watch(a) for a in arrays]
            out = attention(*watched)
        tape.gradient(out, watched)
    finally:
        kernels.empty = original
    assert sorted(made) == [90, 90, 90 * 16, 90 * 16, 300 * 16, 300 * 16]


class SelfAttention(layers.Layer):
    """Attention of a sequence to itself, with dropout."""

    def __init__(self):
        super().__init__()
        self.inner = layers.MultiHeadAttention(2, 4, dropout=0.3, seed=1)

    def call(self, x, training=None):
        return self.inner(x, x, use_causal_mask=True, training=training)


@pytest.mark.usefixtures("same_products")
def test_captured_steps_learn_the_same(cupy):
    """Nothing waits for the GPU, and each run has dropout of its own."""
    check_same(cupy, lambda: [layers.Reshape((2, 4)), SelfAttention(), layers.Flatten()])
