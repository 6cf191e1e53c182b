"""PyTorch, eager and in a plain loop."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from .contestants import OPERATIONS, Contestant
from .torch_networks import NETWORKS
from .torch_weights import copy_weights


class Torch(Contestant):
    """As its users write it, with the layout of images that is faster for it."""

    packages = [torch]

    def __init__(self, folder: Path):
        super().__init__(folder)
        if threads := os.environ.get("OMP_NUM_THREADS"):
            torch.set_num_threads(int(threads))

    def load(self, name: str):
        model = self.model = NETWORKS[name]()
        copy_weights(model, np.load(self.folder / f"{name}.npz"))
        model.to(memory_format=torch.channels_last)
        self.adam = torch.optim.Adam(model.parameters(), eps=1e-7, fused=True)
        self.softmax = name == "digits"
        return model

    def forward(self, x):
        x = tensor(x)

        def work():
            self.model.eval()
            with torch.inference_mode():
                out = self.model(x)
                out = torch.softmax(out, -1) if self.softmax else out
            return (out.permute(0, 2, 3, 1) if out.ndim == 4 else out).numpy()

        return work

    def trained(self, x, y):
        """The loss of one step."""
        self.model.train()
        self.adam.zero_grad()
        out = self.model(x)
        if out.ndim == 4:
            loss = functional.binary_cross_entropy_with_logits(out, y)
        else:
            loss = functional.cross_entropy(out.flatten(0, -2), y.flatten())
        loss.backward()
        self.adam.step()
        return loss.detach()

    def step(self, x, y):
        x, y = tensor(x), tensor(y, classes=True)
        return lambda: float(self.trained(x, y))

    def epoch(self, x, y, batch):
        x, y = tensor(x), tensor(y, classes=True)

        def work():
            total = 0.0
            for rows in torch.randperm(len(x)).split(batch):
                total = total + self.trained(x[rows], y[rows])
            return float(total)

        return work

    def tape(self):
        weight = torch.linspace(0, 1, 8, dtype=torch.float64, requires_grad=True)
        other = torch.linspace(1, 2, 8, dtype=torch.float64)
        y = weight
        for _ in range(OPERATIONS // 3):
            y = torch.tanh(y * other + other)
        return torch.autograd.grad(y.sum(), weight)


def tensor(array: np.ndarray, classes: bool = False):
    """On the same memory, images with the axis of their channels second."""
    found = torch.from_numpy(array)
    if array.ndim == 4:
        return found.permute(0, 3, 1, 2)
    return found.long() if classes else found
