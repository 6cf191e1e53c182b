"""Complex numbers and their parts.  Complex results have no gradients."""

from __future__ import annotations

from ..arrays import Abstract, dtypes, namespace, primitive
from .calling import array_function, as_floats, together

__all__ = ["conj", "conjugate", "imag", "polar", "real", "view_as_complex", "view_as_real"]

_PARTS = {"complex64": "float32", "complex128": "float64"}


def _real_dtype(x) -> str:
    return _PARTS[dtypes.name(x.dtype)]


def _complex_dtype(x) -> str:
    return "complex128" if dtypes.name(x.dtype) == "float64" else "complex64"


@array_function(computes=False)
def conjugate(x):
    """The complex conjugate, elementwise; real numbers as they are."""
    return conjugated(x) if dtypes.is_complex(x) else x


conj = conjugate


@array_function(computes=False)
def real(x):
    """The real part, elementwise; real numbers as they are."""
    return real_part(x) if dtypes.is_complex(x) else x


@array_function(computes=False)
def imag(x):
    """The imaginary part, elementwise: 0 for real numbers."""
    return imaginary_part(x) if dtypes.is_complex(x) else namespace(x).zeros_like(x)


@primitive
def conjugated(x):
    """The conjugate of complex numbers."""
    return namespace(x).conj(x)


@conjugated.shape
def _(x):
    return x


@primitive
def real_part(x):
    """The real part of complex numbers."""
    return namespace(x).real(x)


@primitive
def imaginary_part(x):
    """The imaginary part of complex numbers."""
    return namespace(x).imag(x)


@real_part.shape
@imaginary_part.shape
def _(x):
    return Abstract(x.shape, _real_dtype(x))


@array_function("abs_", "angle")
def polar(abs_, angle):
    """The complex numbers of the sizes `abs_` and the angles `angle` in radians."""
    xp, (size, angle) = together((as_floats(abs_)[1], as_floats(angle)[1]))
    return joined(size * xp.cos(angle), size * xp.sin(angle))


@array_function()
def view_as_complex(x):
    """The complex numbers whose parts stand in the last axis: (..., 2) gives (...).

    Raises ValueError unless the last axis has 2 elements.
    """
    if x.ndim < 1 or x.shape[-1] != 2:
        raise ValueError(
            f"view_as_complex: the last axis must have 2 elements, got the shape {tuple(x.shape)}."
        )
    x = as_floats(x)[1]
    return joined(x[..., 0], x[..., 1])


@primitive
def joined(real, imaginary):
    """Complex numbers from their parts."""
    xp = namespace(real, imaginary)
    return real + xp.asarray(1j, dtype=dtypes.of(xp, _complex_dtype(real))) * imaginary


@joined.shape
def _(real, imaginary):
    return Abstract((real + imaginary).shape, _complex_dtype(real))


@array_function(computes=False)
def view_as_real(x):
    """The parts of complex numbers in a new last axis of 2: (...) gives (..., 2)."""
    return namespace(x).stack([real(x), imag(x)], axis=-1)
