"""Convolution and pooling beside PyTorch's, on the CPU.

For an interpreter that has PyTorch and what gpulayers needs.  Both work on NumPy's layout (PyTorch
calls it channels_last), with as many threads; they take turns, block by block of `--seconds`, and
results are compared first.  Printed are medians of the blocks' medians, and the median over turns
of how many times as fast gpulayers is.

Two cores of an EPYC of the Zen 5 kind (AVX-512), OpenBLAS 0.3.31, Numba 0.68, PyTorch 2.13 with
oneDNN 3.12, float32, both with 2 threads, nothing else at work, all in one run. Other runs gave
ratios up to a tenth, for little work and for pooling up to a third apart. The last column is from
an earlier run, without Numba.

What is slower than PyTorch, and what else was tried for it:

- Depthwise: what a box sees is copied with its margins first; PyTorch reads it where it is. Tiles
  of 8 rows instead of 16, which need fewer registers for addresses, were as fast.
- Few channels: with 16 filters, a row of a tile is one vector, and both threads reach 270 instead
  of 450 billion operations in a second. Rows of the copy that are 4 to 64 bytes longer changed
  nothing, so that it is not that all begin in the same bank of the cache.
- Little work: until a second thread wakes up, 40 microseconds pass.
- Without Numba, depthwise: `einsum` adds up 9 products of 3.2 million elements in 2.0 ms;
  `multiply` and `add` into the cache take 2.5, one `multiply` and `add.reduce` 3.2.
- Without Numba, pooling and its gradient: threads wait for Python's lock after each call, so that
  blocks as large as the cache are slower than larger ones, which read each pass from memory.
  Comparisons of rows, then of columns, written for one shape: 0.85 to 0.90 ms for 2x2 and 1.27 to
  1.48 for 3x3, where ours took 0.88 to 0.91 and 1.31 to 1.37 in the same runs, without PyTorch.

Further ones, in another run: transposed 4x4 with strides 2 0.66, 2x2 with strides 2 0.48, 3x3 1.3;
3x3 with dilation 2 0.77; 3x3x3 0.82, with strides 2 0.62; 1-D 1.2 to 1.4, in training 2.6; 32
groups of 4 channels 0.45, in training 0.52; depthwise 5x5 0.4 to 0.5, in training 2.1; two filters
for each channel 1.2, in training 1.9 to 2.1.

| | PyTorch, ms | gpulayers, ms | times as fast | without Numba |
| --- | ---: | ---: | ---: | ---: |
| 3x3: (8, 56, 56, 64) to 64 | 4.00 | 2.36 | 1.74 | 1.57 |
| 3x3: (8, 28, 28, 128) to 128 | 3.68 | 1.79 | 2.07 | 1.82 |
| 3x3: (8, 14, 14, 256) to 256 | 3.65 | 2.15 | 1.69 | 1.27 |
| 3x3: (8, 7, 7, 512) to 512 | 4.00 | 3.25 | 1.23 | 0.80 |
| 3x3: (1, 56, 56, 64) to 64 | 0.52 | 0.38 | 1.36 | 1.10 |
| 3x3, training step: (8, 56, 56, 64) to 64 | 13.05 | 7.23 | 1.74 | 1.54 |
| 3x3, training step: (8, 28, 28, 128) to 128 | 12.41 | 7.32 | 1.69 | 1.59 |
| 3x3, training step: (8, 14, 14, 256) to 256 | 12.48 | 9.44 | 1.32 | 0.90 |
| 3x3, strides 2: (8, 56, 56, 64) to 128 | 2.13 | 2.31 | 0.89 | 0.77 |
| 5x5: (8, 28, 28, 64) to 64 | 2.45 | 1.65 | 1.49 | 1.14 |
| 1x1: (8, 56, 56, 256) to 64 | 2.04 | 2.12 | 0.95 | 0.96 |
| 1x1: (8, 14, 14, 256) to 1024 | 1.78 | 1.99 | 0.90 | 0.89 |
| 1x1, training step: (8, 56, 56, 256) to 64 | 7.51 | 7.71 | 0.96 | 0.86 |
| stem 7x7, strides 2: (1, 224, 224, 3) to 64 | 0.53 | 0.64 | 0.82 | 0.62 |
| stem 7x7, strides 2: (8, 224, 224, 3) to 64 | 4.34 | 4.39 | 0.98 | 0.75 |
| few channels: (8, 56, 56, 32) to 32 | 0.97 | 0.67 | 1.45 | 0.86 |
| few channels: (8, 112, 112, 16) to 16 | 1.08 | 1.38 | 0.78 | 0.47 |
| few channels: (32, 28, 28, 1) to 32 | 0.12 | 0.19 | 0.65 | 0.38 |
| few channels, training step: (8, 56, 56, 32) to 32 | 3.62 | 2.43 | 1.47 | 0.88 |
| depthwise: (8, 112, 112, 32) to 32 | 0.62 | 0.91 | 0.68 | 0.24 |
| depthwise: (1, 112, 112, 32) to 32 | 0.08 | 0.17 | 0.45 | 0.18 |
| depthwise, training step: (8, 112, 112, 32) to 32 | 2.42 | 3.98 | 0.61 | 0.35 |
| max pooling 2x2, strides 2: (8, 112, 112, 64) | 0.84 | 0.56 | 1.52 | 0.92 |
| max pooling 3x3, strides 2: (8, 112, 112, 64) | 1.24 | 0.88 | 1.43 | 0.86 |
| average pooling 2x2, strides 2: (8, 112, 112, 64) | 0.53 | 0.46 | 1.15 | 0.62 |
| max pooling 2x2, strides 2, training step: (8, 112, 112, 64) | 3.08 | 2.63 | 1.18 | 0.58 |
| max pooling 3x3, strides 2, training step: (8, 112, 112, 64) | 3.36 | 3.19 | 1.05 | 0.38 |
| average pooling 2x2, strides 2, training step: (8, 112, 112, 64) | 2.43 | 1.54 | 1.58 | 0.79 |
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
