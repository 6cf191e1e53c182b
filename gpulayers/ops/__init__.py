"""Operations on arrays, under the names that `keras.ops` has.

They take arrays of any library, recorded, abstract and symbolic ones, Variables, and lists.
"""

from .activation import (
    celu,
    elu,
    gelu,
    glu,
    log_sigmoid,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    squareplus,
    tanh,
    tanh_shrink,
)
from .cross_entropy import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from .einsum import einsum
from .embedding import multi_hot, one_hot
from .error_function import erf, erfc, erfinv
from .rectifier import (
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    relu,
    relu6,
    soft_shrink,
    sparse_plus,
    sparse_sigmoid,
    threshold,
)
from .softmax import log_softmax, softmax, sparsemax

hard_swish = hard_silu
swish = silu

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "celu",
    "einsum",
    "elu",
    "erf",
    "erfc",
    "erfinv",
    "gelu",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "multi_hot",
    "one_hot",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_categorical_crossentropy",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]
