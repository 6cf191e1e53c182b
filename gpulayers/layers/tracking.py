"""What belongs to a layer: found by looking through its attributes, lists and dictionaries."""

from __future__ import annotations

from functools import wraps

from ..arrays import Variable

STRUCTURE = [0]  # Grows whenever an attribute of some layer is set: what plans are made for.

# Attributes of the base classes that hold no parts of the layer.
BOOKKEEPING = frozenset(
    """
    name _own_variables _losses _loss_owners _inbound_nodes _plan _build_shapes _init_arguments
    _trainable _dtype_policy _parent _metrics_source _built _building autocast supports_masking
    activity_regularizer input_spec _input_spec _called_home _found _usual
    """.split()  # noqa: SIM905
)


class Found:
    """What was found in a layer, as long as it holds: until an attribute of any layer is set, or
    a list or dictionary in this one changes its size."""

    __slots__ = ("answers", "containers", "version")

    def __init__(self):
        self.version, self.answers, self.containers = STRUCTURE[0], {}, []

    def holds(self) -> bool:
        return self.version == STRUCTURE[0] and all(len(c) == n for c, n in self.containers)


def found_in(layer) -> Found:
    """What is known about a layer's parts now."""
    found = layer.__dict__.get("_found")
    if found is None or not found.holds():
        found = layer.__dict__["_found"] = Found()
    return found


def remembered(function):
    """Let a function of a layer give its last answer for as long as the layer has not changed.

    The answers must not be changed by who gets them.
    """

    @wraps(function)
    def call(layer, *args):
        answers = found_in(layer).answers
        key = (function, *args)
        if key not in answers:
            found = function(layer, *args)
            answers = found_in(layer).answers  # Anew, if looking has set something.
            answers[key] = found
        return answers[key]

    return call


@remembered
def parts(layer, kinds) -> list:
    """The direct parts of `layer` of some classes, each once, in the order of its attributes."""
    found, containers = {}, []
    for name, value in list(layer.__dict__.items()):
        if name not in BOOKKEEPING:
            _look(value, kinds, found, containers, depth=6)
    found_in(layer).containers.extend(containers)
    return list(found.values())


def _look(value, kinds, found, containers, depth):
    if isinstance(value, kinds):
        found.setdefault(id(value), value)
    elif depth and type(value) in _CONTAINERS:
        containers.append((value, len(value)))
        for part in value.values() if type(value) is dict else value:
            _look(part, kinds, found, containers, depth - 1)


_CONTAINERS = frozenset({list, tuple, dict, set})


@remembered
def own_variables(layer) -> list[Variable]:
    """The Variables of the layer itself: first those created as trainable, then the others."""
    own = list(layer._own_variables)
    known = {id(v) for v in own}
    own += [v for v in parts(layer, Variable) if id(v) not in known]
    trainable = [v for v in own if v.created_trainable]
    return trainable + [v for v in own if not v.created_trainable]


def unique(items) -> list:
    """The items, each once, in order."""
    return list({id(item): item for item in items}.values())
