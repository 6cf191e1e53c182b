"""Layers of colours against recorded numbers of real Keras 3.15 (see parity.make_colors)."""

from pathlib import Path

import numpy as np
import pytest
from array_api_strict import asarray as strict
from parity import color_cases
from parity.decoding import Cases

from gpulayers import layers
from gpulayers.cpu import each_image, histograms

CASES = list(color_cases.color_cases())
RECORDED = Cases(Path(color_cases.__file__).parent / "golden", "colors")


def difference(case, out):
    """Of the range of values."""
    low, high = case.options.get("value_range", (0, 255))
    expected = RECORDED.array(RECORDED.cases[case.key])
    assert out.dtype == expected.dtype and out.shape == expected.shape
    return np.abs(out.astype("float64") - expected).max() / (high - low)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_images(case):
    case.images.flags.writeable = False
    layer = getattr(layers, case.layer)(**case.options)
    assert difference(case, layer.transform_images(case.images, case.drawn)) < 2e-6


@pytest.mark.parametrize("case", CASES[::3], ids=lambda case: case.key)
def test_images_of_another_library(case):
    layer = getattr(layers, case.layer)(**case.options)
    out = layer.transform_images(strict(case.images), case.drawn)
    assert difference(case, np.asarray(out)) < 2e-6


WHOLE = ("CutMix", "MixUp", "Equalization")  # What depends on the batch.
ALONE = [case for case in CASES if case.layer not in WHOLE]


@pytest.mark.parametrize("case", ALONE[1::3], ids=lambda case: case.key)
def test_many_images_are_taken_apart(monkeypatch, case):
    """Eighty times as many images give the same as a few."""
    monkeypatch.setattr(each_image, "PORTION", 700)
    layer, times = getattr(layers, case.layer)(**case.options), 80

    def repeated(x):
        x = np.asarray(x)
        each = x.ndim and len(x) == len(case.images)
        return np.concatenate([x] * times) if each else x

    drawn = {
        name: [repeated(side) for side in value] if isinstance(value, list) else repeated(value)
        for name, value in case.drawn.items()
    }
    out = layer.transform_images(repeated(case.images), drawn)
    assert difference(case, out[-len(case.images) :]) < 2e-6
    np.testing.assert_array_equal(out[: len(case.images)], out[-len(case.images) :])


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.layer == "Equalization"], ids=lambda c: c.key
)
def test_histograms_of_portions(monkeypatch, case):
    monkeypatch.setattr(histograms, "PORTION", 25)
    layer = layers.Equalization(**case.options)
    assert difference(case, layer.transform_images(case.images)) < 2e-6
