"""Convolution and pooling beside PyTorch's, on the CPU.

Both work on NumPy's layout; PyTorch calls it channels_last.
"""

from __future__ import annotations

from functools import partial

from .beside_torch import table

# (name, batch, size, channels, filters, window, stride, groups, both directions)
CONVOLUTIONS = (
    ("3x3", 8, 56, 64, 64, 3, 1, 1, False),
    ("3x3", 8, 28, 128, 128, 3, 1, 1, False),
    ("3x3", 8, 14, 256, 256, 3, 1, 1, False),
    ("3x3", 8, 7, 512, 512, 3, 1, 1, False),
    ("3x3", 1, 56, 64, 64, 3, 1, 1, False),
    ("3x3", 8, 56, 64, 64, 3, 1, 1, True),
    ("3x3", 8, 28, 128, 128, 3, 1, 1, True),
    ("3x3", 8, 14, 256, 256, 3, 1, 1, True),
    ("3x3, strides 2", 8, 56, 64, 128, 3, 2, 1, False),
    ("5x5", 8, 28, 64, 64, 5, 1, 1, False),
    ("1x1", 8, 56, 256, 64, 1, 1, 1, False),
    ("1x1", 8, 14, 256, 1024, 1, 1, 1, False),
    ("1x1", 8, 56, 256, 64, 1, 1, 1, True),
    ("stem 7x7, strides 2", 1, 224, 3, 64, 7, 2, 1, False),
    ("stem 7x7, strides 2", 8, 224, 3, 64, 7, 2, 1, False),
    ("few channels", 8, 56, 32, 32, 3, 1, 1, False),
    ("few channels", 8, 112, 16, 16, 3, 1, 1, False),
    ("few channels", 32, 28, 1, 32, 3, 1, 1, False),
    ("few channels", 8, 56, 32, 32, 3, 1, 1, True),
    ("depthwise", 8, 112, 32, 32, 3, 1, 32, False),
    ("depthwise", 1, 112, 32, 32, 3, 1, 32, False),
    ("depthwise", 8, 112, 32, 32, 3, 1, 32, True),
)
# (kind, batch, size, channels, window, stride, both directions)
POOLINGS = (
    ("max", 8, 112, 64, 2, 2, False),
    ("max", 8, 112, 64, 3, 2, False),
    ("average", 8, 112, 64, 2, 2, False),
    ("max", 8, 112, 64, 2, 2, True),
    ("max", 8, 112, 64, 3, 2, True),
    ("average", 8, 112, 64, 2, 2, True),
)


def convolution(size, batch, channels, filters, window, stride, groups, training):
    """PyTorch's convolution and ours, as functions that give arrays to compare."""
    import numpy as np
    import torch

    from gpulayers.ops.convolution import convolution as op

    rng, half = np.random.default_rng(0), window // 2
    x, bias = rng.normal(size=(batch, size, size, channels)), rng.normal(size=filters)
    kernel = rng.normal(size=(window, window, channels // groups, filters)) / window
    x, bias, kernel = (a.astype("float32") for a in (x, bias, kernel))
    options = {"strides": (stride,) * 2, "padding": ((half, half),) * 2, "dilations": (1, 1)}
    ours, options["groups"] = op.version("numpy"), groups
    there = [torch.from_numpy(a) for a in (x, kernel.transpose(3, 2, 0, 1).copy(), bias)]
    there[0] = there[0].permute(0, 3, 1, 2)
    there[1] = there[1].contiguous(memory_format=torch.channels_last)

    def theirs(*arrays):
        return torch.nn.functional.conv2d(*arrays, stride=stride, padding=half, groups=groups)

    def last(y):
        return y.permute(0, 2, 3, 1).numpy()

    if not training:

        def plain():
            with torch.no_grad():
                return [last(theirs(*there))]

        return plain, lambda: [ours(x, kernel, bias, **options)]
    g = rng.normal(size=ours(x, kernel, bias, **options).shape).astype("float32")
    g_there = torch.from_numpy(g).permute(0, 3, 1, 2)

    def both_theirs():
        given = [a.detach().requires_grad_() for a in there]
        theirs(*given).backward(g_there)
        dx, dk, db = (a.grad for a in given)
        return last(dx), dk.permute(2, 3, 1, 0).numpy(), db.numpy()

    def both():
        # Weights are new arrays in each step of training.
        _, pullback = ours(x, kernel.copy(), bias, needs=(True,) * 3, **options)
        return pullback(g)

    return both_theirs, both


def pooling(kind, batch, size, channels, window, stride, training):
    """PyTorch's pooling and ours."""
    import numpy as np
    import torch

    from gpulayers.ops import pooling as ops

    op, theirs = {
        "max": (ops.max_pooling, torch.nn.functional.max_pool2d),
        "average": (ops.average_pooling, torch.nn.functional.avg_pool2d),
    }[kind]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, size, size, channels)).astype("float32")
    there, ours = torch.from_numpy(x).permute(0, 3, 1, 2), op.version("numpy")
    options = {"windows": (window,) * 2, "strides": (stride,) * 2, "padding": ((0, 0),) * 2}

    def last(y):
        return y.permute(0, 2, 3, 1).numpy()

    if not training:
        return lambda: [last(theirs(there, window, stride))], lambda: [ours(x, **options)]
    g = rng.normal(size=ours(x, **options).shape).astype("float32")
    g_there = torch.from_numpy(g).permute(0, 3, 1, 2)

    def both_theirs():
        given = there.detach().requires_grad_()
        theirs(given, window, stride).backward(g_there)
        return [last(given.grad)]

    return both_theirs, lambda: ours(x, needs=(True,), **options)[1](g)


def cases():
    """What is compared: a name, and what makes both functions."""
    for name, batch, size, channels, filters, window, stride, groups, training in CONVOLUTIONS:
        shape = f"({batch}, {size}, {size}, {channels}) to {filters}"
        name = f"{name}{', training step' if training else ''}: {shape}"
        sizes = size, batch, channels, filters, window, stride, groups, training
        yield name, partial(convolution, *sizes)
    for kind, batch, size, channels, window, stride, training in POOLINGS:
        name = f"{kind} pooling {window}x{window}, strides {stride}"
        name += f"{', training step' if training else ''}: ({batch}, {size}, {size}, {channels})"
        yield name, partial(pooling, kind, batch, size, channels, window, stride, training)


if __name__ == "__main__":
    table(__doc__, cases)
