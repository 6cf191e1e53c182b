"""The models of `keras.applications`, built by Keras, load here, give the same, and go back."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from frameworks.both import check_both_ways

APPLICATIONS = {
    "ConvNeXtTiny": 64,
    "DenseNet121": 64,
    "EfficientNetB0": 64,
    "EfficientNetV2B0": 64,
    "InceptionResNetV2": 96,
    "InceptionV3": 96,
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Large": 64,
    "MobileNetV3Small": 64,
    "NASNetMobile": 64,
    "ResNet50": 64,
    "ResNet50V2": 64,
    "VGG16": 64,
    "Xception": 96,
}


def perturb(model, seed=0) -> None:
    """Statistics, scales and offsets that differ from what they begin with."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if len(variable.shape) < 2:
            low, high = (0.5, 1.5) if "variance" in variable.path else (-0.2, 0.2)
            old = keras.ops.convert_to_numpy(variable)
            value = rng.uniform(low, high, old.shape)
            variable.assign(
                (value if "variance" in variable.path else old + value).astype("float32")
            )


@pytest.mark.parametrize("name", APPLICATIONS)
def test_application(name, tmp_path):
    if name == "NASNetMobile" and keras.backend.backend() == "torch":
        with pytest.raises(ValueError, match="not available with the torch backend"):
            keras.applications.NASNetMobile(weights=None)
        return
    size = APPLICATIONS[name]
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None
    )
    perturb(model)
    x = np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype("float32")
    check_both_ways(model, x / 127.5 - 1 if name[:2] in ("Mo", "Na", "Re") else x, tmp_path, 1e-4)
