"""Layers that multiply by a table of weights, or look numbers up in one, as nodes of ONNX."""

from __future__ import annotations

import numpy as np

from ... import layers as made
from .activations import activated
from .writer import NotCovered, Value, Writer, numbers


def _require_floats(layer):
    if layer.quantized is not None:
        raise NotCovered("keeps its weights in few bits, which is not covered")


def dense(writer: Writer, layer, x: Value) -> Value:
    _require_floats(layer)
    x = writer.cast(x, "float32")
    shape = (*x.shape[:-1], layer.units)
    y = writer.single("MatMul", x, writer.constant(layer.kernel), shape=shape)
    y = y if layer.bias is None else writer.each("Add", y, numbers(layer.bias))
    return activated(writer, y, layer.activation)


def einsum_dense(writer, layer, x):
    _require_floats(layer)
    x = writer.cast(x, "float32")
    y = writer.single(
        "Einsum", x, writer.constant(layer.kernel), shape=layer.compute_output_shape(x.shape),
        equation=layer.equation,
    )  # fmt: skip
    y = y if layer.bias is None else writer.each("Add", y, numbers(layer.bias))
    return activated(writer, y, layer.activation)


def embedding(writer, layer, x):
    _require_floats(layer)
    indices = writer.cast(x, x.dtype if x.dtype in ("int32", "int64") else "int32")
    shape = (*x.shape, layer.output_dim)
    return writer.single("Gather", writer.constant(layer.embeddings), indices, shape=shape)


def reversible_embedding(writer, layer, x, reverse=False):
    if not reverse:
        return embedding(writer, layer, x)
    _require_floats(layer)
    if layer.reverse_dtype not in (None, "float32"):
        raise NotCovered(f"goes back in {layer.reverse_dtype}: only float32 is covered")
    kernel = numbers(layer.embeddings).T if layer.tie_weights else layer.reverse_embeddings
    shape = (*x.shape[:-1], layer.input_dim)
    y = writer.single("MatMul", x, writer.constant(kernel), shape=shape)
    if layer.logit_soft_cap is None:
        return y
    bent = writer.each("Tanh", writer.each("Div", y, layer.logit_soft_cap))
    return writer.each("Mul", bent, layer.logit_soft_cap)


def position_embedding(writer, layer, x, start_index=0):
    table, steps = numbers(layer.position_embeddings), x.shape[1]
    if not isinstance(start_index, int):
        raise NotCovered("is called with a start_index that is no number")
    if steps is not None:
        rows = writer.constant(table[start_index : start_index + steps])
    else:
        start = writer.integers(start_index)
        count = writer.node("Shape", x, start=1, end=2)
        end = writer.node("Add", count, start)
        rows = writer.node("Slice", writer.constant(table), start, end, writer.integers(0))
    return writer.single("Expand", rows, writer.node("Shape", x), shape=x.shape)


def category_encoding(writer, layer, x):
    return _encoded(writer, x, layer.output_mode, layer.num_tokens)


def _encoded(writer, x, mode, depth):
    """Numbers of categories as vectors of zeros and ones, or of counts."""
    if mode == "one_hot" and x.ndim > 1 and x.shape[-1] == 1:
        x = writer.single("Squeeze", x, writer.integers(-1), shape=x.shape[:-1], dtype=x.dtype)
    zero_and_one = writer.constant(np.array([0, 1], np.float32))
    indices = writer.cast(x, "int64")
    depths = writer.constant(np.array(depth, np.int64))
    shape = (*x.shape, depth)
    y = writer.single("OneHot", indices, depths, zero_and_one, shape=shape, axis=-1)
    if mode == "one_hot":
        return y
    axis = 1 if x.ndim > 1 else 0
    return writer.along("ReduceMax" if mode == "multi_hot" else "ReduceSum", y, [axis])


def discretization(writer, layer, x):
    if layer.bin_boundaries is None:
        raise NotCovered("has no boundaries yet: adapt it first")
    x = writer.cast(x, "float32")
    wide = writer.single("Unsqueeze", x, writer.integers(-1), shape=(*x.shape, 1))
    bounds = np.array(layer.bin_boundaries, np.float32)
    passed = writer.cast(writer.each("GreaterOrEqual", wide, bounds), "int32")
    bins = writer.along("ReduceSum", passed, [-1])
    if layer.output_mode == "int":
        return bins
    return _encoded(writer, bins, layer.output_mode, len(bounds) + 1)


LAYERS = {
    made.Dense: dense,
    made.EinsumDense: einsum_dense,
    made.Embedding: embedding,
    made.ReversibleEmbedding: reversible_embedding,
    made.PositionEmbedding: position_embedding,
    made.CategoryEncoding: category_encoding,
    made.Discretization: discretization,
}
