"""Objects as dictionaries and back: names, marks of shared objects, and what JSON lacks."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gpulayers
from gpulayers import initializers, layers, models, registry, saving


def trip(value, **options):
    return registry.deserialize(json.loads(json.dumps(registry.serialize(value))), **options)


@pytest.mark.parametrize(
    "value", [None, True, 3, 2.5, "text", [1, [2, None]], {"a": {"b": [1.5]}}, Ellipsis, b"ab"]
)
def test_plain_values(value):
    assert trip(value) == value


def test_values_that_json_lacks():
    assert trip(slice(1, None, 2)) == slice(1, None, 2)
    assert trip((1, (2, 3))) == [1, [2, 3]]
    assert trip(np.float32(0.5)) == 0.5
    assert trip(np.array(7)) == 7
    assert trip(np.dtype("int8")) == "int8"
    array = trip(np.array([[1, 2]], "int16"))
    assert array.dtype == "int16"
    np.testing.assert_array_equal(array, [[1, 2]])
    np.testing.assert_array_equal(trip(gpulayers.Variable([1.0, 2.0])), [1.0, 2.0])
    assert registry.deserialize({"class_name": "__tuple__", "config": {"value": [1, 2]}}) == (1, 2)


def test_functions_and_classes_by_their_names():
    assert trip(gpulayers.activations.gelu) is gpulayers.activations.gelu
    description = registry.serialize(initializers.HeNormal(seed=3))
    assert description["module"] == "keras.initializers"
    assert description["registered_name"] is None
    assert registry.deserialize(description).seed == 3
    with pytest.raises(TypeError, match="expected an instance, got the class HeNormal"):
        registry.serialize(initializers.HeNormal)
    with pytest.raises(TypeError, match="object has no get_config"):
        registry.serialize(object())


def test_objects_that_occur_twice_are_made_once():
    start = initializers.RandomNormal(seed=1)
    one, other = layers.Dense(2, kernel_initializer=start), layers.Dense(2)
    description = registry.serialize([one, {"again": one}, other])
    assert description[0]["shared_object_id"] == description[1]["again"]["shared_object_id"]
    assert "shared_object_id" not in description[2]
    first, second, third = registry.deserialize(description)
    assert first is second["again"]
    assert third is not first


@saving.register_keras_serializable("described")
def doubled(x):
    return 2 * x


@saving.register_keras_serializable("described", "Renamed")
class Own(layers.Layer):
    def call(self, x):
        return doubled(x)


def test_registered_names():
    assert saving.get_registered_name(doubled) == "described>doubled"
    assert saving.get_registered_name(Own) == "described>Renamed"
    assert saving.get_registered_object("described>Renamed") is Own
    assert saving.get_registered_object("described>Nothing") is None
    assert saving.get_registered_name(layers.Dense) == "Dense"
    assert saving.get_custom_objects()["described>doubled"] is doubled
    assert isinstance(trip(Own(name="o")), Own)
    assert trip(doubled) is doubled
    with pytest.raises(ValueError, match="described>Renamed is registered as"):
        saving.register_keras_serializable("described", "Renamed")(layers.Dense)
    with pytest.raises(ValueError, match="Plain has no get_config"):
        saving.register_keras_serializable()(type("Plain", (), {}))


def test_names_for_a_while():
    description = {**registry.serialize(Own()), "registered_name": "described>Later"}
    with pytest.raises(ValueError, match="described>Later"):
        saving.deserialize_keras_object(description)
    with saving.CustomObjectScope({"described>Later": Own}):
        assert isinstance(saving.deserialize_keras_object(description), Own)
        with saving.custom_object_scope({"described>Later": layers.Identity}):
            assert isinstance(saving.deserialize_keras_object(description), layers.Identity)
    given = {"described>Later": Own}
    assert isinstance(saving.deserialize_keras_object(description, custom_objects=given), Own)


@pytest.mark.parametrize("kind", ["layers", "losses", "optimizers", "initializers"])
def test_unknown_names_show_what_looks_alike(kind):
    name = {"layers": "Dens", "losses": "msee", "optimizers": "adamm", "initializers": "zeroes"}
    with pytest.raises(ValueError, match=r"unknown name .*; known are, for example"):
        registry.get(kind, name[kind])
    with pytest.raises(TypeError, match=f"{kind}.get: expected a name, a config, a class"):
        registry.get(kind, 3)


def test_what_keras_names_otherwise():
    """Modules of Keras's inside, of older versions and of TensorFlow mean the same classes."""
    for module in ("keras.src.layers.core.dense", "keras.layers", "tensorflow.keras.layers"):
        config = {"module": module, "class_name": "Dense", "config": {"units": 2}}
        assert isinstance(registry.deserialize(config), layers.Dense)
    assert isinstance(
        registry.deserialize({"class_name": "Dense", "config": {"units": 2}}), layers.Dense
    )
    for module in ("mine.layers", None, 3):
        config = {"module": module, "class_name": "Dense", "config": {"units": 2}}
        with pytest.raises(ValueError, match="unknown class 'Dense'"):
            registry.deserialize(config)


def test_callbacks_are_not_made_from_files(tmp_path):
    config = {
        "module": "keras.callbacks",
        "class_name": "CSVLogger",
        "config": {"filename": str(tmp_path / "log")},
    }
    with pytest.raises(ValueError, match="unknown class 'CSVLogger'"):
        registry.deserialize(config)


def test_json_of_models():
    shared = layers.Dense(4)
    model = models.Sequential(
        [gpulayers.Input((4,)), models.Sequential([shared]), models.Sequential([shared])]
    )
    again = models.model_from_json(model.to_json(indent=2))
    assert len(again.weights) == len(model.weights) == 2
    assert json.loads(again.to_json()) == json.loads(model.to_json())
    with pytest.raises(ValueError, match="expected the description of a model, got Dense"):
        models.model_from_json(json.dumps(registry.serialize(shared)))
    with pytest.raises(ValueError):
        models.model_from_json("{")
