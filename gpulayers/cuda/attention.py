"""Attention of CuPy arrays and its gradients, without a matrix of all scores: attention.cu.

float16 and bfloat16 are multiplied on tensor cores where the GPU has them, and summed in float32;
float32 and float64 are exact.  Kept for the gradients are the inputs, the outputs, and a number for
each query and head.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from ..ops import attention as ops
from . import attention_decode, attention_hopper, attention_hopper_gradients
from .attention_tiling import STATIC, constants, shared_memory, threads
from .dropout import start_of
from .dropout import threshold as threshold_of
from .module import Module, blocks, empty, is_float, multiprocessors, shared_memory_limit
from .partial_sums import accumulator, partial_sums

_source = Module("attention")

MOST = 256  # Elements of a head's queries, keys or values.
LONGEST = 2**24  # Queries or keys of a sample: kernels count them in 32 bits.
FAR = 2**29  # More than these.
NEAR = 2**24  # Elements of a mask or bias from one query or key to the next, as kernels count them.
STRUCT = np.dtype(
    [(name, "i8", 3) for name in ("query", "key", "value", "g")]
    + [(name, "i8", 4) for name in ("mask", "bias")]
    + [(name, "i4") for name in ("batch", "heads", "group", "length", "keys")]
    + [(name, "i4") for name in ("size", "value_size", "before", "after", "mean")],
    align=True,
)

INSTANCES = [
    {
        "T": dtype, "B": dtype, "EXTRAS": extras, "PASS": way, "TENSOR": tensor, "ROWS": rows,
        "COLUMNS": columns, "SIZE": size, "WIDTH": width, "M": fragments,
    }
    for dtype, extras, way, tensor, rows, columns, size, width, fragments in (
        ("bfloat16", False, "FORWARD", True, 128, 64, 64, 64, 2),
        ("bfloat16", True, "FORWARD", True, 128, 64, 128, 128, 1),
        ("float16", True, "FORWARD", True, 64, 32, 256, 256, 1),
        ("bfloat16", True, "QUERY", True, 128, 64, 64, 64, 1),
        ("bfloat16", True, "QUERY", True, 128, 32, 128, 128, 1),
        ("float16", True, "QUERY", True, 64, 16, 256, 256, 1),
        ("bfloat16", True, "KEY", True, 128, 64, 64, 64, 1),
        ("float16", True, "KEY", True, 128, 32, 128, 128, 1),
        ("bfloat16", True, "KEY", True, 64, 32, 256, 128, 1),
        ("float16", True, "BIAS", True, 64, 64, 64, 64, 1),
        ("float32", True, "FORWARD", False, 64, 64, 128, 128, 0),
        ("float32", True, "QUERY", False, 64, 64, 128, 128, 0),
        ("float32", True, "KEY", False, 64, 64, 256, 128, 0),
        ("bfloat16", True, "KEY", False, 64, 64, 64, 64, 0),
        ("float64", True, "FORWARD", False, 32, 64, 256, 64, 0),
        ("float64", True, "QUERY", False, 32, 64, 256, 64, 0),
        ("float64", True, "KEY", False, 32, 64, 256, 32, 0),
    )
]  # fmt: skip


@ops.attention.on("cupy")
def _(
    query,
    key,
    value,
    bias=None,
    mask=None,
    lengths=None,
    starts=None,
    *,
    causal=False,
    window=None,
    scale=None,
    rate=0.0,
    seed=None,
    unseeing="mean",
    needs=None,
):
    ops.check_shapes(query, key, value, bias, mask, lengths, starts)
    if not is_float(query, key, value) or rate >= 1 or 0 in (*query.shape, *value.shape):
        return NotImplemented
    if max(query.shape[3], value.shape[3]) > MOST or not (bias is None or is_float(bias)):
        return NotImplemented
    if max(query.shape[1], key.shape[1]) > LONGEST:
        return NotImplemented
    scale = query.shape[3] ** -0.5 if scale is None else float(scale)
    work = Work(query, key, value, bias, mask, lengths, starts)
    work.rules(causal, window, scale, rate, seed, unseeing)
    out, sums = work.forward()
    return out if needs is None else (out, lambda g: work.backward(g, out, sums, needs))


class Lines(NamedTuple):
    """An array as kernels take it: from its first element to its last, and its strides."""

    flat: object
    strides: tuple[int, ...]


class Work:
    """Attention with the arguments of `attention`."""

    def __init__(self, query, key, value, bias, mask, lengths, starts):
        self.arrays = query, key, value
        self.query, self.key, self.value = map(lines, self.arrays)
        self.bias_dtype = query.dtype if bias is None else bias.dtype
        self.bias_shape = None if bias is None else tuple(bias.shape)
        self.bias = None if bias is None else spread(bias)
        if mask is not None and mask.dtype != bool:
            mask = mask.astype(bool)
        self.mask = None if mask is None else spread(mask)
        self.lengths, self.starts = map(_int32, (lengths, starts))

    def rules(self, causal, window, scale, rate, seed, unseeing):
        """Set which scores count, and what becomes of them."""
        query, key, value = self.arrays
        after = 0 if causal else FAR
        before = FAR
        if window is not None:
            before = min(window - 1, FAR)
            after = min(after, before)
        moved = self.lengths is not None or self.starts is not None
        blind = self.mask is not None or moved or query.shape[1] > key.shape[1] + before
        mean = unseeing == "mean" and (blind or before < 0)
        self.scale = scale
        self.changed = bool(self.bias or self.mask or scale <= 0)  # Scores of their own.
        self.extras = bool(self.changed or rate or mean)
        start = (None, 0, 0) if not rate else start_of(seed)
        self.dropout = (*start, threshold_of(rate) if rate else 0, 1.0 / (1.0 - rate))
        self.problem = np.zeros(1, STRUCT)
        problem = self.problem[0]
        for name in ("query", "key", "value", "mask", "bias"):
            given = getattr(self, name)
            if given is not None:
                problem[name] = given.strides
        batch, length, heads, size = query.shape
        group = heads // key.shape[2]
        numbers = (batch, heads, group, length, key.shape[1], size, value.shape[3])
        names = ("batch", "heads", "group", "length", "keys", "size", "value_size")
        for name, number in zip(names, numbers, strict=True):
            problem[name] = number
        problem["before"], problem["after"], problem["mean"] = before, after, mean

    def forward(self):
        """The outputs, and the logarithm of each query's sum of exponentials (B, N, T)."""
        query, _, value = self.arrays
        batch, length, heads, _ = query.shape
        found = None if self.dropout[3] else attention_decode.forward(self)
        if found is None and not self.extras:
            found = attention_hopper.forward(self)
        if found is not None:
            return found
        out = empty((batch, length, heads, value.shape[3]), query.dtype)
        sums = empty((batch, heads, length), accumulator(query.dtype))
        how = self._how("FORWARD")
        grid = blocks(length, how["ROWS"]) * how["SIZE"] // how["WIDTH"] * heads * batch
        self._launch("attention_forward", how, grid, self.inputs(), (out, sums))
        return out, sums

    def backward(self, g, out, sums, needs):
        """The gradients of query, key, value and bias, as far as they are needed."""
        g = lines(g)
        self.problem[0]["g"] = g.strides
        delta = empty(sums.shape, sums.dtype)
        kernel = _source.kernel("attention_delta", **self._how("FORWARD"))
        kernel(blocks(sums.size, 8), 256, out, g.flat, delta, self.problem)
        inputs, saved = self.inputs(g.flat), (sums, delta)
        dquery = dkey = dvalue = dbias = None
        if needs[0]:
            dquery = self._query_gradient(g, inputs, saved)
        if needs[1] or needs[2]:
            dkey, dvalue = self._key_gradients(g, inputs, saved)
        if self.bias is not None and needs[3]:
            dbias = self._bias_gradient(inputs, saved)
        return dquery, dkey, dvalue, dbias, None, None, None

    def _query_gradient(self, g, inputs, saved):
        query = self.arrays[0]
        if not self.extras:
            found = attention_hopper_gradients.query_gradient(self, g, *saved)
            if found is not None:
                return found
        batch, length, heads, _ = query.shape
        dquery, how = empty(query.shape, query.dtype), self._how("QUERY")
        grid = blocks(length, how["ROWS"]) * how["SIZE"] // how["WIDTH"] * heads * batch
        self._launch("attention_query", how, grid, inputs, (*saved, dquery))
        return dquery

    def _key_gradients(self, g, inputs, saved):
        _, key, value = self.arrays
        if not self.extras:
            found = attention_hopper_gradients.key_gradients(self, g, *saved)
            if found is not None:
                return found
        dkey, dvalue = empty(key.shape, key.dtype), empty(value.shape, value.dtype)
        how = self._how("KEY")
        tiles = blocks(key.shape[1], how["ROWS"]) * how["SIZE"] // how["WIDTH"]
        grid = tiles * key.shape[2] * key.shape[0]
        self._launch("attention_key", how, grid, inputs, (*saved, dkey, dvalue))
        return dkey, dvalue

    def _bias_gradient(self, inputs, saved):
        """Blocks make tiles of it from parts of what is to be summed, which are added in order."""
        query, key, _ = self.arrays
        how, dtype = self._how("BIAS"), self.bias_dtype
        full = (query.shape[0], query.shape[2], query.shape[1], key.shape[1])
        shape = (*(1,) * (4 - len(self.bias_shape)), *self.bias_shape)
        per = (1, 1, how["ROWS"], how["COLUMNS"])
        tiles = prod(blocks(n, m) for n, m in zip(shape, per, strict=True))
        all_tiles = prod(blocks(n, m) for n, m in zip(full, per, strict=True))
        parts = max(min(2 * multiprocessors() // tiles, all_tiles // tiles), 1)
        dbias = partial = None
        if parts == 1:
            dbias = empty((prod(shape),), dtype)
        else:
            partial = empty((parts, prod(shape)), accumulator(query.dtype))
        outputs = (*saved, dbias, partial)
        self._launch("attention_bias", how, tiles * parts, inputs, outputs, (*shape, parts))
        if parts > 1:
            dbias = partial_sums(partial.astype(accumulator(dtype)), dtype)
        return dbias.reshape(self.bias_shape)

    def _how(self, way):
        """The constants of a pass."""
        query, _, value = self.arrays
        shared = STATIC if self.extras else 1024
        size = max(query.shape[3], value.shape[3])
        how = constants(way, query.dtype, size, shared_memory_limit() - shared, self.extras)
        return {"T": query.dtype, "B": self.bias_dtype, "EXTRAS": self.extras, **how}

    def inputs(self, *g):
        """What each kernel is given first."""
        given = [x and x.flat for x in (self.query, self.key, self.value)]
        beside = [x and x.flat for x in (self.bias, self.mask)]
        return (*given, *g, *beside, self.lengths, self.starts)

    def _launch(self, name, how, grid, inputs, outputs, numbers=()):
        kernel, shared = _source.kernel(name, **how), shared_memory(how)
        given = (*inputs, *outputs, *self.dropout, self.scale, *numbers, self.problem)
        kernel(grid, threads(how), *given, shared=shared)


def lines(x) -> Lines:
    """An array (B, T, N, H): where it lies if its last axis allows, else a copy."""
    steps = [0 if n == 1 else s // x.itemsize for n, s in zip(x.shape, x.strides, strict=True)]
    if any(s < 0 or s % x.itemsize for s in x.strides) or (x.shape[3] > 1 and steps[3] != 1):
        return lines(x.copy())
    batch, place, head, _ = steps
    return Lines(_flat(x, steps), (batch, place, head))


def spread(x) -> Lines:
    """An array that is broadcast to (B, N, T, S): where it lies, or a copy."""
    steps = [0 if n == 1 else s // x.itemsize for n, s in zip(x.shape, x.strides, strict=True)]
    if not x.flags.c_contiguous:
        far = max(steps[-2:], default=0) > NEAR
        if far or any(s < 0 or s % x.itemsize for s in x.strides):
            return spread(x.copy())
    return Lines(_flat(x, steps), (*(0,) * (4 - x.ndim), *steps))


def _flat(x, steps):
    """The elements from the first to the last as one contiguous array."""
    import cupy

    extent = 1 + sum((n - 1) * s for n, s in zip(x.shape, steps, strict=True))
    return cupy.ndarray((extent,), x.dtype, x.data)


def _int32(x):
    return x if x is None or x.dtype == np.int32 else x.astype(np.int32)
