"""Whether predictions are right."""

import numpy as np
import pytest

from gpulayers.arrays import Tape
from gpulayers.ops import matching

SCORES = np.array([[0.1, 0.7, 0.7, 0.2], [3.0, -1.0, np.nan, 9.0], [-np.inf] * 4, [1.0, 2, 3, 4]])


def test_the_first_of_several_highest_counts(xp):
    out = matching.highest_is(xp.asarray(SCORES), xp.asarray(np.array([1, 2, 0, 2])), dtype="int32")
    assert xp.to_numpy(out).tolist() == [1, 1, 1, 0]
    targets = np.eye(4)[[1, 2, 0, 2]]
    out = matching.highest_alike(xp.asarray(SCORES), xp.asarray(targets), dtype="float64")
    assert xp.to_numpy(out).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("k", "expected"), [(1, [0, 0, 1, 0]), (2, [1, 0, 1, 0]), (3, [1, 1, 1, 0])]
)
def test_among_the_highest(xp, k, expected):
    classes = np.array([2, 1, 3, 4])
    scores = np.where(np.arange(4)[:, None] == 0, [0.1, 0.9, 0.7, 0.2], SCORES)
    out = matching.among_highest(xp.asarray(scores), xp.asarray(classes), k=k, dtype="float64")
    assert xp.to_numpy(out).tolist() == expected


def test_elements(xp):
    y_pred, y_true = xp.asarray(np.array([0.2, 0.5, 0.7, 1.0])), xp.asarray(np.array([0, 1, 1, 1]))
    out = matching.on_its_side(y_pred, y_true, threshold=0.5, dtype="float64")
    assert xp.to_numpy(out).tolist() == [1, 0, 1, 1]
    out = matching.equal_in_dtype(y_pred, y_true, dtype="float64")
    assert xp.to_numpy(out).tolist() == [0, 0, 0, 1]


def test_nothing_has_a_gradient():
    with Tape([]) as tape:
        scores = tape.watch(SCORES)
        out = matching.highest_is(scores, np.array([1, 2, 0, 2]), dtype="float64")
    assert tape.gradient(out, [scores]) == [None]
