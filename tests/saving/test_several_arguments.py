"""Layers and models whose `call` takes several arrays, or names its further arguments otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from saving.models import X, same

import gpulayers
from gpulayers import layers, models, saving


@saving.register_keras_serializable("tests")
class Both(models.Model):
    def __init__(self, units=2, **more):
        super().__init__(**more)
        self.first, self.second = layers.Dense(units), layers.Dense(units)

    def call(self, a, b=None):
        return self.first(a) if b is None else self.first(a) + self.second(b)


@saving.register_keras_serializable("tests")
class Sum(layers.Layer):
    def __init__(self, **more):
        super().__init__(**more)
        self.first, self.second = layers.Dense(3), layers.Dense(3)

    def call(self, a, b):
        return self.first(a) + self.second(b)


@pytest.mark.parametrize("inputs", [(X,), (X, 2 * X)])
def test_models(tmp_path, inputs):
    model = Both(3, name="both")
    expected = model(*inputs)
    model.save(tmp_path / "m.keras")
    again = saving.load_model(tmp_path / "m.keras")
    assert again.name == "both"
    same(again(*inputs), expected)


def test_layers(tmp_path):
    a, b = gpulayers.Input((4,)), gpulayers.Input((4,))
    model = models.Model([a, b], Sum(name="sum")(a, b))
    model.save(tmp_path / "m.keras")
    same(saving.load_model(tmp_path / "m.keras")([X, -X]), model([X, -X]))


def test_outputs_of_functions_keep_their_names(tmp_path):
    x = gpulayers.Input((4,))
    model = models.Model(x, [x[:, 1:], x / 2])
    assert model.output_names == ["get_item", "true_divide"]
    model.compile(loss={"get_item": "mse"})
    model.save(tmp_path / "m.keras")
    again = saving.load_model(tmp_path / "m.keras")
    y = [np.zeros((10, 3), "float32"), None]
    assert again.evaluate(X, y, verbose=0) == model.evaluate(X, y, verbose=0)
