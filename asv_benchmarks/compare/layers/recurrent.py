"""Recurrent layers beside PyTorch's, on the CPU.

Layers are called as users call them, on sequences with the axis of the batch first here and second
there, which is what each has by default; a training step gives the gradients of the inputs and of
all weights.  Convolutional memories, which PyTorch has not, are compared with those of Keras on
PyTorch.
"""

from __future__ import annotations

import os
from functools import partial

from .beside_torch import table

STEPS = 100
# (kind, batch, inputs and units)
LAYERS = (
    ("LSTM", 32, 128),
    ("LSTM", 32, 512),
    ("LSTM", 1, 32),
    ("GRU", 32, 128),
    ("GRU", 32, 512),
    ("GRU", 1, 32),
)
# (batch, steps, size, channels, filters)
FILMS = ((8, 10, 32, 3, 16), (4, 10, 40, 16, 32))
ORDERS = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2)}  # Of PyTorch's gates, by place here.


def ours_of(layer, x, training, g=None):
    """The function that calls a layer of ours on `x`, or differentiates it; with new weights."""
    from gpulayers import Tape

    if not training:
        return lambda: [layer(x)]

    def both():
        for weight in layer.trainable_weights:  # They are new arrays in each step of training.
            weight.assign(weight.numpy().copy())
        with Tape() as tape:
            watched = tape.watch(x)
            out = layer(watched, training=True)
        return tape.gradient(out, [watched, *layer.trainable_weights], g)

    return both


def recurrent(kind, batch, size, training):
    """PyTorch's layer and ours, as functions that give arrays to compare."""
    import numpy as np
    import torch

    from gpulayers import layers

    rng = np.random.default_rng(0)
    x, g = (rng.normal(size=(batch, STEPS, size)).astype("float32") for _ in range(2))
    theirs = getattr(torch.nn, kind)(size, size)
    layer = getattr(layers, kind)(size, return_sequences=True)
    layer(x)

    def gates_here(a):
        parts = np.split(a.detach().numpy(), len(ORDERS[kind]))
        return np.concatenate([parts[i] for i in ORDERS[kind]]).T

    def biases(weights):
        both = [gates_here(b) for b in weights]
        return np.stack(both) if kind == "GRU" else both[0]

    kernels, bias = list(theirs.parameters())[:2], list(theirs.parameters())[2:]
    if kind == "LSTM":  # Ours is one; theirs is the sum of both.
        with torch.no_grad():
            bias[1].zero_()
    layer.set_weights([*map(gates_here, kernels), biases(bias)])
    there, g_there = (torch.from_numpy(a.swapaxes(0, 1).copy()) for a in (x, g))

    def forward():
        with torch.no_grad():
            return [theirs(there)[0].numpy().swapaxes(0, 1)]

    def both():
        given = there.detach().requires_grad_()
        theirs.zero_grad()
        theirs(given)[0].backward(g_there)
        gradients = [*(gates_here(p.grad) for p in kernels), biases([p.grad for p in bias])]
        return [given.grad.numpy().swapaxes(0, 1), *gradients]

    return both if training else forward, ours_of(layer, x, training, g)


def films(batch, steps, size, channels, filters, training):
    """The convolutional memory of Keras on PyTorch, and ours."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import numpy as np
    import torch

    from gpulayers import layers

    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, steps, size, size, channels)).astype("float32")
    theirs, layer = (
        found.ConvLSTM2D(filters, 3, padding="same", return_sequences=True)
        for found in (keras.layers, layers)
    )
    layer(x)
    theirs(x)
    theirs.set_weights(layer.get_weights())
    there, g = torch.from_numpy(x), rng.normal(size=layer(x).shape).astype("float32")
    g_there = torch.from_numpy(g)

    def forward():
        with torch.no_grad():
            return [theirs(there).numpy()]

    def both():
        given = there.detach().requires_grad_()
        theirs.zero_grad()
        theirs(given, training=True).backward(g_there)
        return [given.grad.numpy(), *(w.value.grad.numpy() for w in theirs.trainable_weights)]

    return both if training else forward, ours_of(layer, x, training, g)


def cases():
    """What is compared: a name, and what makes both functions."""
    for training in (False, True):
        what = ", training step" if training else ""
        for kind, batch, size in LAYERS:
            name = f"{kind}{what}: ({batch}, {STEPS}, {size}) to {size}"
            yield name, partial(recurrent, kind, batch, size, training)
        for batch, steps, size, channels, filters in FILMS:
            name = f"ConvLSTM2D{what}: ({batch}, {steps}, {size}, {size}, {channels}) to {filters}"
            yield name, partial(films, batch, steps, size, channels, filters, training)


if __name__ == "__main__":
    table(__doc__, cases)
