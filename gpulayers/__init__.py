"""The Keras 3 layers API on NumPy and CuPy arrays.

`import gpulayers as keras` runs a Keras 3 script: the names are the same. Modules are imported
when they are first used.
"""

from importlib import import_module

from . import arrays, config, registry, tree
from .arrays import KerasTensor, Tape, Variable, namespace, primitive, stop_gradient, value_and_grad
from .arrays.devices import device
from .arrays.policy import DTypePolicy
from .version import __version__

_MODULES = (
    "activations",
    "backend",
    "callbacks",
    "constraints",
    "dtype_policies",
    "examples",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "preprocessing",
    "quantizers",
    "random",
    "regularizers",
    "saving",
    "utils",
)
_NAMES = {
    "FloatDTypePolicy": "dtype_policies",
    "Input": "layers",
    "Layer": "layers",
    "InputSpec": "layers",
    "Model": "models",
    "Sequential": "models",
    "Initializer": "initializers",
    "Loss": "losses",
    "Metric": "metrics",
    "Optimizer": "optimizers",
    "Quantizer": "quantizers",
    "Regularizer": "regularizers",
}

__all__ = [
    "DTypePolicy",
    "KerasTensor",
    "Tape",
    "Variable",
    "__version__",
    "arrays",
    "config",
    "device",
    "namespace",
    "primitive",
    "registry",
    "stop_gradient",
    "tree",
    "value_and_grad",
    *_MODULES,
    *_NAMES,
]


def __getattr__(name):
    if name in _NAMES:
        found = getattr(import_module(f".{_NAMES[name]}", __name__), name)
    elif name in _MODULES:
        found = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module 'gpulayers' has no attribute {name!r}.")
    globals()[name] = found
    return found


def __dir__():
    return sorted(__all__)
