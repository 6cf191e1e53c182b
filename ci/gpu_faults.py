"""A kernel with a fault that a tool of compute-sanitizer must find: `gpu_faults.py TOOL`.

Where the tool does not find it, what it says of our kernels means nothing.
"""

from __future__ import annotations

import sys

SOURCES = {
    "memcheck": "y[threadIdx.x + 64] = x[threadIdx.x];",  # Behind the end.
    "initcheck": "y[threadIdx.x] = z[threadIdx.x] + 1;",  # Of which nothing has been written.
    "racecheck": """
        __shared__ int s[64];
        s[threadIdx.x] = x[threadIdx.x];
        y[threadIdx.x] = s[63 - threadIdx.x];""",  # Without a barrier between.
    "synccheck": """
        if (threadIdx.x % 2) __syncthreads();
        y[threadIdx.x] = x[threadIdx.x];""",  # A barrier for half of a warp.
}


def source(tool: str) -> str:
    """The kernel, for 64 threads."""
    start = 'extern "C" __global__ void fault(const int* x, const int* z, int* y)'
    return f"{start} {{ {SOURCES[tool]} }}"


def main(tool: str) -> None:
    """Launch it."""
    import cupy
    import numpy as np

    cupy.cuda.set_allocator(None)  # In a pool, each array is followed by others.
    x, z = cupy.asarray(np.arange(64, dtype="int32")), cupy.empty((64,), "int32")
    y = cupy.asarray(np.zeros(64, "int32"))
    cupy.RawKernel(source(tool), "fault")((1,), (64,), (x, z, y))
    cupy.cuda.get_current_stream().synchronize()


if __name__ == "__main__":
    main(sys.argv[1])
