"""Convolution of CuPy arrays and its gradients: without copies of what windows see.

| geometry | by |
| --- | --- |
| windows of 1 that move by 1, one group | a matrix product of `gemm` |
| a group for each channel | `depthwise` |
| all others | products with gathered operands: convolution.cu |

float16 and bfloat16 are summed in float32.  float32 is exact unless
`config.set_float32_matmul_precision("high")` allows TF32.  On GPUs of sm_90 warpgroups multiply
what is large enough (`warpgroups`): all but TF32's kernel gradient.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

from ..ops import convolution as ops
from ..ops.sliding import counts as counts_of
from . import depthwise, gemm, hopper, products, warpgroups
from .activation import LINEAR, Curve, before, curve_of
from .geometry import Geometry, geometry, struct
from .module import Module, blocks, contiguous, empty, is_float, multiprocessors, other_work
from .partial_sums import accumulator

_source = Module("convolution")
_hopper = Module("convolution", hopper.SM_90A)

THREADS = 256  # Of convolution_finish.

INSTANCES = [
    {
        "T": dtype, "PASS": way, "ROWS": rows, "COLUMNS": columns, "TENSOR": path,
        "WHOLE_A": whole_a, "WHOLE_B": whole_b, "ACTIVATION": activation,
    }
    for dtype, way, rows, columns, path, whole_a, whole_b, activation in (
        ("float16", "FORWARD", 128, 128, products.TENSOR, True, True, "RELU"),
        ("float16", "FORWARD", 128, 64, products.TENSOR, True, True, "LINEAR"),
        ("bfloat16", "INPUT", 128, 128, products.TENSOR, True, True, "LINEAR"),
        ("bfloat16", "KERNEL", 128, 128, products.TENSOR, True, True, "LINEAR"),
        ("float16", "INPUT", 64, 64, products.TENSOR, False, False, "RELU"),
        ("float32", "FORWARD", 128, 64, products.TENSOR_TF32, True, True, "LINEAR"),
        ("float32", "INPUT", 128, 64, products.TENSOR_TF32, True, True, "LINEAR"),
        ("bfloat16", "INPUT", 128, 64, products.TENSOR, True, True, "LINEAR"),
        ("bfloat16", "KERNEL", 128, 64, products.TENSOR, True, True, "LINEAR"),
        ("float32", "KERNEL", 128, 64, products.TENSOR_TF32, True, True, "LINEAR"),
        ("float32", "KERNEL", 64, 64, products.TENSOR_TF32, False, False, "LINEAR"),
        ("float32", "FORWARD", 128, 64, products.SIMT, True, True, "TANH"),
        ("float32", "INPUT", 128, 64, products.SIMT, True, True, "LINEAR"),
        ("float32", "KERNEL", 128, 64, products.SIMT, True, True, "LINEAR"),
        ("bfloat16", "FORWARD", 64, 64, products.SIMT, False, False, "SIGMOID"),
        ("float16", "FORWARD", 128, 64, products.TENSOR, False, True, "LINEAR"),
        ("float16", "FORWARD", 128, 64, products.TENSOR, True, False, "LINEAR"),
        ("float16", "KERNEL", 128, 64, products.TENSOR, False, False, "LINEAR"),
        ("float64", "INPUT", 64, 64, products.SIMT, True, True, "LINEAR"),
    )
]  # fmt: skip
HOPPER_INSTANCES = [
    {
        "T": dtype, "PASS": way, "ROWS": warpgroups.ROWS, "COLUMNS": columns,
        "TENSOR": warpgroups.PATH, "WHOLE_A": True, "WHOLE_B": True, "ACTIVATION": activation,
    }
    for dtype, way, columns, activation in (
        ("float16", "FORWARD", 64, "RELU"),
        ("bfloat16", "FORWARD", 128, "RELU"),
        ("bfloat16", "FORWARD", 256, "LINEAR"),
        ("float16", "INPUT", 64, "RELU"),
        ("bfloat16", "INPUT", 128, "LINEAR"),
        ("float16", "KERNEL", 64, "LINEAR"),
        ("bfloat16", "KERNEL", 128, "LINEAR"),
        ("float16", "KERNEL", 256, "LINEAR"),
        ("float32", "FORWARD", 128, "RELU"),
        ("float32", "INPUT", 128, "LINEAR"),
    )
]  # fmt: skip


@ops.convolution.on("cupy")
def _(
    x, kernel, bias=None, *, strides, padding, dilations, groups=1, activation=None, added=None,
    needs=None,
):  # fmt: skip
    """With any Curve as its `activation`; in inference with an array `added` before that."""
    if x.ndim > 5 or not is_float(x, kernel, bias):
        return NotImplemented
    windows, filters = kernel.shape[:-2], kernel.shape[-1]
    count = counts_of(x.shape[1:-1], windows, strides, padding, dilations)
    geo = geometry(
        len(x), x.shape[-1], filters, x.shape[1:-1], count, windows, strides, padding, dilations,
        groups,
    )  # fmt: skip
    if not geo.is_small:
        return NotImplemented
    x, kernel = contiguous(x), contiguous(kernel)
    bias = None if bias is None else contiguous(bias)
    after = curve_of(activation)
    y, z = forward(x, kernel, bias, geo, after, added, needs is not None and after.needs_input)
    if y is None:
        return NotImplemented
    y = y.reshape(len(x), *count, filters)
    if needs is None:
        return y
    saved = y if z is None else z.reshape(y.shape)

    def pullback(g):
        g, dbias = before(contiguous(g), saved, bias, after, needs)
        dx = input_gradient(g, kernel, geo).reshape(x.shape) if needs[0] else None
        return dx, kernel_gradient(x, g, geo).reshape(kernel.shape) if needs[1] else None, dbias

    return y, pullback


@ops.convolution_input_gradient.on("cupy")
def _(
    g, kernel, bias=None, *, sizes, strides, padding, dilations, groups=1, activation=None,
    added=None, needs=None,
):  # fmt: skip
    """In inference of transposed convolutions with what follows, as that of convolutions."""
    if needs is not None or g.ndim > 5 or not is_float(g, kernel, bias):
        return NotImplemented
    channels = kernel.shape[-2] * groups
    geo = geometry(
        len(g), channels, g.shape[-1], tuple(sizes), g.shape[1:-1], kernel.shape[:-2], strides,
        tuple(padding), dilations, groups,
    )  # fmt: skip
    if not geo.is_small:
        return NotImplemented
    g, kernel = contiguous(g), contiguous(kernel)
    after = curve_of(activation)
    if bias is None and after == LINEAR and added is None:
        dx = input_gradient(g, kernel, geo)
    else:
        bias = None if bias is None else contiguous(bias)
        dx = transposed(g, kernel, bias, geo, after, added)
        if dx is None:
            return NotImplemented
    return dx.reshape(len(g), *sizes, channels)


@ops.convolution_kernel_gradient.on("cupy")
def _(x, g, *, windows, strides, padding, dilations, groups=1, needs=None):
    if needs is not None or x.ndim > 5 or not is_float(x, g):
        return NotImplemented
    geo = geometry(
        len(x), x.shape[-1], g.shape[-1], x.shape[1:-1], g.shape[1:-1], tuple(windows), strides,
        tuple(padding), dilations, groups,
    )  # fmt: skip
    if not geo.is_small:
        return NotImplemented
    dk = kernel_gradient(contiguous(x), contiguous(g), geo)
    return dk.reshape(*windows, x.shape[-1] // groups, g.shape[-1])


# Of C-contiguous arrays; results have the elements that the caller wants, in whatever shape.


def forward(x, kernel, bias, geo: Geometry, curve: Curve, added=None, keep=False):
    """curve(x * kernel + added + bias), and what the bias is added to (None unless `keep`); None
    for the former if something else than one launch is better."""
    if geo.is_product:
        a, b = x.reshape(geo.places, geo.channels), kernel.reshape(geo.channels, geo.filters)
        if added is not None:
            return gemm.sum_of_affine(a, b, bias, curve, added), None
        return gemm.affine(a, b, bias, curve, keep=keep)
    if added is not None and depthwise.serves(geo):
        return None, None
    y = empty((geo.places * geo.filters * geo.groups,), x.dtype)
    saved = empty(y.shape, y.dtype) if keep else None
    if depthwise.serves(geo):
        depthwise.forward(x, kernel, bias, geo, curve, y, saved)
    elif y.size:
        sizes = geo.places, geo.filters, prod(geo.windows) * geo.channels
        _launch("FORWARD", x, kernel, bias, y, geo, *sizes, curve, added, saved)
    return y, saved


def input_gradient(g, kernel, geo: Geometry):
    """The gradient of y's sum with weights g by x."""
    if geo.places == 0:
        return _zeros(geo.batch * prod(geo.sizes) * geo.channels * geo.groups, g.dtype)
    if geo.is_product:
        return gemm.matmul(*_matrices(g, kernel, geo))
    if depthwise.serves(geo):
        return depthwise.input_gradient(g, kernel, geo)
    return _back(g, kernel, geo)


def transposed(g, kernel, bias, geo: Geometry, curve: Curve, added):
    """curve(that + added + bias); None if something else than one launch is better."""
    if geo.places == 0 or depthwise.serves(geo):
        return None
    if geo.is_product:
        return gemm.sum_of_affine(*_matrices(g, kernel, geo), bias, curve, added)
    return _back(g, kernel, geo, bias, curve, added)


def _matrices(g, kernel, geo: Geometry):
    """The factors of the gradient by x, where it is a product."""
    return g.reshape(geo.places, geo.filters), kernel.reshape(geo.channels, geo.filters).T


def _back(g, kernel, geo: Geometry, *after):
    """What of each place goes back to what it saw; `after`: bias, curve, added."""
    dx = empty((geo.batch * prod(geo.sizes) * geo.channels * geo.groups,), g.dtype)
    # Of the residue that has most of both.
    rows = geo.batch * prod(blocks(n, s) for n, s in zip(geo.sizes, geo.strides, strict=True))
    taps = prod(blocks(k, s) for k, s in zip(geo.windows, geo.strides, strict=True))
    if any(d > 1 for d in geo.dilations):
        taps = prod(geo.windows)
    if dx.size:
        bias, *rest = after or (None,)
        _launch("INPUT", g, kernel, bias, dx, geo, rows, geo.channels, taps * geo.filters, *rest)
    return dx


def kernel_gradient(x, g, geo: Geometry):
    """The gradient of y's sum with weights g by the kernel."""
    if geo.places == 0:
        return _zeros(prod(geo.windows) * geo.channels * geo.filters * geo.groups, x.dtype)
    if geo.is_product:
        a, b = x.reshape(geo.places, geo.channels), g.reshape(geo.places, geo.filters)
        return gemm.matmul(a.T, b)
    if depthwise.serves(geo):
        return depthwise.kernel_gradient(x, g, geo)
    rows = prod(geo.windows) * geo.channels
    dk = empty((rows * geo.filters * geo.groups,), x.dtype)
    if dk.size:
        _launch("KERNEL", x, g, None, dk, geo, rows, geo.filters, geo.places)
    return dk


def _zeros(size, dtype):
    x = empty((size,), dtype)
    x.fill(0)
    other_work()
    return x


# Tiles that a block computes: the first that gives each multiprocessor one, else the last, with a
# split depth.  Large tiles load less for each product, but for 32-bit elements the largest leaves
# too few registers for what finds them.  Estimated from loads and registers, for all
# architectures; not yet measured.
TILES = {
    "16 bits, wide": ((128, 128), (64, 64)),
    "16 bits": ((128, 64), (64, 64)),
    "32 bits": ((128, 64), (64, 64)),
    "64 bits": ((64, 64),),
}
WIDE = 64  # Columns that are too few for the wide ones.


@lru_cache(maxsize=1024)
def tiling(rows, columns, depth, batch, kind, most) -> tuple[int, int, int, int]:
    """A tile's rows and columns, in how many parts the depth is split, and the depth of each."""
    if kind == "16 bits" and columns > WIDE:
        kind = "16 bits, wide"
    for tile in TILES[kind]:
        tiles = batch * blocks(rows, tile[0]) * blocks(columns, tile[1])
        if tiles >= most:
            break
    splits = max(min(2 * most // tiles, depth // products.LEAST_DEPTH), 1)
    each = max(blocks(blocks(depth, splits), products.STEP), 1) * products.STEP
    return *tile, max(blocks(depth, each), 1), each


def _launch(way, a, b, bias, y, geo, rows, columns, depth, curve=LINEAR, added=None, saved=None):
    """One launch, or two if the depth is split; `rows` and `depth` are those of a residue."""
    dtype = y.dtype
    residues = prod(geo.strides) if way == "INPUT" else 1
    path = products.path(dtype)
    chunk = 4 if path == products.SIMT else 16 // dtype.itemsize  # CHUNK in tiles.cuh.
    inner = geo.filters if way == "INPUT" else geo.channels
    constants = {
        "T": dtype, "PASS": way, "ACTIVATION": curve.name,
        "WHOLE_A": inner % chunk == 0 and a.data.ptr % 16 == 0,
        "WHOLE_B": geo.filters % chunk == 0 and b.data.ptr % 16 == 0,
    }  # fmt: skip
    size, batch = (rows, columns, depth), residues * geo.groups
    adds = added is not None or saved is not None
    widest = 128 if adds or way == "INPUT" else 256  # There more need too many registers.
    found = _for_warpgroups(way, b, size, batch, path, widest) if constants["WHOLE_A"] else None
    if found and constants["WHOLE_B"]:
        source, name, threads = _hopper, "convolution_of_warpgroups", warpgroups.THREADS
        (wide, splits, each), mapped = found
        tall, path, operands = warpgroups.ROWS, warpgroups.PATH, (a, b, mapped)
        shared = warpgroups.shared(wide)
    else:
        bits = 16 if path == products.TENSOR else max(8 * dtype.itemsize, 32)
        source, name, operands = _source, "convolution", (a, b)
        tall, wide, splits, each = tiling(*size, batch, f"{bits} bits", multiprocessors())
        threads, shared = 2 * wide, (tall + wide) * (192 if path else 0)
    constants |= {"ROWS": tall, "COLUMNS": wide, "TENSOR": path}
    partial = empty((splits * y.size,), accumulator(dtype)) if splits > 1 else None
    down, numbers = blocks(rows, tall), struct(geo)
    source.kernel(name, **constants)(
        down * blocks(columns, wide) * batch * splits, threads,
        *operands, bias, added, y, saved, partial, numbers, down, residues, splits, each,
        *curve.parameters, shared=shared + (tall + wide) * 24 + 320,
    )  # fmt: skip
    if partial is not None:
        grid = blocks(blocks(columns, 8) * (y.size // columns), THREADS)
        finish = source.kernel("convolution_finish", **constants)
        finish(grid, THREADS, partial, bias, added, y, saved, numbers, splits, *curve.parameters)


def _for_warpgroups(way, b, size, batch, path, widest):
    """What `warpgroups.tiling` says of a product, and the map of b; None if others multiply it.

    TF32 is multiplied along the depth only: so the kernel is turned for it, and its gradient, a
    product across the depth of both, is not for warpgroups.
    """
    depth, item = size[-1], b.dtype.itemsize
    if path == products.SIMT or not warpgroups.serves(b.dtype) or (item == 4 and way == "KERNEL"):
        return None
    found = warpgroups.tiling(*size, batch, item, multiprocessors(), widest)
    if found is None or way == "INPUT":
        return found and (found, hopper.NO_MAP)
    step, all_columns = warpgroups.LINE // item, b.size // depth
    if item == 4:
        b = b.reshape(depth, all_columns).T.copy()
        lines, box = (all_columns, depth), (1, found[0], step)
    else:
        lines, box = (depth, all_columns), (1, step, step)
    return found, hopper.tensor_map(b, (1, *lines), (lines[1], lines[1], 1), box)
