"""Arrays cut along their last axis."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive

from gpulayers.arrays import Tape
from gpulayers.ops import reductions
from gpulayers.ops.joining import cut

X = np.random.default_rng(0).normal(size=(2, 3, 7))


@pytest.mark.parametrize("sizes", [(7,), (2, 5), (1, 2, 4), (3, 0, 4)])
def test_parts_are_slices(sizes, xp):
    found = [xp.to_numpy(part) for part in cut(xp.asarray(X), sizes=sizes)]
    for part, expected in zip(found, np.split(X, np.cumsum(sizes)[:-1], -1), strict=True):
        assert np.array_equal(part, expected)
    check_gradient(lambda x: cut(x, sizes=sizes), X, xp=xp)
    check_primitive(cut, X, sizes=sizes)


def test_a_part_that_nobody_uses_has_a_gradient_of_zeros():
    with Tape() as tape:
        first, _, last = cut(tape.watch(X), sizes=(1, 2, 4))
        total = reductions.sum(first) + 2 * reductions.sum(last)
    expected = np.broadcast_to([1.0, 0, 0, 2, 2, 2, 2], X.shape)
    assert np.array_equal(tape.gradient(total, X), expected)
