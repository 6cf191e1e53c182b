"""Sequences from both ends: what two operations give, for shapes and gradients too."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers.ops.bidirectional import CELLS, both_ways

RANDOM = np.random.default_rng(0)
N, STEPS, D, U = 2, 4, 3, 2
MASK = np.array([[True, True, False, True], [False, True, True, False]])
EVERY = pytest.mark.parametrize(
    ("cell", "states", "gates", "options"),
    [
        ("simple_rnn", 1, 1, {}),
        ("lstm", 2, 4, {"activation": "relu"}),
        ("gru", 1, 3, {}),
        ("gru", 1, 3, {"reset_after": False}),
    ],
)


def arrays_for(states, gates, two):
    def normal(*shape):
        return RANDOM.normal(size=shape) * 0.5

    def one():
        bias = (2, gates * U) if two else (gates * U,)
        weights = normal(D, gates * U), normal(U, gates * U), normal(*bias)
        return normal(N, STEPS, D), *(normal(N, U) for _ in range(states)), *weights

    return *one(), *one()


@EVERY
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
def test_two_operations(cell, states, gates, options, mask, xp):
    arrays = arrays_for(states, gates, cell == "gru" and options.get("reset_after", True))
    check_primitive(both_ways, *arrays, mask, cell=cell, **options)
    found = both_ways(*arrays, mask, cell=cell, **options)
    half = len(arrays) // 2
    x, *rest = arrays[half:]
    wanted = [
        CELLS[cell](*arrays[:half], mask, **options),
        CELLS[cell](x[:, ::-1], *rest, None if mask is None else mask[:, ::-1], **options),
    ]
    wanted = [one if isinstance(one, tuple) else (one,) for one in wanted]
    for a, b in zip(found, (*wanted[0], *(s[:, ::-1] for s in wanted[1])), strict=True):
        np.testing.assert_array_equal(a, b)
    check_gradient(lambda *xs: both_ways(*xs, None, cell=cell, **options), *arrays, xp=xp)
