"""Records what recurrent layers give in Keras 3.15, into tests/parity/golden.

    pip install keras==3.15.1 jax
    PYTHONPATH=tests python -m parity.make_recurrent

Each of `recurrent_cases` keeps its outputs and states, and the gradients of the sum of them, times
cosines, for the inputs, the initial states and the weights.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
from parity.packing import Pack
from parity.recurrent_cases import cotangent, recurrent_cases

GOLDEN = Path(__file__).parent / "golden"


def give_masks(cell, drops) -> None:
    """Let a cell drop by these masks of inputs and states; by a list where there are several."""
    for name, masks in zip(("_dropout_mask", "_recurrent_dropout_mask"), drops, strict=True):
        if masks:
            several = len(masks) > 1 or getattr(cell, "dropout_mask_count", None)
            value = masks if several else masks[0]
            object.__setattr__(cell, name, value)


def outputs_of(layer, case, x, mask, states, drops, weights):
    """The outputs and states of a call, in one list."""
    given = {"mask": mask} if mask is not None else {}
    if states:
        given["initial_state"] = list(states)
    if drops:
        give_masks(layer.cell, drops)
    fixed = [v.value for v in layer.non_trainable_variables]
    out, _ = layer.stateless_call(weights, fixed, x, training=bool(drops), **given)
    return jax.tree_util.tree_leaves(out)


def record() -> None:
    pack, cases = Pack(), {}
    for case in recurrent_cases():
        layer = case.make(keras.layers)
        layer(np.zeros(case.shape, "float32"))
        shapes = [weight.shape for weight in layer.trainable_weights]
        x, mask, states, drops, weights = case.arrays(shapes)

        def total(x, states, weights, case=case, layer=layer, mask=mask, drops=drops):
            found = outputs_of(layer, case, x, mask, states, drops, weights)
            sums = ((y * cotangent(y.shape, i)).sum() for i, y in enumerate(found))
            return sum(sums), found

        slope = jax.grad(total, (0, 1, 2), has_aux=True)
        (dx, dstates, gradients), found = slope(x, states, weights)
        cases[case.key] = {
            "outputs": [pack.encode(np.asarray(y)) for y in found],
            "gradients": [pack.encode(np.asarray(g)) for g in (dx, *dstates, *gradients)],
        }
    pack.write(GOLDEN, "recurrent", {"keras": keras.__version__, "cases": cases})
    size = sum(path.stat().st_size for path in GOLDEN.glob("recurrent*"))
    print(f"{len(cases)} cases, {size / 1024:.0f} KiB in {GOLDEN}")


if __name__ == "__main__":
    record()
