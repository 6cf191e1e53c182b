"""Records what layers that slide windows give in Keras 3.15, into tests/parity/golden.

    pip install keras==3.15.1 jax
    PYTHONPATH=tests python -m parity.make_convolution

JAX: with PyTorch, Keras 3.15.1 counts margins in means of odd windows. Each of `convolution_cases`
keeps its outputs, and the gradients of sum(cos(0), cos(1), ... times the outputs) for the inputs
and the weights.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
from parity.convolution_cases import convolution_cases, cotangent
from parity.packing import Pack

GOLDEN = Path(__file__).parent / "golden"


def record() -> None:
    pack, cases = Pack(), {}
    for case in convolution_cases():
        layer = getattr(keras.layers, case.name)(**case.options)
        layer.build(case.shape)
        arrays = case.arrays([weight.shape for weight in layer.weights])

        def call(x, weights, layer=layer):
            return layer.stateless_call(weights, [], x)[0]

        x, *weights = map(jax.numpy.asarray, arrays)
        out = np.asarray(call(x, weights))
        cosines = cotangent(out.shape)
        slope = jax.grad(lambda x, w, call=call, c=cosines: (call(x, w) * c).sum(), (0, 1))
        dx, gradients = slope(x, weights)
        cases[case.key] = {
            "name": case.name,
            "out": pack.encode(out),
            "gradients": [pack.encode(np.asarray(g)) for g in (dx, *gradients)],
        }
    pack.write(GOLDEN, "convolution", {"keras": keras.__version__, "cases": cases})


if __name__ == "__main__":
    record()
