"""Quantizing the layers of a model."""

from __future__ import annotations

import re
import warnings

from ..quantizers.configs import resolve


def quantize(model, mode, config, filters, type_check) -> None:
    """Quantize the innermost layers of `model` that pass the filters: see `Model.quantize`."""
    who = f"{type(model).__name__} {model.name!r}"
    chosen = _chooser(who, filters)
    config = resolve(who, mode, config)
    if config.mode in ("gptq", "awq"):
        raise NotImplementedError(
            f"{who}: {config.mode} needs a calibration, which is not available. Use 'int4' or "
            "'int8' instead."
        )
    for layer in model._flatten_layers(include_self=False):
        if layer._layers or not layer.weights or not chosen(layer):
            continue
        try:
            layer.quantize(config.mode, type_check=type_check, config=config)
        except NotImplementedError as reason:
            warnings.warn(str(reason), stacklevel=4)


def _chooser(who, filters):
    """The function that says whether a layer is to be quantized."""
    if filters is None:
        return lambda layer: True
    if callable(filters):
        return filters
    patterns = [filters] if isinstance(filters, str) else filters
    if not isinstance(patterns, (list, tuple)):
        raise TypeError(
            f"{who}: filters must be a regular expression, a list of them or a function of a "
            f"layer, got {type(filters).__name__}."
        )
    return lambda layer: any(re.search(pattern, layer.name) for pattern in patterns)
