"""Weights in the 16 bits of a policy: on a GPU, cast once for each outermost call, together."""

from __future__ import annotations

from ..arrays.variable import SCOPE, Scope, needs_cast
from ..ops.casting import cast_all
from .tracking import own_variables, remembered


def short_scope(layer, dtype: str) -> Scope:
    """The scope of a call of `layer` in a 16-bit dtype: it shares what is cast around it, and else
    casts the weights of all layers inside."""
    outer = SCOPE.get()
    if outer is not None and outer.autocast == dtype and outer.casts is not None:
        return outer.within(outer.tape)
    return Scope(None if outer is None else outer.tape, dtype, casts=_cast(layer, dtype))


def _cast(layer, dtype) -> dict[int, tuple]:
    variables = [v for v in _read_by(layer, dtype) if needs_cast(v, dtype)]
    values = [v._value for v in variables]
    made = cast_all(*values, dtype=dtype) if values else ()
    return {id(v): pair for v, pair in zip(variables, zip(values, made, strict=True), strict=True)}


@remembered
def _read_by(layer, dtype) -> list:
    """The weights that layers of this dtype, in `layer` and inside it, read in it."""
    layers = [one for one in layer._flatten_layers() if one.compute_dtype == dtype]
    own = [v for one in layers if not one._casts_weights_itself for v in own_variables(one)]
    return list({id(v): v for v in own}.values())
