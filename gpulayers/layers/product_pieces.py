"""Products of matrices and convolutions in plans of inference, with what follows them: see
`pieces.py`."""

from __future__ import annotations

from ..arrays import devices, dtypes
from ..ops.convolution import convolution, convolution_input_gradient
from ..ops.dense import dense
from .pieces import Piece, with_curve

FORMS = {  # The functions of a floor.
    dense: "matrix_product",
    convolution: "convolved",
    convolution_input_gradient: "transposed",
}
WORDS = {convolution_input_gradient: "transposed convolution"}


class Product(Piece):
    """A convolution or a product of matrices, with a bias and with what follows it.

    Args:
        operation: a primitive (x, kernel, bias), whose version for NumPy arrays takes `factor` for
            each result and any `activation` too.  Transposed convolutions are products on a GPU.
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
    def is_transposed(self) -> bool:
        """Whether it is a transposed convolution, whose kernel is (*windows, results, x's)."""
        return self.operation is convolution_input_gradient

    @property
    def _is_cast(self) -> bool:
        weights = [self.kernel, *([] if self.bias is None else [self.bias])]
        return any(w._value.dtype != self.dtype for w in weights)

    def ready(self, own, floor):
        run = getattr(floor, FORMS[self.operation])(floor.curve(self.curve), self.options)
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
            kernel = kernel * (factor[:, None] if self.is_transposed else factor)
            factor, changed = None, True
        else:
            changed = self.before is not None or self._is_cast
        bias = floor.there(bias, self.dtype)
        return (floor.there(kernel, self.dtype) if changed else None), factor, bias

    @property
    def what(self):
        sizes = " x ".join(map(str, self.shape))
        plus = ", sum" if self.adds else ""
        operation = WORDS.get(self.operation) or self.operation.__name__
        return f"{operation} with {sizes}{plus}{with_curve(self.curve)}"


class JoinedProduct(Piece):
    """The products of an array with several kernels, side by side: on a GPU.

    Args:
        kernels, biases: Variables, for matrices with as many rows as the array has columns, and for
            the results; no biases if there are none.
        dtype: that of the array.
    """

    def __init__(self, name, kernels, biases, dtype):
        super().__init__(name)
        self.kernels, self.biases, self.dtype = kernels, biases, dtype

    @property
    def constants(self):
        return [*self.kernels, *self.biases]

    def ready(self, own, floor):
        rows = len(self.kernels[0]._value)
        kernel = floor.joined([v._value.reshape(rows, -1) for v in self.kernels], self.dtype)
        bias = floor.joined([v._value.reshape(-1) for v in self.biases], self.dtype)
        run = floor.matrix_product(floor.curve(None), {})
        return lambda x: run(x, kernel, bias)

    @property
    def what(self):
        rows, columns = len(self.kernels[0]._value), sum(v._value.size for v in self.kernels)
        return f"{len(self.kernels)} x dense, with {rows} x {columns // rows} in all"


def products_fit(x, *weights) -> bool:
    """Whether arrays like `x` and weights (or None) are floats of one dtype, as products need; on a
    GPU weights of other dtypes are cast."""
    values = [w._value for w in weights if w is not None]
    if not all(map(dtypes.is_floating, [x, *values])):
        return False
    if any(map(devices.is_cupy, values)):
        return True
    return all(value.dtype == x.dtype for value in values)
