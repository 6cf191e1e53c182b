"""Records what `keras.ops.image` of Keras 3.15 gives, and its gradients, into tests/parity/golden.

    pip install keras==3.15.1 jax
    PYTHONPATH=tests python -m parity.make_ops_image

JAX, for it has all interpolations. Each of `image_cases` keeps its result and, for floats, the
gradient of sum(cos(0), cos(1), ... times the result) for the first array.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
from parity.image_cases import cotangent, image_cases
from parity.packing import Pack

GOLDEN = Path(__file__).parent / "golden"


def record() -> None:
    pack, cases = Pack(), {}
    for case in image_cases():
        function = getattr(keras.ops.image, case.function)
        first, *others = map(jax.numpy.asarray, case.arrays)

        def call(x, function=function, others=others, options=case.options):
            return function(x, *others, **options)

        out = np.asarray(call(first))
        cases[case.key] = {"out": pack.encode(out)}
        if first.dtype == np.float32:
            weights = cotangent(out.shape)
            gradient = jax.grad(lambda x, call=call, w=weights: (call(x) * w).sum())(first)
            cases[case.key]["gradient"] = pack.encode(np.asarray(gradient))
    pack.write(GOLDEN, "image_ops", {"keras": keras.__version__, "cases": cases})


if __name__ == "__main__":
    record()
