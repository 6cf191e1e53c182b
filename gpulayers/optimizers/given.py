"""Gradients that nobody else needs: new weights are written into their arrays.

A step needs no memory for new weights then, and goes through less of it.  Weights that somebody
took before the step stay as they are, for these are other arrays.
"""

from __future__ import annotations

from sys import getrefcount

import numpy as np

from .following import SMALL


class Given(list):
    """A list of gradients that its maker gives away.

    Args:
        gradients: a list.  Large arrays that are held by nobody else may be written.

    `free` has the identities of these arrays.
    """

    def __init__(self, gradients: list):
        places = [i for i, g in enumerate(gradients) if g is not None and g.size > SMALL]
        holders = _holders(gradients, places)
        super().__init__(gradients)
        self.free = frozenset(
            id(self[i])
            for i, found in zip(places, holders)
            if found in ALONE and _is_whole(self[i])
        )


def _holders(arrays: list, places) -> list[tuple[int, int]]:
    """How many references there are to arrays of a list, and to what they are views of.

    What Python itself holds meanwhile counts too: compare with `ALONE`.
    """
    found = []
    for i in places:
        array = arrays[i]
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


ALONE = _holders([np.empty(2), np.empty(2).reshape(1, 2)], (0, 1))
