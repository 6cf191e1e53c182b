"""Attention of NumPy arrays, block by block, so that no matrix of all scores ever exists.

Scores of a block of queries and a block of keys are made, used and forgotten.  A softmax over all
keys comes from those of the blocks: each is taken relative to the largest score so far, and what
was summed before shrinks when a larger one comes (Milakov, Gimelshein, 2018, arXiv:1805.02867;
Dao, Fu, Ermon, Rudra, Re: "FlashAttention", 2022, arXiv:2205.14135).  Gradients make the scores
again from the logarithm of each query's sum, and dropout its mask from its seed.

A block holds several heads and samples if sequences are short, and all queries that share a head of
keys: for r queries and c keys of k heads of keys, each shared by j, in s samples, its scores are an
array (s, k, j, r, c).
"""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import numpy as np

from ..arrays import random
from ..ops.attention import attention, check_shapes
from .threads import available, scratch, share

ROWS, COLUMNS = 256, 1024  # Queries of all heads of a group, and keys, of a block of one head.
SCORES = ROWS * COLUMNS  # Of a block: a megabyte of float32.
MANY = 32  # Queries for each head of keys from which it pays to find out how large scores can be.
LONG = 256  # Elements from which NumPy's own sum, the more exact one, is as fast as a product.
SMALL = 60.0  # Scores whose exponentials, and sums of a billion of them, float32 holds.


@attention.on("numpy")
def _(query, key, value, bias=None, mask=None, lengths=None, starts=None, *, needs=None, **options):
    arrays = (query, key, value)
    if not all(type(x) is np.ndarray for x in arrays):
        return NotImplemented
    if query.dtype.char not in "fd" or any(x.dtype != query.dtype for x in arrays):
        return NotImplemented
    check_shapes(query, key, value, bias, mask, lengths, starts)
    if not query.size or not key.size or not value.size:
        return NotImplemented
    if mask is not None:
        mask = _with_four_axes(np.asarray(mask, dtype=bool))
    if bias is not None:
        bias = np.asarray(bias, query.dtype)
    work = Blocks(*arrays, bias, mask, lengths, starts, Rules.of(query, **options))
    out, sums = work.forward()
    return out if needs is None else (out, lambda g: work.backward(g, out, sums))


class Rules(NamedTuple):
    """The options of `attention`; `rate` and `seed` are those of dropout."""

    causal: bool
    window: int | None
    scale: float
    rate: float
    seed: tuple[int, int] | None
    mean: bool

    @classmethod
    def of(cls, query, causal=False, window=None, scale=None, rate=0.0, seed=None, unseeing="mean"):
        scale = query.shape[3] ** -0.5 if scale is None else scale
        return cls(causal, window, scale, rate, seed, unseeing == "mean")


class Place(NamedTuple):
    """A block of queries: of samples, of heads of keys, and of a part of the sequence."""

    samples: slice
    heads: slice
    group: int
    rows: slice

    def of_queries(self, x):
        """What an array (B, T, N, ...) has here: a view (s, k, j, r, ...)."""
        first, last = self.heads.start * self.group, self.heads.stop * self.group
        here = x[self.samples, self.rows, first:last].swapaxes(1, 2)
        return here.reshape(len(here), -1, self.group, *here.shape[2:])

    def of_keys(self, x, columns):
        """What an array (B, S, K, ...) has here: a view (s, k, c, ...)."""
        return x[self.samples, columns, self.heads].swapaxes(1, 2)

    def of_scores(self, x, columns):
        """What an array of 4 axes has here, of the scores' sizes or of 1: a view of 5 axes."""
        heads = slice(self.heads.start * self.group, self.heads.stop * self.group)
        places = (self.samples, heads, self.rows, columns)
        pairs = zip(places, x.shape, strict=True)
        part = x[tuple(place if size > 1 else slice(None) for place, size in pairs)]
        group = self.group if x.shape[1] > 1 else 1
        return part.reshape(len(part), -1, group, *part.shape[2:])

    def of_samples(self, x):
        """What an array (B,) has here: (s, 1, 1, 1, 1); None stays."""
        return None if x is None else x[self.samples].reshape(-1, 1, 1, 1, 1)


class Blocks(NamedTuple):
    """Attention with the arrays of `attention`; `mask` has 4 axes of the scores' sizes or of 1."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    bias: np.ndarray | None
    mask: np.ndarray | None
    lengths: np.ndarray | None
    starts: np.ndarray | None
    rules: Rules

    def _group(self):
        """How many heads of queries share a head of keys."""
        return self.query.shape[2] // self.key.shape[2]

    def _rows(self):
        """How many queries of a head a block has."""
        return min(self.query.shape[1], max(ROWS // self._group(), 1))

    def _pieces(self):
        """(samples, heads of keys) for each piece of work."""
        batch, keys, heads, _ = self.key.shape
        block = self._group() * self._rows() * min(keys, COLUMNS)
        room = max(min(SCORES // block, -(-batch * heads // available())), 1)
        alike = self.lengths is None or (self.lengths == self.lengths[0]).all()
        samples = _cut(batch, max(room // heads, 1) if alike else 1)
        return [(some, part) for some in samples for part in _cut(heads, room)]

    def _places(self, pieces):
        length, step = self.query.shape[1], self._rows()
        for samples, heads in pieces:
            for start in range(0, length, step):
                rows = slice(start, min(start + step, length))
                yield Place(samples, heads, self._group(), rows)

    def _operations(self):
        """About how many there are; where few queries see a key, its memory takes the time."""
        batch, length, heads, size = self.query.shape
        work = 2.0 * batch * heads * length * self.key.shape[1]
        work *= (size + self.value.shape[3]) / (1 + self.rules.causal)
        return work + self.key.size + self.value.size

    def forward(self):
        """The outputs, and for each query the logarithm of its sum of exponentials (B, T, N).

        It is infinite for queries that see no key.
        """
        out = np.empty((*self.query.shape[:3], self.value.shape[3]), self.query.dtype)
        sums = np.empty(out.shape[:3], self.query.dtype)

        def work(pieces):
            for place in self._places(pieces):
                self._forward(place, place.of_queries(out), place.of_queries(sums))

        share(work, self._pieces(), self._operations())
        return out, sums

    def _forward(self, place, out, sums):
        """Set these views: the outputs (s, k, j, r, V), and the logarithms (s, k, j, r)."""
        q = self._scaled(place)
        total = found = None
        largest = 0 if self._bounded(q, place) else None
        kept = self._kept(place)
        for columns in self._columns(place):
            scores = self._scores(q, place, columns)
            if scores is None:
                continue
            shrunk = None
            if type(largest) is not int:
                top = np.maximum.reduce(scores, -1)
                if largest is not None:
                    np.maximum(top, largest, out=top)
                base = np.where(top == -np.inf, 0, top)  # Nothing seen yet.
                np.subtract(scores, base[..., None], scores)
                shrunk = None if largest is None else np.exp(largest - base)
                largest = top
            np.exp(scores, scores)
            part = _row_sums(scores)
            weights = _by_head(self._dropped(scores, kept, columns))
            weighed = np.matmul(weights, place.of_keys(self.value, columns)).reshape(out.shape)
            if total is None:
                total, found = part, weighed
                continue
            if shrunk is not None:
                total *= shrunk
                found *= shrunk[..., None]
            total += part
            found += weighed
        if total is None:
            blind = np.ones(sums.shape, bool)
        else:
            blind = total == 0
            total[blind] = 1
            np.divide(found, total[..., None], out)
            np.add(largest, np.log(total), sums)
        if blind.any():
            sums[blind] = np.inf
            values = place.of_keys(self.value, slice(None))
            for at in np.argwhere(blind.any((-2, -1))).tolist():
                at = tuple(at)
                out[at][blind[at]] = self._alike(blind, kept, at) @ values[at]

    def _bounded(self, q, place):
        """Whether scores are so small that exponentials need not be relative to the largest.

        By the lengths of vectors (Cauchy, Schwarz); asked only where many queries share a key.
        """
        if self.bias is not None or q.shape[-2] < MANY:
            return False
        key = place.of_keys(self.key, slice(None))
        return float(np.vecdot(q, q).max()) * float(np.vecdot(key, key).max()) < SMALL * SMALL

    def backward(self, g, out, sums):
        """The gradients of query, key, value and bias; None for the others."""
        dquery = np.empty_like(self.query, order="C")
        dkey, dvalue = (np.zeros(x.shape, x.dtype) for x in (self.key, self.value))

        def work(pieces):
            dbias = None if self.bias is None else np.zeros(self.bias.shape, self.bias.dtype)
            for place in self._places(pieces):
                given = (place.of_queries(x) for x in (g, out, sums))
                self._backward(place, *given, place.of_queries(dquery), dkey, dvalue, dbias)
            return dbias

        operations = 2.5 * self._operations()
        parts = share(work, self._pieces(), operations, sums=self.bias is not None)
        dbias = None if self.bias is None else sum(parts[1:], start=parts[0])
        return dquery, dkey, dvalue, dbias, None, None, None

    def _backward(self, place, g, out, sums, dquery, dkey, dvalue, dbias):
        """Set the gradient of these queries; add their part to those of keys, values and bias."""
        q = self._scaled(place)
        common = np.vecdot(g, out)[..., None]
        g, found = _by_head(np.ascontiguousarray(g)), None
        kept = self._kept(place)
        for columns in self._columns(place):
            weights = self._scores(q, place, columns)
            if weights is None:
                continue
            np.subtract(weights, sums[..., None], weights)
            np.exp(weights, weights)
            dscores = scratch("dscores", weights.size, weights.dtype).reshape(weights.shape)
            np.matmul(g, place.of_keys(self.value, columns).mT, _by_head(dscores))
            self._dropped(dscores, kept, columns)
            np.subtract(dscores, common, dscores)
            np.multiply(dscores, weights, dscores)
            weights = _by_head(self._dropped(weights, kept, columns))
            values, keys = (place.of_keys(x, columns) for x in (dvalue, dkey))
            values += np.matmul(weights.mT, g)
            keys += np.matmul(_by_head(dscores).mT, q)
            part = np.matmul(_by_head(dscores), place.of_keys(self.key, columns))
            found = part if found is None else np.add(found, part, found)
            if dbias is not None:
                into = place.of_scores(_with_four_axes(dbias), columns)
                over = tuple(axis for axis in range(5) if into.shape[axis] == 1)
                into += dscores.sum(axis=over, keepdims=True)
        blind = sums == np.inf
        if self.rules.mean and blind.any():
            values = place.of_keys(dvalue, slice(None))
            for at in np.argwhere(blind.any((-2, -1))).tolist():
                at = tuple(at)
                values[at] += self._alike(blind, kept, at).T @ g[at][blind[at].reshape(-1)]
        dquery[...] = 0 if found is None else (found * self.rules.scale).reshape(dquery.shape)

    def _scaled(self, place):
        """The queries of a block, times the scale: (s, k, j r, H)."""
        q = place.of_queries(self.query)
        scaled = np.multiply(q, self.rules.scale, np.empty(q.shape, q.dtype))
        return _by_head(scaled)

    def _columns(self, place):
        """The blocks of keys that some of these queries may see."""
        low, high = 0, self.key.shape[1]
        if self.lengths is not None:
            high = int(self.lengths[place.samples].max())
        firsts = [0] if self.starts is None else self.starts[place.samples].tolist()
        window = self.rules.window
        if self.rules.causal:
            high = min(high, max(firsts) + place.rows.stop)
        if window is not None:
            low = max(low, min(firsts) + place.rows.start - window + 1)
            high = min(high, max(firsts) + place.rows.stop - 1 + window)
        samples, heads, rows = (x.stop - x.start for x in (place.samples, place.heads, place.rows))
        step = max(COLUMNS, SCORES // (samples * heads * place.group * rows))
        for start in range(low, high, step):
            yield slice(start, min(start + step, high))

    def _scores(self, q, place, columns):
        """The scores of a block, minus infinity where a query does not see a key.

        None if the mask lets no query see any of them.
        """
        seen = None if self.mask is None else place.of_scores(self.mask, columns)
        if seen is not None and not seen.any():
            return None
        count, width = place.rows.stop - place.rows.start, columns.stop - columns.start
        shape = (*q.shape[:2], place.group, count, width)
        scores = scratch("scores", math.prod(shape), q.dtype).reshape(shape)
        np.matmul(q, place.of_keys(self.key, columns).mT, _by_head(scores))
        if self.bias is not None:
            scores += place.of_scores(_with_four_axes(self.bias), columns)
        for hidden in self._hidden(place, columns):
            np.copyto(scores, -np.inf, where=hidden)
        if seen is not None and not seen.all():
            np.copyto(scores, -np.inf, where=~seen)
        return scores

    def _hidden(self, place, columns):
        """Where limits keep queries from seeing keys; nothing if they do not matter here."""
        i = np.arange(place.rows.start, place.rows.stop)[:, None]
        if self.starts is not None:
            i = i + place.of_samples(self.starts)
        j = np.arange(columns.start, columns.stop)
        if self.rules.causal and j[-1] > i[..., 0, 0].min():
            yield j > i
        window = self.rules.window
        if window is not None and max(i.max() - j[0], j[-1] - i.min()) >= window:
            yield np.abs(i - j) >= window

    def _kept(self, place):
        """What dropout keeps of the weights of these queries (s, k, j, r, S); None without it."""
        if not self.rules.rate:
            return None
        _, length, heads, _ = self.query.shape
        keys, count = self.key.shape[1], place.rows.stop - place.rows.start
        numbers = range(place.heads.start * place.group, place.heads.stop * place.group)
        samples = range(place.samples.start, place.samples.stop)
        kept = np.empty((len(samples), len(numbers), count, keys), bool)
        for (b, n), part in zip(product(samples, numbers), kept.reshape(-1, count, keys)):
            first = ((b * heads + n) * length + place.rows.start) * keys
            part[...] = random.keep(part.shape, self.rules.rate, *self.rules.seed, start=first)
        return kept.reshape(len(samples), -1, place.group, count, keys)

    def _dropped(self, x, kept, columns):
        """`x`, changed in place, with dropout at these keys."""
        if kept is not None:
            np.multiply(x, kept[..., columns], x)
            np.multiply(x, 1.0 / (1.0 - self.rules.rate) if self.rules.rate < 1 else 0.0, x)
        return x

    def _alike(self, blind, kept, at):
        """The weights of the queries of a head that see no key: all alike, or zeros."""
        keys = self.key.shape[1]
        shape = (np.count_nonzero(blind[at]), keys)
        weights = np.full(shape, 1 / keys if self.rules.mean else 0.0, self.query.dtype)
        return self._dropped(weights, None if kept is None else kept[at][blind[at]], slice(None))


def _cut(count, most):
    """range(count) in as few parts as possible, none larger than `most`."""
    parts = -(-count // most)
    return [slice(count * i // parts, count * (i + 1) // parts) for i in range(parts)]


def _row_sums(x):
    """Sums over the last axis of a contiguous array."""
    if x.shape[-1] >= LONG:
        return np.add.reduce(x, -1)
    return (x.reshape(-1, x.shape[-1]) @ np.ones(x.shape[-1], x.dtype)).reshape(x.shape[:-1])


def _by_head(x):
    """(s, k, j, r, n) as (s, k, j r, n)."""
    return x.reshape(*x.shape[:2], -1, x.shape[-1])


def _with_four_axes(x):
    return x.reshape((1,) * (4 - x.ndim) + x.shape)
