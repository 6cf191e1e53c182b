"""Numbers as floats: what functions of real numbers do with integers."""

from __future__ import annotations

from .. import config
from ..arrays import dtypes, namespace


def floating(x):
    """The namespace of an array, and the array: integers and booleans as floats of floatx."""
    xp = namespace(x)
    if dtypes.is_integer(x) or dtypes.is_bool(x):
        x = xp.astype(x, dtypes.of(xp, config.floatx()))
    return xp, x
