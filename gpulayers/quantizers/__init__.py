"""Quantizers: floats as whole numbers of few bits, and the options of `layer.quantize`.

The names of `keras.quantizers`.
"""

from __future__ import annotations

from .. import registry
from .configs import (
    AWQConfig,
    Float8QuantizationConfig,
    GPTQConfig,
    Int4QuantizationConfig,
    Int8QuantizationConfig,
    QuantizationConfig,
)
from .fake import fake_quant_with_min_max_vars
from .float8 import compute_float8_amax_history, compute_float8_scale, quantize_and_dequantize
from .packing import pack_int4, unpack_int4
from .whole_numbers import (
    AbsMaxQuantizer,
    Quantizer,
    abs_max_quantize,
    abs_max_quantize_grouped_with_zero_point,
)

__all__ = [
    "AWQConfig",
    "AbsMaxQuantizer",
    "Float8QuantizationConfig",
    "GPTQConfig",
    "Int4QuantizationConfig",
    "Int8QuantizationConfig",
    "QuantizationConfig",
    "Quantizer",
    "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point",
    "compute_float8_amax_history",
    "compute_float8_scale",
    "deserialize",
    "fake_quant_with_min_max_vars",
    "get",
    "pack_int4",
    "quantize_and_dequantize",
    "serialize",
    "unpack_int4",
]

serialize = registry.serialize


def deserialize(config, custom_objects=None):
    """The quantizer, or the options, that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="quantizers")


def get(identifier, **kwargs):
    """The quantizer that a name, a class (made with `kwargs`), a config or an object means.

    Raises ValueError for an unknown name, TypeError for other values.
    """
    if isinstance(identifier, str):
        identifier = registry.find("quantizers", identifier)
    if isinstance(identifier, type):
        identifier = identifier(**kwargs)
    return registry.get("quantizers", identifier)
