"""How operations and bytes grow with the sizes of inputs: counted, and so the same everywhere.

Operations are those of references, by arrays that count; bytes those of what runs on NumPy.
"""

from __future__ import annotations

import operator
import tracemalloc
from dataclasses import replace
from functools import partial
from math import prod

import numpy as np
import pytest
import scaling
from scaling import FAMILIES, Sizes

from gpulayers.arrays.namespace import _NAMESPACES, NUMPY

count = {"operations": 0}
CASES = [(name, axis) for name, family in FAMILIES.items() for axis in family.axes]
COUNTED = [case for case in CASES if case[0] != "texts"]  # Strings are in no namespace.
# Where the largest term outweighs others: of one axis, and of all others.
SIZES = {"batch": (4, 8, 16), "length": (256, 512, 1024), "width": (128, 512), "depth": (4, 8)}
FARTHER = {("transformer", "length"): (1024, 2048)}  # Its dense layers are linear.
FEW = Sizes(batch=2, length=4, width=8)
LARGER = {"batch": (16, 64), "length": (256, 1024), "width": (64, 256), "depth": (2, 8)}
MORE = Sizes(batch=2, length=32, width=32)


PRODUCTS = ("matmul", "tensordot", "vecdot")
REDUCTIONS = ("sum", "mean", "max", "min", "prod", "var", "any", "all", "argmax", "cumulative_sum")
MOVES = ("reshape", "permute_dims", "expand_dims", "squeeze", "broadcast_to", "matrix_transpose")
BINARY = "add sub mul truediv floordiv mod pow matmul lt le gt ge eq ne and or xor"


class Counted:
    """A NumPy array in which only `counted` sees, so that nothing is computed uncounted."""

    def __init__(self, array):
        self.array = array

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)
    size = property(lambda self: self.array.size)
    device = property(lambda self: self.array.device)
    T = property(lambda self: Counted(self.array.T))
    mT = property(lambda self: Counted(self.array.mT))

    def __array_namespace__(self, api_version=None):
        return COUNTING

    def __getitem__(self, key):
        return Counted(np.asarray(self.array[plain(key)]))

    def __setitem__(self, key, value):
        self.array[plain(key)] = plain(value)
        count["operations"] += np.size(self.array[plain(key)])

    def __neg__(self):
        return counted(operator.neg, self)

    def __invert__(self):
        return counted(operator.invert, self)

    def __abs__(self):
        return counted(operator.abs, self)

    def __bool__(self):
        return bool(self.array)

    def __int__(self):
        return int(self.array)

    __index__ = __int__

    def __float__(self):
        return float(self.array)

    def __len__(self):
        return len(self.array)


for name in BINARY.split():
    function = getattr(operator, f"{name}_" if name in ("and", "or") else name)
    setattr(Counted, f"__{name}__", lambda a, b, f=function: counted(f, a, b))
    setattr(Counted, f"__r{name}__", lambda a, b, f=function: counted(f, b, a))
Counted.__hash__ = object.__hash__


def plain(x):
    """Arrays for NumPy, also in lists of them."""
    if isinstance(x, Counted):
        return x.array
    return type(x)(map(plain, x)) if type(x) in (list, tuple) else x


def seen(x):
    """Arrays that count, also in tuples of them."""
    if isinstance(x, (list, tuple)):
        return tuple(map(seen, x))
    return Counted(np.asarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x


def counted(function, *args, **options):
    """What a function of NumPy's gives; counts what that takes."""
    args, options = plain(args), {key: plain(value) for key, value in options.items()}
    out, name = function(*args, **options), function.__name__
    if isinstance(out, (np.ndarray, np.generic)):
        operations = 0 if name in MOVES else out.size
        if name in PRODUCTS:
            operations *= terms(name, *args, **options)
        elif name in REDUCTIONS:
            operations = args[0].size
        count["operations"] += operations
    return seen(out)


def terms(name, a, b, axes=2, **options):
    """How many products each number of a result is the sum of."""
    if name != "tensordot":
        return a.shape[-1]
    return prod(a.shape[-axes:] if isinstance(axes, int) else (a.shape[i] for i in axes[0]))


class Counting:
    """The namespace of these arrays: no faster versions are known for it."""

    __name__ = "counting"

    def __getattr__(self, name):
        found = getattr(NUMPY, name)
        if not callable(found) or isinstance(found, type):
            return found

        def function(*args, **options):
            return found(*args, **options)

        function.__name__ = name
        return partial(counted, function)


COUNTING = Counting()


@pytest.fixture
def counting(monkeypatch):
    monkeypatch.setitem(_NAMESPACES, Counted, COUNTING)
    monkeypatch.setitem(count, "operations", 0)


def made(name, axis, size, rest):
    """The layers of a family and their input, one of the sizes larger."""
    return FAMILIES[name].made(replace(rest, **{axis: size}))


@pytest.mark.parametrize(("name", "axis"), COUNTED)
def test_operations_of_training(name, axis, counting):
    found, sizes = [], FARTHER.get((name, axis), SIZES[axis])
    for size in sizes:
        chain, x = made(name, axis, size, FEW)
        for variable in (v for layer in chain for v in layer.variables):
            if "float" in str(variable.dtype):
                variable._value = seen(variable._value)
        before = count["operations"]
        scaling.training(FAMILIES[name], chain, seen(x))
        found.append(count["operations"] - before)
    wanted = scaling.expected(name, axis)
    assert wanted - 0.15 < scaling.exponent(sizes, found) < wanted + 0.1, found


def test_a_layer_of_dense_takes_as_many_operations_as_it_has_products(counting):
    chain, x = FAMILIES["dense"].made(Sizes(batch=64, width=256))
    for variable in chain[0].variables:
        variable._value = seen(variable._value)
    scaling.forward(FAMILIES["dense"], chain, seen(x))
    products = 64 * 256 * 256
    assert products < count["operations"] < 1.02 * products


def peak(action) -> int:
    """The most bytes that NumPy holds in an action."""
    action()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("name", "axis"), CASES)
def test_memory_of_training_is_at_most_linear(name, axis):
    found = []
    for size in LARGER[axis]:
        chain, x = made(name, axis, size, MORE)
        found.append(peak(lambda c=chain, x=x: scaling.training(FAMILIES[name], c, x)))
    squares = axis == "width" and scaling.expected(name, axis) == 2  # Gradients of the weights.
    assert scaling.exponent(LARGER[axis], found) < (2.1 if squares else 1.1), found


def test_attention_never_holds_a_square_of_its_length():
    chain, x = FAMILIES["attention"].made(Sizes(batch=1, length=4096, width=16))
    assert peak(lambda: scaling.forward(FAMILIES["attention"], chain, x)) < 4096 * 4096 * 4 / 2
