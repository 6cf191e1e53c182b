"""What belongs to a layer: found by looking through its attributes, lists and dictionaries.

As in Keras, layers and weights stand in the order in which a layer first got them: as an attribute,
or in a list or dictionary that was one.
"""

from __future__ import annotations

from functools import wraps
from itertools import chain, count
from operator import is_

from ..arrays import Variable

STRUCTURE = [0]  # Grows whenever an attribute of some layer is set: what plans are made for.

RENAMED = [0]  # Grows whenever a layer gets another name.

CREATED = count()  # Numbers for layers as they are made.

# What training sets now and then, and no plan depends on.
PASSING = frozenset({"history", "stop_training", "stop_evaluating", "stop_predicting"})

# Attributes of the base classes that hold no parts of the layer.
BOOKKEEPING = frozenset(
    """
    name _own_variables _noted _inbound_nodes _plan _plan_of_training _build_shapes _init_arguments
    _trainable _dtype_policy _policy _parent _metrics_source _built _building autocast
    supports_masking activity_regularizer input_spec _input_spec _called_home _found _usual
    _tracked _created _remembered_names
    """.split()
)
_CONTAINERS = frozenset({list, tuple, dict, set})
PLAIN = frozenset({bool, bytes, complex, float, int, str})


class Found:
    """What was found in a layer, as long as it holds: until an attribute of any layer is set, or
    a list, set or dictionary in it, or in a layer inside it, gets other members."""

    __slots__ = ("answers", "containers", "version")

    def __init__(self, layer):
        self.version, self.answers = STRUCTURE[0], {}
        self.containers = [(c, tuple(_members(c))) for c in _containers(layer)]

    def holds(self) -> bool:
        if self.version != STRUCTURE[0]:
            return False
        for container, members in self.containers:
            if len(container) != len(members) or not all(map(is_, _members(container), members)):
                return False
        return True


def _members(container):
    return container.values() if type(container) is dict else container


def _containers(layer) -> list:
    """The lists, sets and dictionaries in which `layer` and the layers inside it keep parts."""
    found, seen = [], {id(layer)}
    waiting = [(v, 6) for name, v in layer.__dict__.items() if name not in BOOKKEEPING]
    while waiting:
        value, depth = waiting.pop()
        kind = type(value)
        if kind in _CONTAINERS:
            if depth and id(value) not in seen and _may_hold_parts(value):
                seen.add(id(value))
                waiting += [(part, depth - 1) for part in _members(value)]
                if kind is not tuple:
                    found.append(value)
        elif hasattr(kind, "_flatten_layers") and id(value) not in seen:
            seen.add(id(value))
            inner = value.__dict__.items()
            waiting += [(part, 6) for name, part in inner if name not in BOOKKEEPING]
    return found


def _may_hold_parts(container) -> bool:
    """Long lists of plain values (a vocabulary) are not looked through at every question."""
    return len(container) < 100 or not all(type(x) in PLAIN for x in _members(container))


def found_in(layer) -> Found:
    """What is known about a layer's parts now."""
    found = layer.__dict__.get("_found")
    if found is None or not found.holds():
        found = layer.__dict__["_found"] = Found(layer)
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


def track(layer, value) -> None:
    """Note that `layer` is about to get `value`: the parts in it come next in its order."""
    kind = type(value)
    if kind in _CONTAINERS or _is_part(kind):
        _catch_up(layer)
        _append(layer._tracked, _parts_in(value))


def _catch_up(layer) -> None:
    """Note the parts that lists and dictionaries got since: those of several, as they were made."""
    known = {id(part) for part in layer._tracked}
    late = []
    for name, value in layer.__dict__.items():
        if type(value) in _CONTAINERS and name not in BOOKKEEPING:
            new = [part for part in _parts_in(value) if id(part) not in known]
            late += [new] if new else []
    if len(late) > 1:
        late = [sorted(chain.from_iterable(late), key=_creation)]
    for new in late:
        _append(layer._tracked, new)


def _append(tracked, parts):
    known = {id(part) for part in tracked}
    tracked += [part for part in unique(parts) if id(part) not in known]


def _creation(part) -> int:
    return getattr(part, "_created", 0)


def _is_part(kind) -> bool:
    return kind is Variable or hasattr(kind, "_flatten_layers")


def _parts_in(value, depth=6):
    kind = type(value)
    if kind in _CONTAINERS:
        if depth and _may_hold_parts(value):
            for part in _members(value):
                yield from _parts_in(part, depth - 1)
    elif _is_part(kind):
        yield value


def _in_order(layer, found: list, kinds) -> list:
    """The parts that were found in the order in which `layer` got them; others are forgotten."""
    _catch_up(layer)
    ids = {id(part) for part in found}
    tracked = layer._tracked
    tracked[:] = [p for p in tracked if id(p) in ids or not isinstance(p, kinds)]
    place = {id(part): number for number, part in enumerate(tracked)}
    return sorted(found, key=lambda part: place.get(id(part), len(place)))


@remembered
def parts(layer, kinds) -> list:
    """The direct parts of `layer` of some classes, each once, in the order of its attributes."""
    found = {}
    for name, value in list(layer.__dict__.items()):
        if name not in BOOKKEEPING:
            _look(value, kinds, found, depth=6)
    return list(found.values())


def _look(value, kinds, found, depth):
    if isinstance(value, kinds):
        found.setdefault(id(value), value)
    elif depth and type(value) in _CONTAINERS:
        for part in _members(value):
            _look(part, kinds, found, depth - 1)


@remembered
def layers_in(layer, kind) -> list:
    """The layers directly inside `layer`, each once, in the order in which it got them."""
    return _in_order(layer, parts(layer, kind), kind)


@remembered
def own_variables(layer) -> list[Variable]:
    """The Variables of the layer itself: first those created as trainable, then the others."""
    own = list(layer._own_variables)
    known = {id(v) for v in own}
    own += [v for v in parts(layer, Variable) if id(v) not in known]
    own = _in_order(layer, own, Variable)
    trainable = [v for v in own if v.created_trainable]
    return trainable + [v for v in own if not v.created_trainable]


def unique(items) -> list:
    """The items, each once, in order."""
    return list({id(item): item for item in items}.values())
