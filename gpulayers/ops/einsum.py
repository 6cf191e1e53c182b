"""Einstein summation: sums of products over named axes, by matrix products.

Operands are contracted two at a time, the pair with the smallest result first.  Of a pair, axes
are sorted into four groups: those of both that the result keeps (batch), those of both that it
lacks (summed), and those of one operand alone (left, right); one matmul then does the work.  The
steps for given shapes are planned once.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache, lru_cache
from itertools import combinations

from ..arrays import as_array, dtypes, is_array, namespace, primitive
from ..arrays.primitive import is_symbolic
from ..arrays.symbolic import connect

__all__ = ["einsum"]


def einsum(subscripts: str, *operands):
    """Sum products of arrays over the axes that the result does not name.

    Args:
        subscripts: letters for the axes of each operand, "ij,jk->ik". "..." stands for all axes
            that no letter names, a letter that an operand has twice for its diagonal. Without
            "->", the result has the letters that occur once, in alphabetical order.
        operands: arrays. An axis of size 1 is broadcast to its letter's size.

    Raises ValueError if the subscripts are malformed, or do not fit the operands' shapes.
    """
    if not isinstance(subscripts, str):
        kind = type(subscripts).__name__
        raise TypeError(f"einsum: the first argument must be a string, got {kind}.")
    if is_symbolic(*operands):
        return connect(einsum, subscripts, *operands)
    first = next((x for x in operands if is_array(x)), None)
    operands = [x if is_array(x) else as_array(x, like=first) for x in operands]
    terms, output = parse(subscripts, tuple(len(x.shape) for x in operands))
    return contract(*operands, terms=terms, output=output)


@cache
def parse(subscripts: str, ranks: tuple[int, ...]):
    """The axes' letters of each operand, and of the result.

    Axes under "..." get numbers for letters: -1 for the last, -2 for the one before, and so on.
    """
    text = subscripts.replace(" ", "")
    inputs, arrow, result = text.partition("->")
    terms = inputs.split(",")
    for term in (*terms, result):
        if not all(c.isalpha() for c in term.replace("...", "", 1)):
            raise ValueError(f"einsum: cannot read {term!r} in {subscripts!r}.")
    if len(terms) != len(ranks):
        raise ValueError(f"einsum: {subscripts!r} needs {len(terms)} arrays, got {len(ranks)}.")
    read = tuple(_axes(t, rank, subscripts) for t, rank in zip(terms, ranks, strict=True))
    unnamed = min((c for term in read for c in term if isinstance(c, int)), default=0)
    counts = Counter(c for term in read for c in term if isinstance(c, str))
    if arrow:
        output = _expand(result, range(unnamed, 0) if "..." in result else ())
    else:
        output = (*range(unnamed, 0), *sorted(c for c, n in counts.items() if n == 1))
    named = {c for c in output if isinstance(c, str)}
    if len(set(output)) < len(output) or not named.issubset(counts):
        raise ValueError(f"einsum: the result of {subscripts!r} must name letters of the inputs.")
    if unnamed and len(output) == len(named):
        raise ValueError(f"einsum: the result of {subscripts!r} lacks the axes under '...'.")
    return read, output


def _axes(term, rank, subscripts):
    letters = len(term.replace("...", "", 1))
    spare = rank - letters
    if spare < 0 or (spare and "..." not in term):
        raise ValueError(
            f"einsum: {term!r} in {subscripts!r} names {letters} axes, the array has {rank}."
        )
    return _expand(term, range(-spare, 0))


def _expand(term, unnamed):
    before, _, after = term.partition("...")
    return (*before, *unnamed, *after)


@primitive
def contract(*operands, terms, output):
    """`einsum` of parsed subscripts: one tuple of letters for each operand, one for the result."""
    xp = namespace(*operands)
    if any(x.dtype != operands[0].dtype for x in operands):
        dtype = dtypes.of(xp, dtypes.promote(*(dtypes.name(x.dtype) for x in operands)))
        operands = [xp.astype(x, dtype) for x in operands]
    steps = plan(terms, output, tuple(tuple(x.shape) for x in operands))
    parts = dict(enumerate(operands))
    for do, i, how in steps:
        parts[i] = do(xp, parts[i], parts.pop(how)) if do in PRODUCTS else do(xp, parts[i], how)
    return parts[i] if steps else parts[0]


@lru_cache(4096)
def plan(terms, output, shapes):
    """What to do with arrays of given shapes: (step, place, its argument or the other place)."""
    return tuple(_Planner(terms, output, shapes).steps)


# The steps.  Those of one array.
def _squeeze(xp, x, axis):
    return xp.squeeze(x, axis=axis)


def _diagonal(xp, x, axes):
    return xp.linalg.diagonal(xp.moveaxis(x, axes, (-2, -1)))


def _total(xp, x, axes):
    return xp.sum(x, axis=axes, dtype=x.dtype)


def _permute(xp, x, axes):
    return xp.permute_dims(x, axes)


def _reshape(xp, x, shape):
    return xp.reshape(x, shape)


# And those of two.
def _multiply(xp, x, y):
    return x * y


def _matmul(xp, x, y):
    return xp.matmul(x, y)


def _vecdot(xp, x, y):
    return xp.vecdot(x, y)


PRODUCTS = frozenset({_multiply, _matmul, _vecdot})


class _Planner:
    """Goes through a contraction with letters and sizes alone, writing down the steps."""

    def __init__(self, terms, output, shapes):
        self.steps: list[tuple] = []
        self.sizes = _sizes(terms, shapes)
        self.letters: dict[int, tuple] = {}  # Of each operand, or product of some, that is left.
        for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
            self._take(i, list(term), list(shape))
        while len(self.letters) > 1:
            i, j = self._cheapest(output)
            if output and output[-1] in self.letters[i] and output[-1] not in self.letters[j]:
                i, j = j, i  # So that the result needs no reordering.
            self._product(i, j, output)
        (last,) = self.letters
        self._sum_out(last, output)
        self._order(last, output)

    def _take(self, i, term, shape):
        """Each letter once, and no axes of size 1 that would be broadcast."""
        for k in reversed(range(len(term))):
            if shape[k] == 1 and (self.sizes[term[k]] > 1 or term.count(term[k]) > 1):
                self.steps.append((_squeeze, i, k))
                del term[k], shape[k]
        for letter in [c for c, n in Counter(term).items() if n > 1]:
            while term.count(letter) > 1:
                first = term.index(letter)
                second = term.index(letter, first + 1)
                self.steps.append((_diagonal, i, (first, second)))
                term = [c for k, c in enumerate(term) if k not in (first, second)] + [letter]
        self.letters[i] = tuple(term)

    def _kept(self, output, *places):
        """The letters that are still needed when the operands at `places` have become one."""
        others = (letters for i, letters in self.letters.items() if i not in places)
        return set(output).union(*others)

    def _cheapest(self, output):
        """The pair whose product has the fewest elements; of equals, the leftmost."""

        def size(pair):
            both = set(self.letters[pair[0]]) | set(self.letters[pair[1]])
            return math.prod(self.sizes[c] for c in both & self._kept(output, *pair))

        return min(combinations(self.letters, 2), key=size)

    def _sum_out(self, i, kept):
        gone = tuple(k for k, c in enumerate(self.letters[i]) if c not in kept)
        if gone:
            self.steps.append((_total, i, gone))
            self.letters[i] = tuple(c for c in self.letters[i] if c in kept)

    def _order(self, i, wanted):
        if self.letters[i] != wanted:
            self.steps.append((_permute, i, tuple(map(self.letters[i].index, wanted))))
            self.letters[i] = wanted

    def _product(self, i, j, output):
        """The sum of products of two arrays over what is not kept, in the place of the first."""
        kept = self._kept(output, i, j)
        self._sum_out(i, kept.union(self.letters[j]))
        self._sum_out(j, kept.union(self.letters[i]))
        a, b = self.letters[i], self.letters[j]
        batch = tuple(c for c in a if c in b and c in kept)
        summed = tuple(c for c in a if c in b and c not in kept)
        left = tuple(c for c in a if c not in b)
        right = tuple(c for c in b if c not in a)
        if not summed:
            do, first, second = _multiply, (left, ()), ((), right)
        elif left or right:
            do, first, second = _matmul, (left, summed), (summed, right)
        else:
            do, first, second = _vecdot, (summed,), (summed,)
        self._arrange(i, batch, first)
        self._arrange(j, batch, second)
        self.steps.append((do, i, j))
        del self.letters[j]
        self.letters[i] = (*batch, *left, *right)
        if do is not _vecdot and not len(left) == len(right) == 1:
            self.steps.append((_reshape, i, tuple(self.sizes[c] for c in self.letters[i])))

    def _arrange(self, i, batch, groups):
        """Axes in groups: the batch's as they are, each other group as one."""
        self._order(i, (*batch, *(c for group in groups for c in group)))
        if not all(len(group) == 1 for group in groups):
            shape = [self.sizes[c] for c in batch]
            shape += [math.prod(self.sizes[c] for c in group) for group in groups]
            self.steps.append((_reshape, i, tuple(shape)))


def _sizes(terms, shapes):
    """The size of each letter.  Raises ValueError if the shapes do not agree."""
    sizes: dict = {}
    for term, shape in zip(terms, shapes, strict=True):
        own: dict = {}
        for letter, n in zip(term, shape, strict=True):
            known = sizes.setdefault(letter, n)
            if (n != known and 1 not in (n, known)) or own.setdefault(letter, n) != n:
                raise ValueError(f"einsum: axis {letter!r} has the sizes {known} and {n}.")
            sizes[letter] = n if known == 1 else known
    return sizes


@contract.vjp
def _(xp, out, *operands, terms, output):
    def pullback(k):
        def gradient(g):
            others = [x for i, x in enumerate(operands) if i != k]
            named = [t for i, t in enumerate(terms) if i != k]
            own, shape = terms[k], operands[k].shape
            # Letters of this operand that stand nowhere else were summed: their gradient is even.
            found = set(output).union(*named)
            once = tuple(dict.fromkeys(own))
            known = tuple(c for c in once if c in found)
            g = contract(g, *others, terms=(output, *named), output=known)
            return _spread(xp, g, known, own, shape)

        return gradient

    return tuple(pullback(k) for k in range(len(operands)))


def _spread(xp, g, known, own, shape):
    """The gradient of an operand with axes `own`, from that of its distinct axes."""
    places = tuple(own.index(c) for c in known)
    for i, place in enumerate(places):
        if shape[place] == 1 < g.shape[i]:  # This operand was broadcast.
            g = xp.sum(g, axis=i, keepdims=True, dtype=g.dtype)
    found = dict(zip(places, g.shape, strict=True))
    g = xp.permute_dims(g, tuple(sorted(range(len(places)), key=places.__getitem__)))
    g = xp.reshape(g, tuple(found.get(i, 1) for i in range(len(own))))
    for i, letter in enumerate(own):
        if (j := own.index(letter)) < i:  # A diagonal: nothing beside it.
            eye = [1] * len(own)
            eye[i] = eye[j] = shape[i]
            g = g * xp.reshape(xp.eye(shape[i], dtype=g.dtype), tuple(eye))
    return xp.broadcast_to(g, shape)
