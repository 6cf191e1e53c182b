"""A layer at each step of sequences."""

import numpy as np
from recurrent_layers import X

from gpulayers import layers

RANDOM = np.random.default_rng(6)


def test_the_same_layer_at_each_step():
    normal = layers.TimeDistributed(layers.BatchNormalization(momentum=0.5))
    normal(X, training=True)
    mean = np.zeros(4)
    for t in range(5):  # One update for each step.
        mean = 0.5 * mean + 0.5 * X[:, t].mean(axis=0)
    np.testing.assert_allclose(normal.layer.moving_mean.numpy(), mean, rtol=1e-5, atol=1e-6)
    films = RANDOM.normal(size=(2, 3, 6, 6, 1)).astype("float32")
    images = layers.TimeDistributed(layers.Conv2D(2, 3))
    assert images(films).shape == (2, 3, 4, 4, 2)
    np.testing.assert_allclose(images(films)[:, 1], images.layer(films[:, 1]), rtol=1e-5, atol=1e-6)


def test_a_mask_for_the_layer_at_each_step():
    words = np.array([[[1, 2, 0], [3, 0, 0]], [[1, 1, 1], [2, 1, 0]]])
    inner = layers.TimeDistributed(layers.LSTM(2))
    x = RANDOM.normal(size=(2, 2, 3, 4)).astype("float32")
    found = inner(x, mask=words != 0)
    for t in range(2):
        wanted = inner.layer(x[:, t], mask=words[:, t] != 0)
        np.testing.assert_allclose(found[:, t], wanted, rtol=1e-6)
