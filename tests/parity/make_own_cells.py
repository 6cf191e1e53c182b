"""Records what layers of own cells give in Keras 3.15 on PyTorch, into tests/parity/golden.

    pip install keras==3.15.1 torch
    PYTHONPATH=tests python -m parity.make_own_cells

Each of `own_cases` keeps what the cases of `make_recurrent` keep.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from keras import tree
from parity.own_cells import own_cases
from parity.packing import record
from parity.recurrent_cases import cotangent

GOLDEN = Path(__file__).parent / "golden"


def recorded(case):
    """The outputs and states of a case, and the gradients."""
    layer = case.make(keras.layers)
    layer(np.zeros(case.shape, "float32"))
    shapes = [tuple(weight.shape) for weight in layer.trainable_weights]
    x, mask, states, _, weights = case.arrays(shapes)
    for variable, weight in zip(layer.trainable_weights, weights, strict=True):
        variable.assign(weight)
    x, states = tree.map_structure(lambda a: torch.tensor(a, requires_grad=True), [x, states])
    given = {"initial_state": list(states)} if states else {}
    if mask is not None:
        given["mask"] = torch.tensor(mask)
    found = tree.flatten(layer(x, **given))
    total = sum((y * torch.tensor(cotangent(y.shape, i))).sum() for i, y in enumerate(found))
    arrays = [x, *tree.flatten(states), *(w.value for w in layer.trainable_weights)]
    gradients = torch.autograd.grad(total, arrays)
    return [y.detach().numpy() for y in found], [g.numpy() for g in gradients]


if __name__ == "__main__":
    record(GOLDEN, "own_cells", keras.__version__, own_cases(), recorded)
