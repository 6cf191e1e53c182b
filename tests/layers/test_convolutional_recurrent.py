"""Memories of images."""

import numpy as np
import pytest
from recurrent_layers import MASK, X

from gpulayers import layers


def test_a_convolutional_memory_over_one_pixel_is_a_memory():
    films = X[:, :, None, None, :]
    images = layers.ConvLSTM2D(3, 1, return_sequences=True)
    vectors = layers.LSTM(3, return_sequences=True)
    vectors(X)
    images(films)
    images.set_weights([w if w.ndim == 1 else w[None, None] for w in vectors.get_weights()])
    for mask in (None, MASK):
        found, wanted = images(films, mask=mask), vectors(X, mask=mask)
        np.testing.assert_allclose(found[:, :, 0, 0], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_dropout_of_films(data_format):
    films = np.ones((2, 3, 4, 4, 4), "float32")
    memory = layers.ConvLSTM2D(
        2, 3, dropout=0.4, recurrent_dropout=0.4, seed=1, padding="same", data_format=data_format
    )
    one, two = memory(films, training=True), memory(films, training=True)
    assert not np.allclose(one, two)
    layer = layers.RNN(memory.cell)
    memory.cell.seed_generator.state.assign([1, 0])
    one = memory(films, training=True)
    memory.cell.seed_generator.state.assign([1, 0])
    np.testing.assert_allclose(layer(films, training=True), one, rtol=1e-5, atol=1e-6)
