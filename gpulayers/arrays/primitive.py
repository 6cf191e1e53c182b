"""Operations with gradients and faster versions of their own."""

from __future__ import annotations

from importlib import import_module
from inspect import signature

import numpy as np

from .abstract import Abstract
from .convert import as_array
from .namespace import RANK, library, namespace, plain_namespace
from .recording import OtherRecord
from .short_floats import in_float32, is_short
from .symbolic import KerasTensor, connect
from .tape import tape_array

VERSIONS = {"numpy": "gpulayers.cpu", "cupy": "gpulayers.cuda"}  # Where faster versions register.
ABSTRACT_RANK = RANK[Abstract]
_loaded: set[str] = set()


def load_versions(name: str) -> None:
    """Import the faster versions for a library's arrays, once.  There may be none."""
    _loaded.add(name)
    module = VERSIONS.get(name)
    if module is not None:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise


class primitive:
    """A function written with the array API, and faster versions of it for some arrays.

    The function itself is the reference: it gives shapes, gradients and results wherever there is
    nothing better.  Arrays are positional arguments (None and Python numbers may stand among
    them), options are keywords.

    `@op.vjp` registers a gradient rule in array API: (xp, out, *arrays, **options) -> one pullback
    for each argument, or one for all.  `@op.on("numpy")` registers a faster version for plain
    arrays of a library: called with `needs=None` it gives the result; when something is recorded,
    `needs` says which arguments want a gradient, and it gives (result, pullback), where
    pullback(g) gives one gradient for each argument (None where not needed); of several results g
    is a list, with zeros for those that nobody read, or None if the pullback has an attribute
    `takes_none`.  It may return NotImplemented to leave a case (a dtype, a size) to the reference.
    `@op.shape` registers a short way to the result's shape, from Abstract arrays, for a long-winded
    reference.

    None of them sees 16-bit floats of NumPy: these come as float32 (see `short_floats`).
    """

    all: list[primitive] = []  # Every primitive that has been defined.

    def __init__(self, reference):
        self.reference, self._versions = reference, {}
        self._shape = self._vjp = None
        self.__name__, self.__doc__ = reference.__name__, reference.__doc__
        self.__module__, self.__wrapped__ = reference.__module__, reference
        self.__qualname__ = reference.__qualname__
        primitive.all.append(self)

    def __repr__(self):
        return f"<primitive {self.__name__}>"

    def __reduce__(self):
        return self.__qualname__  # Pickled by name, like the function that it stands for.

    def on(self, name: str):
        """Register a faster version for the arrays of a library."""

        def register(version):
            self._versions[name] = version
            return version

        return register

    def vjp(self, rule):
        """Register a gradient rule."""
        self._vjp = rule
        return rule

    def shape(self, rule):
        """Register a shape rule."""
        self._shape = rule
        return rule

    @property
    def versions(self) -> frozenset[str]:
        """The libraries for which faster versions are registered."""
        return frozenset(self._versions)

    def version(self, name: str):
        """The faster version for a library's arrays, or None."""
        if name not in _loaded:
            load_versions(name)
        return self._versions.get(name)

    def __call__(self, *args, **options):
        for value in options.values():
            if type(value) is np.ndarray or type(value) in RANK or not args:
                args, options = self._arranged(args, options)
                break
        rank, values, half = 0, None, False
        for i, a in enumerate(args):
            kind = type(a)
            if kind is np.ndarray:
                half = half or a.itemsize == 2
                continue
            own = RANK.get(kind)
            if own is None:
                continue
            if own == 0:  # A Variable.
                values = values or list(args)
                values[i] = a = a.value
                own = RANK.get(type(a), 0)
            if own > rank:
                rank = own
            half = half or getattr(a.dtype, "itemsize", 0) == 2
        args = values or args
        if half and rank <= ABSTRACT_RANK and any(map(is_short, args)):
            return in_float32(self, args, options)
        if rank == 0:
            return self._plain(args, options)
        if rank < ABSTRACT_RANK:
            return self._record(tape_array(rank), args, options)
        if rank == ABSTRACT_RANK:
            return (self._shape or self.reference)(*args, **options)
        return connect(self, *args, **options)

    def _arranged(self, args, options):
        """Arguments with the arrays that came by keyword in their places."""
        given = signature(self.reference).bind(*args, **options)
        given.apply_defaults()
        return given.args, given.kwargs

    def _plain(self, args, options):
        first = args[0]
        if type(first) is np.ndarray:
            name = "numpy"
        else:
            xp = plain_namespace(first)
            if xp is None:
                first = as_array(
                    first, like=next((a for a in args[1:] if hasattr(a, "shape")), None)
                )
                args = (first, *args[1:])
                xp = plain_namespace(first)
            name = library(xp)
        version = self._versions.get(name) if name in _loaded else self.version(name)
        if version is not None:
            out = version(*args, **options)
            if out is not NotImplemented:
                return out
        return self.reference(*args, **options)

    def _record(self, kind, args, options):
        tape, values, parents, array = None, [], [], None
        for a in args:
            index = None
            if type(a) is kind:
                of, index, a = a.tape, a.index, a.value
                if index is None:
                    tape = tape or of
                elif array is not None and of is not tape:
                    raise OtherRecord(self.__name__)
                else:
                    tape, array = of, a
            values.append(a)
            parents.append(index)
        if array is None:  # Nothing has a gradient.
            out = self(*values, **options)
            return tuple(kind(o, tape) for o in out) if type(out) is tuple else kind(out, tape)
        if kind.level == 1:
            version = self.version(_library_of(array))
            if version is not None:
                needs = tuple([index is not None for index in parents])
                made = version(*values, needs=needs, **options)
                if made is not NotImplemented:
                    out, pullback = made
                    return tape.record(out, parents, pullback, many=type(out) is tuple)
        if self._vjp is None:
            return self.reference(*args, **options)
        out = self(*values, **options)
        pullbacks = self._vjp(namespace(*values), out, *values, **options)
        return tape.record(out, parents, pullbacks, many=type(out) is tuple)


def _library_of(array) -> str:
    return "numpy" if type(array) is np.ndarray else library(plain_namespace(array))


def is_symbolic(*args) -> bool:
    """Whether a KerasTensor stands among the arguments (one level of lists deep)."""
    for a in args:
        if type(a) is KerasTensor:
            return True
        if isinstance(a, (list, tuple)) and any(type(part) is KerasTensor for part in a):
            return True
    return False
