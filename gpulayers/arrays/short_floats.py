"""16-bit floats on the CPU: computed in float32, given back in their own dtype.

NumPy has no fast arithmetic for them, rounds after every step, and forgets bfloat16 as soon as it
meets another dtype.  GPUs have their own.
"""

from __future__ import annotations

import numpy as np

from .. import tree
from . import dtypes
from .abstract import Abstract
from .namespace import namespace
from .tape import plain


def is_short(x) -> bool:
    """Whether `x` is a 16-bit float array of NumPy, recorded or not, or one to be inferred."""
    dtype = getattr(x, "dtype", None)
    if getattr(dtype, "itemsize", 0) != 2 or dtypes.name(dtype) not in dtypes.SHORT_FLOATS:
        return False
    return type(x) is Abstract or isinstance(plain(x), (np.ndarray, np.generic))


def in_float32(function, args, options):
    """`function(*args, **options)`, in float32 if 16-bit floats of NumPy are among these.

    Results that are float32 then become what the floats among the arguments promote to.
    """
    values = (*args, *options.values())
    if not any(map(is_short, values)):
        return function(*args, **options)
    floats = [dtypes.name(a.dtype) for a in values if hasattr(a, "dtype") and dtypes.is_floating(a)]
    wide = [cast(a, "float32") if is_short(a) else a for a in args]
    options = {key: cast(a, "float32") if is_short(a) else a for key, a in options.items()}
    out = function(*wide, **options)
    dtype = dtypes.promote(*floats)
    if dtype not in dtypes.SHORT_FLOATS:
        return out

    def shortened(x):
        wide = hasattr(x, "dtype") and dtypes.name(x.dtype) == "float32"
        return cast(x, dtype) if wide else x

    return tree.map_structure(shortened, out)


def cast(x, dtype: str):
    """An array in the dtype of that name; itself if it has it."""
    if dtypes.name(x.dtype) == dtype:
        return x
    xp = namespace(x)
    return xp.astype(x, dtypes.of(xp, dtype))
