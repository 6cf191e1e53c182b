"""Logs: the dict of metric values that callbacks get, read from the device only when looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter


class Logs(dict):
    """Metric values by sorted name, Python floats as soon as somebody looks at one.

    A training step leaves its metrics as arrays of size 1 on the device. Turning those into floats
    waits for the device, so it is done when a callback reads a value, and for all of them at once.

    Args:
        source: a mapping from names to numbers or arrays (or to another such mapping), or a
            function without arguments that gives it, called when a name or a value is asked for.
    """

    __slots__ = ("_are_floats", "_source")

    def __init__(self, source: Mapping | Callable[[], Mapping] | None = None):
        super().__init__()
        self._source, self._are_floats = source or {}, False
        if not callable(source):
            self._names()

    def _names(self):
        source, self._source = self._source, None
        if callable(source):
            source = source()
        for name, value in sorted(_flat(source), key=itemgetter(0)):
            dict.__setitem__(self, name, value)

    def _floats(self):
        if self._source is not None:
            self._names()
        self._are_floats = True
        for name in dict.keys(self):
            dict.__setitem__(self, name, number(dict.__getitem__(self, name)))


def _flat(source):
    for name, value in source.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield name, value


def number(value):
    """`value` as a Python float if it is one number; arrays with axes and all else as they are."""
    if isinstance(value, (float, str)) or getattr(value, "shape", ()) != ():
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _after(prepare, is_pending, name):
    method = getattr(dict, name)

    def method_of_logs(self, *args, **kwargs):
        if is_pending(self):
            prepare(self)
        return method(self, *args, **kwargs)

    return method_of_logs


_OF_VALUES = (  # With `__iter__` among them, dict(logs) and f(**logs) come here too.
    *("__getitem__", "__iter__", "__reversed__", "__eq__", "__ne__", "__or__", "__ror__"),
    *("__repr__", "get", "items", "values", "copy", "pop", "popitem", "setdefault"),
)
_OF_NAMES = ("__contains__", "__len__", "__setitem__", "__delitem__", "keys", "update", "clear")
for _name in _OF_VALUES:
    setattr(Logs, _name, _after(Logs._floats, lambda self: not self._are_floats, _name))
for _name in _OF_NAMES:
    setattr(Logs, _name, _after(Logs._names, lambda self: self._source is not None, _name))
