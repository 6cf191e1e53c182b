"""Gradients that nobody else needs: new weights are written into their arrays.

A step needs no memory for new weights then, and goes through less of it.  Weights that somebody
took before the step stay as they are, for these are other arrays.
"""

from __future__ import annotations

from sys import getrefcount

import numpy as np


class Given(list):
    """A list of gradients that its maker gives away.

    Args:
        gradients: a list.  Arrays that are held by nobody else may be written.

    `free` has the identities of these arrays.
    """

    def __init__(self, gradients: list):
        holders = _holders(gradients)
        super().__init__(gradients)
        self.free = frozenset(
            id(g) for g, found in zip(self, holders) if found in ALONE and _is_whole(g)
        )


def _holders(arrays: list) -> list[tuple[int, int]]:
    """How many references there are to each array, and to what it is a view of.

    What Python itself holds meanwhile counts too: compare with `ALONE`.
    """
    found = []
    for array in arrays:
        base = getattr(array, "base", None)
        found.append((getrefcount(array), 0 if base is None else getrefcount(base)))
    return found


def _is_whole(array) -> bool:
    """Whether it is all of a NumPy array, in the order of C, that may be written."""
    if type(array) is not np.ndarray or not (array.flags.c_contiguous and array.flags.writeable):
        return False
    base = array.base
    return base is None or (
        type(base) is np.ndarray and base.base is None and base.size == array.size
    )


ALONE = _holders([np.empty(2), np.empty(2).reshape(1, 2)])
