"""Whole steps on a GPU: an optimizer over all weights of a model, and training by a small one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import prod

import numpy as np
from gpu_cases import TINY, Case
from gpu_timing import numbers

BLOCK = (768, 2304), (2304,), (768, 768), (768,), (768, 3072), (3072,), (3072, 768), *[(768,)] * 5
# The weights of GPT-2's smallest.
LANGUAGE_MODEL = ((50257, 768), (1024, 768), *BLOCK * 12, (768,), (768,))
WIDTHS, BATCH = (512,) * 8 + (10,), 64


def steps(tiny: bool = False) -> Iterator[Case]:
    """Adam over the language model's weights, and a training step of eight layers."""
    shapes = LANGUAGE_MODEL
    if tiny:
        shapes = tuple(tuple(min(n, TINY) for n in shape) for shape in shapes[:14])
    count = sum(map(prod, shapes))
    yield Case(
        "optimizer", f"Adam, {len(shapes)} weights", (count,), "float32", 7 * 4 * count, 0,
        lambda cupy: adam(cupy, shapes), lambda torch: torch_adam(torch, shapes), passes=7,
    )  # fmt: skip
    widths = tuple(min(n, TINY) for n in WIDTHS) if tiny else WIDTHS
    for family, how in (("training", "eager"), ("capture", "captured")):
        yield Case(
            family, f"8 layers, {how}", (BATCH, *widths[:1]), "float32", 0, 0,
            lambda cupy, captured=how == "captured": training(cupy, widths, captured),
            lambda torch: torch_training(torch, widths), whole_step=True,
        )  # fmt: skip


def adam(cupy, shapes):
    from gpulayers import Variable, optimizers

    variables = [Variable(numbers(cupy, s, "float32", 0, 0.02)) for s in shapes]
    gradients = [numbers(cupy, s, "float32", 1, 0.02) for s in shapes]
    optimizer = optimizers.Adam(1e-4)
    return lambda: optimizer.apply(gradients, variables)


def torch_adam(torch, shapes):
    weights = [torch.randn(s, device="cuda").mul_(0.02).requires_grad_() for s in shapes]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    return torch.optim.Adam(weights, 1e-4, fused=True).step


def batch(widths):
    """Inputs and labels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, widths[0])).astype("float32")
    return x, rng.integers(0, widths[-1], BATCH).astype("int32")


def training(cupy, widths, captured: bool):
    import gpulayers as gl
    from gpulayers.layers import Dense, Input

    if captured:
        from gpulayers.cuda import capture  # noqa: F401  (an ImportError says that it is not there)
    hidden = [Dense(n, activation="relu") for n in widths[1:-1]]
    model = gl.Sequential([Input((widths[0],)), *hidden, Dense(widths[-1])])
    loss = gl.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(gl.optimizers.Adam(1e-3), loss, jit_compile=captured)
    data, step = tuple(map(cupy.asarray, batch(widths))), model.make_train_function()
    return lambda: step(data)


def torch_training(torch, widths):
    layers = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [torch.nn.ReLU()] * (i > 0) + [torch.nn.Linear(a, b)]
    model = torch.nn.Sequential(*layers).cuda()
    x, y = (torch.from_numpy(a).cuda() for a in batch(widths))
    optimizer, y = torch.optim.Adam(model.parameters(), 1e-3, fused=True), y.long()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step
