"""The mask that an array carries: which of its time steps count.

Plain NumPy and CuPy arrays have no place for one, and must stay what they are.  Their masks stand
in a table by identity, from which an entry goes when its array does.
"""

from __future__ import annotations

import weakref
from copy import copy

_masks: dict[int, tuple[weakref.ref, object]] = {}


def get_mask(x):
    """The mask of an array (boolean; one axis or more of its leading shape), or None."""
    own = getattr(type(x), "mask_slot", None)
    if own is not None:
        return getattr(x, "_mask", None)
    if not _masks:
        return None
    entry = _masks.get(id(x))
    return entry[1] if entry is not None and entry[0]() is x else None


def set_mask(x, mask) -> None:
    """Let `x` carry `mask`; None takes its mask away.

    Raises TypeError if `x` is no array (something that cannot be referred to weakly).
    """
    if getattr(type(x), "mask_slot", None) is not None:
        x._mask = mask
        return
    key = id(x)
    if mask is None:
        if _masks:
            _masks.pop(key, None)
        return
    try:
        reference = weakref.ref(x, lambda _, key=key: _masks.pop(key, None))
    except TypeError:
        raise TypeError(f"set_mask: expected an array, got {type(x).__name__}.") from None
    _masks[key] = (reference, mask)


def masked(x, mask):
    """`x` as another array object of the same values, which carries `mask`; `x` stays as it is."""
    made = copy(x) if getattr(type(x), "mask_slot", None) is not None else x[...]
    if made is x:
        made = x.__array_namespace__().asarray(x, copy=True)
    set_mask(made, mask)
    return made


def any_masks() -> bool:
    """Whether some plain array carries a mask now: what fast paths ask first."""
    return bool(_masks)
