"""Dropout: some elements become zero, the others grow to make up for it.

Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: "Dropout: a simple way to prevent neural
networks from overfitting", JMLR 2014.
"""

from __future__ import annotations

from ..arrays import dtypes, namespace, primitive, random


@primitive
def dropout(x, *, rate: float, noise_shape=None, seed: tuple[int, int]):
    """`x / (1 - rate)` where `random.dropout_mask` keeps an element, 0 elsewhere.

    Args:
        x: floating array of any shape.
        rate: the part to drop, 0 <= rate <= 1; 0 gives `x` itself, 1 gives zeros.
        noise_shape: sizes of the mask, which is broadcast to x's shape; None stands for x's own
            size, and for x's own shape.
        seed: the pair (seed, counter) of `SeedGenerator.next`, from which the gradient makes the
            same mask again.

    Raises TypeError unless `x` is floating, ValueError if the noise shape does not fit.
    """
    sizes = mask_sizes(x, noise_shape)
    if rate == 0:
        return x
    xp = namespace(x)
    zeros = xp.zeros_like(x)
    if rate == 1:
        return zeros
    kept = random.dropout_mask(sizes, rate, seed, like=x)
    return xp.where(kept, x * (1.0 / (1.0 - rate)), zeros)


@dropout.vjp
def _(xp, out, x, **options):
    return (lambda g: dropout(g, **options),)


def mask_sizes(x, noise_shape) -> tuple[int, ...]:
    """The sizes of the mask for `x`.  Raises as `dropout` does."""
    if not dtypes.is_floating(x):
        raise TypeError(f"dropout: expected a floating array, got {dtypes.name(x.dtype)}.")
    if noise_shape is None:
        return x.shape
    if len(noise_shape) == x.ndim:
        sizes = tuple(
            size if n is None else n for n, size in zip(noise_shape, x.shape, strict=True)
        )
        if all(n in (1, size) for n, size in zip(sizes, x.shape, strict=True)):
            return sizes
    raise ValueError(
        f"dropout: noise_shape {tuple(noise_shape)} does not broadcast to the input's shape "
        f"{tuple(x.shape)}: each size must be 1, None or the input's."
    )
