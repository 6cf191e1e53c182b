"""gpulayers against small golden files of real Keras 3.15 (see make_layers, make_histories)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from parity import presence
from parity.decoding import Cases, difference, flatten
from parity.layer_cases import LayerCase, numpy

GOLDEN = Path(__file__).parent / "golden"
LAYERS = Cases(GOLDEN, "keras_golden")
STEMS = ("histories", "masked_histories", "transformer_histories", "recurrent_histories")
HISTORIES = [Cases(GOLDEN, stem) for stem in STEMS]
RUNS = [(cases, case) for cases in HISTORIES for case in cases.cases]


@pytest.mark.parametrize("case", LAYERS.cases, ids=lambda case: case["test"].split("::", 1)[1])
def test_layer(case):
    """Outputs, masks, losses and gradients within 1e-5."""
    assert LayerCase(LAYERS, case, 1e-5, gradients=1e-5).run() is None


@pytest.mark.filterwarnings("ignore:.*ran out of batches")
@pytest.mark.parametrize(("cases", "case"), RUNS, ids=[case["name"] for _, case in RUNS])
def test_history(cases, case):
    """Four epochs from the same weights: every metric within 1e-3, and the predictions after."""
    arrays = {
        key: cases.decode(case[key], lambda array, mask, _: array) for key in ("x", "y", "fit")
    }
    model = presence.make(case["model"])
    model.set_weights([cases.array(weight) for weight in case["weights"]])
    model.compile(**{key: _made(value) for key, value in case["compile"].items()})
    history = model.fit(
        arrays["x"], arrays["y"], 16, 4, verbose=0, shuffle=False, **arrays["fit"]
    ).history
    assert list(history) == list(case["history"])
    for key, expected in case["history"].items():
        np.testing.assert_allclose(history[key], expected, rtol=1e-3, atol=1e-3, err_msg=key)
    predictions = flatten(model.predict(arrays["x"], verbose=0))
    expected = cases.expected(case["predictions"])
    for got, recorded in zip(predictions, expected, strict=True):
        assert difference(numpy(got), recorded.array) < 2e-3


def _made(value):
    """An argument of `compile`, with configs as objects."""
    if isinstance(value, list):
        return [_made(part) for part in value]
    if isinstance(value, dict):
        if "class_name" in value:
            return presence.make(value)
        return {key: _made(part) for key, part in value.items()}
    return value
