"""Image layers with given draws against recorded numbers of Keras 3.15 (see make_image_layers)."""

from pathlib import Path

import numpy as np
import pytest
from array_api_strict import asarray as strict
from parity import image_layer_cases
from parity.decoding import Cases

from gpulayers import layers, tree, utils
from gpulayers.arrays import is_array
from gpulayers.arrays.devices import to_numpy

LAYERS, BOXES = image_layer_cases.layer_calls(), image_layer_cases.box_calls()
RECORDED = Cases(Path(image_layer_cases.__file__).parent / "golden", "image_layers")


def expected(key):
    return RECORDED.decode(RECORDED.cases[key]["out"], lambda array, *_: array)


def check(got, key, atol):
    wanted = expected(key)
    got, wanted = tree.flatten(got), tree.flatten(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert to_numpy(a).dtype.kind == b.dtype.kind
        np.testing.assert_allclose(to_numpy(a), b, rtol=1e-5, atol=atol)


def over_strict(value):
    return tree.map_structure(lambda x: strict(x) if isinstance(x, np.ndarray) else x, value)


@pytest.mark.parametrize("call", LAYERS, ids=lambda call: call.key)
def test_layer(call):
    """Images within 1e-4 of the range of values; over array_api_strict, too."""
    layer = getattr(layers, call.layer)(**call.options)
    method = getattr(layer, f"transform_{call.method}")
    for value in (call.value, over_strict(call.value)):
        out = method(value, call.drawn)
        for a in tree.leaves(out):
            assert is_array(a)
        check(out, call.key, 0.025 if call.method == "images" else 1e-4)


@pytest.mark.parametrize("call", BOXES, ids=lambda call: f"{call.function}-{call.key}")
def test_function_of_boxes(call):
    function = getattr(utils.bounding_boxes, call.function)
    for arguments in (call.arguments, over_strict(list(call.arguments))):
        check(function(*arguments, **call.options), f"{call.function}-{call.key}", 1e-4)
