"""Models: what is trained, and what trains it.  The names of `keras.models`."""

from .cloning import clone_model, model_from_json
from .model import Model
from .sequential import Sequential

__all__ = [
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_json",
    "save_model",
]


def functional_class():
    """The class of models made by `Model(inputs, outputs)`."""
    from .functional import Functional

    return Functional


def __getattr__(name):
    if name in ("load_model", "save_model"):
        from .. import saving

        return getattr(saving, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}.")
