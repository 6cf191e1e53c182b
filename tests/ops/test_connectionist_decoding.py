"""Decoding of CTC: against all alignments, one by one, and against values of Keras 3.15."""

import itertools

import numpy as np
import pytest

from gpulayers import Input, ops
from gpulayers.arrays import dtypes

LOGITS = np.random.default_rng(4).normal(size=(3, 5, 4))
LENGTHS = np.array([5, 3, 1])


def by_alignments(logits, blank):
    """The labels and log-probabilities of all sequences, the likeliest first."""
    steps, classes = logits.shape
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    total = {}
    for path in itertools.product(range(classes), repeat=steps):
        labels = tuple(c for c, _ in itertools.groupby(path) if c != blank)
        total[labels] = total.get(labels, 0) + np.prod(p[np.arange(steps), path])
    return sorted(((np.log(p), labels) for labels, p in total.items()), reverse=True)


def padded(labels, steps=5):
    return [*labels, *[-1] * (steps - len(labels))]


@pytest.mark.parametrize("blank", [0, 2, None])
def test_a_search_finds_the_likeliest_sequences(xp, blank):
    labels, score = ops.ctc_decode(
        xp.asarray(LOGITS), xp.asarray(LENGTHS), "beam_search", 2000, 3, mask_index=blank
    )
    assert dtypes.name(labels.dtype) == "int32"
    for i, length in enumerate(LENGTHS):
        best = by_alignments(LOGITS[i, :length], 3 if blank is None else blank)[:3]
        np.testing.assert_allclose(xp.to_numpy(score)[i], [p for p, _ in best], rtol=1e-12)
        assert xp.to_numpy(labels)[:, i].tolist() == [padded(path) for _, path in best]


def test_a_narrow_search_keeps_what_leads_on():
    """Two kept paths of which the second one becomes the best."""
    logits = np.log(np.array([[[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]]]))
    labels, score = ops.ctc_decode(logits, np.array([3]), "beam_search", 2, 2)
    assert labels[0, 0].tolist() == [1, -1, -1]
    # Alignments 111, 011, 001 and 110, 010, 100, of which the last begins with what was kept.
    expected = 0.3 * 0.64 + 0.5 * 0.64 + 0.5 * 0.1 * 0.8 + (0.3 + 0.5) * 0.8 * 0.1 + 0.3 * 0.01
    assert score[0, 0] == pytest.approx(np.log(expected))


def test_more_paths_than_there_are():
    labels, score = ops.ctc_decode(np.zeros((1, 1, 2)), np.array([1]), "beam_search", 5, 4)
    assert sorted(labels[:, 0, 0].tolist()) == [-1, -1, -1, 1]
    np.testing.assert_allclose(np.exp(score), [[0.5, 0.5, 0, 0]])


def test_greedy(xp):
    """Keras 3.15 gives these (`nn_test.py`: test_ctc_decode)."""
    inputs = np.zeros((3, 3, 4), "float32")
    chosen = np.array([[1, 2, 2], [2, 0, 0], [3, 1, 1]])
    np.put_along_axis(inputs, chosen[..., None], 0.5, axis=2)
    given = xp.asarray(inputs), xp.asarray([3, 3, 1])
    labels, score = ops.ctc_decode(*given)
    assert xp.to_numpy(labels).tolist() == [[[1, 2, -1], [2, -1, -1], [3, -1, -1]]]
    assert xp.to_numpy(score).tolist() == [[-1.5], [-1.5], [-0.5]]
    labels, _ = ops.ctc_decode(*given, merge_repeated=False)
    assert xp.to_numpy(labels).tolist() == [[[1, 2, 2], [2, -1, -1], [3, -1, -1]]]


def test_the_shapes_are_known_beforehand():
    labels, score = ops.ctc_decode(Input((5, 4)), Input((), dtype="int32"), "beam_search", 20, 3)
    assert labels.shape == (3, None, 5)
    assert score.shape == (None, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "best"}, "strategy must be 'greedy' or 'beam_search', got 'best'"),
        ({"top_paths": 3, "beam_width": 2}, r"top_paths must be in 1\.\.2"),
        ({"sequence_lengths": np.array([5])}, r"got the shapes \(3, 5, 4\) and \(1,\)"),
    ],
)
def test_bad_input(changes, message):
    given = {"inputs": LOGITS, "sequence_lengths": LENGTHS, "strategy": "beam_search"}
    with pytest.raises(ValueError, match=message):
        ops.ctc_decode(**{**given, **changes})


def test_short_floats_are_scored_in_float32():
    half = LOGITS.astype("float16")
    for strategy in ("greedy", "beam_search"):
        (labels, score), (same, expected) = (
            ops.ctc_decode(x, LENGTHS, strategy) for x in (half, half.astype("float32"))
        )
        assert score.dtype == np.float32
        np.testing.assert_array_equal(labels, same)
        np.testing.assert_array_equal(score, expected)
