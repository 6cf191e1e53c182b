"""What a step of training does in fewer passes than its layers apart: there and back at once.

The gradients are those of half the sum of the squares of all results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import prod

from gpu_cases import Floats, Operation, passes


def there_and_back(function: Callable) -> Callable:
    """The gradients of a function of arrays by all of them."""

    def step(*arrays):
        from gpulayers import tree
        from gpulayers.arrays import Tape

        with Tape() as tape:
            watched = [tape.watch(x) for x in arrays]
            results = tree.flatten(function(*watched))
        return tape.gradient(results, watched, [y.value for y in results])

    return step


def by_torch(function: Callable) -> Callable:
    """The same there."""

    def step(F, *tensors):
        import torch

        with torch.enable_grad():
            watched = [x.detach().requires_grad_() for x in tensors]
            results = function(F, *watched)
        results = results if isinstance(results, tuple) else (results,)
        return torch.autograd.grad(results, watched, [y.detach() for y in results])

    return step


def fused() -> Iterator[Operation]:
    """Products with an activation whose gradient needs what it is given; residuals and norms."""
    from gpulayers.ops.activation import gelu
    from gpulayers.ops.dense import dense, product
    from gpulayers.ops.normalization import normalized_sum

    exactly = partial(gelu, approximate=False)

    def sum_and_norm(x, other, gamma, beta):
        return normalized_sum(x, other, gamma, beta, axes=(x.ndim - 1,), epsilon=1e-5)

    def norm_by_torch(F, x, other, gamma, beta):
        total = x + other
        return total, F.layer_norm(total, total.shape[-1:], gamma, beta)

    once = {"directions": ("forward",)}
    yield Operation(
        "dense", "step of dense + gelu", ((16384, 512, 2048), (8192, 4096, 4096)),
        lambda m, k, n: [Floats((m, k)), Floats((k, n)), Floats((n,))],
        lambda e, m, k, n: (e * (3 * m * k + 3 * k * n + 4 * m * n), 0),
        there_and_back(lambda x, w, b: product(dense, x, w, b, exactly)),
        by_torch(lambda F, x, w, b: F.gelu(F.linear(x, w.T, b))),
        flops=lambda m, k, n: (6 * m * k * n, 0), dtypes=("bfloat16", "float16", "float32"),
        **once,
    )  # fmt: skip
    yield Operation(
        "normalization", "step of a sum + layer normalization", ((16384, 512), (32768, 1024)),
        lambda *shape: [Floats(shape), Floats(shape), *[Floats(shape[-1:])] * 2],
        passes(8, 0), there_and_back(sum_and_norm), by_torch(norm_by_torch), **once,
    )  # fmt: skip
    yield Operation(
        "convolution", "step of convolution + silu", ((64, 28, 28, 128),),
        lambda *shape: [Floats(shape), Floats((3, 3, shape[-1], shape[-1])), Floats(shape[-1:])],
        passes(7, 0), there_and_back(_convolution), by_torch(_convolution_by_torch),
        dtypes=("float16",), flops=lambda *shape: (54 * prod(shape) * shape[-1], 0), **once,
    )  # fmt: skip


def _convolution(x, kernel, bias):
    from gpulayers.ops.activation import silu
    from gpulayers.ops.convolution import convolved

    how = (1, "same", "channels_last", 1)
    return convolved("a step", x, kernel, *how, bias, silu)


def _convolution_by_torch(F, x, kernel, bias):
    """Images with channels last, as they lie."""
    y = F.conv2d(x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), bias, padding="same")
    return F.silu(y)
