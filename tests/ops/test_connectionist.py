"""CTC against all paths, one by one."""

import itertools

import numpy as np
import pytest
from checks import check_gradient

from gpulayers.arrays import Tape
from gpulayers.losses import ctc
from gpulayers.ops.connectionist import ctc_loss

LOGITS = np.random.default_rng(3).normal(size=(4, 5, 3))
LABELS = np.array([[1, 2, 0], [1, 1, 0], [2, 0, 0], [0, 0, 0]])


def summed_over_paths(logits, labels):
    """-log of the probability, by going through all paths."""
    steps, classes = logits.shape
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    total = 0.0
    for path in itertools.product(range(classes), repeat=steps):
        if [c for c, _ in itertools.groupby(path) if c] == labels:
            total += np.prod(p[np.arange(steps), path])
    return -np.log(total)


def test_all_paths(xp):
    expected = [summed_over_paths(x, [c for c in y if c]) for x, y in zip(LOGITS, LABELS)]
    got = xp.to_numpy(ctc(xp.asarray(LABELS), xp.asarray(LOGITS)))
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_lengths_of_outputs():
    steps, labels = np.array([5, 3, 1, 4]), np.array([2, 2, 1, 0])
    got = ctc_loss(LABELS, LOGITS, labels, steps)
    expected = [
        summed_over_paths(LOGITS[i, : steps[i]], list(LABELS[i, : labels[i]])) for i in range(4)
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    check_gradient(lambda x: ctc_loss(LABELS, x, labels, steps), LOGITS)


def test_another_blank():
    swapped = LOGITS[..., [1, 2, 0]]  # Class 0 becomes class 2.
    got = ctc_loss(LABELS - 1, swapped, np.array([2, 2, 1, 0]), np.full(4, 5), mask_index=2)
    np.testing.assert_allclose(got, ctc(LABELS, LOGITS), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_too_many_labels_are_impossible(dtype):
    """Two equal labels need a blank between them: three steps."""
    labels = np.array([[1, 1], [1, 2]])
    with Tape() as tape:
        x = tape.watch(LOGITS[:2, :2].astype(dtype))
        loss = ctc(labels, x)
    assert np.isinf(loss.value).tolist() == [True, False]
    g = tape.gradient(loss, x)
    assert np.isfinite(g).all()
    assert not g[0].any()
    assert g[1].any()


def test_long_sequences_stay_finite():
    logits = (30 * np.cos(np.arange(400 * 6))).reshape(1, 400, 6).astype("float32")
    with Tape() as tape:
        x = tape.watch(logits)
        loss = ctc(np.arange(60)[None] % 5 + 1, x)
    g = tape.gradient(loss, x)
    assert np.isfinite(loss.value).all()
    np.testing.assert_allclose(g.sum(-1), 0, atol=1e-3)  # Probabilities of a step add up to 1.
