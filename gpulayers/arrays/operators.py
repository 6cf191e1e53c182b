"""Operators of an array type, each forwarded to its namespace's function."""

from __future__ import annotations

BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
    "floordiv": "floor_divide", "mod": "remainder", "pow": "pow", "matmul": "matmul",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
    "eq": "equal", "ne": "not_equal",
}  # fmt: skip
COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})  # Python mirrors these itself.
UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}


class Operators:
    """Mixin: `x + y` is `x.__array_namespace__().add(x, y)`, and so on."""

    __slots__ = ()
    __array_ufunc__ = None  # NumPy and CuPy operators defer to the reflected ones here.
    __hash__ = object.__hash__  # `__eq__` below is elementwise.

    def __array_namespace__(self, *, api_version=None):
        raise TypeError(f"{type(self).__name__} has no namespace.")

    def __getitem__(self, key):
        return self.__array_namespace__().getitem(self, key)

    def __setitem__(self, key, value):
        raise TypeError(
            f"{type(self).__name__} does not support item assignment: layers must not change "
            "arrays in place. Use xp.where, xp.concat or xp.stack to build the new array."
        )

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            f"a NumPy function was given a {type(self).__name__}. Take functions from the array's "
            "own namespace, xp = gpulayers.namespace(x), or use gpulayers.ops."
        )

    def __cupy_get_ndarray__(self):
        return self.__array__()

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of an array without axes.")
        return self.shape[0]

    def __iter__(self):
        return iter(self.__array_namespace__().unstack(self))

    @property
    def size(self):
        count = 1
        for n in self.shape:
            count = None if count is None or n is None else count * n
        return count

    @property
    def T(self):
        return self.__array_namespace__().permute_dims(self, tuple(range(self.ndim))[::-1])

    @property
    def mT(self):
        return self.__array_namespace__().matrix_transpose(self)


def _binary(name):
    def forward(self, other):
        return getattr(self.__array_namespace__(), name)(self, other)

    def reflected(self, other):
        return getattr(self.__array_namespace__(), name)(other, self)

    return forward, reflected


def _unary(name):
    return lambda self: getattr(self.__array_namespace__(), name)(self)


for _dunder, _name in BINARY.items():
    _forward, _reflected = _binary(_name)
    setattr(Operators, f"__{_dunder}__", _forward)
    if _dunder not in COMPARISONS:
        setattr(Operators, f"__r{_dunder}__", _reflected)

for _dunder, _name in UNARY.items():
    setattr(Operators, f"__{_dunder}__", _unary(_name))
