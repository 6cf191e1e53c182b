"""CuPy images read at other places and changed in colour: one read and one write of them.

Where a colour adds a part of an image's mean, as contrast does, the means are needed before: the
images are read once more for each of these, and nothing is written but a few sums.
"""

from __future__ import annotations

import numpy as np

from ..arrays import devices, dtypes
from ..ops.cutting import cut, starts
from ..ops.warping import warped
from .module import Module, blocks, contiguous, empty

_source = Module("image")

THREADS, MOST, STAGES, SUMMED = 256, 4, 8, 16  # As in the source.
MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
FROM_BYTES = ("uint8", "float32", "float16", "bfloat16")
INSTANCES = [
    *({"T": "uint8", "Y": kind} for kind in FROM_BYTES),
    *({"T": kind, "Y": kind} for kind in FROM_BYTES[1:]),
]
STRUCT = np.dtype(
    [("from", "i8", 4), ("to", "i8", 4), ("images", "i8"), ("channels", "i8"), ("sizes", "i8", 2)]
    + [("counts", "i8", 2), ("mode", "i8"), ("nearest", "i8"), ("packed", "i8"), ("stages", "i8")]
    + [("fill", "f4"), ("low", "f4", STAGES), ("high", "f4", STAGES), ("end", "f4")]
)  # Sizes are multiples of 8 bytes in C, too.


@warped.on("cupy")
def _(
    images, matrix=None, colours=None, means=None, moves=None, *, needs=None, dtype=None, **options
):
    dtype = dtypes.numpy_dtype(dtypes.name(images.dtype) if dtype is None else dtype)
    constants = {"T": images.dtype, "Y": dtype}
    if needs is not None or not _is_compiled(constants) or not _fits(images, options):
        return NotImplemented
    given = (matrix, colours, means, moves)
    if any(a is not None and a.dtype != np.float32 for a in given):
        return NotImplemented
    n, height, width, channels = images.shape
    height, width = options.get("size") or (height, width)
    y = _empty_like(images, (n, height, width, channels), dtype)
    if not y.size:
        return y
    if colours is None:
        means = None
    given = (a if a is None else contiguous(a) for a in (matrix, moves, colours, means))
    matrix, moves, colours, means = given
    images = images.copy() if _in_memory(images) is None else images
    told = _told(images, y, **options)
    images = _in_memory(images)
    averages = None
    if means is not None:
        arrays = (images, matrix, moves, colours, means)
        averages = _averages(constants, arrays, told, y.shape, options)
    count = blocks(height * width, THREADS)
    kernel = _source.kernel("warp_images", **constants)
    arrays = (images, matrix, moves, colours, means, averages, _in_memory(y))
    kernel(n * count, THREADS, *arrays, count, told)
    return y


@cut.on("cupy")
def _(images, top, left, *, needs=None, size, dtype=None):
    if needs is not None:
        return NotImplemented
    matrix = np.tile(np.eye(3, dtype=np.float32), (len(top), 1, 1))
    matrix[:, 1::-1, 2] = starts(images.shape, top, left, size)
    there = devices.put(matrix, devices.home_of(images))
    how = {"size": size, "exact": True, "dtype": dtype}
    return warped.version("cupy")(images, there, **how)


def _is_compiled(constants) -> bool:
    kinds = {"T": dtypes.name(constants["T"]), "Y": dtypes.name(constants["Y"])}
    return kinds in INSTANCES


def _fits(images, options) -> bool:
    """Whether the kernels take images of these sizes, with so many colours."""
    n, height, width, channels = images.shape
    clips, size = options.get("clips", ()), options.get("size") or (height, width)
    if clips and (channels > MOST or len(clips) > STAGES):
        return False
    pixels = max(height * width, size[0] * size[1])
    blocks_of_all = n * blocks(max(size[0] * size[1], 1), THREADS)
    offsets = height * width * channels
    return images.size > 0 and max(pixels, offsets) < 2**30 and blocks_of_all < 2**31


def _in_memory(images):
    """Images (N, H, W, C) as they lie in memory, channels last or first; None for other views."""
    first = images.transpose(0, 3, 1, 2)
    return next((x for x in (images, first) if x.flags.c_contiguous), None)


def _empty_like(images, shape, dtype):
    """Memory for results, with channels first where the images have them first."""
    n, height, width, channels = shape
    if channels > 1 and images.strides[3] > images.strides[2]:
        return empty((n, channels, height, width), dtype).transpose(0, 2, 3, 1)
    return empty(shape, dtype)


def _told(
    images, y, size=None, exact=False, interpolation="bilinear", fill_mode="constant",
    fill_value=0.0, clips=(), averaged=(),
):  # fmt: skip
    """What the kernels are told beside the arrays."""
    told = np.zeros(1, STRUCT)
    for name, a in (("from", images), ("to", y)):
        told[name] = [stride // a.itemsize for stride in a.strides]
    told["images"], told["channels"] = len(y), y.shape[3]
    told["sizes"], told["counts"] = images.shape[1:3], y.shape[1:3]
    told["mode"], told["nearest"] = MODES.index(fill_mode), exact or interpolation == "nearest"
    told["packed"] = y.flags.c_contiguous
    told["stages"], told["fill"] = len(clips), fill_value
    for s, (low, high) in enumerate(clips):
        told["low"][0, s] = -np.inf if low is None else low
        told["high"][0, s] = np.inf if high is None else high
    return told


def _averages(constants, arrays, told, shape, options):
    """The mean colours (S, N, channels) of images at the stages that take a part of them."""
    n, height, width, channels = shape
    stages = len(options["clips"])
    averages = empty((stages * n * channels,), np.float32)
    count = blocks(height * width, THREADS * SUMMED)
    partial = empty((n * count * channels,), np.float32)
    sums = _source.kernel("image_sums", **constants)
    means = _source.kernel("image_means", **constants)
    for s in range(stages):
        if options.get("averaged") and not options["averaged"][s]:
            continue
        sums(n * count, THREADS, *arrays, averages, partial, count, s, told)
        first = s * n * channels
        means(n * channels, 32, partial, averages, count, channels, first, float(height * width))
    return averages
