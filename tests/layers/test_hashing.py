"""Layers that hash: values from Keras's documentation and tests."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers

LETTERS = [["A"], ["B"], ["C"], ["D"], ["E"]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 0, 1, 1, 2]),
        ({"salt": [133, 137]}, [1, 2, 1, 0, 2]),
        ({"salt": 133}, [0, 0, 2, 1, 0]),
    ],
)
def test_hashing(options, expected):
    layer = layers.Hashing(3, **options)
    for x in (LETTERS, np.array(LETTERS), np.array(LETTERS, object), np.array(LETTERS, "S")):
        y = layer(x)
        assert y.dtype == np.int64
        assert y.tolist() == [[n] for n in expected]


def test_hashing_keeps_bin_0_for_the_mask():
    layer = layers.Hashing(3, mask_value="")
    assert layer([["A"], ["B"], [""], ["C"], ["D"]]).tolist() == [[1], [1], [0], [2], [2]]
    assert layers.Hashing(4, mask_value=7)([7, 8])[0] == 0


def test_hashing_takes_columns_of_tables_and_numbers():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"word": ["A", "B"], "number": [101, -5]})
    assert layers.Hashing(3)(frame["word"]).tolist() == [1, 0]
    digits = layers.Hashing(1000)(["101", "-5"]).tolist()
    assert layers.Hashing(1000)(frame["number"]).tolist() == digits
    assert layers.Hashing(1000)(np.array([101.9, -5.2])).tolist() == digits


def test_hashing_in_other_modes():
    assert layers.Hashing(3, output_mode="one_hot")(LETTERS[:2]).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert layers.Hashing(3, output_mode="count")([["A", "C", "B"]]).tolist() == [[1, 2, 0]]


def test_hashing_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="num_bins must be positive"):
        layers.Hashing(0)
    with pytest.raises(ValueError, match="salt must be"):
        layers.Hashing(3, salt=[1])
    with pytest.raises(ValueError, match="dtype must be"):
        layers.Hashing(3, dtype="float32")
    with pytest.raises(TypeError, match="got None"):
        layers.Hashing(3)(["a", None])
    for mask, x in ((None, ["a", 1]), ("a", [1]), (3, ["a"]), (3, np.array([b"a"])), ("", 2)):
        with pytest.raises(TypeError, match="expected strings or whole numbers, got both"):
            layers.Hashing(3, mask_value=mask)(x)
    assert layers.Hashing(3, mask_value="a")([]).shape == (0,)


def test_hashed_crossing():
    words = np.array(["A", "B", "A", "B", "A"])
    numbers = np.array([101, 101, 101, 102, 102])
    layer = layers.HashedCrossing(5)
    assert layer((words, numbers)).tolist() == [1, 4, 1, 1, 3]
    assert layer((words[:, None], numbers[:, None])).shape == (5, 1)
    assert layer(("A", 101)).tolist() == 1
    one_hot = layers.HashedCrossing(5, "one_hot")((words, numbers))
    assert one_hot.argmax(1).tolist() == [1, 4, 1, 1, 3]


def test_hashed_crossing_refuses_what_it_cannot_cross():
    with pytest.raises(ValueError, match="num_bins must be positive, got 0"):
        layers.HashedCrossing(0)
    layer = layers.HashedCrossing(5)
    with pytest.raises(ValueError, match="at least two"):
        layer([np.array(["A"])])
    with pytest.raises(ValueError, match="must all have shape"):
        layer([np.array(["A"]), np.array([[1]])])
    with pytest.raises(ValueError, match="strings or integers"):
        layer([np.array(["A"]), np.array([1.5])])


def test_strings_go_into_models():
    inputs = gl.Input((1,), dtype="string")
    model = gl.Model(inputs, layers.Hashing(3, output_mode="one_hot")(inputs))
    x = np.array(LETTERS)
    assert model(x).argmax(1).tolist() == [1, 0, 1, 1, 2]
    assert model.predict(x, verbose=0).argmax(1).tolist() == [1, 0, 1, 1, 2]
    same = gl.Model.from_config(model.get_config())
    assert same(x).argmax(1).tolist() == [1, 0, 1, 1, 2]
