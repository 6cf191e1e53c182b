"""Einstein summation: sums of products over named axes, by matrix products.

Operands are contracted two at a time, the pair with the smallest result first.  Of a pair, axes
are sorted into four groups: those of both that the result keeps (batch), those of both that it
lacks (summed), and those of one operand alone (left, right); one matmul then does the work.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import cache

from ..arrays import as_array, dtypes, is_array, namespace, primitive

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
    names = {dtypes.name(x.dtype) for x in operands}
    if len(names) > 1:
        dtype = dtypes.of(xp, dtypes.promote(*names))
        operands = [xp.astype(x, dtype) for x in operands]
    sizes = _sizes(operands, terms)
    parts = [_single(xp, x, t, sizes) for x, t in zip(operands, terms, strict=True)]
    while len(parts) > 1:
        i, j = _cheapest(parts, output, sizes)
        second, first = parts.pop(j), parts.pop(i)
        kept = set(output).union(*(letters for _, letters in parts))
        last = output[-1] if output else None
        if last in first[1] and last not in second[1]:  # So that the result needs no reordering.
            first, second = second, first
        parts.insert(i, _product(xp, first, second, kept, sizes))
    x, letters = _total(xp, *parts[0], output)
    return _order(xp, x, letters, output)


def _sizes(operands, terms):
    sizes: dict = {}
    for x, term in zip(operands, terms, strict=True):
        own: dict = {}
        for letter, n in zip(term, x.shape, strict=True):
            known = sizes.setdefault(letter, n)
            if (n != known and 1 not in (n, known)) or own.setdefault(letter, n) != n:
                raise ValueError(f"einsum: axis {letter!r} has the sizes {known} and {n}.")
            sizes[letter] = n if known == 1 else known
    return sizes


def _single(xp, x, term, sizes):
    """An operand with each letter once, without the axes of size 1 that would be broadcast."""
    term = list(term)
    for i in reversed(range(len(term))):
        if x.shape[i] == 1 and (sizes[term[i]] > 1 or term.count(term[i]) > 1):
            x = xp.squeeze(x, axis=i)
            del term[i]
    for letter in [c for c, n in Counter(term).items() if n > 1]:
        while term.count(letter) > 1:
            i = term.index(letter)
            j = term.index(letter, i + 1)
            x = xp.linalg.diagonal(xp.moveaxis(x, (i, j), (-2, -1)))
            term = [c for k, c in enumerate(term) if k not in (i, j)] + [letter]
    return x, tuple(term)


def _cheapest(parts, output, sizes):
    """The pair whose product has the fewest elements; of equals, the leftmost."""
    if len(parts) == 2:
        return 0, 1

    def size(pair):
        others = (letters for k, (_, letters) in enumerate(parts) if k not in pair)
        kept = set(output).union(*others)
        both = set(parts[pair[0]][1]) | set(parts[pair[1]][1])
        return math.prod(sizes[c] for c in both & kept)

    pairs = [(i, j) for i in range(len(parts)) for j in range(i + 1, len(parts))]
    return min(pairs, key=size)


def _total(xp, x, letters, kept):
    """Sum over the axes that are not kept."""
    gone = tuple(i for i, c in enumerate(letters) if c not in kept)
    if not gone:
        return x, letters
    return xp.sum(x, axis=gone, dtype=x.dtype), tuple(c for c in letters if c in kept)


def _order(xp, x, letters, wanted):
    if letters == wanted:
        return x
    return xp.permute_dims(x, tuple(letters.index(c) for c in wanted))


def _product(xp, first, second, kept, sizes):
    """The sum of products of two arrays over what is not kept, and the letters of its axes."""
    (x, a), (y, b) = (
        _total(xp, z, letters, kept.union(other))
        for (z, letters), (_, other) in ((first, second), (second, first))
    )
    batch = tuple(c for c in a if c in b and c in kept)
    summed = tuple(c for c in a if c in b and c not in kept)
    left = tuple(c for c in a if c not in b)
    right = tuple(c for c in b if c not in a)

    def arranged(z, letters, *groups):
        """Axes in groups: the batch's as they are, each other group as one."""
        z = _order(xp, z, letters, (*batch, *(c for group in groups for c in group)))
        shape = tuple(sizes[c] for c in batch)
        shape += tuple(math.prod(sizes[c] for c in group) for group in groups)
        return z if z.shape == shape else xp.reshape(z, shape)

    if not summed:
        out = arranged(x, a, left, ()) * arranged(y, b, (), right)
    elif left or right:
        out = xp.matmul(arranged(x, a, left, summed), arranged(y, b, summed, right))
    else:
        out = xp.vecdot(arranged(x, a, summed), arranged(y, b, summed))
    letters = (*batch, *left, *right)
    shape = tuple(sizes[c] for c in letters)
    return (out if out.shape == shape else xp.reshape(out, shape)), letters


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
    g = _order(xp, g, places, tuple(sorted(places)))
    g = xp.reshape(g, tuple(found.get(i, 1) for i in range(len(own))))
    for i, letter in enumerate(own):
        if (j := own.index(letter)) < i:  # A diagonal: nothing beside it.
            eye = [1] * len(own)
            eye[i] = eye[j] = shape[i]
            g = g * xp.reshape(xp.eye(shape[i], dtype=g.dtype), tuple(eye))
    return xp.broadcast_to(g, shape)
