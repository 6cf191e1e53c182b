"""Activation functions of CuPy arrays: one pass over memory each way, with or without a bias.

16-bit floats are computed in float32 and rounded once.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from ..ops import activation as smooth
from ..ops import rectifier as ramps
from ..ops.activation import SELU_ALPHA, SELU_SCALE
from ..ops.dense import activated
from .module import Module, blocks, contiguous, empty, empty_like, is_float, multiprocessors
from .partial_sums import accumulator, partial_sums

_source = Module("activation")

# Those without parameters, as the kernels call them.
SIMPLE = {
    smooth.exponential: "EXPONENTIAL",
    smooth.log_sigmoid: "LOG_SIGMOID",
    smooth.mish: "MISH",
    smooth.sigmoid: "SIGMOID",
    smooth.silu: "SILU",
    smooth.softplus: "SOFTPLUS",
    smooth.softsign: "SOFTSIGN",
    smooth.tanh: "TANH",
    smooth.tanh_shrink: "TANH_SHRINK",
    ramps.hard_sigmoid: "HARD_SIGMOID",
    ramps.hard_silu: "HARD_SILU",
    ramps.hard_tanh: "HARD_TANH",
    ramps.relu6: "RELU6",
    ramps.sparse_plus: "SPARSE_PLUS",
    ramps.sparse_sigmoid: "SPARSE_SIGMOID",
}
# Their gradients are formed from y, so that x need not be kept.
FROM_OUTPUT = frozenset({"EXPONENTIAL", "HARD_TANH", "RELU", "RELU6", "SIGMOID", "TANH"})
THREADS, VECTOR, UNROLL = 256, 16, 2  # As in the source; VECTOR in bytes.

INSTANCES = [
    {"T": dtype, "ACTIVATION": name, "BIAS": False}
    for dtype, names in {
        "float16": ("GELU", "GELU_TANH", "MISH", "SOFTPLUS", "TANH"),
        "bfloat16": ("RELU", "SILU", "TANH_SHRINK"),
        "float32": ("GELU", "MISH", "RAMP_TO_TOP", "SQUAREPLUS", "SPARSE_PLUS"),
        "float64": ("GELU",),
    }.items()
    for name in names
] + [
    {"T": dtype, "ACTIVATION": name, "BIAS": True}
    for dtype, name in (("bfloat16", "GELU"), ("float16", "PRELU"), ("float32", "LINEAR"))
]


class Curve(NamedTuple):
    """An activation function as kernels know it; `function` alone where they do not."""

    name: str | None
    parameters: tuple[float, float, float] = (0.0, 0.0, 0.0)
    function: object = None

    @property
    def needs_input(self) -> bool:
        """Whether its gradient is formed from what it was given, which must be kept for it."""
        return self.name != "LINEAR" and self.name not in FROM_OUTPUT


LINEAR = Curve("LINEAR")


def curve_of(function) -> Curve:
    """How an activation is applied: a function, a name of `ops.dense.FUSED`, or a Curve already;
    LINEAR for None."""
    if function is None or isinstance(function, Curve):
        return function or LINEAR
    op, given = function, {}
    if isinstance(function, partial):
        op, given = function.func, function.keywords
    if op in SIMPLE or isinstance(op, str):
        return Curve(SIMPLE.get(op) or op.upper())
    if op is ramps.relu and not given:
        return Curve("RELU")
    if op is ramps.leaky_relu:
        return Curve("LEAKY_RELU", (given.get("negative_slope", 0.2), 0.0, 0.0))
    if op is smooth.gelu:
        return Curve("GELU_TANH" if given.get("approximate", True) else "GELU")
    if op is smooth.elu:
        return Curve("ELU", (given.get("alpha", 1.0), 1.0, 0.0))
    if op is smooth.selu:
        return Curve("ELU", (SELU_SCALE * SELU_ALPHA, SELU_SCALE, 0.0))
    return Curve(None, function=function)


@activated.on("cupy")
def _(x, kernel, bias=None, *, operation, activation, needs=None, **options):
    after, version = curve_of(activation), operation.version("cupy")
    if after.name is None:
        return NotImplemented
    return version(x, kernel, bias, activation=after, needs=needs, **options)


def before(g, saved, bias, curve: Curve, needs):
    """The gradients of a product, and of the bias that was added to it; None if not wanted.

    Args:
        g: that of curve(product + bias), C-contiguous.
        saved: the product if the curve's gradient `needs_input`, else the result.
        bias: (width,) or None.
        needs: which are wanted of the gradients by the product's factors, and by the bias.
    """
    wanted = bias is not None and needs[2]
    if curve == LINEAR and not wanted:
        return g, None
    if bias is None or not (wanted or curve.needs_input):
        return activation_backward(g, saved, *curve[:2]), None
    through = curve != LINEAR and (needs[0] or needs[1])
    dz, dbias = bias_activation_backward(g, saved, bias, *curve[:2], needs=(through, wanted))
    return (g if dz is None else dz), dbias


def _kernel(direction: str, dtype, activation: str, bias: bool):
    return _source.kernel(direction, T=dtype, ACTIVATION=activation, BIAS=bias)


def _elementwise(activation, x, needs, parameters=(0.0, 0.0, 0.0), arguments=1):
    """The function of x, and its pullback to the first of so many arguments."""
    if not is_float(x) or not all(isinstance(p, (int, float)) for p in parameters):
        return NotImplemented
    x = contiguous(x)
    y = _forward(x, None, empty_like(x), activation, parameters)
    if needs is None:
        return y
    saved = y if activation in FROM_OUTPUT else x

    def pullback(g):
        dx = activation_backward(contiguous(g), saved, activation, parameters)
        return (dx, *[None] * (arguments - 1))

    return y, pullback


def activation_backward(g, saved, activation, parameters=(0.0, 0.0, 0.0)):
    """The gradient g of activation(x), passed back to x.

    saved: the result for an activation of FROM_OUTPUT, else x; C-contiguous, as g.
    """
    dx = empty_like(saved)
    kernel = _kernel("activation_backward", saved.dtype, activation, False)
    kernel(_blocks(saved), THREADS, g, saved, dx, saved.size, *parameters)
    return dx


def _forward(x, bias, y, activation, parameters):
    width = 1 if bias is None else bias.size
    kernel = _kernel("activation_forward", x.dtype, activation, bias is not None)
    kernel(_blocks(x), THREADS, x, bias, y, x.size, width, *parameters)
    return y


def _blocks(x) -> int:
    return blocks(x.size, THREADS * UNROLL * (VECTOR // x.itemsize))


def bias_activation(x, bias, activation="LINEAR", parameters=(0.0, 0.0, 0.0), *, in_place=False):
    """activation(x + bias), for a bias of the last axis, in one pass.

    Args:
        x: (..., width), C-contiguous.
        bias: (width,), of x's dtype, or None.
        activation: a name of the list in activations.cuh.
        parameters: its own, up to three.
        in_place: write the result over x, which must be nobody else's.
    """
    return _forward(x, bias, x if in_place else empty_like(x), activation, parameters)


def bias_activation_backward(
    g, saved, bias, activation="LINEAR", parameters=(0.0, 0.0, 0.0), *, needs=(True, True)
):
    """The gradients (dx, dbias) of `bias_activation`, in one pass; None where not needed.

    Args:
        g: the gradient of its result; C-contiguous, as all arrays here.
        saved: its result for an activation of FROM_OUTPUT, else its x (for LINEAR: anything).
        bias: (width,).
        needs: which of the two are wanted.

    The sum over rows that gives dbias has a fixed order: the same bits each time.
    """
    width, dtype = bias.size, saved.dtype
    rows = saved.size // width if width else 0
    vectors = blocks(width, VECTOR // dtype.itemsize)
    lanes = min(32, 1 << max(vectors - 1, 0).bit_length())
    tiles, at_once = blocks(vectors, lanes), THREADS // lanes
    slabs = min(max(4 * multiprocessors() // max(tiles, 1), 1), blocks(rows, at_once))
    rows_each = blocks(blocks(rows, max(slabs, 1)), at_once) * at_once
    slabs = blocks(rows, rows_each) if rows else 0
    dx = empty_like(saved) if needs[0] else None
    partial = empty((slabs, width), accumulator(dtype)) if needs[1] else None
    kernel = _kernel("bias_activation_backward", dtype, activation, True)
    kernel(
        (tiles, slabs), THREADS, g, saved, bias, dx, partial,
        rows, width, rows_each, lanes, *parameters,
    )  # fmt: skip
    return dx, partial_sums(partial, dtype) if needs[1] else None


def _register(op, activation):
    @op.on("cupy")
    def version(x, *, needs=None):
        return _elementwise(activation, x, needs)


for _op, _name in SIMPLE.items():
    _register(_op, _name)


@smooth.celu.on("cupy")
def _(x, alpha=1.0, *, needs=None):
    return _elementwise("CELU", x, needs, (alpha, 0.0, 0.0), 2)


@smooth.elu.on("cupy")
def _(x, alpha=1.0, *, needs=None):
    return _elementwise("ELU", x, needs, (alpha, 1.0, 0.0), 2)


@smooth.selu.on("cupy")
def _(x, *, needs=None):
    return _elementwise("ELU", x, needs, (SELU_SCALE * SELU_ALPHA, SELU_SCALE, 0.0))


@smooth.gelu.on("cupy")
def _(x, approximate=True, *, needs=None):
    return _elementwise("GELU_TANH" if approximate else "GELU", x, needs, arguments=2)


@smooth.squareplus.on("cupy")
def _(x, b=4, *, needs=None):
    return _elementwise("SQUAREPLUS", x, needs, (b, 0.0, 0.0), 2)


@ramps.relu.on("cupy")
def _(x, negative_slope=0.0, max_value=None, threshold=0.0, *, needs=None):
    if negative_slope == 0 and threshold == 0 and max_value in (None, 6):
        return _elementwise("RELU" if max_value is None else "RELU6", x, needs, arguments=4)
    top = math.inf if max_value is None else max_value
    name = "RAMP" if max_value is None else "RAMP_TO_TOP"
    return _elementwise(name, x, needs, (negative_slope, top, threshold), 4)


@ramps.leaky_relu.on("cupy")
def _(x, negative_slope=0.2, *, needs=None):
    return _elementwise("LEAKY_RELU", x, needs, (negative_slope, 0.0, 0.0), 2)


@ramps.hard_shrink.on("cupy")
def _(x, threshold=0.5, *, needs=None):
    return _elementwise("HARD_SHRINK", x, needs, (threshold, 0.0, 0.0), 2)


@ramps.soft_shrink.on("cupy")
def _(x, threshold=0.5, *, needs=None):
    return _elementwise("SOFT_SHRINK", x, needs, (threshold, 0.0, 0.0), 2)


@ramps.threshold.on("cupy")
def _(x, threshold, default_value, *, needs=None):
    return _elementwise("THRESHOLD", x, needs, (threshold, default_value, 0.0), 3)


@ramps.prelu.on("cupy")
def _(x, alpha, *, needs=None):
    """For slopes that repeat along leading axes only."""
    shape = getattr(alpha, "shape", ())
    sizes = shape[next((i for i, n in enumerate(shape) if n != 1), len(shape)) :]
    if not sizes or len(shape) > x.ndim or x.shape[x.ndim - len(sizes) :] != sizes:
        return NotImplemented
    if not is_float(x, alpha):
        return NotImplemented
    x, slopes = contiguous(x), contiguous(alpha)
    y = bias_activation(x, slopes, "PRELU")
    if needs is None:
        return y

    def pullback(g):
        dx, dalpha = bias_activation_backward(contiguous(g), x, slopes, "PRELU", needs=needs)
        return dx, None if dalpha is None else dalpha.reshape(shape)

    return y, pullback
