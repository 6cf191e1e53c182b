"""The networks of `benchmarks/networks.py` as one writes them for PyTorch.

Modules are made in the order in which layers are made there, kind by kind: `torch_weights` copies
weights by that.  PyTorch gets what is faster for it: projections of queries, keys and values as one
product, and `scaled_dot_product_attention`.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


def convolution(before, filters, size=1, strides=1, activation=nn.ReLU, groups=1):
    """A convolution without a bias, its normalization, and an activation."""
    parts = [
        nn.Conv2d(before, filters, size, strides, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*parts, *([activation(inplace=True)] if activation else []))


class Around(nn.Module):
    """A sum of what goes around and through, and an activation."""

    def __init__(self, around, through, activation):
        super().__init__()
        self.around, self.through, self.activation = around, through, activation

    def forward(self, x):
        return self.activation(self.around(x) + self.through(x))


def resnet50():
    modules, channels = [convolution(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        filters = 64 * 2**stage
        for block in range(blocks):
            strides, last = (2 if stage and not block else 1), 4 * filters
            around = nn.Identity() if block else convolution(channels, last, 1, strides, None)
            through = nn.Sequential(
                convolution(channels, filters, 1, strides),
                convolution(filters, filters, 3),
                convolution(filters, last, activation=None),
            )
            modules.append(Around(around, through, nn.ReLU(inplace=True)))
            channels = last
    return nn.Sequential(*modules, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def mobilenet_v2():
    from ..benchmarks.networks import INVERTED

    usual = partial(convolution, activation=nn.ReLU6)
    modules, channels = [usual(3, 32, 3, 2)], 32
    for expansion, filters, blocks, first in INVERTED:
        for block in range(blocks):
            strides, inside = (1 if block else first), expansion * channels
            parts = [usual(channels, inside)] if expansion > 1 else []
            parts.append(usual(inside, inside, 3, strides, groups=inside))
            parts.append(convolution(inside, filters, activation=None))
            through = nn.Sequential(*parts)
            if strides == 1 and channels == filters:
                through = Around(nn.Identity(), through, nn.Identity())
            modules.append(through)
            channels = filters
    modules += [usual(channels, 1280), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*modules)


class UNet(nn.Module):
    def __init__(self, filters=32):
        super().__init__()
        sizes = [filters * 2**depth for depth in range(5)]

        def twice(before, filters):
            return nn.Sequential(convolution(before, filters, 3), convolution(filters, filters, 3))

        self.down = nn.ModuleList(twice(a, b) for a, b in zip([3, *sizes], sizes))
        self.doubled, self.up = nn.ModuleList(), nn.ModuleList()
        for size in reversed(sizes[:-1]):
            self.doubled.append(nn.ConvTranspose2d(2 * size, size, 2, 2))
            self.up.append(twice(2 * size, size))
        self.last = nn.Conv2d(filters, 1, 1)

    def forward(self, x):
        across = []
        for down in self.down:
            x = down(functional.max_pool2d(x, 2) if across else x)
            across.append(x)
        for doubled, up, other in zip(self.doubled, self.up, across[-2::-1]):
            x = up(torch.cat([other, doubled(x)], 1))
        return self.last(x)


class Attention(nn.Module):
    """Causal attention of a sequence to itself."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.into, self.out = (
            heads,
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.into(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(*parts, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class Transformer(nn.Module):
    def __init__(self, words=1000, width=512, depth=6, heads=8):
        super().__init__()
        norm = partial(nn.LayerNorm, width, eps=1e-3)
        self.embedding = nn.Embedding(words, width)
        self.blocks = nn.ModuleList()
        for _ in range(depth):
            network = [nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)]
            attention = nn.Sequential(norm(), Attention(width, heads))
            self.blocks.append(nn.ModuleList([attention, nn.Sequential(norm(), *network)]))
        self.last = nn.Sequential(norm(), nn.Linear(width, words))

    def forward(self, x):
        x = self.embedding(x)
        for attention, network in self.blocks:
            x = x + attention(x)
            x = x + network(x)
        return self.last(x)


class Lstm(nn.Module):
    def __init__(self, features=32, units=128, classes=10, depth=2):
        super().__init__()
        self.memory = nn.LSTM(features, units, num_layers=depth, batch_first=True)
        self.last = nn.Linear(units, classes)

    def forward(self, x):
        return self.last(self.memory(x)[0][:, -1])


def dense(*sizes):
    parts = []
    for before, after in pairwise(sizes):
        parts += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class Noise(nn.Module):
    def forward(self, x):
        return x + 0.1 * torch.randn_like(x) if self.training else x


class Last(nn.Module):
    """Channels last, as what flattens them here has them."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1)


def digits():
    def convolved(before, filters):
        norm = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
        return nn.Conv2d(before, filters, 3, padding=1), nn.ReLU(), norm

    return nn.Sequential(
        Noise(), *convolved(1, 32), *convolved(32, 32), nn.MaxPool2d(2), nn.Dropout(0.25),
        *convolved(32, 64), Last(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(1024, 10),
    )  # fmt: skip


NETWORKS = {
    "digits": digits,
    "ResNet-50": resnet50,
    "MobileNetV2": mobilenet_v2,
    "U-Net": UNet,
    "transformer": Transformer,
    "LSTM": Lstm,
    "small LSTM": lambda: Lstm(8, 32, depth=1),
    "MLP": lambda: dense(784, 512, 512, 10),
    "classifier": lambda: dense(64, 128, 64, 10),
}
