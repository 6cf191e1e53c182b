"""Attention of NumPy arrays, block by block, so that no matrix of all scores ever exists.

Scores of a block of queries and a block of keys are made, used and forgotten.  A softmax over all
keys comes from those of the blocks: each is taken relative to the largest score so far, and what
was summed before shrinks when a larger one comes (Milakov, Gimelshein, 2018, arXiv:1805.02867;
Dao, Fu, Ermon, Rudra, Re: "FlashAttention", 2022, arXiv:2205.14135).  Gradients make the scores
again from the logarithm of each query's sum.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..ops.attention import attention, check_shapes
from .threads import scratch, share

ROWS, COLUMNS = 256, 1024  # Queries and keys of a block: a megabyte of float32 scores.
LEAST = 128 * 128  # Scores of a head below which the reference is as fast.


@attention.on("numpy")
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
    arrays = (query, key, value)
    if bias is not None or lengths is not None or starts is not None or rate:
        return NotImplemented
    if not all(type(x) is np.ndarray for x in arrays):
        return NotImplemented
    if query.dtype.char not in "fd" or any(x.dtype != query.dtype for x in arrays):
        return NotImplemented
    check_shapes(query, key, value, bias, mask, lengths, starts)
    if query.shape[1] * key.shape[1] < max(LEAST, 1):
        return NotImplemented
    if mask is not None:
        full = (query.shape[0], query.shape[2], query.shape[1], key.shape[1])
        mask = np.broadcast_to(np.asarray(mask, dtype=bool), full)
    scale = query.shape[3] ** -0.5 if scale is None else scale
    work = Blocks(*arrays, mask, causal, window, scale, unseeing == "mean")
    out, sums = work.forward()
    return out if needs is None else (out, lambda g: work.backward(g, out, sums))


class Blocks(NamedTuple):
    """Attention with the arguments of `attention`, `mask` of the scores' full shape or None."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    mask: np.ndarray | None
    causal: bool
    window: int | None
    scale: float
    mean: bool

    def _heads(self):
        """(sample, head of keys) for each piece of work."""
        return [(b, k) for b in range(self.key.shape[0]) for k in range(self.key.shape[2])]

    def _group(self, head):
        """The heads of queries that share a head of keys."""
        size = self.query.shape[2] // self.key.shape[2]
        return range(head * size, (head + 1) * size)

    def _operations(self):
        batch, length, heads, size = self.query.shape
        work = 2.0 * batch * heads * length * self.key.shape[1]
        return work * (size + self.value.shape[3]) / (1 + self.causal)

    def forward(self):
        """The outputs, and for each query the logarithm of its sum of exponentials (B, N, T).

        It is infinite for queries that see no key.
        """
        batch, length, heads, _ = self.query.shape
        out = np.empty((batch, length, heads, self.value.shape[3]), self.query.dtype)
        sums = np.empty((batch, heads, length), self.query.dtype)

        def work(items):
            for b, head in items:
                for n in self._group(head):
                    for start in range(0, length, ROWS):
                        rows = slice(start, min(start + ROWS, length))
                        self._rows_forward(b, n, head, rows, out[b, rows, n], sums[b, n, rows])

        share(work, self._heads(), self._operations())
        return out, sums

    def _rows_forward(self, b, n, head, rows, out, sums):
        q = self.query[b, rows, n] * self.scale
        largest = total = found = None
        for columns in self._columns(rows):
            scores = self._scores(q, b, n, head, rows, columns)
            top = np.maximum.reduce(scores, -1)
            if largest is not None:
                np.maximum(top, largest, out=top)
            base = np.where(top == -np.inf, 0, top)  # Nothing seen yet.
            np.subtract(scores, base[:, None], scores)
            np.exp(scores, scores)
            part, weighed = np.add.reduce(scores, -1), scores @ self.value[b, columns, head]
            if largest is None:
                total, found = part, weighed
            else:
                shrunk = np.exp(largest - base)
                total *= shrunk
                total += part
                found *= shrunk[:, None]
                found += weighed
            largest = top
        blind = slice(None) if total is None else total == 0
        if total is None or blind.any():
            if total is not None:
                total[blind] = 1
                self._finish(found, total, largest, out, sums)
            out[blind] = self.value[b, :, head].mean(axis=0) if self.mean else 0
            sums[blind] = np.inf
        else:
            self._finish(found, total, largest, out, sums)

    @staticmethod
    def _finish(found, total, largest, out, sums):
        np.divide(found, total[:, None], out)
        np.add(largest, np.log(total), sums)

    def backward(self, g, out, sums):
        """The gradients of query, key and value; None for bias and mask."""
        dquery = np.empty_like(self.query, order="C")
        dkey, dvalue = (np.zeros(x.shape, x.dtype) for x in (self.key, self.value))

        def work(items):
            for b, head in items:
                for n in self._group(head):
                    for start in range(0, self.query.shape[1], ROWS):
                        rows = slice(start, min(start + ROWS, self.query.shape[1]))
                        dk, dv = dkey[b, :, head], dvalue[b, :, head]
                        given = (np.ascontiguousarray(g[b, rows, n]), out[b, rows, n])
                        dquery[b, rows, n] = self._rows_backward(
                            b, n, head, rows, *given, sums[b, n, rows], dk, dv
                        )

        share(work, self._heads(), 2.5 * self._operations())
        return dquery, dkey, dvalue, None, None, None, None

    def _rows_backward(self, b, n, head, rows, g, out, sums, dkey, dvalue):
        """The gradient of these queries; adds their part to those of keys and values."""
        q = self.query[b, rows, n] * self.scale
        dquery = np.zeros_like(q)
        common = np.vecdot(g, out)[:, None]
        for columns in self._columns(rows):
            weights = self._scores(q, b, n, head, rows, columns)
            np.subtract(weights, sums[:, None], weights)
            np.exp(weights, weights)
            dvalue[columns] += weights.T @ g
            dscores = self._buffer("dscores", rows, columns)
            np.matmul(g, self.value[b, columns, head].T, dscores)
            np.subtract(dscores, common, dscores)
            np.multiply(dscores, weights, dscores)
            dkey[columns] += dscores.T @ q
            dquery += dscores @ self.key[b, columns, head]
        if self.mean:
            blind = sums == np.inf
            if blind.any():
                dvalue += np.add.reduce(g[blind], 0) / self.key.shape[1]
        dquery *= self.scale
        return dquery

    def _columns(self, rows):
        """The blocks of keys that some of these queries may see."""
        low, high = 0, self.key.shape[1]
        if self.causal:
            high = min(high, rows.stop)
        if self.window is not None:
            low = max(low, rows.start - self.window + 1)
            high = min(high, rows.stop - 1 + self.window)
        for start in range(low, high, COLUMNS):
            yield slice(start, min(start + COLUMNS, high))

    def _buffer(self, name, rows, columns):
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        return scratch(name, math.prod(shape), self.query.dtype).reshape(shape)

    def _scores(self, q, b, n, head, rows, columns):
        """The scores of a block, minus infinity where a query does not see a key."""
        scores = self._buffer("scores", rows, columns)
        np.matmul(q, self.key[b, columns, head].T, scores)
        i = np.arange(rows.start, rows.stop)[:, None]
        j = np.arange(columns.start, columns.stop)
        if self.causal and columns.stop - 1 > rows.start:
            np.copyto(scores, -np.inf, where=j > i)
        if self.window is not None:
            np.copyto(scores, -np.inf, where=np.abs(i - j) >= self.window)
        if self.mask is not None:
            np.copyto(scores, -np.inf, where=~self.mask[b, n, rows, columns])
        return scores
