"""What inference plans are made of: layers as operations that may take in what follows them.

A layer gives its pieces by `_inference_pieces(*arrays)`, for arrays like these (only shapes and
dtypes count): each takes the arrays that the one before gives.  None is for cases that need more.
Which pieces become one is said in `models/folding.py`.  `ready` makes the function of arrays that a
piece is, by the `floor` that computes with them: the module `cpu.inference` for those of NumPy,
`cuda.inference` for those of CuPy.  What it computes from variables beforehand holds until one of
`constants` changes.  `write` adds a piece to a program, which does all that a small model does to a
NumPy array (`cpu/program.py`).
"""

from __future__ import annotations

from .. import activations
from ..arrays import Variable, devices, dtypes
from ..ops import activation as smooth
from ..ops import rectifier as ramps

# Activations of each element by itself, with a version for NumPy arrays.
ELEMENTWISE = frozenset(
    {
        *(ramps.relu, ramps.relu6, ramps.hard_sigmoid),
        *(smooth.sigmoid, smooth.tanh, smooth.silu, smooth.softplus, smooth.mish, smooth.elu),
        smooth.selu,
    }
)


class Piece:
    """One step of a plan: a function of arrays.

    names: of the layers that it stands for, in their order.
    fresh: whether its result is an array that nothing else refers to.
    overwrites: whether it makes use of arguments that may be overwritten.
    takes_parts: whether it does with each sample the same, whatever others there are.
    """

    fresh, overwrites, takes_parts = True, False, True

    def __init__(self, name: str):
        self.names = [name]

    @property
    def constants(self) -> list[Variable]:
        """The variables from whose values `ready` computes something."""
        return []

    def ready(self, own: tuple[bool, ...], floor):
        """The function; `own` says of each argument whether it may be overwritten."""
        raise NotImplementedError

    def write(self, program, own: tuple[bool, ...], *grids):
        """Add it to a program, for what stands there in place of arrays; gives its result.

        Raises `cpu.grids.Unwritable` for what a program cannot do.
        """
        raise program.unwritable

    @property
    def what(self) -> str:
        """What it does, in words."""
        raise NotImplementedError


class Call(Piece):
    """Any function of arrays.

    layer: one that it is a call of with nothing but these, if that is known; programs are written
        by the `_inference_moves` of layers that have it.
    """

    layer, takes_parts = None, False

    def __init__(self, name, function, what="", fresh=False):
        super().__init__(name)
        self.function, self.fresh, self._what = function, fresh, what

    def ready(self, own, floor):
        return self.function

    def write(self, program, own, *grids):
        write = getattr(self.layer, "_inference_moves", None)
        if write is None:
            raise program.unwritable
        return write(program, *grids)

    @property
    def what(self):
        return self._what


class Launches(Call):
    """A function of arrays that asks a GPU for nothing but our kernels: see `cuda/replay.py`."""

    def ready(self, own, floor):
        return floor.remembered(self.function)


class Nothing(Piece):
    """What gives its argument as it is."""

    fresh, what = False, "nothing"

    def ready(self, own, floor):
        return lambda x: x

    def write(self, program, own, x):
        return x


class Rows(Piece):
    """All of a sample, of so many numbers, in one row."""

    fresh, what = False, "rows"

    def __init__(self, name, size):
        super().__init__(name)
        self.size = size

    def ready(self, own, floor):
        return lambda x: x.reshape(len(x), self.size)

    def write(self, program, own, x):
        return program.rows(x, (self.size,))


class ChannelMap(Piece):
    """x factor + offset, with a factor and an offset for each element of the last axis.

    Args:
        values: the function that gives both (None for none) for the variables' values.
        variables: Variables, or None for some of the function's arguments.
    """

    overwrites = True

    def __init__(self, name, values, variables=()):
        super().__init__(name)
        self.maps, self.curve = [(values, variables)], None

    @property
    def constants(self):
        return [v for _, variables in self.maps for v in variables if v is not None]

    def now(self, floor):
        """Factor and offset of all maps, one after another, as they are now."""
        factor = offset = None
        for values, variables in self.maps:
            given = [None if v is None else floor.wide(v._value) for v in variables]
            scale, shift = map(floor.there, values(*given))
            if scale is not None:
                factor = scale if factor is None else factor * scale
                offset = None if offset is None else offset * scale
            if shift is not None:
                offset = shift if offset is None else offset + shift
        return factor, offset

    def ready(self, own, floor):
        factor, offset = self.now(floor)
        curve = floor.curve(self.curve)
        return lambda x: floor.mapped(x, factor, offset, curve, x if own[0] else None)

    def write(self, program, own, x):
        for variable in self.constants:
            program.value(variable, fixed=True)
        return program.mapped(x, *self.now(program.floor), self.curve, own[0])

    @property
    def what(self):
        return "factors and offsets" + with_curve(self.curve)


class Curve(Piece):
    """An activation function of each element."""

    overwrites = True

    def __init__(self, name, function):
        super().__init__(name)
        self.function = function

    def ready(self, own, floor):
        curve = floor.curve(self.function)
        return lambda x: floor.curved(x, curve, own[0])

    def write(self, program, own, x):
        return program.curved(x, self.function, own[0])

    @property
    def what(self):
        return _name(self.function)


class Activated(Piece):
    """Another activation function, which on a GPU may end a product, too.

    curve: how a GPU's kernels may know it.
    """

    fresh = False

    def __init__(self, name, function):
        super().__init__(name)
        self.function, self.curve = function, activations.CURVES.get(function, function)
        self.takes_parts = getattr(function, "__module__", "").startswith("gpulayers.")

    def ready(self, own, floor):
        return floor.applied(self.function)

    def write(self, program, own, x):
        return program.curved(x, self.curve, own[0])

    @property
    def what(self):
        return _name(self.function)


class Sum(Piece):
    """The sum of several arrays of one shape."""

    curve, overwrites = None, True

    def ready(self, own, floor):
        curve = floor.curve(self.curve)
        place = next((i for i in (0, 1) if own[i]), None)  # What comes later is added to these.
        return lambda *arrays: floor.summed(arrays, curve, None if place is None else arrays[place])

    def write(self, program, own, *grids):
        return program.summed(grids, self.curve)

    @property
    def what(self):
        return "sum" + with_curve(self.curve)


class Normalized(Piece):
    """Arrays normalized along axes, on a GPU.

    Args:
        weights: two Variables, or None: gamma and beta.
        options: of `ops.normalized_along`.

    adds: whether it takes two arrays, of which it normalizes the sum, and gives that, too.
    """

    adds = False

    def __init__(self, name, weights, options):
        super().__init__(name)
        self.weights, self.options = weights, options

    def ready(self, own, floor):
        alone, summed = floor.normalized(self.options)
        gamma, beta = self.weights
        function = summed if self.adds else alone
        return lambda *arrays: function(
            *arrays,
            None if gamma is None else gamma._value,
            None if beta is None else beta._value,
        )

    @property
    def what(self):
        return f"{'sum, ' if self.adds else ''}{self.options['kind']} normalization"


def normalized_pieces(layer, x) -> list[Piece] | None:
    """What a layer of normalization with weights on a GPU is there, as long as it casts nothing."""
    _, weights, options = layer._operation(x)
    there = [w for w in weights if w is not None]
    if not there or not all(devices.is_cupy(w._value) for w in there):
        return None
    if dtypes.name(x.dtype) != layer.compute_dtype or not x.size:
        return None
    return [Normalized(layer.name, (*weights, None, None)[:2], options)]


class Beside(Piece):
    """Arrays one behind the other along an axis, on a GPU."""

    MOST = 4  # Arrays.

    def __init__(self, name, axis):
        super().__init__(name)
        self.axis = axis

    def ready(self, own, floor):
        return floor.beside(self.axis)

    @property
    def what(self):
        return f"joined along axis {self.axis}"


class Margins(Piece):
    """Zeros around arrays: a pair (before, after) for each axis.

    above_zero: whether the arrays are known to be nowhere below zero, on a GPU.
    """

    above_zero = False

    def __init__(self, name, function, widths):
        super().__init__(name)
        self.function, self.widths = function, widths

    def ready(self, own, floor):
        return floor.widened(self.function, self.widths)

    def write(self, program, own, x):
        return program.widened(x, self.widths)

    @property
    def what(self):
        return "margins of zeros"


def with_curve(curve) -> str:
    """The end of what a piece does in words: its activation function, if it has one."""
    return "" if curve is None else f", {_name(curve)}"


def _name(function) -> str:
    return getattr(getattr(function, "func", function), "__name__", str(function))


def curve_pieces(name: str, activation) -> list[Piece]:
    """An activation function, or None, as what follows a layer's product."""
    if activation is None or activation is activations.linear:
        return []
    if activation in ELEMENTWISE:
        return [Curve(name, activation)]
    return [Activated(name, activation)]
