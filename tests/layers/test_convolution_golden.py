"""Convolution and pooling against recorded numbers of real Keras 3.15 (see make_convolution)."""

from pathlib import Path

import numpy as np
import pytest
from parity import convolution_cases
from parity.decoding import Cases, difference

from gpulayers import layers
from gpulayers.arrays import Tape, namespace

pytestmark = pytest.mark.usefixtures("loops")

CASES = list(convolution_cases.convolution_cases())
RECORDED = Cases(Path(convolution_cases.__file__).parent / "golden", "convolution")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.key}")
def test_outputs_and_gradients(case):
    """Within 1e-5 of real Keras; what is said of shapes is true."""
    recorded = RECORDED.cases[case.key]
    layer = getattr(layers, case.name)(**case.options)
    layer.build(case.shape)
    x, *weights = case.arrays([weight.shape for weight in layer.weights])
    layer.set_weights(weights)
    x.flags.writeable = False
    with Tape() as tape:
        watched = tape.watch(x)
        y = layer(watched)
        total = namespace(y).sum(y * convolution_cases.cotangent(y.shape))
    out = layer(x)
    assert difference(out, RECORDED.array(recorded["out"])) < 1e-5
    assert layer.compute_output_shape(case.shape) == out.shape
    found = tape.gradient(total, [watched, *layer.weights])
    for gradient, expected in zip(found, recorded["gradients"], strict=True):
        assert np.shape(gradient) == tuple(expected["shape"])
        assert difference(gradient, RECORDED.array(expected)) < 1e-5
