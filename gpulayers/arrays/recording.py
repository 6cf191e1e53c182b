"""The recording namespaces: every function of the table, wrapped to record itself on a tape."""

from __future__ import annotations

from functools import cache
from operator import attrgetter

from .functions import TABLE
from .index_arrays import with_arrays
from .namespace import RANK, namespace
from .tape import lift, plain, tape_array
from .variable import Variable


class OtherRecord(ValueError):
    """Arrays of two records meet, of which none is within the other."""

    def __init__(self, who: str):
        super().__init__(
            f"{who}: the arguments were recorded by different tapes. Compute all of them within "
            "one; gpulayers.stop_gradient makes constants of those of an earlier one."
        )


@cache
def tape_namespace(xp, level: int = 1):
    """The namespace that records what `xp` does."""
    return TapeNamespace(xp, level)


class TapeNamespace:
    """Namespace `xp` with every function of the table wrapped to record itself."""

    def __init__(self, xp, level: int, part: str = ""):
        self.__name__ = f"gpulayers.tape[{xp.__name__}]"  # Compared by array_namespace.
        self.plain, self._level, self._part = xp, level, part
        self._kind = tape_array(level)

    def __repr__(self):
        return f"<namespace {self.__name__}>"

    def __getattr__(self, name):
        """Wrap a function at its first use."""
        if name in ("linalg", "fft"):
            made = TapeNamespace(self.plain, self._level, name)
        else:
            source = getattr(self.plain, self._part) if self._part else self.plain
            full_name = f"{self._part}.{name}".lstrip(".")
            entry = TABLE.get(full_name)
            fun = _getitem if name == "getitem" else getattr(source, name)
            if entry is None:
                if callable(fun) and not isinstance(fun, type):
                    raise NotImplementedError(
                        f"{full_name} has no gradient rule. Write it with other functions "
                        "of the array API, apply gpulayers.stop_gradient first, or define a "
                        "primitive (gpulayers.primitive)."
                    )
                made = fun
            elif entry.kind == "creation":
                made = _lifted(fun)
            elif entry.kind == "query":
                made = _unwrapped(fun)
            elif entry.vjp is None:
                made = _unrecorded(fun, self._kind)
            else:
                made = _recorded(self.plain, fun, entry, self._kind, full_name)
                if fun is _getitem:
                    made = with_arrays(made)
        setattr(self, name, made)
        return made


def _getitem(x, key):
    return x[key]


def _lifted(fun):
    """All arrays from a recording namespace are of one kind, so that they can be mixed."""

    def create(*args, **kwargs):
        out = fun(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()})
        return [lift(x) for x in out] if isinstance(out, (list, tuple)) else lift(out)

    return create


def _unwrapped(fun):
    return lambda *args, **kwargs: fun(*map(plain, args), **kwargs)


def _unrecorded(fun, kind):
    """A function without a gradient: its results are constants."""

    def call(*args, **kwargs):
        tape, values = None, []
        for a in args:
            if type(a) is Variable:
                a = a.value
            if type(a) is kind:
                tape, a = a.tape, a.value
            elif isinstance(a, (list, tuple)):
                a = type(a)(plain(part) for part in a)
            values.append(a)
        out = fun(*values, **{k: plain(v) for k, v in kwargs.items()})
        if tape is None:
            return out
        if isinstance(out, (tuple, list)):
            made = [kind(o, tape) for o in out]
            return type(out)(*made) if hasattr(out, "_fields") else type(out)(made)
        return kind(out, tape)

    return call


def _recorded(xp, fun, entry, kind, name):
    vjp, many = entry.vjp, entry.many
    level = kind.level

    def call(*args, **kwargs):
        tape, recorded, values, parents = None, False, [], []
        if kwargs:
            args, kwargs = _arranged(entry.names, args, kwargs)
        for a in args:
            index = None
            cls = type(a)
            if cls is Variable:
                a = a.value
                cls = type(a)
            if cls is kind:
                of, index, a = a.tape, a.index, a.value
                if index is None:
                    tape = tape or of
                elif recorded and of is not tape:
                    raise OtherRecord(name)
                else:
                    tape, recorded = of, True
            elif RANK.get(cls, 0) > level:  # An array of an inner tape, or an abstract one.
                return attrgetter(name)(namespace(*args))(*args, **kwargs)
            values.append(a)
            parents.append(index)
        out = fun(*values, **kwargs)
        if recorded:
            return tape.record(out, parents, vjp(xp, out, *values, **kwargs), many)
        if tape is None:
            return out
        return tuple(kind(o, tape) for o in out) if many else kind(out, tape)

    if entry.variadic:
        listed, fun = fun, lambda *arrays, **kwargs: listed(list(arrays), **kwargs)
        return lambda arrays, **kwargs: call(*arrays, **kwargs)
    return call


def _arranged(names, args, kwargs):
    """Array arguments that were given by keyword, in their places; other arrays as constants."""
    args = [*args, *(kwargs.pop(name, None) for name in names[len(args) :])]
    return args, {key: plain(value) for key, value in kwargs.items()}
