"""Moves of a program in parts, which several threads take in turn: see `jit/chains.py`."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from ..jit import chains as loops


class Chain:
    """A move that may be done part by part, one after the other.

    Args:
        write: gives what is written into the table, a dict for each part of so many steps.
        layer: chains of one number belong to one layer, the first of them come first.
        after: the chain that makes what this one reads.
        aligned: whether each part needs but the same part of that.
        also: another chain that must be done before.
        stays: whether one thread should do all parts, with what is in its cache.

    What has neither `after` nor `before` follows all that stands in front of it; with `before`, all
    that stands in front of that chain, or nothing if it is "nothing".
    """

    def __init__(
        self, write, layer, after=None, aligned=False, also=None, before=None, stays=False
    ):
        self.write, self.layer, self.after, self.aligned = write, layer, after, aligned
        self.also, self.before, self.stays = also, before, stays


def written(entries, size: int | None):
    """The rows of a table, and of one of the chains in it.

    Args:
        entries: chains, and functions that give a row; in their order.
        size: how many steps a part has at most; None for all.
    """
    rows, chains, numbers = [], [], {None: loops.NONE}
    for is_chain, some in groupby(entries, lambda entry: isinstance(entry, Chain)):
        if not is_chain:
            made = [write() for write in some]
            chains.append(
                (len(rows), len(made), 1, len(chains), loops.NONE, 0, loops.NONE, 0, None)
            )
            rows += made
            continue
        for chain in some:
            parts, numbers[chain] = chain.write(size), len(chains)
            before = len(chains) if chain.after is None else 0
            if chain.before is not None:
                before = 0 if chain.before == "nothing" else chains[numbers[chain.before]][3]
            after, also = numbers[chain.after], numbers[chain.also]
            chains.append((len(rows), 1, len(parts), before, after, chain.aligned, also,
                           chain.stays, chain.layer))  # fmt: skip
            rows += parts
    return rows, chains


def tables(chains, at: int, scratch: int) -> list:
    """What each of two threads knows: see `jit.chains`.

    The first one to come looks for what it may do from the last layer to the first, the other one
    the other way, for it may sleep again as soon as there is work for but one: of all layers but
    the first, it rather does what steps need than steps.  Else the last chain of a layer comes
    first, for others need what it does.

    Args:
        at: where progress lies in memory.
        scratch: where the second one has room.
    """
    numbers = range(len(chains))
    layers = [i if chain[-1] is None else chain[-1] for i, chain in enumerate(chains)]
    plain = [chain[-1] is None for chain in chains]
    first = min(layer for layer, other in zip(layers, plain, strict=True) if not other)
    later = [chain[-2] and layer > first for chain, layer in zip(chains, layers, strict=True)]
    back = sorted(numbers, key=lambda i: (plain[i], -layers[i], -i))
    there = sorted(numbers, key=lambda i: (not plain[i], later[i], layers[i], -i))
    lines = [line[:-1] for line in chains]
    heads = [len(chains), at, 0, 0], [len(chains), at, 1, scratch]
    return [
        np.concatenate([head, order, *lines]).astype(np.intp)
        for head, order in zip(heads, (back, there), strict=True)
    ]
