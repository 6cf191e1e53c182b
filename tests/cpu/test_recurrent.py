"""LSTM and GRU of NumPy arrays against their references."""

import numpy as np
import pytest

from gpulayers.arrays import Tape, namespace, plain
from gpulayers.ops.recurrent import gru, lstm

RANDOM = np.random.default_rng(1)
OPS = pytest.mark.parametrize(("op", "states", "gates"), [(lstm, 2, 4), (gru, 1, 3)])


def arrays_for(op, states, gates, dtype, n=3, steps=50, inputs=5, units=4, scale=0.5):
    shapes = [(n, steps, inputs), *[(n, units)] * states, (inputs, gates * units)]
    shapes += [(units, gates * units), (2, 12) if op is gru else (16,)]
    return [(RANDOM.normal(size=shape) * scale).astype(dtype) for shape in shapes]


@OPS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("masked", [False, True])
def test_results_and_gradients_are_the_references(op, states, gates, dtype, masked):
    arrays = arrays_for(op, states, gates, dtype)
    mask = RANDOM.random((3, 50)) < 0.7 if masked else None
    for a in arrays:
        a.flags.writeable = False
    many = op is lstm
    wanted = op.reference(*arrays, mask)
    with Tape([]) as tape:
        watched = [tape.watch(a) for a in arrays]
        out = op(*watched, mask)
    weights = [RANDOM.normal(size=w.shape).astype(dtype) for w in (wanted if many else [wanted])]
    found = tape.gradient(list(out) if many else out, watched, weights if many else weights[0])
    reference = op._vjp(namespace(arrays[0]), wanted, *arrays, mask)
    expected = reference(weights if many else weights[0])
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    results = [*map(plain, out if many else [out]), *found]
    for a, b in zip(results, [*(wanted if many else [wanted]), *expected[:-1]], strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())
    alone = op(*arrays, mask)
    for a, b in zip(alone if many else [alone], results, strict=False):
        np.testing.assert_array_equal(a, b)


@OPS
def test_large_numbers_saturate_quietly(op, states, gates):
    arrays = arrays_for(op, states, gates, "float32", scale=300.0)
    found, wanted = op(*arrays), op.reference(*[a.astype("float64") for a in arrays])
    found, wanted = (found[0], wanted[0]) if op is lstm else (found, wanted)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, :2], wanted[:, :2], rtol=1e-4, atol=1e-3)


@OPS
def test_only_what_is_needed(op, states, gates):
    arrays = arrays_for(op, states, gates, "float32", steps=2)
    with Tape([]) as tape:
        watched = tape.watch(arrays[-2])
        out = op(*arrays[:-2], watched, None)
    found = tape.gradient(out[0] if op is lstm else out, watched)
    assert found.shape == arrays[-2].shape
