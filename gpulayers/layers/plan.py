"""Inference without detours: what a layer does to plain NumPy arrays of one shape and dtype.

A plan holds as long as no attribute of any layer is set: the weights' values are read when it runs.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..arrays import dtypes, masks
from ..arrays.masks import _masks
from .calling import call_signature
from .input_spec import fixes_batch
from .tracking import STRUCTURE


class Plan:
    """A function of arrays that have a given dtype and given sizes after the first axis."""

    __slots__ = ("dtype", "run", "shape", "version")

    def __init__(self, run, x):
        self.run, self.dtype, self.shape, self.version = run, x.dtype, x.shape[1:], STRUCTURE[0]

    @classmethod
    def of(cls, layer, x):
        """The plan of `layer` for arrays like `x`; one that fits nothing if it needs full calls."""
        return cls(step(layer, x), x)

    def fits(self, x) -> bool:
        """Whether `x` is an array that this plan is for, and nothing else is asked of the call."""
        return (
            self.run is not None
            and type(x) is np.ndarray
            and x.dtype is self.dtype
            and x.shape[1:] == self.shape
            and self.version == STRUCTURE[0]
            and not _masks
        )


def needs_full_call(layer, x) -> bool:
    """Whether there is more to a call of `layer` on the array `x` than its arithmetic."""
    return masks.any_masks() or asks_for_more(layer, x)


def asks_for_more(layer, x, on_gpu: bool = False) -> bool:
    """The same for an array without a mask; only on a GPU is anything computed in 16 bits."""
    if not type(layer).__module__.startswith("gpulayers."):
        return True
    if layer.compute_dtype in dtypes.SHORT_FLOATS and not on_gpu:
        return True
    if not is_real(x.dtype):  # Text is refused, complex numbers perhaps.
        return True
    if dtypes.is_floating(x.dtype) and dtypes.name(x.dtype) != layer.compute_dtype:
        return True
    if layer.activity_regularizer is not None or not layer.built:
        return True
    return x.ndim < 2 or fixes_batch(layer.input_spec)


def is_real(dtype) -> bool:
    """Whether arrays of a dtype hold real numbers, bfloat16 among them, or booleans."""
    return dtype.kind in "biuf" or dtypes.is_floating(dtype)


def step(layer, x):
    """What `layer` is in inference on arrays like `x`: a function, None if it needs a full call."""
    if needs_full_call(layer, x):
        return None
    own = getattr(layer, "_inference_step", None)
    if own is not None:
        return own(x)
    from .layer import Layer

    cls = type(layer)
    if cls.compute_mask is not Layer.compute_mask or layer._layers:
        return None
    signature = call_signature(cls)
    if signature.training_default or len(signature.names) == 0:
        return None
    return partial(layer.call, training=False) if signature.takes_training else layer.call
