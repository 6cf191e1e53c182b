"""What layers that look terms up are asked for."""

from __future__ import annotations


def check_options(layer, idf_weights) -> None:
    """Raise ValueError for options of a lookup layer that do not go together."""
    who = type(layer).__name__
    if layer.max_tokens is not None and layer.max_tokens <= 1:
        raise ValueError(f"{who}: max_tokens must be greater than 1, got {layer.max_tokens}.")
    if layer.pad_to_max_tokens and layer.max_tokens is None:
        raise ValueError(f"{who}: pad_to_max_tokens needs max_tokens, got None.")
    if layer.num_oov_indices < 0:
        raise ValueError(
            f"{who}: num_oov_indices must not be negative, got {layer.num_oov_indices}."
        )
    if layer.oov_method not in ("floormod", "farmhash"):
        raise ValueError(
            f"{who}: oov_method must be 'floormod' or 'farmhash', got {layer.oov_method!r}."
        )
    if layer.salt and layer.vocabulary_dtype != "string" and layer.oov_method != "farmhash":
        raise ValueError(
            f"{who}: salt needs oov_method='farmhash', got oov_method={layer.oov_method!r}."
        )
    if layer.invert and layer.output_mode != "int":
        raise ValueError(
            f"{who}: output_mode must be 'int' if invert is True, got {layer.output_mode!r}."
        )
    if idf_weights is not None and layer.output_mode != "tf_idf":
        raise ValueError(
            f"{who}: idf_weights are for output_mode='tf_idf', got them with {layer.output_mode!r}."
        )


def room(layer) -> int | None:
    """How many terms a lookup layer may learn; None for any number of them.

    Raises ValueError if there are as many special tokens as `max_tokens`, or more.
    """
    if layer.max_tokens is None:
        return None
    special = layer.token_start()
    if layer.max_tokens <= special:
        raise ValueError(
            f"{type(layer).__name__} {layer.name!r}: max_tokens={layer.max_tokens} leaves nothing "
            f"to learn beside {special} special tokens (num_oov_indices={layer.num_oov_indices})."
        )
    return layer.max_tokens - special
