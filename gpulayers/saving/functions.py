"""Python lambdas in files: as byte code, which is run only where the caller allows it."""

from __future__ import annotations

import base64
import binascii
import marshal
from types import CellType, CodeType, FunctionType

from .. import registry


def serialize_lambda(function: FunctionType) -> dict:
    """The description of a lambda: its byte code, defaults and closure.

    It fits the Python version that wrote it alone.  Raises TypeError for values in defaults or
    closure that files cannot hold.
    """
    code = base64.encodebytes(marshal.dumps(function.__code__)).decode("ascii")
    defaults = registry.serialize(function.__defaults__)
    closure = function.__closure__
    if closure is not None:
        closure = [registry.serialize(cell.cell_contents) for cell in closure]
    # Keras looks for `value`, but in Lambda layers for the other three.
    parts = {"code": code, "defaults": defaults, "closure": closure}
    return {"class_name": "__lambda__", "config": {"value": list(parts.values()), **parts}}


def deserialize_lambda(config: dict, safe_mode: bool = True) -> FunctionType:
    """The lambda that `serialize_lambda`, or Keras, described.

    It sees the names `np`, `numpy`, `ops`, `keras` and `gpulayers` beside Python's own.

    Raises ValueError in safe mode, and for byte code that is none of this Python version.
    """
    if safe_mode:
        raise ValueError(
            "it holds a Python lambda, whose byte code could do anything. If you trust where it "
            "comes from, load it with safe_mode=False."
        )
    code, defaults, closure = _parts(config)
    if defaults is not None:
        defaults = tuple(registry.deserialize(defaults, safe_mode=False))
    if closure is not None:
        closure = tuple(CellType(registry.deserialize(v, safe_mode=False)) for v in closure)
    code = _decoded(code)
    return FunctionType(code, _names(), code.co_name, defaults, closure)


def _parts(config):
    value = config.get("value") if isinstance(config, dict) else None
    if value is None and isinstance(config, dict):
        value = [config.get(key) for key in ("code", "defaults", "closure")]
    if isinstance(value, str):
        value = [value, None, None]
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[0], str):
        raise ValueError("the description of a lambda must hold its code, defaults and closure.")
    return value


def _decoded(text: str) -> CodeType:
    try:
        code = marshal.loads(base64.decodebytes(text.encode("ascii")))
    except (ValueError, EOFError, TypeError, binascii.Error) as error:
        raise ValueError(
            f"the byte code of a lambda cannot be read ({error}): it was written by another "
            "version of Python. Write a named function instead, and register it."
        ) from error
    if not isinstance(code, CodeType):
        raise ValueError("the byte code of a lambda is none.")
    return code


def _names() -> dict:
    import builtins

    import numpy as np

    import gpulayers
    from gpulayers import ops

    ours = {"gpulayers": gpulayers, "keras": gpulayers, "ops": ops, "np": np, "numpy": np}
    return {"__builtins__": builtins, **ours}
