"""What inference plans are made of: layers as operations that may take in what follows them.

A layer gives its pieces by `_inference_pieces(*arrays)`, for arrays like these (only shapes and
dtypes count): each takes the arrays that the one before gives.  None is for cases that need more.
Which pieces become one is said in `models/folding.py`.  `ready` makes the function of NumPy arrays
that a piece is; what it computes from variables beforehand holds until one of `constants` changes.
"""

from __future__ import annotations

from .. import activations
from ..arrays import Variable, dtypes
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


class Piece:
    """One step of a plan: a function of arrays.

    names: of the layers that it stands for, in their order.
    fresh: whether its result is an array that nothing else refers to.
    overwrites: whether it makes use of arguments that may be overwritten.
    """

    fresh, overwrites = True, False

    def __init__(self, name: str):
        self.names = [name]

    @property
    def constants(self) -> list[Variable]:
        """The variables from whose values `ready` computes something."""
        return []

    def ready(self, own: tuple[bool, ...]):
        """The function; `own` says of each argument whether it may be overwritten."""
        raise NotImplementedError

    @property
    def what(self) -> str:
        """What it does, in words."""
        raise NotImplementedError


class Call(Piece):
    """Any function of arrays."""

    def __init__(self, name, function, what="", fresh=False):
        super().__init__(name)
        self.function, self.fresh, self._what = function, fresh, what

    def ready(self, own):
        return self.function

    @property
    def what(self):
        return self._what


class Nothing(Piece):
    """What gives its argument as it is."""

    fresh, what = False, "nothing"

    def ready(self, own):
        return lambda x: x


class ChannelMap(Piece):
    """x factor + offset, with a factor and an offset for each element of the last axis.

    Args:
        values: the function that gives both (None for none) for the variables' values.
        variables: Variables, or None for some of the function's arguments.
    """

    overwrites = True

    def __init__(self, name, values, variables=()):
        super().__init__(name)
        self.values, self.variables, self.curve = values, variables, None

    @property
    def constants(self):
        return [v for v in self.variables if v is not None]

    def now(self):
        """Factor and offset as they are now."""
        return self.values(*[None if v is None else v._value for v in self.variables])

    def ready(self, own):
        from ..cpu import inference as cpu

        factor, offset = self.now()
        curve = cpu.curve(self.curve)
        return lambda x: cpu.mapped(x, factor, offset, curve, x if own[0] else None)

    @property
    def what(self):
        return "factors and offsets" + _and(self.curve)


class Curve(Piece):
    """An activation function of each element."""

    overwrites = True

    def __init__(self, name, function):
        super().__init__(name)
        self.function = function

    def ready(self, own):
        from ..cpu import inference as cpu

        curve = cpu.curve(self.function)
        return lambda x: cpu.curved(x, curve, own[0])

    @property
    def what(self):
        return _name(self.function)


class Sum(Piece):
    """The sum of several arrays of one shape."""

    curve, overwrites = None, True

    def ready(self, own):
        from ..cpu import inference as cpu

        curve = cpu.curve(self.curve)
        place = next((i for i in (0, 1) if own[i]), None)  # What comes later is added to these.
        return lambda *arrays: cpu.summed(arrays, curve, None if place is None else arrays[place])

    @property
    def what(self):
        return "sum" + _and(self.curve)


class Margins(Piece):
    """Zeros around arrays: a pair (before, after) for each axis."""

    def __init__(self, name, function, widths):
        super().__init__(name)
        self.function, self.widths = function, widths

    def ready(self, own):
        return self.function

    @property
    def what(self):
        return "margins of zeros"


class Pooling(Piece):
    """A primitive that reduces what windows see, with its options."""

    def __init__(self, name, operation, options):
        super().__init__(name)
        self.operation, self.options = operation, options

    def ready(self, own):
        from ..cpu import inference as cpu

        return cpu.pooled(self.operation, self.options)

    @property
    def what(self):
        sizes = " x ".join(map(str, self.options["windows"]))
        return f"{self.operation.__name__} of {sizes}"


class Product(Piece):
    """A convolution or a product of matrices, with a bias and with what follows it.

    Args:
        operation: a primitive (x, kernel, bias), whose version for NumPy arrays takes `factor` for
            each result and any `activation` too.
        kernel, bias: Variables; no bias if None.
        shape: that of the kernel as the operation takes it.
        options: of the operation.
    """

    SMALL = 1 << 16  # Elements of kernels that are multiplied by what follows: more would take long
    # to compare with what they were, and memory.

    def __init__(self, name, operation, kernel, bias, shape=None, activation=None, **options):
        super().__init__(name)
        self.operation, self.kernel, self.bias, self.options = operation, kernel, bias, options
        self.shape = shape or kernel._value.shape
        self.curve, self.before, self.maps = activation, None, []

    @property
    def constants(self):
        maps = self.maps if self.before is None else [self.before, *self.maps]
        if not maps:
            return []
        found = [v for one in maps for v in one.constants]
        kernel = [self.kernel] if self.before is not None or self.is_small else []
        return found + kernel + ([] if self.bias is None else [self.bias])

    @property
    def is_small(self) -> bool:
        return self.kernel._value.size <= self.SMALL

    def ready(self, own):
        from ..cpu import inference as cpu

        form = cpu.matrix_product if self.operation is dense else cpu.convolved
        run = form(cpu.curve(self.curve), self.options)
        variable, bias, shape = self.kernel, self.bias, self.shape
        if not self.constants:
            if bias is None:
                return lambda x: run(x, variable._value.reshape(shape), None)
            return lambda x: run(x, variable._value.reshape(shape), bias._value)
        kernel, factor, bias = self.folded()
        if kernel is not None:
            return lambda x: run(x, kernel, bias, factor)
        return lambda x: run(x, variable._value.reshape(shape), bias, factor)

    def folded(self):
        """Kernel (None for the variable's), factors (None for none) and bias with all maps."""
        kernel, factor = self.kernel._value.reshape(self.shape), None
        bias = None if self.bias is None else self.bias._value
        if self.before is not None:
            scale, offset = self.before.now()
            if offset is not None:
                more = offset @ kernel.reshape(-1, *kernel.shape[-2:]).sum(0)
                bias = more if bias is None else bias + more
            if scale is not None:
                kernel = kernel * scale[:, None]
        for one in self.maps:
            scale, offset = one.now()
            if scale is not None:
                factor = scale if factor is None else factor * scale
                bias = None if bias is None else bias * scale
            if offset is not None:
                bias = offset if bias is None else bias + offset
        if factor is not None and (self.is_small or self.before is not None):
            return kernel * factor, None, bias
        return (None if self.before is None else kernel), factor, bias

    @property
    def what(self):
        sizes = " x ".join(map(str, self.shape))
        return f"{self.operation.__name__} with {sizes}{_and(self.curve)}"


def _and(curve) -> str:
    return "" if curve is None else f", {_name(curve)}"


def _name(function) -> str:
    return getattr(function, "__name__", str(function))


def products_fit(x, *weights) -> bool:
    """Whether arrays like `x` and weights (or None) are floats of one dtype, as products need."""
    same = all(w is None or w._value.dtype == x.dtype for w in weights)
    return same and dtypes.is_floating(x) and x.dtype.itemsize > 2


def curve_pieces(name: str, activation) -> list[Piece]:
    """An activation function, or None, as what follows a layer's product."""
    if activation is None or activation is activations.linear:
        return []
    if activation in ELEMENTWISE:
        return [Curve(name, activation)]
    version = activation.version("numpy") if hasattr(activation, "version") else None
    return [Call(name, version or activation, getattr(activation, "__name__", ""))]
