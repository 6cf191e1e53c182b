"""The weights of a model, layer by layer, under the paths that Keras gives them.

The path of a layer is made of attribute names: `encoder/query_dense`. Layers in a list, tuple or
dictionary have the class's name in snake case there, numbered for each class: `blocks/dense`,
`blocks/dense_1`. All layers of a Sequential model or graph are in `layers`. Each layer has one
path: the first at which it is found, public attributes before private ones, each kind sorted by
name.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any, BinaryIO

from .. import registry
from ..layers.layer import Layer
from ..layers.tracking import BOOKKEEPING, own_variables
from ..layers.weights import Weights
from ..optimizers import Optimizer
from . import hdf5


def walk(model) -> Iterator[tuple[str, Any]]:
    """(path, part) of the model, of all layers inside it, and of its optimizer; each part once."""
    yield from _walk(model, "", set())


def _walk(part, path, seen):
    if id(part) in seen:
        return
    seen.add(id(part))
    yield path, part
    for name, value in _attributes(part):
        place = f"{path}/{name}" if path else name
        if isinstance(value, (Weights, Optimizer)):
            yield from _walk(value, place, seen)
        elif isinstance(value, (list, tuple, dict)):
            yield from _walk_container(value, place, seen)


def _walk_container(container, path, seen):
    if id(container) in seen:
        return
    seen.add(id(container))
    counts: dict[str, int] = {}
    for value in container.values() if isinstance(container, dict) else container:
        held = isinstance(value, (Weights, Optimizer))
        if not held and not isinstance(value, (list, tuple, dict)):
            continue
        name = registry.to_snake_case(type(value).__name__) if held else "container"
        count = counts[name] = counts.get(name, -1) + 1
        place = f"{path}/{name}_{count}" if count else f"{path}/{name}"
        yield from (_walk if held else _walk_container)(value, place, seen)


def _attributes(part) -> Iterator[tuple[str, Any]]:
    """The attributes in which parts of `part` may be, in the order of files."""
    from ..models import Model, Sequential

    base, own = (Optimizer, set()) if isinstance(part, Optimizer) else (Layer, set())
    if isinstance(part, Model):
        base, own = Model, {"layers", "optimizer"}
        if isinstance(part, Sequential):
            base = Sequential
        if isinstance(part, Sequential) or part._graph is not None:
            own.remove("layers")
            yield "layers", part.layers if isinstance(part, Sequential) else part._members
    classes = [c for c in type(part).__mro__ if c not in base.__mro__]
    own.update(vars(part), *(_own_names(c) if _is_ours(c) else _data_names(c) for c in classes))
    own -= _skipped(base)
    for name in sorted(own, key=lambda name: (name.startswith("_"), name)):
        try:
            value = getattr(part, name)
        except Exception:  # A property that has no value yet.
            continue
        yield name, value


def _is_ours(cls) -> bool:
    return cls.__module__.startswith("gpulayers.")


@cache
def _own_names(cls) -> list[str]:
    """The same of one of our classes, which stay as they are."""
    return _data_names(cls)


def _data_names(cls) -> list[str]:
    """The properties and other values that a class defines."""
    return [
        name
        for name, value in vars(cls).items()
        if not name.startswith("__")
        and (hasattr(type(value), "__get__") or isinstance(value, (Weights, list, tuple, dict)))
        and not callable(value)
        and not isinstance(value, (staticmethod, classmethod))
    ]


def _skipped(base) -> set[str]:
    skipped = _SKIPPED.get(base)
    if skipped is None:
        slots = {"_graph", "_members", "_stack", "_tensors", "_input_layer", "_compiled"}
        skipped = _SKIPPED[base] = {*dir(base), *BOOKKEEPING, *slots} - {"layers", "optimizer"}
    return skipped


_SKIPPED: dict[type, set[str]] = {}


# Writing and reading.


def save_state(model, file: BinaryIO, include_optimizer: bool = True) -> None:
    """Write the weights of a model, and the state of its optimizer, into an HDF5 file."""
    hdf5.write(file, states(model, include_optimizer))


def states(model, include_optimizer: bool = True) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, name, arrays by name) of all parts of a model: what files of weights hold."""
    for path, part in walk(model):
        if include_optimizer or not isinstance(part, Optimizer):
            arrays: dict[str, Any] = {}
            part.save_own_variables(arrays)
            yield path, part.name, arrays


def load_state(model, stored, skip_mismatch: bool = False) -> None:
    """Give the weights of a model, and the state of its optimizer, the values in a file.

    Args:
        model: a model, or a layer.
        stored: an `hdf5.WeightsFile`, or another store like it; it is closed in the end.

    Raises ValueError that lists the layers whose weights do not fit; nothing is changed then.
    With `skip_mismatch` those layers stay as they were, with a warning. Weights in the file that
    belong to no layer give a warning too.
    """
    before, misfits = [], []
    with stored:
        try:
            for path, part in walk(model):
                own = [(v, v._value) for v in _variables(part)]
                before += own
                group = stored.group(path)
                try:
                    _load(part, group)
                except Exception as error:
                    _put_back(own)
                    misfits.append(_misfit(path, part, group, error))
            if misfits and not skip_mismatch:
                raise ValueError(_listed(misfits))
        except BaseException:
            _put_back(before)
            raise
        unread = [path for path in stored.unread() if "optimizer" not in path.split("/")]
    if misfits:
        warnings.warn(_listed(misfits), stacklevel=4)
    if unread:
        warnings.warn(
            f"the file has weights for {', '.join(unread[:10])}{' ...' * (len(unread) > 10)}, "
            "which the model does not have.",
            stacklevel=4,
        )


def _variables(part) -> list:
    return part.variables if isinstance(part, Optimizer) else own_variables(part)


def _put_back(values) -> None:
    for variable, value in values:
        variable.replace(value)


def _load(part, group) -> None:
    if not isinstance(part, Optimizer):
        part.load_own_variables(group)
    elif len(group) and len(group) != len(part.variables) and not int(group["0"]):
        # Saved before its first step: all slots are as new, and were not in the file.
        for variable, name in zip(part.variables[:2], ("0", "1"), strict=False):
            if name in group and variable.shape == ():
                variable.assign(group[name])
    elif len(group):
        part.load_own_variables(group)


def _misfit(path, part, group, error) -> str:
    expected = [tuple(v.shape) for v in _variables(part)]
    found = group.shapes()
    who = f"{path or 'the model'} ({type(part).__name__} {part.name!r}"
    who += ")" if part.built else ", which is not built)"
    if expected == found:
        return f"{who}: {error}"
    return f"{who}: expected {_shapes(expected)}; found {_shapes(found)}"


def _shapes(shapes) -> str:
    return ", ".join(map(str, shapes)) or "no weights"


def _listed(misfits) -> str:
    what = "one layer do" if len(misfits) == 1 else f"{len(misfits)} layers do"
    return f"the weights of {what} not fit:\n" + "\n".join(f"  {text}" for text in misfits)
