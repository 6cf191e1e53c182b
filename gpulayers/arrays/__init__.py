"""What an array can do: namespaces, recording, shape inference, weights, dtypes, devices.

A layer only ever sees arrays, and asks them for their namespace.  The same source runs on plain
arrays (inference), on recorded ones (training) and on abstract ones (shape inference).
"""

from . import devices, dtypes, policy
from .abstract import Abstract, infer
from .convert import as_array, is_array, same_library
from .masks import get_mask, masked, set_mask
from .namespace import namespace
from .primitive import primitive
from .symbolic import KerasTensor, operation
from .tape import Tape, is_recorded, lift, plain, stop_gradient
from .value_and_grad import value_and_grad
from .variable import Variable

__all__ = [
    "Abstract",
    "KerasTensor",
    "Tape",
    "Variable",
    "as_array",
    "devices",
    "dtypes",
    "get_mask",
    "infer",
    "is_array",
    "is_recorded",
    "lift",
    "masked",
    "namespace",
    "operation",
    "plain",
    "policy",
    "primitive",
    "same_library",
    "set_mask",
    "stop_gradient",
    "value_and_grad",
]
