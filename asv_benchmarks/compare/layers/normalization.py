"""Normalization beside PyTorch's, on the CPU."""

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
