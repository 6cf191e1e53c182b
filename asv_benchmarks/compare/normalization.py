"""Normalization beside PyTorch's, on the CPU.

See `beside_torch` for how it is measured, and `convolution` for where: in one run.  Others
gave ratios up to a fifth apart, and PyTorch's root mean square anything from 1 to 24 ms.  The
last column is from an earlier run, without Numba.

Without Numba, each operation is a pass over the array, and PyTorch's kernels do several in one.
What a pass over 2^19 elements takes on one core, microseconds: sums of rows or columns by BLAS 24,
of products of rows (`vecdot`) 26 and of columns (`einsum`) 60; an array times a long row 37 in
place and 55 into another array; times a column, in rows of 1024, 73 and 91.  So layer
normalization, with three sums and four passes that write, two of these by columns, takes 310 for
each 2^19: two threads 1.3 ms for (4096, 1024) if none ever waited, when PyTorch needs 0.5.  The
same passes by themselves, written for this one shape, take 1.7 to 1.85 ms, as measured beside ours
with 1.7 to 1.9; the gradient's 3.75 and ours 3.85.

| | PyTorch, ms | gpulayers, ms | times as fast | without Numba |
| --- | ---: | ---: | ---: | ---: |
| batch: (8, 56, 56, 64) | 0.28 | 0.41 | 0.70 | 0.49 |
| batch: (8, 14, 14, 256) | 0.07 | 0.12 | 0.59 | 0.33 |
| layer: (4096, 1024) | 0.55 | 0.64 | 0.86 | 0.29 |
| layer: (8, 196, 768) | 0.15 | 0.14 | 1.07 | 0.31 |
| root mean square: (4096, 1024) | 11.16 | 0.45 | 25.42 | 1.86 |
| group: (8, 56, 56, 64) | 0.19 | 0.38 | 0.50 | 0.31 |
| batch, training step: (8, 56, 56, 64) | 0.76 | 1.05 | 0.72 | 0.45 |
| batch, training step: (8, 14, 14, 256) | 0.18 | 0.27 | 0.66 | 0.33 |
| layer, training step: (4096, 1024) | 1.94 | 2.10 | 0.91 | 0.92 |
| layer, training step: (8, 196, 768) | 0.39 | 0.41 | 0.95 | 0.26 |
| root mean square, training step: (4096, 1024) | 24.12 | 1.71 | 13.85 | 5.97 |
| group, training step: (8, 56, 56, 64) | 0.81 | 1.12 | 0.75 | 0.39 |
"""

from __future__ import annotations

from functools import partial

from .beside_torch import table

# (kind, shape): channels last; the statistics of batches are their own.
CASES = (
    ("batch", (8, 56, 56, 64)),
    ("batch", (8, 14, 14, 256)),
    ("layer", (4096, 1024)),
    ("layer", (8, 196, 768)),
    ("root mean square", (4096, 1024)),
    ("group", (8, 56, 56, 64)),
)
EPSILON = 1e-3


def operations(kind, shape):
    """PyTorch's function of tensors with channels in front, and our version with its options."""
    import torch.nn.functional as theirs

    from gpulayers.ops import normalization as ops
    from gpulayers.ops.batch_normalization import normalized_in_batch

    width, last = shape[-1:], {"axes": (len(shape) - 1,), "epsilon": EPSILON}
    functions = {
        "batch": lambda x, gamma, beta: theirs.batch_norm(
            x, None, None, gamma, beta, training=True, eps=EPSILON
        ),
        "layer": lambda x, gamma, beta: theirs.layer_norm(x, width, gamma, beta, EPSILON),
        "root mean square": lambda x, gamma: theirs.rms_norm(x, width, gamma, EPSILON),
        "group": lambda x, gamma, beta: theirs.group_norm(x, 8, gamma, beta, EPSILON),
    }
    op, options = {
        "batch": (normalized_in_batch, {"axis": -1, "epsilon": EPSILON}),
        "layer": (ops.normalized_along, last),
        "root mean square": (ops.normalized_along, last | {"kind": ops.ROOT_MEAN_SQUARE}),
        "group": (ops.normalized_in_groups, {"axis": -1, "groups": 8, "epsilon": EPSILON}),
    }[kind]
    return functions[kind], partial(op.version("numpy"), **options)


def normalization(kind, shape, training):
    """Both, as functions that give arrays to compare."""
    import numpy as np
    import torch

    theirs, ours = operations(kind, shape)
    rng, images = np.random.default_rng(0), len(shape) == 4
    weights = (shape[-1:],) if kind == "root mean square" else (shape[-1:],) * 2
    arrays = [rng.normal(size=size).astype("float32") for size in (shape, *weights)]
    g, zeros = rng.normal(size=shape).astype("float32"), np.zeros(shape[-1], "float32")

    def first(x):
        tensor = torch.from_numpy(x)
        return tensor.permute(0, 3, 1, 2) if images else tensor

    def last(y):
        return (y.permute(0, 2, 3, 1) if images else y).numpy()

    there, g_there = [first(arrays[0]), *map(torch.from_numpy, arrays[1:])], first(g)

    def plain_theirs():
        with torch.no_grad():
            return [last(theirs(*there))]

    def plain():
        y = ours(*arrays)
        return [y[0] if kind == "batch" else y]

    def both_theirs():
        given = [a.detach().requires_grad_() for a in there]
        theirs(*given).backward(g_there)
        return last(given[0].grad), *(a.grad.numpy() for a in given[1:])

    def both():
        _, pullback = ours(*arrays, needs=(True,) * len(arrays))
        return pullback((g, zeros, zeros) if kind == "batch" else g)[: len(arrays)]

    return (both_theirs, both) if training else (plain_theirs, plain)


def cases():
    """What is compared: a name, and what makes both functions."""
    for training in (False, True):
        for kind, shape in CASES:
            name = f"{kind}{', training step' if training else ''}: {shape}"
            yield name, partial(normalization, kind, shape, training)


if __name__ == "__main__":
    table(__doc__, cases)
