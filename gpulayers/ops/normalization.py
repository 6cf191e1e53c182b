"""Arrays scaled to mean 0 and variance 1, or to length 1."""

from __future__ import annotations

from .. import config
from ..arrays import dtypes, namespace, primitive
from ..arrays.shapes import all_counted, counted
from ..arrays.short_floats import cast, is_short
from .batch_normalization import normalized_by, wide
from .calling import array_function, as_floats, together
from .linalg import norm

__all__ = ["batch_normalization", "layer_normalization", "normalize", "rms_normalization"]

# What `normalized_along` subtracts from x, and by what it divides.
LAYER = "layer"  # The mean; the standard deviation.
ROOT_MEAN_SQUARE = "rms"  # Nothing; the root of the mean square.
DEVIATION = "deviation"  # Nothing; the standard deviation.
LENGTH = "length"  # Nothing; the root of the sum of squares, or epsilon if that is larger.


@array_function()
def normalize(x, axis=-1, order: int = 2, epsilon: float | None = None):
    """x / max(norm(x), epsilon), the norm taken along an axis.

    Args:
        axis: an integer, several, or None for the norm of all elements.
        order: p of the norm sum(|x|^p)^(1/p).
        epsilon: `config.epsilon()` by default.

    Raises ValueError unless `order` is a positive integer.
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"normalize: order must be a positive integer, got {order!r}.")
    epsilon = config.epsilon() if epsilon is None else epsilon
    xp, x = as_floats(x)
    x = xp.reshape(x, (1,)) if x.ndim == 0 else x
    if order != 2:
        return x / xp.maximum(norm(x, order, axis, True), epsilon)
    return normalized_along(x, axes=axes_of(x, axis), epsilon=epsilon, kind=LENGTH)


@array_function("x", "mean", "variance", "offset", "scale")
def batch_normalization(
    x, mean, variance, axis: int, offset=None, scale=None, epsilon: float = 1e-3
):
    """scale (x - mean) / sqrt(variance + epsilon) + offset, for each place of an axis.

    Args:
        x: an array.
        mean, variance, offset, scale: (size of the axis,). No `offset` counts as 0, no `scale`
            as 1.
        axis: the axis of `x` to which these belong.
    """
    _, (x, mean, variance) = together((as_floats(x)[1], mean, variance))
    return normalized_by(x, mean, variance, offset, scale, axis=axis, epsilon=epsilon)


@array_function("x", "gamma", "beta", computes=False)
def layer_normalization(
    x, gamma=None, beta=None, axis=-1, epsilon: float | None = None, *, rms_scaling: bool = False
):
    """gamma (x - mean(x)) / sqrt(var(x) + epsilon) + beta, along axes.

    Args:
        x: an array.
        gamma, beta: of the sizes of the axes; 1 and 0 by default.
        axis: an integer or several.
        epsilon: `config.epsilon()` by default.
        rms_scaling: do not subtract the mean, nor add `beta`.

    Ba, Kiros and Hinton, "Layer normalization", 2016.
    """
    beta = None if rms_scaling else beta
    return _along_axes(x, gamma, beta, axis, epsilon, DEVIATION if rms_scaling else LAYER)


@array_function("x", "scale", computes=False)
def rms_normalization(x, scale=None, axis=-1, epsilon: float | None = None):
    """scale x / sqrt(mean(x^2) + epsilon), along axes.

    Args:
        x: an array.
        scale: of the sizes of the axes, or broadcast to `x`; 1 by default.
        axis: an integer or several.
        epsilon: `config.epsilon()` by default.

    Zhang and Sennrich, "Root mean square layer normalization", 2019.
    """
    return _along_axes(x, scale, None, axis, epsilon, ROOT_MEAN_SQUARE)


def group_normalization(x, gamma=None, beta=None, *, groups: int, axis=-1, epsilon: float = 1e-3):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, moments being those of a sample's group.

    Args:
        x: (batch, ...).
        gamma, beta: (channels,); 1 and 0 by default.
        groups: into how many groups the channels are divided.
        axis: the axis of the channels.

    Wu and He, "Group normalization", 2018.
    """
    _, x = as_floats(x)
    return _in_its_dtype(normalized_in_groups, x, gamma, beta, axis=axis, epsilon=epsilon,
                         groups=groups)  # fmt: skip


def axes_of(x, axis) -> tuple[int, ...]:
    """Axes, counted from the first one, in rising order; None stands for all."""
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(sorted(all_counted(tuple(axis) if isinstance(axis, list) else axis, x.ndim)))


def _along_axes(x, gamma, beta, axis, epsilon, kind):
    xp, x = as_floats(x)
    x = xp.reshape(x, (1,)) if x.ndim == 0 else x
    axes = axes_of(x, axis)
    epsilon = config.epsilon() if epsilon is None else epsilon
    options = {"axes": axes, "epsilon": epsilon, "kind": kind}
    if all(w is None or w.ndim == len(axes) for w in (gamma, beta)):
        return _in_its_dtype(normalized_along, x, gamma, beta, **options)
    out = normalized_along(wide(x), **options)  # Weights that are broadcast.
    for w, apply in ((gamma, xp.multiply), (beta, xp.add)):
        if w is not None:
            w = cast(w, dtypes.name(out.dtype))
            out = apply(out, xp.reshape(w, _broadcast(x, axes)) if w.ndim == len(axes) else w)
    return cast(out, dtypes.name(x.dtype))


def _in_its_dtype(op, x, gamma, beta, **options):
    """The result in the dtype of `x`, whatever that of the weights, which are as long as its own.

    16-bit floats of NumPy are computed in float32; elsewhere the operation itself does that.
    """
    short = is_short(x)
    inner = cast(x, "float32") if short else x
    dtype = dtypes.name(inner.dtype)
    dtype = "float32" if dtype in dtypes.SHORT_FLOATS else dtype
    gamma, beta = (None if w is None else cast(w, dtype) for w in (gamma, beta))
    out = op(inner, gamma, beta, **options)
    return cast(out, dtypes.name(x.dtype)) if short else out


@primitive
def normalized_along(x, gamma=None, beta=None, *, axes, epsilon, kind=LAYER):
    """gamma (x - middle) / deviation + beta, along axes.

    Args:
        x: an array of floats; 16-bit ones are computed in float32.
        gamma, beta: of the sizes of the axes; 1 and 0 by default.
        axes: integers from 0 on, in rising order.
        kind: LAYER, ROOT_MEAN_SQUARE, DEVIATION or LENGTH.
    """
    xp, dtype, x = namespace(x), x.dtype, wide(x)
    middle, deviation = _moments(xp, x, axes, epsilon, kind)
    out = (x - middle if kind == LAYER else x) / deviation
    return _weighed(xp, out, gamma, beta, _broadcast(x, axes), dtype)


@normalized_along.vjp
def _(xp, out, x, gamma=None, beta=None, *, axes, epsilon, kind=LAYER):
    return _pullbacks(xp, x, gamma, beta, _broadcast(x, axes), axes, epsilon, kind)


@primitive
def normalized_sum(x, other, gamma=None, beta=None, **options):
    """x + other, and that normalized along axes.

    Args:
        x, other: arrays of floats, of one shape and dtype.
        gamma, beta, options: of `normalized_along`.
    """
    total = x + other
    return total, normalized_along(total, gamma, beta, **options)


@primitive
def normalized_in_groups(x, gamma=None, beta=None, *, groups, axis, epsilon):
    """`group_normalization` of floats."""
    xp, dtype, shape, x = namespace(x), x.dtype, x.shape, wide(x)
    split, axes, weights = _group_shapes(x, groups, axis)
    x = xp.reshape(x, split)
    middle, deviation = _moments(xp, x, axes, epsilon, LAYER)
    out = _weighed(xp, (x - middle) / deviation, gamma, beta, weights, dtype)
    return xp.reshape(out, shape)


@normalized_in_groups.vjp
def _(xp, out, x, gamma=None, beta=None, *, groups, axis, epsilon):
    split, axes, weights = _group_shapes(x, groups, axis)
    shape, x = x.shape, xp.reshape(x, split)
    inner = _pullbacks(xp, x, gamma, beta, weights, axes, epsilon, LAYER)
    through_x, *others = [lambda g, p=p: p(xp.reshape(g, split)) for p in inner]
    return (lambda g: xp.reshape(through_x(g), shape), *others)


def _group_shapes(x, groups, axis):
    """`x` with the channels' axis split in two, the axes of the moments, the weights' shape."""
    axis = counted(axis, x.ndim, "group_normalization")
    if axis == 0 or x.shape[axis] % groups:
        raise ValueError(
            f"group_normalization: {groups} groups need an axis after the first whose size they "
            f"divide, got axis {axis} of shape {tuple(x.shape)}."
        )
    own = (groups, x.shape[axis] // groups)
    split = (*x.shape[:axis], *own, *x.shape[axis + 1 :])
    axes = tuple(i for i in range(1, len(split)) if i != axis)
    return split, axes, (*own, *(1,) * (x.ndim - axis - 1))


def _broadcast(x, axes) -> tuple[int, ...]:
    """The shape in which weights of the sizes of the axes stand beside `x`."""
    return tuple(n if i in axes else 1 for i, n in enumerate(x.shape))


def _moments(xp, x, axes, epsilon, kind):
    """What is subtracted before the square, and the root by which is divided."""
    if kind == LENGTH:
        return 0.0, xp.sqrt(xp.maximum(xp.sum(x * x, axis=axes, keepdims=True), epsilon * epsilon))
    middle, centred = 0.0, x
    if kind != ROOT_MEAN_SQUARE:
        middle = xp.mean(x, axis=axes, keepdims=True)
        centred = x - middle
    return middle, xp.sqrt(xp.mean(centred * centred, axis=axes, keepdims=True) + epsilon)


def _weighed(xp, out, gamma, beta, shape, dtype):
    out = out if gamma is None else out * xp.reshape(gamma, shape)
    out = out if beta is None else out + xp.reshape(beta, shape)
    return out if out.dtype == dtype else xp.astype(out, dtype)


def _pullbacks(xp, x, gamma, beta, shape, axes, epsilon, kind):
    """Those to x, gamma and beta, the weights standing beside x in a `shape`."""
    x = wide(x)
    lead = x.ndim - len(shape)
    summed = (*range(lead), *(lead + i for i, n in enumerate(shape) if n == 1))

    def through_x(g):
        g = wide(g) if gamma is None else wide(g) * xp.reshape(gamma, shape)
        middle, deviation = _moments(xp, x, axes, epsilon, kind)
        unit = (x - middle) / deviation
        out = x / deviation if kind == DEVIATION else unit
        if kind == LENGTH:
            squares = xp.sum(x * x, axis=axes, keepdims=True)
            part = xp.sum(g * out, axis=axes, keepdims=True)
            part = xp.where(squares > epsilon * epsilon, part, 0.0)  # Else epsilon divides.
        else:
            part = xp.mean(g * out, axis=axes, keepdims=True)
        if kind == LAYER:
            g = g - xp.mean(g, axis=axes, keepdims=True)
        return (g - unit * part) / deviation

    def through_gamma(g):
        middle, deviation = _moments(xp, x, axes, epsilon, kind)
        out = (x - middle if kind == LAYER else x) / deviation
        return xp.reshape(xp.sum(wide(g) * out, axis=summed), gamma.shape)

    def through_beta(g):
        return xp.reshape(xp.sum(wide(g), axis=summed), beta.shape)

    return through_x, through_gamma, through_beta
