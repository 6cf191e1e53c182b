"""Shape inference: arrays that have a shape and a dtype, and no data."""

from __future__ import annotations

from contextvars import ContextVar

import numpy as np

from .. import tree
from . import dtypes
from .functions import TABLE
from .index_arrays import with_arrays
from .namespace import NUMPY, RANK
from .operators import Operators
from .variable import SCOPE, Scope

# Sizes that stand for unknown ones: what differs between the two is unknown.  Both can be halved
# five times, so that what is made smaller and larger again (a U-Net) fits itself.
PROBES = (480, 672)
SMALLER = (64, 80)  # Where these are too large: a table of positions may be shorter.
TRIED: ContextVar[int | None] = ContextVar("tried", default=None)  # That of them in use now.


class Abstract(Operators):
    """What an array would be.  Sizes are whole numbers: unknown ones are tried twice by `infer`."""

    __slots__ = ("_mask", "dtype", "shape")
    mask_slot = True

    def __init__(self, shape, dtype="float32"):
        self.shape, self.dtype = tuple(shape), dtypes.numpy_dtype(dtype)

    def __array_namespace__(self, *, api_version=None):
        return ABSTRACT

    ndim = property(lambda self: len(self.shape))
    device = "cpu"

    def to_device(self, target, /, *, stream=None):
        return self

    def _no_value(self, *_):
        raise TypeError(
            "this array has no value yet: only its shape and dtype are being inferred. "
            "Use xp.where instead of branching on an array's values."
        )

    __bool__ = __int__ = __float__ = __index__ = _no_value

    def __repr__(self):
        return f"Abstract({self.shape}, {dtypes.name(self.dtype)})"


RANK[Abstract] = 100


def _abstract(spec):
    return Abstract(spec.shape, spec.dtype)


class AbstractNamespace:
    """The table's functions, giving shapes and dtypes only."""

    def __init__(self, source, prefix: str = ""):
        self.__name__ = "gpulayers.abstract"
        self._source, self._prefix = source, prefix

    def __repr__(self):
        return "<namespace gpulayers.abstract>"

    def __getattr__(self, name):
        if name in ("linalg", "fft"):
            made = AbstractNamespace(getattr(self._source, name), name + ".")
        else:
            entry = TABLE.get(self._prefix + name)
            fun = _getitem if name == "getitem" else getattr(self._source, name)
            if entry is None:
                if callable(fun) and not isinstance(fun, type):
                    raise NotImplementedError(
                        f"{self._prefix}{name} has no shape rule, so layers cannot use it."
                    )
                made = fun
            elif entry.kind == "creation":
                made = _creating(name, fun)
            elif entry.kind == "query":
                made = _asking(fun)
            else:
                made = _inferring(fun, entry)
                if fun is _getitem:
                    made = with_arrays(made)
        setattr(self, name, made)
        return made


ABSTRACT = AbstractNamespace(NUMPY)


def _getitem(x, key):
    return x[key]


def _creating(name, fun):
    if name in ("zeros", "ones", "full", "empty"):

        def create(shape, *args, dtype=None, device=None):
            shape = (shape,) if isinstance(shape, int) else shape
            if dtype is None:
                dtype = fun(0, *args).dtype if name != "full" else np.asarray(args[0]).dtype
            return Abstract(shape, dtype)

        return create

    def create(*args, device=None, **kwargs):
        first = args[0]
        if isinstance(first, Abstract):
            return Abstract(first.shape, kwargs.get("dtype") or first.dtype)
        return _abstract(fun(*args, **kwargs))

    return create


def _asking(fun):
    return lambda *args, **kwargs: fun(*(getattr(a, "dtype", a) for a in args), **kwargs)


def _inferring(fun, entry):
    def call(*args, **kwargs):
        if entry.variadic:
            arrays, *rest = args
            args = (*arrays, *rest)
        out = entry.infer(fun, *args, **kwargs)
        if isinstance(out, (tuple, list)):
            return type(out)(map(_abstract, out))
        return _abstract(out)

    return call


def infer(fun, *args, **kwargs):
    """What `fun` gives for Abstract arguments (in nested structures), whose sizes may be None.

    Nothing is recorded and no Variable changes meanwhile.  A size that is unknown in the arguments
    is tried twice; sizes of the result that differ then are None.  Once is enough where only the
    size of the batch is unknown, and the function (a layer) says that it keeps samples apart.
    """
    leaves = tree.flatten([args, kwargs])
    unknown = [a.shape for a in leaves if isinstance(a, Abstract) and None in a.shape]
    if not unknown:
        return _tried_with(PROBES[:1], False, fun, args, kwargs)
    apart = getattr(fun, "_keeps_samples_apart", False) and all(None not in s[1:] for s in unknown)
    count = 1 if apart else 2
    try:
        return _tried_with(PROBES[:count], True, fun, args, kwargs)
    except Exception as error:
        first = error
    try:
        return _tried_with(SMALLER[:count], True, fun, args, kwargs)
    except Exception:
        raise first from None


def _tried_with(probes, unknown: bool, fun, args, kwargs):
    """What `fun` gives with these sizes, one after the other, in the place of unknown ones."""
    token = SCOPE.set(Scope(inferring=True))
    try:
        runs = []
        for probe in probes:
            given_args, given_kwargs = tree.map_structure(
                lambda a, probe=probe: _concrete(a, probe), [list(args), kwargs]
            )
            runs.append(_noting(unknown, probe, fun, given_args, given_kwargs))
    finally:
        SCOPE.reset(token)
    if not unknown:
        return runs[0]
    if len(runs) == 2:
        return _merge(*runs)
    return tree.map_structure(lambda a: _of_any_batch(a, probes[0]), runs[0])


def _noting(unknown, probe, fun, args, kwargs):
    """The call, with the size that stands for unknown ones noted, and named in errors."""
    token = TRIED.set(probe if unknown else TRIED.get())
    try:
        return fun(*args, **kwargs)
    except Exception as error:
        if unknown and str(probe) in str(error) and not getattr(error, "__notes__", None):
            error.add_note(f"{probe} stands for a size that is not known yet (None).")
        raise
    finally:
        TRIED.reset(token)


def without_probe(shape: tuple) -> tuple:
    """A shape whose batch is None where its size is but one that is being tried."""
    return (None, *shape[1:]) if shape and shape[0] and shape[0] == TRIED.get() else shape


def _concrete(a, probe):
    if not isinstance(a, Abstract) or None not in a.shape:
        return a
    made = Abstract([probe if n is None else n for n in a.shape], a.dtype)
    mask = getattr(a, "_mask", None)
    if mask is not None:
        made._mask = _concrete(mask, probe)
    return made


def _of_any_batch(a, probe):
    if not isinstance(a, Abstract) or a.shape[:1] != (probe,):
        return a
    made = Abstract((None, *a.shape[1:]), a.dtype)
    mask = getattr(a, "_mask", None)
    if mask is not None:
        made._mask = _of_any_batch(mask, probe)
    return made


def _merge(first, second):
    def merge(a, b):
        if not isinstance(a, Abstract):
            return a
        if len(a.shape) != len(b.shape):
            raise ValueError(
                f"the rank of a result depends on an unknown size: {a.shape} against {b.shape}."
            )
        shape = [n if n == m else None for n, m in zip(a.shape, b.shape, strict=True)]
        out = Abstract(shape, a.dtype)
        mask = getattr(a, "_mask", None)
        if mask is not None:
            out._mask = merge(mask, b._mask)
        return out

    return tree.map_structure(merge, first, second)
