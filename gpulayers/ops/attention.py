"""Attention: means of values, weighted by how well their keys fit a query.

Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin: "Attention is all you need",
2017 (arXiv:1706.03762).  Several queries may share a head of keys and values: Ainslie, Lee-Thorp,
de Jong, Zemlyanskiy, Lebron, Sanghai: "GQA", 2023 (arXiv:2305.13245).

Letters in shapes: B samples, T queries, S keys and values, N heads of queries, K heads of keys and
values (K divides N), H sizes of queries and keys, V of values.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ..arrays import Abstract, devices, dtypes, namespace, primitive, random
from ..arrays.short_floats import cast
from .batch_normalization import wide
from .calling import array_function
from .dropout import dropout
from .floating import floating
from .softmax import softmax

__all__ = ["dot_product_attention"]

LOWEST = -1e30  # What stands for a score that does not count: its exponential is 0.


@array_function("query", "key", "value", "bias", "mask", "lengths", "starts")
def dot_product_attention(
    query,
    key,
    value,
    bias=None,
    mask=None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
    *,
    window: int | None = None,
    dropout: float = 0.0,
    seed=None,
    lengths=None,
    starts=None,
):
    """softmax(scale query keys^T + bias) values, for each sample and head.

    Args:
        query: (B, T, N, H).
        key: (B, S, K, H); the query heads n N/K ... (n + 1) N/K - 1 share the key head n.
        value: (B, S, K, V).
        bias: floats added to the scores, broadcast to (B, N, T, S); it has a gradient.
        mask: True where a score counts, broadcast to (B, N, T, S).
        scale: 1 / sqrt(H) by default.
        is_causal: whether query i sees the keys 0 ... i only.
        flash_attention: accepted as in Keras; results do not depend on it.
        attn_logits_soft_cap: must be None.
        window: query i sees the keys j with |i - j| < window only; all of them if None.
        dropout: the part of the weights to drop, 0 to 1.
        seed: of the dropout: None, a number, a SeedGenerator, or a pair (seed, counter).
        lengths: integers (B,), how many keys of each sample there are: what lies behind them
            (padding, the free end of a cache) is not seen.
        starts: integers (B,), where the first query of each sample stands among the keys, for
            `is_causal` and `window`: query i stands at starts + i. 0 by default.

    Gives (B, T, N, V). A query that sees no key gives the mean of all values, as in Keras, and
    zeros if there are no keys at all. The arguments from `window` on are not Keras's.

    Raises ValueError for shapes that do not fit each other, other numbers, and for a soft cap.
    """
    if attn_logits_soft_cap is not None:
        raise ValueError(
            "dot_product_attention: attn_logits_soft_cap must be None, got "
            f"{attn_logits_soft_cap}: Keras has it on TPUs only."
        )
    if not 0 <= dropout <= 1:
        raise ValueError(f"dot_product_attention: dropout must be from 0 to 1, got {dropout}.")
    query, key, value = (floating(x)[1] for x in (query, key, value))
    dtype = dtypes.promote(query, key, value)
    query, key, value = (cast(x, dtype) for x in (query, key, value))
    rules = {"causal": bool(is_causal), "window": window, "scale": scale}
    if dropout:
        rules |= {"rate": dropout, "seed": random.draw_seed(seed)}
    return attention(query, key, value, bias, mask, lengths, starts, **rules)


@primitive
def attention(
    query,
    key,
    value,
    bias=None,
    mask=None,
    lengths=None,
    starts=None,
    *,
    causal: bool = False,
    window: int | None = None,
    scale: float | None = None,
    rate: float = 0.0,
    seed=None,
    unseeing: str = "mean",
):
    """`dot_product_attention` of floats of one dtype, with what layers need beside it.

    Args:
        query, key, value, bias, mask, lengths, starts, scale, window: as there.
        causal: whether query i sees the keys 0 ... starts + i only.
        rate, seed: dropout of the weights, as `dropout` has it for an array (B, N, T, S).
        unseeing: what a query gives that sees no key: the "mean" of all S values, or "zeros".

    All restrictions hold together. 16-bit floats are computed in float32. Where a query sees no
    key, only the values get a gradient: the result depends on nothing else. So Keras has it on
    JAX; on PyTorch's CPU, gradients there are S times those of a softmax of scores that were not
    masked, because the logarithm of S is lost beside masked scores of -1e38.

    Raises ValueError for shapes that do not fit each other, TypeError for several dtypes.
    """
    check_shapes(query, key, value, bias, mask, lengths, starts)
    rules = {"causal": causal, "window": window, "scale": scale, "unseeing": unseeing}
    weights = _weights(query, key, bias, mask, lengths, starts, **rules)
    return cast(_mean(_dropped(weights, rate, seed), wide(value)), dtypes.name(query.dtype))


@attention.shape
def _(query, key, value, *others, **options):
    return Abstract((*query.shape[:3], value.shape[3]), query.dtype)


@attention.vjp
def _(
    xp, out, query, key, value, bias=None, mask=None, lengths=None, starts=None,
    *, rate=0.0, seed=None, **rules,
):  # fmt: skip
    def pullback(g):
        weights = _weights(query, key, bias, mask, lengths, starts, **rules)
        limits = (rules.get("causal"), rules.get("window"))
        seen = seen_by(query, key, mask, *limits, lengths, starts)
        wide_g, heads = _heads(wide(g)), key.shape[2]
        dvalue = _summed(_dropped(weights, rate, seed), wide_g, heads)
        dweights = _dropped(_by_group(wide_g, _columns(value)), rate, seed)
        dscores = weights * (dweights - xp.sum(weights * dweights, axis=-1, keepdims=True))
        if seen is not None:  # Also where a query sees no key, and weights all values alike.
            dscores = xp.where(seen, dscores, 0.0)
        scale = _scale(query, rules.get("scale"))
        dquery = _by_group(dscores, _heads(wide(key))) * scale
        dkey = _summed(dscores, _heads(wide(query)), heads) * scale
        dbias = None if bias is None else dscores
        return _heads(dquery), _heads(dkey), _heads(dvalue), dbias, None, None, None

    return pullback


@primitive
def attention_weights(
    query, key, mask=None, lengths=None, starts=None, *, causal=False, window=None, scale=None
):
    """The weights (B, N, T, S) that `attention` gives values: 0 for what a query does not see."""
    check_shapes(query, key, key, None, mask, lengths, starts)
    rules = {"causal": causal, "window": window, "scale": scale, "unseeing": "zeros"}
    weights = _weights(query, key, None, mask, lengths, starts, **rules)
    return cast(weights, dtypes.name(query.dtype))


@attention_weights.shape
def _(query, key, *others, **options):
    batch, length, heads, _ = query.shape
    return Abstract((batch, heads, length, key.shape[1]), query.dtype)


@primitive
def weighted_mean(weights, value):
    """Weights (B, N, T, S) times values (B, S, K, V): (B, T, N, V)."""
    return cast(_mean(wide(weights), wide(value)), dtypes.name(value.dtype))


@weighted_mean.shape
def _(weights, value):
    batch, heads, length, _ = weights.shape
    return Abstract((batch, length, heads, value.shape[3]), value.dtype)


def check_shapes(query, key, value, bias=None, mask=None, lengths=None, starts=None) -> None:
    """Raise unless these arguments of `attention` fit, as it does, naming shapes and dtypes."""
    q, k, v = shapes = [tuple(x.shape) for x in (query, key, value)]
    who = "dot_product_attention"
    got = f"got query {q}, key {k}, value {v}."
    if not all(len(shape) == 4 for shape in shapes):
        raise ValueError(f"{who}: query, key and value must have 4 axes, {got}")
    if k[:3] != v[:3]:
        raise ValueError(f"{who}: key and value must have the same first 3 sizes, {got}")
    if q[0] != k[0]:
        raise ValueError(f"{who}: query and key must have equally many samples, {got}")
    if q[3] != k[3]:
        raise ValueError(f"{who}: query and key must have the same last size, {got}")
    if k[2] == 0 or q[2] % k[2]:
        raise ValueError(f"{who}: the heads of the key must divide those of the query, {got}")
    names = [dtypes.name(x.dtype) for x in (query, key, value)]
    if len({*names}) > 1:
        raise TypeError(f"{who}: query, key and value must have one dtype, got {', '.join(names)}.")
    full = (q[0], q[2], q[1], k[1])
    for name, x in (("bias", bias), ("mask", mask)):
        if x is None:
            continue
        pairs = zip(reversed(tuple(x.shape)), reversed(full), strict=False)
        if x.ndim > 4 or any(size not in (1, n) for size, n in pairs):
            raise ValueError(
                f"{who}: the {name} must be broadcastable to the scores' shape {full} (samples, "
                f"heads, queries, keys), got a {name} of shape {tuple(x.shape)}."
            )
    for name, x in (("lengths", lengths), ("starts", starts)):
        if x is not None:
            _check_integers(f"{who}: {name}", x, q[0])
    if type(lengths) is np.ndarray and ((lengths < 0) | (lengths > k[1])).any():
        raise ValueError(
            f"{who}: lengths must be from 0 to the number of keys, {k[1]}, got {lengths.tolist()}."
        )


def _check_integers(what, x, samples):
    """Raise ValueError unless `x` holds an integer for each sample."""
    if tuple(x.shape) != (samples,) or not dtypes.is_integer(x):
        raise ValueError(
            f"{what} must be an integer for each of {samples} samples, got shape "
            f"{tuple(x.shape)} of {dtypes.name(x.dtype)}."
        )


def seen_by(query, key, mask, causal: bool, window: int | None, lengths=None, starts=None):
    """Where scores count, broadcastable to (B, N, T, S); None if all do."""
    xp = namespace(query, key, mask)
    rules = []
    if mask is not None:
        rules.append(mask if dtypes.is_bool(mask) else xp.astype(mask, xp.bool))
    device = devices.device_of(query)
    column = xp.reshape(xp.arange(key.shape[1], device=device), (1, -1))
    if causal or window is not None:
        row = xp.reshape(xp.arange(query.shape[1], device=device), (-1, 1))
        if starts is not None:
            row = row + _by_sample(starts)
        if causal:
            rules.append(row >= column)
        if window is not None:
            rules.append(xp.abs(row - column) < window)
    if lengths is not None:
        rules.append(column < _by_sample(lengths))
    return functools.reduce(xp.logical_and, rules) if rules else None


def _by_sample(x):
    """(B,) as (B, 1, 1, 1)."""
    return namespace(x).reshape(x, (-1, 1, 1, 1))


def _scale(query, scale):
    return 1.0 / math.sqrt(max(query.shape[3], 1)) if scale is None else scale


def _weights(
    query, key, bias, mask, lengths, starts,
    *, causal=False, window=None, scale=None, unseeing="mean",
):  # fmt: skip
    """The weights (B, N, T, S)."""
    xp = namespace(query, key, bias, mask)
    scores = _by_group(_heads(wide(query)) * _scale(query, scale), _columns(key))
    if bias is not None:
        scores = scores + cast(bias, dtypes.name(scores.dtype))
    seen = seen_by(query, key, mask, causal, window, lengths, starts)
    if not key.shape[1]:
        return scores
    if seen is None:
        return softmax(scores, axis=-1)
    weights = softmax(xp.where(seen, scores, LOWEST), axis=-1)
    if unseeing == "zeros":
        weights = xp.where(seen, weights, 0.0)
    return weights


def _dropped(weights, rate, seed):
    return dropout(weights, rate=rate, seed=seed) if rate else weights


def _mean(weights, value):
    return _heads(_by_group(weights, _heads(value)))


def _heads(x):
    """(B, T, N, H) as (B, N, T, H), and the other way round."""
    return namespace(x).permute_dims(x, (0, 2, 1, 3))


def _columns(x):
    """(B, S, K, H) as (B, K, H, S)."""
    return namespace(x).permute_dims(wide(x), (0, 2, 3, 1))


def _by_group(rows, matrix):
    """(B, N, T, n) times (B, K, n, m), each matrix for its group of N/K heads: (B, N, T, m)."""
    xp = namespace(rows, matrix)
    batch, heads, length, _ = rows.shape
    out = xp.matmul(_grouped(rows, matrix.shape[1]), matrix)
    return xp.reshape(out, (batch, heads, length, matrix.shape[3]))


def _summed(left, right, heads):
    """(B, N, T, n) and (B, N, T, m): sums of products over T and each group, (B, K, n, m)."""
    left, right = _grouped(left, heads), _grouped(right, heads)
    xp = namespace(left, right)
    return xp.matmul(xp.matrix_transpose(left), right)


def _grouped(x, heads):
    """(B, N, T, n) with the heads of a group one after the other: (B, K, N/K T, n)."""
    batch, all_heads, length, size = x.shape
    if all_heads == heads:
        return x
    return namespace(x).reshape(x, (batch, heads, all_heads // heads * length, size))
