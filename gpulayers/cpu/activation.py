"""Activation functions of NumPy arrays.

They avoid temporaries and `where`, which costs ten times a product.  What they leave (other dtypes,
arrays without axes, unusual options) the references do.  Large arrays of float32 go through loops
where Numba is installed, once and with all threads.
"""

from __future__ import annotations

import numpy as np

from .. import jit
from ..jit import activation as loops
from ..ops import activation as smooth
from ..ops import rectifier as ramps
from ..ops.activation import GELU_CUBIC, GELU_SCALE, ROOT_TWO_PI, SELU_ALPHA, SELU_SCALE
from . import memory
from .bounds import at_least, at_most
from .error_function import NORMAL, erf_float32, erf_float64
from .rows import SHORT, channel_sums, repeats
from .threads import divided, sliced

# NumPy takes arrays without axes faster than Python's numbers, and these leave float64 as it is.
ZERO, ONE, TWO, HALF = (np.array(n, np.float32) for n in (0, 1, 2, 0.5))
THREE, MINUS_THREE, SIX = (np.array(n, np.float32) for n in (3, -3, 6))
LARGEST = {"f": np.array(87, np.float32), "d": np.array(700, np.float64)}  # exp is finite there.
COST = 16  # Operations of a product that an element takes as long as, in a loop.
CHEAP = 8  # The same where nothing is computed.


def fits(x) -> bool:
    """Whether passes in place are possible: float32 or float64, and not a lone number."""
    return x.dtype.char in LARGEST and x.ndim > 0


def sigmoid_of(x):
    """1 / (1 + exp(-x)) as a fresh array; below -87 (float64: -700), the value there."""
    t = np.negative(x)
    at_most(t, LARGEST[x.dtype.char], out=t)
    np.exp(t, t)
    t += ONE
    return np.reciprocal(t, t)


def softplus_of(x):
    """log(1 + exp(x)) as a fresh array."""
    t = np.abs(x)
    np.negative(t, t)
    np.exp(t, t)
    np.log1p(t, t)
    t += at_least(x, ZERO)
    return t


def chosen(condition, dtype):
    """1 where true, 0 where false."""
    return condition.astype(dtype)


def by_loops(x) -> bool:
    """Whether loops are to be used that compute exp."""
    return x.dtype.char == "f" and x.ndim > 0 and jit.takes(x)


def looped(there, back, x, needs, *numbers, of_result=False, more=0):
    """A function and its gradient by loops: back(x or the result, g, dx, *numbers).

    more: how many further arguments have no gradient.
    """
    out = _made(there, (x,), numbers)
    if needs is None:
        return out
    kept = out if of_result else x
    return out, lambda g: (_made(back, (kept, g), numbers), *(None,) * more)


def _made(kernel, arrays, numbers, cost=COST):
    out = memory.empty_like(arrays[0])
    flat = [np.ascontiguousarray(a).reshape(-1) for a in (*arrays, out)]
    sliced(kernel, cost * out.size, *flat, numbers=numbers)
    return out


@smooth.sigmoid.on("numpy")
def _(x, *, needs=None):
    if by_loops(x):
        return looped(loops.sigmoid, loops.sigmoid_back, x, needs, of_result=True)
    if not fits(x):
        return NotImplemented
    out = sigmoid_of(x)
    if needs is None:
        return out

    def pullback(g):
        d = np.subtract(ONE, out)
        d *= out
        d *= g
        return (d,)

    return out, pullback


@smooth.tanh.on("numpy")
def _(x, *, needs=None):
    if not fits(x):
        return NotImplemented
    out = np.tanh(x)
    if needs is None:
        return out

    def pullback(g):
        d = np.square(out)
        np.subtract(ONE, d, d)
        d *= g
        return (d,)

    return out, pullback


@smooth.softplus.on("numpy")
def _(x, *, needs=None):
    if not fits(x):
        return NotImplemented
    out = softplus_of(x)
    if needs is None:
        return out

    def pullback(g):
        d = sigmoid_of(x)
        d *= g
        return (d,)

    return out, pullback


@smooth.silu.on("numpy")
def _(x, *, needs=None):
    if by_loops(x):
        return looped(loops.silu, loops.silu_back, x, needs)
    if not fits(x):
        return NotImplemented
    s = sigmoid_of(x)
    if needs is None:
        s *= x
        return s

    def pullback(g):
        d = np.subtract(ONE, s)
        d *= x
        d += ONE
        d *= s
        d *= g
        return (d,)

    return x * s, pullback


@smooth.mish.on("numpy")
def _(x, *, needs=None):
    if not fits(x):
        return NotImplemented
    t = softplus_of(x)
    np.tanh(t, t)
    if needs is None:
        t *= x
        return t

    def pullback(g):
        d = np.square(t)
        np.subtract(ONE, d, d)
        d *= sigmoid_of(x)
        d *= x
        d += t
        d *= g
        return (d,)

    return x * t, pullback


@smooth.elu.on("numpy")
def _(x, alpha=1.0, *, needs=None):
    return _elu(x, 1.0, alpha, needs)


@smooth.selu.on("numpy")
def _(x, *, needs=None):
    return _elu(x, SELU_SCALE, SELU_ALPHA, needs)


def _elu(x, scale, alpha, needs):
    """scale x above 0, scale alpha (exp(x) - 1) below."""
    if by_loops(x):
        numbers = float(scale), float(scale * alpha)
        return looped(loops.elu, loops.elu_back, x, needs, *numbers, more=1)
    if not fits(x):
        return NotImplemented
    depth = scale * alpha
    out = at_most(x, ZERO)
    np.expm1(out, out)
    if depth != 1:
        out *= depth
    above = at_least(x, ZERO)
    if scale != 1:
        above *= scale
    out += above
    if needs is None:
        return out

    def pullback(g):
        d = at_most(out, ZERO)
        d += depth
        if depth != scale:
            above = chosen(out > ZERO, d.dtype)
            above *= scale - depth
            d += above
        d *= g
        return (d, None)

    return out, pullback


@smooth.gelu.on("numpy")
def _(x, approximate=True, *, needs=None):
    if by_loops(x):
        there, back = loops.gelu, loops.gelu_back
        if not approximate:
            there, back = loops.exact_gelu, loops.exact_gelu_back
        return looped(there, back, x, needs, more=1)
    if not fits(x):
        return NotImplemented
    if approximate:
        p = np.square(x)
        p *= GELU_SCALE * GELU_CUBIC
        p += GELU_SCALE
        p *= x
        np.tanh(p, p)
    else:
        p = erf_float32(x, NORMAL) if x.dtype.char == "f" else erf_float64(x * 0.5**0.5)
    p += ONE
    p *= HALF
    if needs is None:
        p *= x
        return p

    def pullback(g):
        d = np.square(x)
        if approximate:
            d *= 3 * GELU_SCALE * GELU_CUBIC
            d += GELU_SCALE
            d *= p
            d *= 1 - p
            d *= TWO
        else:
            d *= -0.5
            np.exp(d, d)
            d *= 1 / ROOT_TWO_PI
        d *= x
        d += p
        d *= g
        return (d, None)

    return x * p, pullback


@ramps.relu.on("numpy")
def _(x, negative_slope=0.0, max_value=None, threshold=0.0, *, needs=None):
    if negative_slope or threshold or max_value is not None:
        return NotImplemented
    if looped_relu(x):
        out = _made(loops.relu, (x,), (None,), CHEAP)
    else:
        out = at_least(x, ZERO if x.dtype.char in LARGEST else 0)
    if needs is None:
        return out
    return out, lambda g: (relu_back(g, out)[0], None, None, None)


def looped_relu(x) -> bool:
    """Whether loops are to be used for a ReLU of an array."""
    return x.ndim > 0 and x.size > 0 and jit.takes(x)


def relu_back(g, y, most=None, summed: bool = False):
    """The gradient of a ReLU, or of one that ends at `most`, whose result is `y`.

    And its sums for each element of the last axis if they are wanted, else None.
    """
    if not looped_relu(y) or g.dtype != y.dtype:
        between = y > ZERO if most is None else (y > ZERO) & (y < most)
        d = g * between
        return d, channel_sums(d) if summed else None
    d, width = np.empty(y.shape, y.dtype), y.shape[-1]
    width *= repeats(d.size // width, width, SHORT)
    rows = [np.ascontiguousarray(a).reshape(-1, width) for a in (g, y, d)]
    most = None if most is None else float(most)
    sums = ((width,) if summed else None,)
    (sums,) = divided(loops.relu_back, len(rows[0]), CHEAP * d.size, *rows, most, sums=sums)
    return d, sums.reshape(-1, y.shape[-1]).sum(0) if summed else None


@ramps.leaky_relu.on("numpy")
def _(x, negative_slope=0.2, *, needs=None):
    if not fits(x) or not 0 <= negative_slope <= 1:
        return NotImplemented
    out = x * negative_slope
    np.maximum(out, x, out=out)
    if needs is None:
        return out

    def pullback(g):
        d = chosen(x > ZERO, x.dtype)
        at_least(d, negative_slope, out=d)
        d *= g
        return (d, None)

    return out, pullback


@ramps.relu6.on("numpy")
def _(x, *, needs=None):
    if not fits(x):
        return NotImplemented
    if looped_relu(x):
        out = _made(loops.relu, (x,), (6.0,), CHEAP)
    else:
        out = at_least(x, ZERO)
        at_most(out, SIX, out=out)
    if needs is None:
        return out
    return out, lambda g: relu_back(g, out, SIX)[:1]


@ramps.hard_sigmoid.on("numpy")
def _(x, *, needs=None):
    if not fits(x):
        return NotImplemented
    out = _hard_sigmoid_of(x)
    if needs is None:
        return out

    def pullback(g):
        d = g * ((x > MINUS_THREE) & (x < THREE))
        d /= SIX
        return (d,)

    return out, pullback


def _hard_sigmoid_of(x):
    t = x + THREE
    at_least(t, ZERO, out=t)
    at_most(t, SIX, out=t)
    t /= SIX
    return t


@ramps.hard_silu.on("numpy")
def _(x, *, needs=None):
    if not fits(x):
        return NotImplemented
    out = _hard_sigmoid_of(x)
    if needs is None:
        out *= x
        return out
    out = x * out

    def pullback(g):
        d = _hard_sigmoid_of(x)  # x/6 + 1/2 between the bends, where x/3 + 1/2 is wanted.
        middle = x * ((x > MINUS_THREE) & (x < THREE))
        middle /= SIX
        d += middle
        d *= g
        return (d,)

    return out, pullback
