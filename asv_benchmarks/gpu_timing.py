"""How long work takes on a GPU, and how fast that GPU copies and multiplies.

A measurement is the time between two CUDA events.  Before each, a kernel reads a large array, so
that the caches hold nothing of the work's inputs (reading leaves nothing behind that would have to
be written back), and another one waits as long as Python needs to enqueue the work: the GPU then
does it without a gap.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from statistics import median
from time import perf_counter

import numpy as np

SOURCE = """
extern "C" __global__ void read_all(const float4* x, long long count, float* never) {
  float sum = 0;
  for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < count; i += (long long)gridDim.x * blockDim.x)
    sum += x[i].x + x[i].y + x[i].z + x[i].w;
  if (sum == 0.12345f) *never = sum;
}
extern "C" __global__ void copy_all(const float4* x, float4* y, long long count) {
  const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
  if (i < count) y[i] = x[i];
}
extern "C" __global__ void wait(long long cycles) {
  for (const long long start = clock64(); clock64() - start < cycles;) {}
}
"""  # noqa: E501
THREADS = 512
FLUSHED = 4  # Times the size of the cache.
LONGEST_WAIT = 0.02  # Seconds.
PRODUCTS = {"bfloat16": 8192, "float16": 8192, "float32": 4096}  # Square matrices of this size.
COPIED = (2**26, 2**28, 2**30)  # Bytes.


class Clock:
    """Times work on CuPy's current device.

    Args:
        cupy: the module.
        repeats: how often to do it.
        flush: whether caches are to be emptied, and Python's own time hidden.
    """

    def __init__(self, cupy, repeats: int = 30, flush: bool = True):
        self.cupy, self.repeats, self.flush = cupy, repeats, flush
        self._attributes = cupy.cuda.Device().attributes

    @cached_property
    def kernels(self):
        """The kernels of SOURCE by name."""
        module = self.cupy.RawModule(code=SOURCE, backend="nvrtc")
        return {name: module.get_function(name) for name in ("read_all", "copy_all", "wait")}

    @cached_property
    def _large(self):
        size = FLUSHED * max(self._attributes["L2CacheSize"], 2**26)
        return self.cupy.zeros((size // 4,), np.float32)

    def _prepare(self, seconds: float) -> None:
        """Empty the caches, and keep the GPU busy for so long."""
        blocks = (4 * self._attributes["MultiProcessorCount"],)
        large = self._large
        self.kernels["read_all"](blocks, (THREADS,), (large, np.int64(large.size // 4), large))
        cycles = int(seconds * self._attributes.get("ClockRate", 2_000_000) * 1000)
        self.kernels["wait"]((1,), (1,), (np.int64(cycles),))

    def seconds(self, work) -> float:
        """What the GPU needs for `work()`: the median."""
        events, (_, enqueueing) = self.cupy.cuda.Event, self.calls(work, 3)
        times = []
        for _ in range(self.repeats):
            start, end = events(), events()
            if self.flush:
                self._prepare(min(1.5 * enqueueing + 2e-5, LONGEST_WAIT))
            start.record()
            work()
            end.record()
            times.append((start, end))
        self.synchronize()
        return median(self.cupy.cuda.get_elapsed_time(*pair) for pair in times) / 1e3

    def calls(self, work, number: int) -> tuple[float, float]:
        """Seconds that each of `number` calls in a row takes, and that Python alone needs."""
        work()  # Compiles kernels, and gets memory.
        self.synchronize()
        begun = perf_counter()
        for _ in range(number):
            work()
        enqueued = perf_counter()
        self.synchronize()
        return (perf_counter() - begun) / number, (enqueued - begun) / number

    def synchronize(self) -> None:
        """Wait for the GPU."""
        self.cupy.cuda.get_current_stream().synchronize()

    def release(self) -> None:
        """Give memory that is free back to the GPU."""
        self.cupy.get_default_memory_pool().free_all_blocks()

    def bandwidths(self, sizes=COPIED) -> dict[str, float]:
        """Bytes read and written in a second by copies, by the bytes of the array copied.

        The better of CUDA's own copy and a kernel's.
        """
        found = {str(size): 2 * size / min(map(self.seconds, self._copies(size))) for size in sizes}
        self.release()
        return found

    def _copies(self, size: int) -> list:
        """The ways to copy so many bytes."""
        x = self.cupy.zeros((size // 4,), np.float32)
        y, count = self.cupy.zeros_like(x), np.int64(size // 16)
        blocks = (-(-int(count) // THREADS),)

        def by_cuda():
            y[...] = x

        def by_kernel():
            self.kernels["copy_all"](blocks, (THREADS,), (x, y, count))

        return [by_cuda, by_kernel] if self.flush else [by_cuda]  # The rig is no GPU.

    def rates(self, sizes=None) -> dict[str, float]:
        """Floating point operations in a second of cuBLAS's products, by dtype."""
        found = {}
        for dtype, n in (sizes or PRODUCTS).items():
            a, b = (numbers(self.cupy, (n, n), dtype, seed) for seed in (0, 1))
            found[dtype] = 2 * n**3 / self.seconds(lambda a=a, b=b: self.cupy.matmul(a, b))
        self.release()
        found["TF32"] = found["bfloat16"] / 2  # As on all GPUs that have it.
        return found


def numbers(cupy, shape, dtype: str, seed: int = 0, scale: float = 1.0):
    """Random numbers: a million different ones, again and again."""
    size = int(np.prod(shape))
    block = np.random.default_rng(seed).normal(scale=scale, size=min(size, 2**20))
    block = cupy.asarray(block.astype(kind(dtype)))
    if size > block.size:
        block = cupy.tile(block, -(-size // block.size))[:size]
    return block.reshape(shape)


def kind(dtype: str) -> np.dtype:
    """NumPy's dtype of that name."""
    from gpulayers.arrays import dtypes

    return dtypes.numpy_dtype(dtype)


@contextmanager
def launches():
    """Within it, a list gets the name of each kernel of gpulayers that is launched."""
    from gpulayers.cuda.module import Kernel

    names, launch = [], Kernel.__call__

    def noted(kernel, *args, **options):
        names.append(kernel.name)
        return launch(kernel, *args, **options)

    Kernel.__call__ = noted
    try:
        yield names
    finally:
        Kernel.__call__ = launch
