"""Matrix products of CuPy arrays: by cuBLAS, or by kernels of our own with what follows in them.

`matmul`, `tensordot` and `vecdot` are those of `namespace(x)` for CuPy arrays.  Transposed and
other views are read where they lie if their rows or columns are contiguous; batches are broadcast
without copies.  float16 and bfloat16 are summed in float32.  float32 is exact unless
`config.set_float32_matmul_precision("high")` allows TF32.  Other dtypes are left to CuPy.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..arrays import dtypes
from ..arrays.gaps import made_on_cupy
from . import cublas, products, warpgroups
from .activation import LINEAR, Curve, bias_activation
from .matrices import Matrices, batches, folded
from .module import FLOATS, c_type, capability, empty, other_work
from .products import HOPPER_INSTANCES, INSTANCES, _source

__all__ = ["HOPPER_INSTANCES", "INSTANCES", "_source", "affine", "matmul", "tensordot", "vecdot"]

# The depth of a product up to which our kernel, with bias and activation in it, beats cuBLAS and a
# pass over the result.  Per element of the result that pass moves two elements; ours costs more
# for each step of the depth, as it reaches a smaller part of the peak rate.  Estimates from peak
# rates and bandwidths, to be measured: H200 (90) ours 350, by warpgroups 550, cuBLAS 630 TFLOP/s in
# 16 bits, 4.3 TB/s of copying; A100 (80) 180, 250 and 1.7; float32 without tensor cores 40 and 50
# on an H200.
FUSED_DEPTH = {"warpgroups": 2048, "tensor cores, 90": 256, "tensor cores": 512, "none": 128}
# Below so many products a launch costs more than the work: one of ours instead of two.
LAUNCH_BOUND = 2**24


@made_on_cupy("matmul")
def matmul(a, b, /, *, out=None, accumulate: bool = False):
    """The matrix product over the last axis of `a` and the last but one of `b`.

    Args:
        a, b: (..., M, K) and (..., K, N). Axes before these are broadcast. A vector is a row on
            the left, a column on the right.
        out: where the result is written: C-contiguous, floats of the result's shape and dtype.
        accumulate: add to what is in `out`.

    Gives (..., M, N).  Raises ValueError if the sizes don't match.
    """
    if a.dtype != b.dtype or c_type(a.dtype) not in FLOATS:
        return _of_other_dtypes(a, b, out, accumulate)
    if not (a.ndim and b.ndim) or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: sizes do not match: {tuple(a.shape)} @ {tuple(b.shape)}.")
    left = a if a.ndim > 1 else a[None, :]
    right = b if b.ndim > 1 else b[:, None]
    lead = left.shape[:-2]
    if lead != right.shape[:-2]:
        lead = np.broadcast_shapes(lead, right.shape[:-2])
    rows, columns = left.shape[-2], right.shape[-1]
    shape = (*lead, *(rows,) * (a.ndim > 1), *(columns,) * (b.ndim > 1))
    if out is None:
        out = empty(shape, a.dtype)
    elif out.shape != shape or out.dtype != a.dtype or not out.flags.c_contiguous:
        raise ValueError(
            f"matmul: out must be C-contiguous, {shape} of {a.dtype.name}, got "
            f"{tuple(out.shape)} of {out.dtype.name}."
        )
    if out.size:
        _multiply(left, right, out.reshape(*lead, rows, columns), accumulate)
    return out


def _of_other_dtypes(a, b, out, accumulate):
    """Floats of two dtypes become one; the rest is left to CuPy."""
    import cupy

    if c_type(a.dtype) in FLOATS and c_type(b.dtype) in FLOATS:
        dtype = dtypes.numpy_dtype(dtypes.promote(a, b))
        return matmul(a.astype(dtype), b.astype(dtype), out=out, accumulate=accumulate)
    if out is not None:
        raise TypeError(f"matmul: out is for floats, got {a.dtype.name} and {b.dtype.name}.")
    return cupy.matmul(a, b)


def _multiply(a, b, y, accumulate) -> None:
    """y = a b (+ y) for arrays of two axes or more, none of them empty but perhaps in depth."""
    if a.shape[-1] == 0:
        if not accumulate:
            y.fill(0)
            other_work()
        return
    for left, right, result, count in batches(*folded(a, b, y)):
        multiply(left, right, result, count, accumulate)


def multiply(a: Matrices, b: Matrices, y: Matrices, batch: int = 1, accumulate=False) -> None:
    """y = a b (+ y) for each of a batch of matrices of one dtype; y is not transposed."""
    if by_cublas(a, b, y, batch):
        tf32 = products.tf32(y.array.dtype)
        cublas.gemm(a, b, y, batch=batch, accumulate=accumulate, tf32=tf32)
    else:
        result = products._flat(y, batch) if accumulate else None
        products.launch(a, b, y, batch=batch, added=result)


def by_cublas(a: Matrices, b: Matrices, y: Matrices, batch: int) -> bool:
    """Whether cuBLAS can be asked: CuPy refuses that while a stream is captured."""
    largest = max(y.rows, y.columns, a.columns, a.ld, b.ld, batch)
    if largest > cublas.LARGEST or cublas.library() is None or capturing():
        return False
    return c_type(y.array.dtype) != "bfloat16" or capability() >= 80  # It has none for older GPUs.


def capturing() -> bool:
    """Whether CuPy's current stream is being captured into a graph."""
    import cupy

    return cupy.cuda.get_current_stream().is_capturing()


def affine(a, b, bias=None, curve: Curve = LINEAR, *, keep=False, fused=None, added=None):
    """curve(a @ b + added + bias) of matrices, and what the bias is added to (None unless `keep`).

    Args:
        a, b: (M, K) and (K, N), of one floating dtype.
        bias: (N,) of that dtype, or None.
        added: (M, N), C-contiguous, or None; only if all is `fused`.
        curve: an activation function that kernels know.
        fused: all in one launch, or not; None for whatever is expected to be faster.
    """
    y = empty((a.shape[0], b.shape[1]), a.dtype)
    if fused is None:
        fused = fusing_wins(a, b, bias, curve, keep)
    if fused:
        saved = empty(y.shape, y.dtype) if keep else None
        if y.size:
            ((left, right, result, _),) = batches(a, b, y)
            products.launch(left, right, result, bias=bias, saved=saved, curve=curve, added=added)
        return y, saved
    matmul(a, b, out=y)
    if bias is None and curve == LINEAR:
        return y, y if keep else None
    made = bias_activation(y, bias, *curve[:2], in_place=not keep)
    return made, y if keep else None


def sum_of_affine(a, b, bias, curve: Curve, added):
    """curve(a @ b + added + bias), all in one launch; None if that is not expected to be faster
    than another for what is added."""
    if added is None:
        return affine(a, b, bias, curve)[0]
    if not fusing_wins(a, b, bias, curve, always=True):
        return None
    return affine(a, b, bias, curve, fused=True, added=added)[0]


def fusing_wins(a, b, bias, curve: Curve, keep=False, always=False) -> bool:
    """Whether our kernel is to be taken for a product with a bias and an activation, or (`always`)
    with something else to be done afterwards.

    keep: whether the product is kept, too, so that only reading it again is saved.
    """
    if bias is None and curve == LINEAR and not always:
        return False
    if capturing() or cublas.library() is None:
        return True
    depth = a.shape[1]
    if a.shape[0] * b.shape[1] * depth <= LAUNCH_BOUND:
        return True
    if products.path(a.dtype) == products.SIMT:
        kind = "none"
    elif a.dtype.itemsize == 2 and warpgroups.fits(a.shape[0], b.shape[1], depth, a.dtype):
        kind = "warpgroups"
    else:
        kind = "tensor cores, 90" if capability() >= 90 else "tensor cores"
    return depth <= FUSED_DEPTH[kind] // (2 if keep else 1)


@made_on_cupy("tensordot")
def tensordot(a, b, /, *, axes=2):
    """Products summed over axes of both; those of `a` that are left stand before those of `b`.

    axes: how many: the last ones of `a` and the first ones of `b`; or which ones: (of a, of b).
    """
    if isinstance(axes, int):
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    pairs = sorted((i % a.ndim, j % b.ndim) for i, j in zip(*axes, strict=True))
    of_a, of_b = [i for i, _ in pairs], [j for _, j in pairs]
    if any(a.shape[i] != b.shape[j] for i, j in pairs):
        raise ValueError(
            f"tensordot: sizes do not match: {tuple(a.shape)}, {tuple(b.shape)} over {axes}."
        )
    left = [i for i in range(a.ndim) if i not in of_a]
    right = [j for j in range(b.ndim) if j not in of_b]
    y = matmul(_as_matrix(a, left, of_a), _as_matrix(b, of_b, right))
    return y.reshape((*(a.shape[i] for i in left), *(b.shape[j] for j in right)))


def _as_matrix(x, rows, columns):
    """A matrix with some axes as its rows and the others as its columns: a view if possible."""
    sizes = [prod(x.shape[i] for i in axes) for axes in (rows, columns)]
    if [*columns, *rows] == list(range(x.ndim)):
        return x.reshape(sizes[::-1]).T
    return x.transpose(*rows, *columns).reshape(sizes)


@made_on_cupy("vecdot")
def vecdot(a, b, /, *, axis: int = -1):
    """Sums of products along an axis; complex elements of `a` are conjugated."""
    import cupy

    if a.shape[axis] != b.shape[axis]:
        raise ValueError(f"vecdot: sizes do not match: {tuple(a.shape)}, {tuple(b.shape)}.")
    a, b = cupy.moveaxis(a, axis, -1), cupy.moveaxis(b, axis, -1)
    a = cupy.conj(a) if a.dtype.kind == "c" else a
    return matmul(a[..., None, :], b[..., :, None])[..., 0, 0]
