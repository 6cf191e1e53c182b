"""Inputs and targets for the models in `files`: the same for real Keras and for us."""

from __future__ import annotations

import numpy as np

SAMPLES = 12


def inputs(name: str):
    """The inputs of a model."""
    x = np.sin(np.arange(SAMPLES * 4, dtype="float32")).reshape(SAMPLES, 4)
    if name == "graph":
        return {"a": x, "b": np.cos(3 * x)}
    return np.arange(SAMPLES * 4, dtype="int32").reshape(SAMPLES, 4) % 7 if name == "tokens" else x


def targets(name: str):
    """The targets of a compiled model."""
    y = np.cos(np.arange(SAMPLES * 2, dtype="float32")).reshape(SAMPLES, 2)
    if name == "graph":
        return {"u": y, "v": 2 * y, "w": inputs(name)["a"]}
    if name == "tokens":
        return np.eye(2, dtype="float32")[np.arange(SAMPLES) % 2]
    return y[:, :1] if name == "subclassed" else y


def train(model, name: str) -> list[float]:
    """The losses of three epochs."""
    history = model.fit(
        inputs(name), targets(name), batch_size=5, epochs=3, shuffle=False, verbose=0
    )
    return history.history["loss"]


def leaves(outputs) -> list:
    """The arrays of nested outputs."""
    if isinstance(outputs, dict):
        return [outputs[key] for key in sorted(outputs)]
    return outputs if isinstance(outputs, list) else [outputs]
