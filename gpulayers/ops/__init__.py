"""Operations on arrays, under the names that `keras.ops` and the array API standard have.

They take arrays of any library, recorded, abstract and symbolic ones, Variables, numbers and lists.
Where dtypes meet, Keras's rules decide (`result_type`); `keras.ops`'s functions without a file here
are in none: fft and convolutions, pooling, attention.
"""

from . import (
    activation,
    arithmetic,
    complex_numbers,
    control,
    converting,
    creation,
    cross_entropy,
    elementwise,
    embedding,
    error_function,
    indexing,
    joining,
    linalg,
    normalization,
    not_a_number,
    padding,
    products,
    rearranging,
    rectifier,
    reductions,
    running,
    scattering,
    shaping,
    softmax,
    sorting,
    statistics,
)
from .activation import *  # noqa: F403
from .arithmetic import *  # noqa: F403
from .complex_numbers import *  # noqa: F403
from .control import *  # noqa: F403
from .converting import *  # noqa: F403
from .creation import *  # noqa: F403
from .cross_entropy import *  # noqa: F403
from .einsum import einsum
from .elementwise import *  # noqa: F403
from .embedding import *  # noqa: F403
