"""Optimizers, weights and gradients that several tests use."""

import numpy as np

from gpulayers.arrays import Variable, dtypes

KINDS = [
    "SGD", "Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Adagrad", "Adadelta", "Ftrl", "Lion",
    "Lamb", "Adafactor", "Muon", "ScheduleFreeAdamW",
]  # fmt: skip


def make(*shapes, dtype="float32", asarray=np.asarray):
    """Weights with values of both signs, and a gradient for each."""
    rng = np.random.default_rng(3)
    draw = lambda s: asarray(rng.normal(size=s).astype(dtypes.numpy_dtype(dtype)))
    return [Variable(draw(s), name=f"w{i}") for i, s in enumerate(shapes)], [
        draw(s) for s in shapes
    ]
