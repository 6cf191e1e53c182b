"""How the functions of this package take their arguments: one place for all of them.

An argument that stands for an array may be an array of any library (recorded and abstract ones
too), a Variable, a Python number or nested lists; a KerasTensor makes the whole call a node of a
graph.  Arrays of several dtypes meet in the one that Keras's rules give (`dtypes.promote`), and
16-bit floats of NumPy are computed in float32.
"""

from __future__ import annotations

from functools import wraps
from inspect import signature

import numpy as np

from ..arrays import Variable, as_array, dtypes, namespace
from ..arrays.namespace import NUMPY
from ..arrays.primitive import is_symbolic
from ..arrays.short_floats import cast, in_float32, is_short
from ..arrays.symbolic import connect
from ..arrays.tape import TapeArray

NUMBERS = frozenset({bool, int, float, complex})
PLAIN = NUMBERS | {str, type(None)}


def array_function(*names: str, computes: bool = True):
    """Decorate a function whose parameters `names` (by default its first one) are arrays, or None.

    Within it they are arrays.  `computes=False` is for functions that only move elements, or that
    choose the dtype of their results: they see 16-bit floats as they are.
    """

    def decorate(function):
        parameters = list(signature(function).parameters)
        arrays = names or (parameters[0],)
        places = [parameters.index(name) for name in arrays]

        @wraps(function)
        def call(*args, **options):
            given = len(args)
            for i in places:
                if i < given:
                    a = args[i]
                    if type(a) is np.ndarray:
                        if a.itemsize == 2 and computes:
                            break
                    elif a is not None:
                        break
                elif options and parameters[i] in options:
                    break
            else:
                return function(*args, **options)
            ready = _ready(args, options, places, computes)
            if ready is not None:
                return function(*ready, **options)
            if is_symbolic(*args, *options.values()):
                return connect(call, *args, **options)
            args, options = _with_arrays(parameters, arrays, args, options)
            return in_float32(function, args, options) if computes else function(*args, **options)

        return call

    return decorate


def _ready(args, options, places, computes):
    """The arguments where these are recorded NumPy arrays, Variables and plain options; or None.

    A short way: own layers under a tape wait for Python, call by call.
    """
    made = list(args)
    for i, a in enumerate(args):
        kind = type(a)
        if kind is Variable:
            made[i] = a = a.value
            kind = type(a)
        if kind is TapeArray:
            a = a.value
            kind = type(a)
        if kind is np.ndarray:
            if i not in places or (computes and a.itemsize == 2):
                return None
        elif kind not in PLAIN or (i in places and a is not None):
            return None
    return made if PLAIN.issuperset(map(type, options.values())) else None


def _with_arrays(parameters, arrays, args, options):
    """The arguments of a call with arrays in the place of what stands for them."""
    given = {**dict(zip(parameters, args, strict=False)), **options}
    named = [name for name in arrays if name in given]
    made = dict(zip(named, as_arrays([given[name] for name in named]), strict=True))
    first = [made.get(name, value) for name, value in zip(parameters, args, strict=False)]
    rest = {name: made.get(name, value) for name, value in options.items()}
    return [*first, *args[len(parameters) :]], rest


def as_arrays(values) -> list:
    """Numbers, lists and Variables as arrays beside the first array among them; None stays."""
    first = next((a for a in values if hasattr(a, "dtype")), None)
    return [None if a is None else as_array(a, like=first) for a in values]


# Elementwise functions.


def unary(name: str, function, meaning: str, dtype_of):
    """An elementwise function of one array.

    Args:
        function: a name in the array API standard, or a function of (namespace, array).
        meaning: what it gives, for the docstring.
        dtype_of: the rule for the dtype to compute in: array -> name.
    """
    compute, of_numpy = _both(function)

    def call(x):
        if type(x) is np.ndarray and x.dtype.char in "fd":
            return of_numpy(x)
        if type(x) is TapeArray and type(x.value) is np.ndarray and x.value.dtype.char in "fd":
            return compute(x.__array_namespace__(), x)
        return _elementwise(call, compute, dtype_of, (x,))

    return _named(call, name, meaning)


def binary(name: str, function, meaning: str, dtype_of=dtypes.promote):
    """An elementwise function of two arrays, which are broadcast; see `unary`."""
    compute, of_numpy = _both(function)
    ready = READY.get(dtype_of, "fd")  # Dtypes that the rule leaves as they are.
    scalars = {"f": {float, int}, "i": {int}} if isinstance(function, str) else {}

    def call(x1, x2):
        if type(x1) is np.ndarray:
            dtype = x1.dtype
            if dtype.char in ready:
                kind = type(x2)
                if kind is np.ndarray:
                    if x2.dtype is dtype:
                        return of_numpy(x1, x2)
                elif kind in scalars.get(dtype.kind, ()):
                    return of_numpy(x1, x2)
        return _elementwise(call, compute, dtype_of, (x1, x2), not scalars)

    return _named(call, name, meaning)


def of_bits(name: str, function: str, meaning: str, dtype_of):
    """`binary` with Keras's names for the arguments of bitwise functions."""
    compute = binary(name, function, meaning, dtype_of)

    def call(x, y):
        return connect(call, x, y) if is_symbolic(x, y) else compute(x, y)

    return _named(call, name, meaning)


def _both(function):
    """A function of a namespace and arrays, and the same for NumPy's arrays alone."""
    if isinstance(function, str):
        return lambda xp, *args: getattr(xp, function)(*args), getattr(NUMPY, function)
    return function, lambda *args: function(NUMPY, *args)


def _named(call, name, meaning):
    call.__name__ = call.__qualname__ = name
    call.__module__ = "gpulayers.ops"
    call.__doc__ = f"{meaning}, elementwise."
    return call


def _elementwise(call, compute, dtype_of, args, only_arrays=False):
    if is_symbolic(*args):
        return connect(call, *args)
    xp, args, name = _met(args, dtype_of)
    if only_arrays:
        dtype = dtypes.of(xp, name)
        args = [xp.asarray(a, dtype=dtype) if type(a) in NUMBERS else a for a in args]
    if name in dtypes.SHORT_FLOATS and any(map(is_short, args)):
        return in_float32(lambda *wide: compute(xp, *wide), args, {})
    return compute(xp, *args)


def together(args, dtype_of=dtypes.promote):
    """The namespace of arguments, and these as arrays of the dtype that a rule gives for them.

    Python numbers beside arrays stay what they are: they do not change a dtype of their kind.
    """
    first = args[0]
    if type(first) is np.ndarray and first.dtype.char in READY.get(dtype_of, "fd"):
        dtype = first.dtype
        if all(type(a) is np.ndarray and a.dtype is dtype for a in args):
            return NUMPY, args
    return _met(args, dtype_of)[:2]


def _met(args, dtype_of):
    """What `together` gives, and the name of the dtype."""
    first, kept = None, []
    for a in args:
        if type(a) is Variable:
            a = a.value
        if hasattr(a, "dtype"):
            first = a if first is None else first
        elif type(a) not in NUMBERS:
            first = a = as_array(a, like=first)
        kept.append(a)
    if first is None:
        kept = [as_array(a) for a in args]
    xp, name = namespace(*kept), dtype_of(*kept)
    for i, a in enumerate(kept):
        if type(a) not in NUMBERS and dtypes.name(a.dtype) != name:
            kept[i] = xp.astype(a, dtypes.of(xp, name))
    return xp, kept, name


# Rules for the dtype in which a function is computed.


def floats(*args) -> str:
    """What the arguments promote to, beside a float: integers become floatx."""
    return dtypes.promote(*args, float)


def numbers(*args) -> str:
    """What the arguments promote to; booleans count as int32."""
    name = dtypes.promote(*args)
    return "int32" if name == "bool" else name


def booleans(*args) -> str:
    """Always bool."""
    return "bool"


def widened(x) -> str:
    """The dtype of sums: integers shorter than 32 bits become int32."""
    name = dtypes.name(x.dtype)
    return "int32" if name in ("bool", "int8", "int16", "uint8", "uint16") else name


def as_floats(x):
    """The namespace of an array, and the array: integers and booleans as floats of floatx."""
    xp = namespace(x)
    return xp, x if _is_float(x.dtype) else cast(x, floats(x))


READY = {dtypes.promote: "fdbBhHiIlLqQ?", numbers: "fdbBhHiIlLqQ", booleans: "?"}


def _is_float(dtype) -> bool:
    kind = getattr(dtype, "kind", None)  # Of NumPy's and CuPy's.
    return kind in ("f", "c") or dtypes.name(dtype) in dtypes.FLOATS + dtypes.COMPLEX
