"""How many elements may be made while a file is read.

Whoever wrote the file says how large layers and metrics are; what is stored in it bounds that.
"""

from __future__ import annotations

import contextlib
import math
from contextvars import ContextVar

_left: ContextVar[list[int] | None] = ContextVar("elements_left", default=None)


@contextlib.contextmanager
def limited(elements: int):
    """Within it, no more than so many elements may be made, in all."""
    token = _left.set([elements])
    try:
        yield
    finally:
        _left.reset(token)


def spend(who: str, shape) -> None:
    """Say that an array of this shape is about to be made, on behalf of `who`.

    Raises ValueError if that is more than a file may ask for.
    """
    left = _left.get()
    if left is None:
        return
    count = math.prod(shape)
    if count > left[0]:
        raise ValueError(
            f"{who:.80}: shape {tuple(shape)} is larger than what the file could hold values for."
        )
    left[0] -= max(count, 0)
