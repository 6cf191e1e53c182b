"""A weight: an array that can be assigned, and that is recorded while a tape runs."""

from __future__ import annotations

import operator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from .. import registry, tree
from . import devices, dtypes, limits
from .capturing import ACTIVE, current
from .namespace import NUMPY, RANK, namespace, plain_namespace

SCOPE: ContextVar[Scope | None] = ContextVar("scope", default=None)


class Scope:
    """What reading a Variable gives now: recorded on a tape, cast to a dtype, or both.

    casts: for Variables by id, a value and what it is in the dtype: what need not be cast again.
    """

    __slots__ = ("autocast", "casts", "inferring", "tape")

    def __init__(
        self,
        tape=None,
        autocast: str | None = None,
        inferring: bool = False,
        casts: dict[int, tuple] | None = None,
    ):
        self.tape, self.autocast, self.inferring, self.casts = tape, autocast, inferring, casts

    def within(self, tape):
        """The scope of another tape in this one."""
        return Scope(tape, self.autocast, casts=self.casts)

    def read(self, variable):
        if self.autocast is not None and needs_cast(variable, self.autocast):
            if self.tape is None:
                return self.short_copy(variable)
            if self.tape.is_outermost:
                return self.tape.read_cast(variable, self)
            value = self.tape.read(variable)
            xp = namespace(value)
            return xp.astype(value, dtypes.of(xp, self.autocast))
        return variable._value if self.tape is None else self.tape.read(variable)

    def short_copy(self, variable):
        """The value of now in the dtype of this scope."""
        value, casts = variable._value, {} if self.casts is None else self.casts
        known = casts.get(id(variable))
        if known is None or known[0] is not value:
            xp = namespace(value)
            known = casts[id(variable)] = value, xp.astype(value, dtypes.of(xp, self.autocast))
        return known[1]


def needs_cast(variable, dtype: str) -> bool:
    """Whether a Variable is read in another dtype than its own where layers compute in `dtype`."""
    value = variable._value
    return variable.autocast and dtypes.is_floating(value) and dtypes.name(value.dtype) != dtype


@contextmanager
def at_full_width():
    """Within it, Variables are read in their own dtypes."""
    scope = SCOPE.get()
    if scope is None or scope.autocast is None:
        yield
        return
    token = SCOPE.set(Scope(scope.tape, None, scope.inferring))
    try:
        yield
    finally:
        SCOPE.reset(token)


class Variable:
    """An array with a name that training may change.

    It stands for its `value` in operators, in indexing and in all functions of `gpulayers.ops`.
    Assigning replaces the array, and never changes one in place: an array taken from `value`
    before stays as it was.

    Args:
        initializer: a value, or a function (shape, dtype) -> array, called at once, or its name.
        shape: needed with a function.
        dtype: a name; by default an array's own; floatx and int32 for Python numbers; floatx for
            a function.
        trainable: whether tapes record it and optimizers may change it.
        autocast: whether layers of a 16-bit policy may read it in that dtype (GPU).
        name, path: for messages and files.
        regularizer, constraint: functions of the array, used by layers and optimizers.

    Raises ValueError if a value's shape is not `shape`.
    """

    __array_ufunc__ = None  # NumPy and CuPy operators defer to the reflected ones here.
    overwrite_with_gradient = False
    changes_in_place = False  # Captured steps write into the value of now, so nobody is given it.

    def __init__(
        self,
        initializer,
        shape=None,
        dtype=None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation=None,
        synchronization=None,
        name: str | None = None,
        regularizer=None,
        constraint=None,
        path: str | None = None,
    ):
        self.trainable = self.created_trainable = bool(trainable)
        self.autocast = autocast
        self.aggregation, self.synchronization = aggregation, synchronization
        self.name = name or "variable"
        self.path = path or self.name
        self.regularizer, self.constraint = regularizer, constraint
        self._placed = devices.in_scope()
        self._value = _initial(initializer, shape, dtype, self.name)

    @property
    def value(self):
        """The array: plain, or recorded while a tape runs."""
        scope = SCOPE.get()
        if scope is not None:
            return scope.read(self)
        if self.changes_in_place:  # Who gets an array may keep it; a step puts the own one back.
            self.changes_in_place = False
            self._value = plain_namespace(self._value).asarray(self._value, copy=True)
        return self._value

    def assign(self, value):
        """Replace the value by another of the same shape (cast to the same dtype).

        Raises ValueError if the shape is another.
        """
        old, new = self._value, plain_value(value)
        if RANK.get(type(new), 0) >= 100:  # Abstract: shapes are being inferred, nothing changes.
            return self
        if not hasattr(new, "shape") or (type(new) is not type(old)):
            if plain_namespace(new) is None or isinstance(new, np.generic):
                new = devices.put(self._numbers(new), self.home)
            elif not self._placed or plain_namespace(new) is not plain_namespace(old):
                new = devices.put(new, self.home)
        if new.shape != old.shape:
            raise ValueError(
                f"{self.path}: cannot assign an array of shape {tuple(new.shape)} to a variable of "
                f"shape {tuple(old.shape)}."
            )
        if new.dtype != old.dtype:
            if dtypes.other_than_numbers(new.dtype):
                raise TypeError(f"{self.path}: expected numbers, got dtype {new.dtype}.")
            new = plain_namespace(new).astype(new, old.dtype)
        elif value is new or type(value) is Variable:  # Whose array may be changed later.
            copies = type(new) is np.ndarray
            new = new.copy() if copies else plain_namespace(new).asarray(new, copy=True)
        self.replace(new)
        return self

    def _numbers(self, value):
        try:
            return np.asarray(value, dtypes.numpy_dtype(self._value.dtype))
        except (TypeError, ValueError):
            raise TypeError(
                f"{self.path}: expected numbers of shape {self.shape}, got {value!r:.60}."
            ) from None

    def replace(self, value) -> None:
        """Take over a plain array, fresh and of the right shape and dtype, without a check."""
        scope = SCOPE.get()
        if scope is not None:
            if scope.inferring:
                return
            if scope.tape is not None:
                scope.tape.forget(self)
        if ACTIVE and value is not self._value and (capture := current()) is not None:
            capture.change(self)
        self._value = value

    def assign_add(self, value):
        """Add `value` to the variable."""
        return self.assign(self._value + plain_value(value))

    def assign_sub(self, value):
        """Subtract `value` from the variable."""
        return self.assign(self._value - plain_value(value))

    @property
    def home(self) -> devices.Home:
        """Where the value lives."""
        return devices.home_of(self._value)

    def follow(self, x) -> None:
        """Move the value to where the array `x` lives, if it is elsewhere."""
        x = plain_value(x)
        if type(x) is type(self._value) is np.ndarray or plain_namespace(x) is None:
            return
        home = devices.home_of(x)
        if home != self.home:
            self.move(home)

    def move(self, home: devices.Home) -> None:
        """Move the value to `home`."""
        self._placed = True
        if home != self.home:
            self.replace(devices.put(devices.to_numpy(self._value), home))

    def numpy(self) -> np.ndarray:
        """A copy of the value as a NumPy array."""
        value = devices.to_numpy(self._value)
        return value.copy() if value is self._value else value

    shape = property(lambda self: tuple(self._value.shape))
    dtype = property(lambda self: self._value.dtype)
    ndim = property(lambda self: self._value.ndim)
    size = property(lambda self: int(np.prod(self._value.shape, dtype=np.int64)))
    device = property(lambda self: self.home.device)
    T = property(lambda self: self.value.T)
    mT = property(lambda self: self.value.mT)

    def __array_namespace__(self, *, api_version=None):
        return namespace(self.value)

    def __array__(self, dtype=None, copy=None):
        """For NumPy functions of a Variable; CuPy asks the method below."""
        value = devices.to_numpy(self.__cupy_get_ndarray__())
        return value if dtype is None else value.astype(dtype)

    def __array_function__(self, function, types, args, kwargs):
        """NumPy's functions (but for its ufuncs, which defer to the operators here)."""
        args, kwargs = tree.map_structure(
            lambda x: np.asarray(x) if type(x) is Variable else x, [list(args), kwargs]
        )
        return function(*args, **kwargs)

    def __cupy_get_ndarray__(self):
        scope = SCOPE.get()
        if scope is not None and scope.tape is not None and self.trainable:
            raise TypeError(  # A plain array would lose the gradient, silently.
                f"{self.path}: while gradients are recorded, use functions of gpulayers.ops or of "
                "the array's own namespace instead of NumPy's."
            )
        return self._value

    def __getitem__(self, key):
        value = self.value
        if type(value) not in RANK:  # Indices may be known to a tape, or only by their shape.
            for part in key if type(key) is tuple else (key,):
                if RANK.get(type(part), 0) > 0:
                    return part.__array_namespace__().getitem(value, key)
        return value[key]

    def __len__(self):
        return len(self._value)

    def __iter__(self):
        return iter(self.value)

    def __bool__(self):
        return bool(self._value)

    def __int__(self):
        return int(self._value)

    def __float__(self):
        return float(self._value)

    def __index__(self):
        return operator.index(self._value)

    def __repr__(self):
        return f"<Variable path={self.path}, shape={self.shape}, dtype={dtypes.name(self.dtype)}>"


RANK[Variable] = 0


def plain_value(x):
    """The plain array behind a Variable or a recorded array; anything else as it is."""
    while True:
        if type(x) is Variable:
            return x._value
        if RANK.get(type(x), 100) >= 100:
            return x
        x = x.value


def _initial(initializer, shape, dtype, name):
    home = devices.current()
    if isinstance(initializer, str):
        initializer = registry.get("initializers", initializer)
    if callable(initializer):
        if shape is None:
            raise ValueError(f"Variable {name!r}: a shape is needed with an initializer function.")
        dtype = dtypes.standardize(dtype)
        limits.spend(name, shape)
        value = plain_value(initializer(tuple(shape), dtype=dtype))
    else:
        value = plain_value(initializer)
        if not hasattr(value, "shape") or isinstance(value, (float, complex)):
            value = np.asarray(value)
            dtype = dtypes.of_numbers(value) if dtype is None else dtype
        dtype = dtypes.name(value.dtype) if dtype is None else dtypes.standardize(dtype)
        if shape is not None and tuple(shape) != tuple(value.shape):
            raise ValueError(
                f"Variable {name!r}: expected a value of shape {tuple(shape)}, "
                f"got {tuple(value.shape)}."
            )
        if not devices.in_scope() and plain_namespace(value) not in (None, NUMPY):
            home = devices.home_of(value)
    if isinstance(value, np.generic) or type(value) is np.ndarray:
        made = np.asarray(value, dtype=dtypes.numpy_dtype(dtype))
        value = np.array(made) if made is initializer else made
        return value if home.xp is NUMPY else devices.put(value, home)
    xp = plain_namespace(value)
    if dtypes.name(value.dtype) != dtype:
        value = xp.astype(value, dtypes.of(xp, dtype))
    return devices.put(value, home) if devices.home_of(value) != home else value


def _operators(function):
    return (
        lambda self, other: function(self.value, _operand(other)),
        lambda self, other: function(_operand(other), self.value),
    )


def _operand(x):
    return x.value if type(x) is Variable else x


for _name in "add sub mul truediv floordiv mod pow and_ or_ xor".split():
    _forward, _reflected = _operators(getattr(operator, _name))
    setattr(Variable, f"__{_name.rstrip('_')}__", _forward)
    setattr(Variable, f"__r{_name.rstrip('_')}__", _reflected)
# Not operator.matmul: on a GPU the namespace's products are ours.
Variable.__matmul__, Variable.__rmatmul__ = _operators(lambda x, y: namespace(x, y).matmul(x, y))
for _name in "lt le gt ge eq ne".split():
    setattr(Variable, f"__{_name}__", _operators(getattr(operator, _name))[0])
for _name in "neg pos abs invert".split():
    setattr(Variable, f"__{_name}__", lambda self, _f=getattr(operator, _name): _f(self.value))
Variable.__hash__ = object.__hash__
