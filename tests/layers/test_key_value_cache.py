"""Generation step by step gives what the whole sequence gives at once."""

import numpy as np
import pytest

from gpulayers import Input, Model, layers, ops
from gpulayers.arrays import Tape, set_mask

X = np.random.default_rng(0).normal(size=(2, 9, 4)).astype("float32")


class Rotary(layers.MultiHeadAttention):
    """Heads that know where they stand."""

    def positioned(self, x, positions):
        return ops.rotary_embedding(x, positions)


class RotaryGroups(layers.GroupQueryAttention):
    """The same with shared keys."""

    def positioned(self, x, positions):
        return ops.rotary_embedding(x, positions, interleaved=True)


MAKERS = [
    lambda **o: layers.MultiHeadAttention(2, 4, value_dim=3, **o),
    lambda **o: layers.GroupQueryAttention(4, 4, 2, use_gate=True, **o),
    lambda **o: Rotary(2, 4, **o),
    lambda **o: RotaryGroups(4, 4, 1, **o),
]
EVERY = pytest.mark.parametrize("make", MAKERS, ids=["heads", "groups", "rotary", "rotary groups"])
STEPS = [[1] * 9, [5, 1, 1, 2], [4, 5], [9]]


def close(x, y):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@EVERY
@pytest.mark.parametrize("steps", STEPS, ids=str)
@pytest.mark.parametrize("window", [None, 3])
def test_step_by_step(make, steps, window, xp):
    layer, x = make(sliding_window=window), xp.asarray(X)
    whole = layer(x, x, use_causal_mask=True)
    cache, parts, start = layers.KeyValueCache(10), [], 0
    for count in steps:
        part = x[:, start : start + count, :]
        parts.append(xp.to_numpy(layer(part, part, use_causal_mask=True, cache=cache)))
        start += count
    close(np.concatenate(parts, axis=1), xp.to_numpy(whole))
    assert cache.lengths.tolist() == [9, 9]


@EVERY
def test_a_window_needs_no_more_memory_than_itself(make):
    """Places become free; positions go on."""
    layer, window = make(sliding_window=3), 3
    x = np.concatenate([X, X[:, ::-1], X], axis=1)
    whole = layer(x, x, use_causal_mask=True)
    for length, count in ((window, 1), (window + 3, 4), (7, 2)):
        cache, parts = layers.KeyValueCache(length), []
        for start in range(0, 27, count):
            part = x[:, start : start + count]
            parts.append(layer(part, part, use_causal_mask=True, cache=cache))
        close(np.concatenate(parts, axis=1), whole)
        assert cache.keys.shape[1] == length
        assert cache.positions.tolist() == [27, 27]


@EVERY
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("carried", [False, True])
def test_prompts_of_several_lengths(make, window, carried, xp):
    """Padding at their ends is overwritten by what comes."""
    layer, lengths = make(sliding_window=window), (5, 2)
    layer(X, X)
    expected = [layer(X[i : i + 1], X[i : i + 1], use_causal_mask=True)[0] for i in range(2)]
    mask = xp.asarray(np.arange(5) < np.array(lengths)[:, None])
    layer = layer if xp.name.startswith("numpy") else moved(layer, make(sliding_window=window), xp)
    prompt = np.where(np.arange(5)[:, None] < np.array(lengths)[:, None, None], X[:, :5], 7.0)
    prompt = xp.asarray(prompt.astype("float32"))
    if carried:
        set_mask(prompt, mask)
    cache = layers.KeyValueCache(8)
    masks = {} if carried else {"value_mask": mask}
    out = xp.to_numpy(layer(prompt, prompt, use_causal_mask=True, cache=cache, **masks))
    for one, wanted, n in zip(out, expected, lengths, strict=True):
        close(one[:n], wanted[:n])
    assert cache.lengths.tolist() == [5, 2]
    for step in range(3):
        x = xp.asarray(np.stack([X[i, n + step : n + step + 1] for i, n in enumerate(lengths)]))
        out = xp.to_numpy(layer(x, x, use_causal_mask=True, cache=cache))
        for one, wanted, n in zip(out, expected, lengths, strict=True):
            close(one, wanted[n + step : n + step + 1])


def moved(layer, other, xp):
    """A layer with the same weights over another library."""
    other(xp.asarray(X), xp.asarray(X))
    other.set_weights(layer.get_weights())
    return other


@EVERY
def test_scores_and_masks(make):
    layer, cache = make(), layers.KeyValueCache(12)
    rows = np.random.default_rng(1).random((2, 9, 9)) < 0.7
    rows[:, np.arange(9), np.arange(9)] = True
    options = {"use_causal_mask": True, "return_attention_scores": True}
    out, scores = layer(X, X, attention_mask=rows, **options)
    full = np.zeros((2, 9, 12), bool)
    full[..., :9] = rows
    for start in range(0, 9, 3):
        part, seen = X[:, start : start + 3], full[:, start : start + 3]
        given, weights = layer(part, part, attention_mask=seen, cache=cache, **options)
        close(given, out[:, start : start + 3])
        close(weights[..., :9], scores[:, :, start : start + 3])
        assert not weights[..., 9:].any()


def test_without_a_causal_mask_all_that_is_there_is_seen():
    layer, cache = MAKERS[0](), layers.KeyValueCache(12)
    layer(X[:, :4], X[:, :4], cache=cache)
    close(layer(X[:, 4:], X[:, 4:], cache=cache), layer(X[:, 4:], X))


def test_steps_back_and_a_new_beginning():
    layer, cache = MAKERS[2](), layers.KeyValueCache(9)
    options = {"use_causal_mask": True, "cache": cache}
    assert "empty" in repr(cache) and cache.positions == 0 and cache.lengths.tolist() == []
    first = layer(X, X, **options)
    cache.truncate([4, 2])
    assert cache.lengths.tolist() == [4, 2] and "[4, 2]" in repr(cache)
    again = layer(X[:, 4:6], X[:, 4:6], **options)
    close(again[0], first[0, 4:6])
    cache.truncate(0)
    close(layer(X, X, **options), first)
    cache.clear()
    close(layer(X[:1, :3], X[:1, :3], **options), first[:1, :3])


def test_a_cache_does_not_enter_configs():
    layer = MAKERS[1]()
    before = layer.get_config()
    layer(X, X, cache=layers.KeyValueCache(9))
    assert layer.get_config() == before
    assert len(layer.weights) == 10


def test_on_a_gpu(cupy):
    from stand_in_cupy import host_copies

    layer = RotaryGroups(4, 4, 2)
    x = cupy.asarray(X)
    whole = layer(x, x, use_causal_mask=True)
    cache = layers.KeyValueCache(9)
    host_copies.clear()
    parts = [
        layer(x[:, t : t + 1], x[:, t : t + 1], use_causal_mask=True, cache=cache) for t in range(9)
    ]
    cache.truncate([4, 8])
    again = layer(x[:, 8:], x[:, 8:], use_causal_mask=True, cache=cache)
    assert host_copies == []
    close(again._host[1], whole._host[1, 8:])
    assert isinstance(cache.keys, cupy.ndarray) and isinstance(cache.positions, cupy.ndarray)
    close(np.concatenate([p._host for p in parts], axis=1), whole._host)


def filled(length=4, **options):
    layer, cache = MAKERS[0](**options), layers.KeyValueCache(length)
    layer(X[:, :3], X[:, :3], cache=cache)
    return layer, cache


def recorded():
    layer, cache = filled()
    with Tape():
        layer(X, X, cache=cache)


def symbolic():
    x = Input((9, 4))
    Model(x, layers.MultiHeadAttention(2, 3)(x, x, cache=layers.KeyValueCache(9)))


def several_axes():
    x = np.zeros((1, 2, 3, 4), "float32")
    layers.MultiHeadAttention(2, 3)(x, x, cache=layers.KeyValueCache(9))


def grown(count, cache_length=4, samples=2, **options):
    layer, cache = filled(cache_length, **options)
    x = np.zeros((samples, count, 4), "float32")
    layer(x, x, cache=cache)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: layers.KeyValueCache(0), "length must be a positive integer, got 0"),
        (lambda: grown(2), r"2 more positions do not fit into one of length 4 .* \[3, 3\]"),
        (lambda: grown(3, sliding_window=3), r"3 more positions do not fit .* holds \[2, 2\]"),
        (lambda: grown(1, samples=1), r"keys of shape \(2, 4, 2, 4\).* of shape \(1, 1, 2, 4\)"),
        (lambda: filled()[1].extend(*[np.ones((2, 1, 2, n)) for n in (4, 3)]), "of float64"),
        (lambda: filled()[1].truncate([3, 4]), r"held, \[3, 3\], got \[3, 4\]"),
        (lambda: filled()[1].truncate(-1), r"held, \[3, 3\], got -1"),
        (lambda: filled()[1].truncate(0.5), r"must be integers .*got 0.5"),
        (recorded, "train without a cache"),
        (symbolic, "train without a cache"),
        (several_axes, r"a cache is for arrays of 3 axes, got 4"),
        (
            lambda: layers.KeyValueCache(4).extend(
                np.ones((1, 2, 1, 1)), np.ones((1, 2, 1, 1)), np.array([[False, True]])
            ),
            "a mask must be True for the first positions",
        ),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said):
        call()
