"""Layers of preprocessing with options drawn at random, against recorded results of Keras 3.15."""

from pathlib import Path

import numpy as np
import pytest
from parity import preprocessing_cases
from parity.decoding import Cases
from parity.preprocessing_cases import differences, outcome

from gpulayers import layers

GOLDEN = Path(preprocessing_cases.__file__).parent / "golden"
RECORDED = [Cases(GOLDEN, f"preprocessing_{backend}") for backend in ("tensorflow", "jax")]
NAMED = [(cases, key) for cases in RECORDED for key in cases.cases]


@pytest.mark.parametrize(("cases", "key"), NAMED, ids=[key for _, key in NAMED])
def test_outcome_is_that_of_keras(cases, key):
    kind, number = key.split()
    case = preprocessing_cases.draw(kind, int(number))
    expected = cases.decode(cases.cases[key], lambda array, *_: array)
    assert not list(differences(case, expected, outcome(layers, case)))


def test_differences_are_seen():
    """Another number, shape, kind of number, word, or an error on one side."""
    case = preprocessing_cases.draw("bins", 1)._replace(inputs=[0])
    one = np.array([1, 2])
    for other in (one + 1, one[:1], one * 1.0, ["a"], {"error": "ValueError"}):
        assert list(differences(case, {"out": [one]}, {"out": [other]}))
    assert list(differences(case, {"error": "ValueError"}, {"out": [one]}))
    assert not list(differences(case, {"error": "ValueError"}, {"out": [{"error": "TypeError"}]}))
