"""The rig: runs CUDA kernels on the CPU, to check them where there is no GPU.  See README.md."""

from .compiler import CompileError, why_not
from .launching import (
    CUDADriverError,
    RawKernel,
    RawModule,
    RigError,
    blocks_at_once,
    schedule,
)

__all__ = [
    "CUDADriverError", "CompileError", "RawKernel", "RawModule", "RigError", "blocks_at_once",
    "schedule", "why_not",
]  # fmt: skip
