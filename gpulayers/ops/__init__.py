"""Operations on arrays, under the names that `keras.ops` and the array API standard have.

They take arrays of any library, recorded, abstract and symbolic ones, Variables, numbers and lists.
Where dtypes meet, Keras's rules decide (`result_type`).
"""

import sys as _sys
from importlib import import_module as _import

from . import image, linalg
from .einsum import einsum
from .padding import pad

_HOLDERS = """
    activation arithmetic attention closeness complex_numbers connectionist connectionist_decoding
    control converting convolution creation cross_entropy elementwise embedding error_function
    fourier indexing joining linalg normalization not_a_number pooling positions products
    rearranging rectifier reductions running scattering shaping softmax sorting statistics
""".split()

# What Keras has among the activations only, and what only layers use.
_ELSEWHERE = {"exponential", "gather", "mish", "prelu"}

# Other names of the same functions, Keras's and the standard's.
_ALIASES = {
    "absolute": "abs",
    "acos": "arccos",
    "acosh": "arccosh",
    "asarray": "array",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bitwise_not": "bitwise_invert",
    "cumulative_prod": "cumprod",
    "cumulative_sum": "cumsum",
    "hard_swish": "hard_silu",
    "left_shift": "bitwise_left_shift",
    "pow": "power",
    "remainder": "mod",
    "right_shift": "bitwise_right_shift",
    "swish": "silu",
    "true_divide": "divide",
}


def _collected() -> dict:
    names = {"einsum": einsum, "pad": pad}
    for holder in (_import(f".{name}", __name__) for name in _HOLDERS):
        names.update((name, getattr(holder, name)) for name in holder.__all__)
    for name in _ELSEWHERE:
        names.pop(name, None)
    names.update((alias, names[name]) for alias, name in _ALIASES.items())
    return dict(sorted(names.items()))


_names = _collected()
globals().update(_names)
__all__ = [*_names, "image", "linalg"]

# Keras has these parts of `ops` too: `ops.nn.relu` is `ops.relu`.
nn = numpy = _sys.modules[__name__]
