"""Matrix products with a bias: the affine map of Dense layers, and what follows a product."""

from __future__ import annotations

from ..arrays import devices, dtypes, namespace, plain, primitive
from .activation import sigmoid, tanh
from .rectifier import relu

__all__ = ["dense"]

# Activations that are applied within products: their gradient needs only their own result.
FUSED = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh}
FUSED_NAMES = {activation: name for name, activation in FUSED.items()}


def before_activation(xp, g, out, name: str | None):
    """The gradient `g` of `out`, the result of the activation `name`, as one of its argument."""
    if name == "relu":
        return xp.where(out > 0, g, 0.0)
    if name == "sigmoid":
        return g * out * (1 - out)
    return g if name is None else g * (1 - out * out)


@primitive
def dense(x, kernel, bias=None, *, activation=None):
    """activation(x @ kernel + bias), in one step.

    Args:
        x: (..., D).
        kernel: (D, U).
        bias: (U,), or None for none.
        activation: a name in `FUSED` ("relu", "sigmoid", "tanh"), or None.

    Gives (..., U).  Raises ValueError if the sizes don't match.
    """
    xp = namespace(x, kernel)
    require_sizes(x, kernel)
    if not dtypes.is_floating(x):
        x = xp.astype(x, kernel.dtype)
    y = xp.matmul(x, kernel)
    if bias is not None:
        y = y + bias
    return y if activation is None else FUSED[activation](y)


def require_sizes(x, kernel) -> None:
    """Raise ValueError unless the last axis of `x` is as long as the first of `kernel`."""
    if not x.ndim or x.shape[-1] != kernel.shape[0]:
        raise ValueError(
            f"dense: the last axis of x must have the {kernel.shape[0]} elements that a kernel of "
            f"shape {tuple(kernel.shape)} expects, got x of shape {tuple(x.shape)}."
        )


@primitive
def activated(x, kernel, bias=None, *, operation, activation, **options):
    """activation(operation(x, kernel, bias)): a product, and any function of each element of it.

    Args:
        x, kernel, bias, options: of `operation`, which is `dense` or `convolution`.
        activation: a primitive of an array, or a `partial` of one.

    The function's gradient may need what it was given; who takes it into a product keeps that.
    """
    return activation(operation(x, kernel, bias, **options))


def product(operation, x, kernel, bias, activation, **options):
    """`operation` with an activation: a name in `FUSED`, a function as in `activated`, or None."""
    if not callable(activation):
        return operation(x, kernel, bias, activation=activation, **options)
    if devices.is_cupy(plain(x)):  # Elsewhere nothing takes it in.
        options["operation"] = operation
        return activated(x, kernel, bias, activation=activation, **options)
    return activation(operation(x, kernel, bias, **options))


@dense.vjp
def _(xp, out, x, kernel, bias=None, *, activation=None):
    def pullback(g):
        g = before_activation(xp, g, out, activation)
        rows = xp.reshape(g, (-1, g.shape[-1]))
        inputs = xp.reshape(x, (-1, x.shape[-1]))
        if not dtypes.is_floating(x):
            inputs = xp.astype(inputs, kernel.dtype)
        return (
            xp.matmul(g, xp.matrix_transpose(kernel)),
            xp.matmul(xp.matrix_transpose(inputs), rows),
            None if bias is None else xp.sum(rows, axis=0),
        )

    return pullback
