"""CUDA kernels for `ops` on CuPy arrays, which register themselves when this is imported.

Each gives what its reference in `ops` gives.  `module` compiles and launches them; without this
package everything works on CuPy too, only slower.
"""

from . import (
    activation,
    attention,
    batch_normalization,
    bidirectional,
    casting,
    convolution,
    cross_entropy,
    dense,
    dropout,
    embedding,
    image,
    matching,
    normalization,
    optimizer,
    pooling,
    random,
    recurrent,
    reductions,
    scatter,
    scattering,
    softmax,
)

__all__ = [
    "activation",
    "attention",
    "batch_normalization",
    "bidirectional",
    "casting",
    "convolution",
    "cross_entropy",
    "dense",
    "dropout",
    "embedding",
    "image",
    "matching",
    "normalization",
    "optimizer",
    "pooling",
    "random",
    "recurrent",
    "reductions",
    "scatter",
    "scattering",
    "softmax",
]
