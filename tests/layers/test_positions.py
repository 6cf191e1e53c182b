"""Learned positions: which vectors, positions of one's own, bad input."""

import numpy as np
import pytest

from gpulayers import Input, Model, layers, saving

X = np.zeros((2, 3, 4), "float32")


def built(length=7):
    layer = layers.PositionEmbedding(length)
    layer(X)
    return layer, layer.get_weights()[0]


def test_vectors_of_positions():
    layer, table = built()
    assert table.shape == (7, 4)
    assert layer.weights[0].path.endswith("/embeddings")
    np.testing.assert_array_equal(layer(X), np.stack([table[:3]] * 2))
    np.testing.assert_array_equal(layer(X, start_index=4)[1], table[4:7])
    out = layer(X, start_index=np.array([1, 3]))
    np.testing.assert_array_equal(out, np.stack([table[1:4], table[3:6]]))
    places = np.array([[6, 0, 2], [1, 1, 5]])
    np.testing.assert_array_equal(layer(X, positions=places), table[places])
    np.testing.assert_array_equal(layer(X, positions=places[0]), np.stack([table[places[0]]] * 2))


@pytest.mark.parametrize("length", [None, 3])
def test_in_a_model_that_is_saved(length, tmp_path):
    tokens = Input((length,), dtype="int32")
    x = layers.Embedding(5, 4, mask_zero=True)(tokens)
    x = x + layers.PositionEmbedding(7)(x)
    model = Model(tokens, x)
    assert model.output_shape == (None, length, 4)
    data = np.array([[1, 2, 4], [3, 1, 0]])
    model.save(tmp_path / "model.keras")
    again = saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda layer: layer(np.zeros((2, 8, 4))), r"must be in 0..6 \(.*\), got 7"),
        (lambda layer: layer(X, start_index=-1), "must be in 0..6 .* got -1"),
        (lambda layer: layers.PositionEmbedding(0), "sequence_length must be a positive integer"),
        (lambda layer: layers.PositionEmbedding(3)(X[0]), r"must have 3 axes .*shape \(3, 4\)"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=f"PositionEmbedding.*{said}"):
        call(built()[0])
