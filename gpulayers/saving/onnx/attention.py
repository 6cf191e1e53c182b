"""Attention as nodes of ONNX: products, a softmax, and a causal mask if there is one."""

from __future__ import annotations

import numpy as np

from ... import layers as made
from .masks import together, with_axis
from .products import einsum_dense
from .writer import NotCovered, Value, Writer, numbers

HIDDEN = -3e38  # What scores of hidden keys become: with finite numbers no row is without a sum.


def softmax_of(
    writer: Writer, scores: Value, causal: bool, window=None, mask=None, zeros=False
) -> Value:
    """The weights of scores (..., T, S).

    If `causal`, of keys up to each query's own place; with a window, of keys less far away; with
    a mask, of keys where it is True.  A query that sees none gives each the same weight, or with
    `zeros` none.
    """
    hidden = None if mask is None else writer.each("Not", mask)
    if causal or window is not None:
        rows, columns = (_places(writer, scores, axis) for axis in (-2, -1))
        rows = writer.node("Unsqueeze", rows, writer.integers(1))
        ahead = writer.single("Sub", columns, rows, shape=scores.shape[-2:], dtype="int64")
        further = [writer.each("Greater", ahead, 0)] if causal else []
        if window is not None:
            further.append(writer.each("GreaterOrEqual", writer.each("Abs", ahead), window))
        for one in further:
            hidden = one if hidden is None else writer.each("Or", hidden, one)
    if hidden is not None:
        scores = writer.each("Where", hidden, HIDDEN, scores)
    weights = writer.single("Softmax", scores, shape=scores.shape, axis=-1)
    return writer.each("Where", hidden, 0.0, weights) if zeros and mask is not None else weights


def _places(writer, x, axis):
    """0, 1, ... along an axis, as int64."""
    if x.shape[axis] is not None:
        return writer.constant(np.arange(x.shape[axis]))
    axis += x.ndim
    count = writer.node("Squeeze", writer.node("Shape", x, start=axis, end=axis + 1))
    zero, one = (writer.constant(np.array(n, np.int64)) for n in (0, 1))
    return writer.node("Range", zero, count, one)


def projected(
    writer, layer, query, value, key=None, use_causal_mask=False, return_attention_scores=False,
    query_mask=None, value_mask=None, key_mask=None, attention_mask=None,
):  # fmt: skip
    """Attention with several heads, which may share those of keys and values."""
    value_mask = value.mask if value_mask is None else value_mask
    if key is not None and key_mask is None:
        key_mask = key.mask
    key = value if key is None else key
    mask = _pairs(writer, query.mask, value_mask, key_mask, attention_mask)
    mask_rules = {"mask": mask, "zeros": return_attention_scores or layer.dropout > 0}
    if query.ndim != 3 or getattr(layer, "attention_axes", (1,)) != (1,):
        raise NotCovered("attends over other axes than the second of three")
    gate = einsum_dense(writer, layer._gate_dense, query) if layer.use_gate else None
    q = einsum_dense(writer, layer._query_dense, query)
    k = einsum_dense(writer, layer._key_dense, key)
    v = einsum_dense(writer, layer._value_dense, value)
    outputs, scores = _attend(writer, layer, q, k, v, use_causal_mask, **mask_rules)
    outputs = outputs if gate is None else writer.each("Mul", outputs, gate)
    outputs = einsum_dense(writer, layer._output_dense, outputs)
    return [outputs, scores] if return_attention_scores else outputs


def _pairs(writer, query_mask, value_mask, key_mask, attention_mask):
    """The masks (B, T), (B, S), (B, S) and (B, T, S) as one (B, 1, T, S), or None."""
    rows = with_axis(writer, _boolean(writer, query_mask), -1)
    columns = [with_axis(writer, _boolean(writer, m), -2) for m in (value_mask, key_mask)]
    merged, given = together(writer, rows, *columns), _boolean(writer, attention_mask)
    merged = with_axis(writer, merged, 1)
    if given is not None and given.ndim == 3:
        given = with_axis(writer, given, 1)
    return together(writer, merged, given)


def _boolean(writer, mask):
    return mask if mask is None else writer.cast(mask, "bool")


def _attend(writer, layer, query, key, value, causal, mask, zeros):
    """What heads see, (batch, T, heads, size), and their weights."""
    heads, shared = query.shape[2], key.shape[2]
    q = writer.transposed(query, (0, 2, 1, 3))
    k, v = writer.transposed(key, (0, 2, 3, 1)), writer.transposed(value, (0, 2, 1, 3))
    q = writer.each("Mul", q, layer._scale)
    batch, _, length, size = q.shape
    if shared != heads:  # Heads that share keys and values stand along an axis of their own.
        group = heads // shared
        target = writer.integers(0, shared, group, -1, size)
        if mask is not None and mask.shape[1] != 1:
            raise NotCovered("has an attention_mask for each head, and heads that share keys")
        mask = with_axis(writer, mask, 1)
        q = writer.single("Reshape", q, target, shape=(batch, shared, group, length, size))
        k, v = (
            writer.single("Unsqueeze", x, writer.integers(2),
                          shape=(*x.shape[:2], 1, *x.shape[2:]))
            for x in (k, v)
        )  # fmt: skip
    scores = writer.single("MatMul", q, k, shape=(*q.shape[:-1], k.shape[-1]))
    weights = softmax_of(writer, scores, causal, layer.sliding_window, mask, zeros)
    seen = writer.single("MatMul", weights, v, shape=(*weights.shape[:-1], v.shape[-1]))
    if shared != heads:
        seen = _with_all_heads(writer, seen, heads)
        weights = _with_all_heads(writer, weights, heads)
    return writer.transposed(seen, (0, 2, 1, 3)), weights


def _with_all_heads(writer, x, heads):
    """(batch, shared, group, T, size) as (batch, heads, T, size)."""
    batch, _, _, length, size = x.shape
    whole = writer.node("Shape", x)
    ends = [writer.integers(0), writer.integers(heads)]
    last = writer.node("Slice", whole, writer.integers(3), writer.integers(5))
    target = writer.node("Concat", ends[0], ends[1], last, axis=0)
    return writer.single("Reshape", x, target, shape=(batch, heads, length, size))


def attention(writer, layer, inputs, use_causal_mask=False, return_attention_scores=False):
    """Products of queries and keys, or sums bent by tanh, as scores."""
    query, value = inputs[:2]
    key = inputs[2] if len(inputs) > 2 else value
    if query.ndim != 3:
        raise NotCovered(f"has queries with {query.ndim} axes: only 3 are covered")
    scores = _scores(writer, layer, query, key)
    seen = _boolean(writer, value.mask)
    seen = with_axis(writer, seen, -2) if seen is not None and seen.ndim == 2 else seen
    weights = softmax_of(writer, scores, use_causal_mask, mask=seen)
    shape = (*weights.shape[:-1], value.shape[-1])
    outputs = writer.single("MatMul", weights, value, shape=shape)
    if query.mask is not None:
        rows = with_axis(writer, _boolean(writer, query.mask), -1)
        outputs = writer.each("Where", rows, outputs, 0.0)
    return [outputs, weights] if return_attention_scores else outputs


def _scores(writer, layer, query, key):
    scale = None if layer.scale is None else numbers(layer.scale)
    if type(layer) is made.Attention and layer.score_mode == "dot":
        across = writer.transposed(key, (0, 2, 1))
        shape = (*query.shape[:-1], key.shape[1])
        scores = writer.single("MatMul", query, across, shape=shape)
        return scores if scale is None else writer.each("Mul", scores, scale)
    rows = writer.single(
        "Unsqueeze", query, writer.integers(2), shape=(*query.shape[:2], 1, query.shape[2])
    )
    columns = writer.single(
        "Unsqueeze", key, writer.integers(1), shape=(key.shape[0], 1, *key.shape[1:])
    )
    sums = writer.each("Add", rows, columns)
    if type(layer) is made.AdditiveAttention:
        bent = writer.each("Tanh", sums)
        bent = bent if scale is None else writer.each("Mul", bent, scale)
        return writer.along("ReduceSum", bent, [-1])
    bent = writer.each("Tanh", sums if scale is None else writer.each("Mul", sums, scale))
    weight = numbers(layer.concat_score_weight)
    return writer.each("Mul", writer.along("ReduceSum", bent, [-1]), weight)


LAYERS = {
    made.MultiHeadAttention: projected,
    made.GroupedQueryAttention: projected,
    made.Attention: attention,
    made.AdditiveAttention: attention,
}
