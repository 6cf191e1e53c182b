"""Steps of optimizers beside PyTorch's, on the CPU.

Weights and gradients of a ResNet's sizes, 25 million in all; PyTorch's fused kernels where it has
them.  Ours makes new weights, so that whoever holds old ones keeps these; PyTorch's rewrites them.
"""

from __future__ import annotations

from functools import partial

from .beside_torch import table

SHAPES = ((512, 512, 3, 3),) * 8 + ((2048, 1000),) + ((64,), (512,)) * 50 + ((1024, 1024),) * 4
RATE = 1e-4
# (name, our options, PyTorch's)
OPTIMIZERS = (
    ("Adam", {"epsilon": 1e-7}, {"eps": 1e-7, "fused": True}),
    ("AdamW", {"epsilon": 1e-7, "weight_decay": 0.01}, {"eps": 1e-7, "fused": True}),
    ("SGD", {"momentum": 0.9}, {"momentum": 0.9, "fused": True}),
    ("SGD", {}, {"fused": True}),
    ("RMSprop", {"rho": 0.9, "epsilon": 1e-7}, {"alpha": 0.9, "eps": 1e-7}),
)


def steps(name, options, others):
    """A step of PyTorch's optimizer and of ours, as functions that give the first weights."""
    import numpy as np
    import torch

    from gpulayers import Variable, optimizers

    rng = np.random.default_rng(0)
    weights, gradients = (
        [rng.normal(size=shape).astype("float32") for shape in SHAPES] for _ in range(2)
    )
    there = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in weights]
    for parameter, g in zip(there, gradients, strict=True):
        parameter.grad = torch.from_numpy(g)
    theirs = getattr(torch.optim, name)(there, RATE, **others)
    here = [Variable(w) for w in weights]
    ours = getattr(optimizers, name)(RATE, **options)

    def step_there():
        theirs.step()
        return [there[0].detach().numpy()]

    def step():
        ours.apply(gradients, here)
        return [here[0].numpy()]

    return step_there, step


def cases():
    """What is compared: a name, and what makes both functions."""
    for name, options, others in OPTIMIZERS:
        momentum = ", momentum" if "momentum" in options else ""
        yield f"{name}{momentum}", partial(steps, name, options, others)


if __name__ == "__main__":
    table(__doc__, cases)
