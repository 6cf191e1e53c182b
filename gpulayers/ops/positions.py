"""Positions in sequences, as attention is told of them."""

from __future__ import annotations

from ..arrays import Abstract, devices, dtypes, namespace, primitive
from ..arrays.short_floats import cast
from .batch_normalization import wide
from .calling import array_function
from .floating import floating

__all__ = ["rotary_embedding"]


@array_function("x", "positions")
def rotary_embedding(x, positions=None, max_wavelength=10000.0, interleaved=False):
    """Queries or keys, turned by angles that grow with their positions.

    The product of a query and a key that are turned so depends on how far apart they stand, not
    on where: (Su, Lu, Pan, Murtadha, Wen, Liu, "RoFormer: enhanced transformer with rotary position
    embedding", 2021, arXiv:2104.09864). Pair i of a head's H numbers, (a, b), at position p becomes

        (a cos t - b sin t, b cos t + a sin t)  with  t = p / max_wavelength^(2 i / H).

    Args:
        x: floats (B, T, N, H) with an even H: samples, positions, heads, sizes.
        positions: (T,), or (B, T) if they differ between samples; 0 ... T - 1 by default.
        max_wavelength: the paper's 10000.
        interleaved: whether pair i is (x[2 i], x[2 i + 1]), as in the paper, GPT-J and the weights
            that Meta gave out for LLaMA; by default it is (x[i], x[i + H / 2]), as in GPT-NeoX,
            KerasHub, and Hugging Face's LLaMA.

    Raises ValueError for other shapes.
    """
    x = floating(x)[1]
    if x.ndim != 4 or x.shape[3] % 2:
        raise ValueError(
            "rotary_embedding: x must have 4 axes (samples, positions, heads, sizes), the last "
            f"of an even size, got shape {tuple(x.shape)}."
        )
    if positions is None:
        xp = namespace(x)
        positions = xp.arange(x.shape[1], device=devices.device_of(x))
    if tuple(positions.shape) not in (x.shape[1:2], x.shape[:2]):
        raise ValueError(
            f"rotary_embedding: positions must have the shape {tuple(x.shape[1:2])} or "
            f"{tuple(x.shape[:2])}, got {tuple(positions.shape)}."
        )
    return turned(x, positions, max_wavelength=max_wavelength, interleaved=bool(interleaved))


@primitive
def turned(x, positions, *, max_wavelength: float, interleaved: bool, back: bool = False):
    """`rotary_embedding` in float32 at least; with `back` by the opposite angles."""
    xp, dtype = namespace(x, positions), dtypes.name(x.dtype)
    x, half = wide(x), x.shape[3] // 2
    places = xp.arange(half, dtype=x.dtype, device=devices.device_of(x))
    angles = xp.expand_dims(xp.astype(positions, x.dtype), axis=-1) * max_wavelength ** -(
        places / max(half, 1)
    )
    angles = xp.expand_dims(angles, axis=-2)  # (T, 1, H / 2), or with samples before.
    cos, sin = xp.cos(angles), xp.sin(angles)
    if back:
        sin = -sin
    shape = (*x.shape[:3], half, 2) if interleaved else (*x.shape[:3], 2, half)
    axis = 4 if interleaved else 3
    a, b = xp.unstack(xp.reshape(x, shape), axis=axis)
    out = xp.stack([a * cos - b * sin, b * cos + a * sin], axis=axis)
    return cast(xp.reshape(out, x.shape), dtype)


@turned.shape
def _(x, positions, **options):
    return Abstract(x.shape, x.dtype)


@turned.vjp
def _(xp, out, x, positions, *, back=False, **options):
    return (lambda g: turned(g, positions, back=not back, **options)), None
