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

from functools import partial

from .. import activations
from ..arrays import Variable, devices, dtypes
from ..ops import activation as smooth
from ..ops import rectifier as ramps
from ..ops.dense import dense

# Activations of each element by itself, with a version for NumPy arrays.
ELEMENTWISE = frozenset(
    {
        *(ramps.relu, ramps.relu6, ramps.hard_sigmoid),
        *(smooth.sigmoid, smooth.tanh, smooth.silu, smooth.softplus, smooth.mish, smooth.elu),
        smooth.selu,
    }
)
# Functions of `activations` by the primitives that they are.
ALIASES = {
    activations.gelu: partial(smooth.gelu, approximate=False),
    activations.leaky_relu: partial(ramps.leaky_relu, negative_slope=0.2),
}


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
        return "factors and offsets" + _and(self.curve)


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
        self.function, self.curve = function, ALIASES.get(function, function)
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
        return "sum" + _and(self.curve)


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


class Margins(Piece):
    """Zeros around arrays: a pair (before, after) for each axis."""

    def __init__(self, name, function, widths):
        super().__init__(name)
        self.function, self.widths = function, widths

    def ready(self, own, floor):
        return self.function

    def write(self, program, own, x):
        return program.widened(x, self.widths)

    @property
    def what(self):
        return "margins of zeros"


class Product(Piece):
    """A convolution or a product of matrices, with a bias and with what follows it.

    Args:
        operation: a primitive (x, kernel, bias), whose version for NumPy arrays takes `factor` for
            each result and any `activation` too.
        kernel, bias: Variables; no bias if None.
        dtype: that of the arrays; Variables of another one are cast to it, once.
        shape: that of the kernel as the operation takes it.
        options: of the operation.

    adds: whether it takes a second array, which is added before the activation: on a GPU.
    """

    adds = False

    SMALL = 1 << 16  # Elements of kernels that are multiplied by what follows: more would take long
    # to compare with what they were, and memory.

    def __init__(self, name, operation, kernel, bias, dtype, shape=None, **options):
        super().__init__(name)
        self.operation, self.kernel, self.bias, self.options = operation, kernel, bias, options
        self.dtype, self.shape = dtype, shape or kernel._value.shape
        self.curve, self.before, self.maps = None, None, []

    @property
    def constants(self):
        maps = self.maps if self.before is None else [self.before, *self.maps]
        if not maps and not self._is_cast:
            return []
        found = [v for one in maps for v in one.constants]
        kernel = [self.kernel] if self.before is not None or self.is_small else []
        return found + kernel + ([] if self.bias is None else [self.bias])

    @property
    def is_small(self) -> bool:
        """Whether the kernel may be copied: any on a GPU, where only assignments are looked for."""
        return self.kernel._value.size <= self.SMALL or self.is_on_gpu

    @property
    def is_on_gpu(self) -> bool:
        return devices.is_cupy(self.kernel._value)

    @property
    def _is_cast(self) -> bool:
        weights = [self.kernel, *([] if self.bias is None else [self.bias])]
        return any(w._value.dtype != self.dtype for w in weights)

    def ready(self, own, floor):
        form = floor.matrix_product if self.operation is dense else floor.convolved
        run = form(floor.curve(self.curve), self.options)
        if self.adds:
            return self._ready_to_add(run, floor)
        variable, bias, shape = self.kernel, self.bias, self.shape
        if not self.constants:
            if bias is None:
                return lambda x: run(x, variable._value.reshape(shape), None)
            return lambda x: run(x, variable._value.reshape(shape), bias._value)
        kernel, factor, bias = self.folded(floor)
        if kernel is not None:
            return lambda x: run(x, kernel, bias, factor)
        return lambda x: run(x, variable._value.reshape(shape), bias, factor)

    def _ready_to_add(self, run, floor):
        variable, bias, shape = self.kernel, self.bias, self.shape
        kernel = None
        if self.constants:
            kernel, _, bias = self.folded(floor)
        if kernel is not None:
            return lambda x, other: run(x, kernel, bias, added=other)
        return lambda x, other: run(
            x, variable._value.reshape(shape), None if bias is None else bias._value, added=other
        )

    def write(self, program, own, x):
        for variable in self.constants:
            program.value(variable, fixed=True)
        (kernel, factor, bias), read = self.folded(program.floor), []
        if kernel is None:
            kernel, read = program.value(self.kernel).reshape(self.shape), [self.kernel]
        if self.bias is not None and not self.constants:
            bias, read = program.value(self.bias), [*read, self.bias]
        return program.product(x, kernel, bias, factor, self.curve, self.options, read)

    def folded(self, floor):
        """Kernel (None for the variable's), factors (None for none) and bias with all maps."""
        kernel, factor = floor.wide(self.kernel._value.reshape(self.shape)), None
        bias = None if self.bias is None else floor.wide(self.bias._value)
        if self.before is not None:
            scale, offset = self.before.now(floor)
            if offset is not None:
                taps = kernel.reshape(-1, *kernel.shape[-2:]).sum(0)
                more = (offset[:, None] * taps).sum(0)
                bias = more if bias is None else bias + more
            if scale is not None:
                kernel = kernel * scale[:, None]
        for one in self.maps:
            scale, offset = one.now(floor)
            if scale is not None:
                factor = scale if factor is None else factor * scale
                bias = None if bias is None else bias * scale
            if offset is not None:
                bias = offset if bias is None else bias + offset
        if factor is not None and (self.is_small or self.before is not None):
            kernel, factor, changed = kernel * factor, None, True
        else:
            changed = self.before is not None or self._is_cast
        bias = floor.there(bias, self.dtype)
        return (floor.there(kernel, self.dtype) if changed else None), factor, bias

    @property
    def what(self):
        sizes = " x ".join(map(str, self.shape))
        plus = ", sum" if self.adds else ""
        return f"{self.operation.__name__} with {sizes}{plus}{_and(self.curve)}"


def _and(curve) -> str:
    return "" if curve is None else f", {_name(curve)}"


def _name(function) -> str:
    return getattr(getattr(function, "func", function), "__name__", str(function))


def products_fit(x, *weights) -> bool:
    """Whether arrays like `x` and weights (or None) are floats of one dtype, as products need; on a
    GPU weights of other dtypes are cast."""
    values = [w._value for w in weights if w is not None]
    if not all(map(dtypes.is_floating, [x, *values])):
        return False
    if any(map(devices.is_cupy, values)):
        return True
    return all(value.dtype == x.dtype for value in values) and x.dtype.itemsize > 2


def curve_pieces(name: str, activation) -> list[Piece]:
    """An activation function, or None, as what follows a layer's product."""
    if activation is None or activation is activations.linear:
        return []
    if activation in ELEMENTWISE:
        return [Curve(name, activation)]
    return [Activated(name, activation)]
