"""What tests of recurrent layers' operations on a GPU need."""

from __future__ import annotations

import numpy as np
from kernel_checks import check_version

from gpulayers.arrays import Tape
from gpulayers.ops.recurrent import gru, lstm, simple_rnn

# Name: the operation, how many states and gates it has, options.
CELLS = {
    "simple_rnn": (simple_rnn, 1, 1, {}),
    "lstm": (lstm, 2, 4, {}),
    "gru": (gru, 1, 3, {}),
    "gru, reset before": (gru, 1, 3, {"reset_after": False}),
}
# Roundings of states and gates to the dtype, which a few steps carry on.
TOLERANCE = {"float64": 1e-11, "float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}


def arrays_for(cell, count, steps, width, units, *, bias=True, masked=False, seed=0):
    """Arguments of a cell's operation, so that gates are neither open nor shut."""
    _, states, gates, _ = CELLS[cell]
    random = np.random.default_rng(seed)

    def normal(*shape, scale=1.0):
        return random.normal(size=shape) * scale

    two = cell == "gru"
    mask = random.random((count, steps)) < 0.7 if masked else None
    return (
        normal(count, steps, width), *(normal(count, units, scale=0.5) for _ in range(states)),
        normal(width, gates * units, scale=width**-0.5),
        normal(units, gates * units, scale=units**-0.5),
        normal(*(2,) * two, gates * units, scale=0.3) if bias else None, mask,
    )  # fmt: skip


def check(cupy, cell, count, steps, width, units, *, dtype="float32", options=None, **how):
    """The version for CuPy gives what the reference gives in float64, with all gradients."""
    op, _, _, own = CELLS[cell]
    order = how.pop("order", "C")
    # Gradients of weights are sums over sequences and steps.
    atol = how.pop("atol", TOLERANCE[dtype]) * max(1, (count * steps) ** 0.5 / 4)
    arrays = arrays_for(cell, count, steps, width, units, **how)
    return check_version(
        cupy, op, *arrays, dtype=dtype, atol=atol, rtol=atol, order=order, **own, **(options or {})
    )


def check_bad_sequence(cupy, cell):
    """What a sequence has seen, or a masked step, is in no other's states."""
    op, _, _, options = CELLS[cell]
    x, *rest, _ = arrays_for(cell, 3, 4, 2, 5)
    mask = np.ones((3, 4), bool)
    mask[2, 1] = False
    wanted = op.reference(x, *rest, mask, **options)
    x = x.copy()
    x[0, 1] = x[2, 1] = np.nan
    found = op(*(cupy.asarray(a.astype("f4")) for a in (x, *rest)), cupy.asarray(mask), **options)
    for f, w in zip(*((a,) if op is not lstm else a for a in (found, wanted)), strict=True):
        np.testing.assert_allclose(f.get()[1:], w[1:], rtol=1e-5, atol=1e-5)
        assert np.isnan(f.get()[0, 1:]).all()


def check_bad_masked_steps(cupy, cell):
    """What masked steps have seen is in no gradient."""
    op, _, _, options = CELLS[cell]
    x, *rest, mask = arrays_for(cell, 3, 4, 2, 5, masked=True)
    found = []
    for value in (0.0, np.nan):
        given = [np.where(mask[:, :, None], x, value), *rest]
        with Tape() as tape:
            watched = [tape.watch(cupy.asarray(a.astype("f4"))) for a in given]
            out = op(*watched, cupy.asarray(mask), **options)
        found.append(tape.gradient(list(out) if isinstance(out, tuple) else [out], watched))
    for clean, bad in zip(*found, strict=True):
        np.testing.assert_array_equal(clean.get(), bad.get())
