"""A model on the GPU is the model on the CPU: it begins the same, and learns the same."""

from __future__ import annotations

import numpy as np

from gpulayers import Input, Sequential, config, layers, optimizers, utils

X = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
LABELS = np.argmax(X[:, :3], axis=1)
STEPS = 100


def begun(device):
    """A classifier with dropout and normalization, on a device."""
    config.set_device(device)
    utils.set_random_seed(3)
    model = Sequential(
        [
            Input((6,)),
            layers.Dense(8, activation="gelu"),
            layers.LayerNormalization(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


def losses(model):
    history = model.fit(X, LABELS, batch_size=16, epochs=STEPS, shuffle=False, verbose=0)
    return np.asarray(history.history["loss"])


def test_the_same_losses_over_a_hundred_steps(cupy):
    here, there = begun("cpu"), begun("gpu")
    for a, b in zip(here.get_weights(), there.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()
    assert type(there.weights[0].value) is cupy.ndarray
    config.set_device("cpu")
    expected = losses(here)
    config.set_device("gpu")
    found = losses(there)
    assert expected[-1] < 0.9 * expected[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_the_same_elements_are_dropped(cupy):
    masks = []
    for device in ("cpu", "gpu"):
        config.set_device(device)
        utils.set_random_seed(3)
        layer, ones = layers.Dropout(0.4), np.ones((33, 65), "float32")
        x = ones if device == "cpu" else cupy.asarray(ones)
        out = [layer(x, training=True) for _ in range(3)]
        masks.append([y if device == "cpu" else y.get() for y in out])
    for a, b in zip(*masks, strict=True):
        assert a.tobytes() == b.tobytes()
    assert masks[0][0].tobytes() != masks[0][1].tobytes()
