"""A model of Keras and ours, over a file."""

from __future__ import annotations

import keras
import numpy as np

import gpulayers


def leaves(outputs) -> list[np.ndarray]:
    """The arrays of nested outputs of either library."""
    found = gpulayers.tree.flatten(outputs)
    return [np.asarray(x.detach() if hasattr(x, "detach") else x) for x in found]


def check_equal(ours, theirs, tolerance) -> None:
    """Assert that outputs agree, relative to the largest number of each."""
    ours, theirs = leaves(ours), leaves(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert np.isfinite(b).all()
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


def check_both_ways(model, x, folder, tolerance=1e-5, y=None) -> None:
    """A model of Keras gives the same here, and in Keras again after a way through our file.

    With targets `y` the losses of two steps of training agree too, before and after that way.
    """
    model.save(folder / "theirs.keras")
    ours = gpulayers.saving.load_model(folder / "theirs.keras")
    expected = model.predict(x, verbose=0)
    check_equal(ours.predict(x, verbose=0), expected, tolerance)
    ours.save(folder / "ours.keras")
    again = keras.saving.load_model(folder / "ours.keras")
    check_equal(again.predict(x, verbose=0), expected, tolerance)
    if y is not None:
        losses = [train(one, x, y) for one in (model, ours, again)]
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
        np.testing.assert_allclose(losses[2], losses[0], rtol=1e-3)


def train(model, x, y) -> list[float]:
    """The losses of two steps on all samples."""
    history = model.fit(x, y, batch_size=len(leaves(y)[0]), epochs=2, shuffle=False, verbose=0)
    return history.history["loss"]
