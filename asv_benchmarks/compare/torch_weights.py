"""Weights of gpulayers for the modules of `torch_networks`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from .torch_networks import Attention


def copy_weights(model: nn.Module, weights: dict[str, np.ndarray]) -> None:
    """Put weights into a model.

    Args:
        model: a network of `torch_networks`.
        weights: of layers here by "kind/number/place", see `contestants.weights_of`.
    """
    numbers: dict[str, int] = {}

    def following(kind: str) -> list[np.ndarray]:
        """The weights of the next layer of that kind."""
        number = numbers[kind] = numbers.get(kind, -1) + 1
        names = [name for name in weights if name.startswith(f"{kind}/{number}/")]
        return [weights[name] for name in sorted(names)]

    inner = {id(m) for a in model.modules() if isinstance(a, Attention) for m in a.children()}
    for module in model.modules():
        if id(module) not in inner:
            with torch.no_grad():
                for tensor, array in zip(tensors(module), arrays(module, following), strict=True):
                    tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))


def tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    """What a module holds: all of attention, its own of others."""
    if isinstance(module, Attention):
        yield from module.parameters()
        return
    yield from module.parameters(recurse=False)
    if isinstance(module, nn.BatchNorm2d):
        yield from (module.running_mean, module.running_var)


def arrays(module: nn.Module, following) -> Iterator[np.ndarray]:
    """The same from the next layer here of a module's kind, in PyTorch's layout."""
    match module:
        case Attention():
            yield from packed(following("MultiHeadAttention"))
        case nn.LSTM():
            for _ in range(module.num_layers):
                yield from gates(*following("LSTM"))
        case nn.Conv2d() if module.groups > 1:
            yield from (kernel.transpose(2, 3, 0, 1) for kernel in following("DepthwiseConv2D"))
        case nn.Conv2d() | nn.ConvTranspose2d():
            transposed = isinstance(module, nn.ConvTranspose2d)
            kernel, *bias = following("Conv2DTranspose" if transposed else "Conv2D")
            yield from (kernel.transpose(3, 2, 0, 1), *bias)
        case nn.Linear():
            kernel, bias = following("Dense")
            yield from (kernel.T, bias)
        case nn.BatchNorm2d():
            yield from following("BatchNormalization")
        case nn.LayerNorm():
            yield from following("LayerNormalization")
        case nn.Embedding():
            yield from following("Embedding")


def packed(weights: list[np.ndarray]):
    """Of the three projections of attention one, and that of its output."""
    *inward, kernel, bias = weights
    kernels, biases = inward[::2], inward[1::2]
    width = len(kernels[0])
    return (
        np.concatenate([k.reshape(width, -1).T for k in kernels]),
        np.concatenate([b.ravel() for b in biases]),
        kernel.reshape(-1, width).T,
        bias,
    )


def gates(kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray):
    """Weights of an LSTM, whose gates stand in the same order; PyTorch has two biases."""
    return kernel.T, recurrent.T, bias, np.zeros_like(bias)
