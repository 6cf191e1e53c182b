"""Python lambdas in files: kept as byte code, and refused unless the caller trusts the file."""

from __future__ import annotations

import base64
import json
import marshal
import zipfile

import numpy as np
import pytest

import gpulayers
from gpulayers import layers, models, registry, saving
from gpulayers.saving.functions import deserialize_lambda, serialize_lambda

X = np.arange(8, dtype="float32").reshape(2, 4)


def round_trip(function):
    return deserialize_lambda(json.loads(json.dumps(serialize_lambda(function)))["config"], False)


def test_lambdas_come_back():
    factor = 3.0
    assert round_trip(lambda x: x + 1)(2) == 3
    assert round_trip(lambda x, y=2, z=None: (x + y, z))(1) == (3, None)
    assert round_trip(lambda x: x * factor)(2.0) == 6.0


def test_they_see_the_usual_names():
    function = round_trip(lambda x: ops.relu(np.negative(x)) + keras.ops.tanh(x) * len("ab"))  # noqa: F821
    expected = np.maximum(-X, 0) + np.tanh(X) * 2
    np.testing.assert_allclose(function(X), expected, rtol=1e-6)


def test_both_forms_of_keras_are_read():
    config = serialize_lambda(lambda x: x + 1)["config"]
    in_layers = {key: config[key] for key in ("code", "defaults", "closure")}
    for form in (in_layers, {"value": config["value"]}, {"value": config["code"]}):
        assert deserialize_lambda(form, False)(1) == 2


def test_a_model_with_lambdas(tmp_path):
    model = models.Sequential(
        [gpulayers.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(2, lambda x: x + 1)]
    )
    model.save(tmp_path / "m.keras")
    with pytest.raises(
        ValueError, match=r"m.keras: .*a Python lambda.*load it with safe_mode=False"
    ):
        saving.load_model(tmp_path / "m.keras")
    again = saving.load_model(tmp_path / "m.keras", safe_mode=False)
    np.testing.assert_array_equal(again(X), model(X))


def test_nothing_in_a_file_turns_the_refusal_off(tmp_path):
    model = models.Sequential([gpulayers.Input((4,)), layers.Lambda(lambda x: x * 2)])
    model.save(tmp_path / "m.keras")
    config = json.loads(model.to_json())
    inner = config["config"]["layers"][1]
    inner["config"]["safe_mode"] = False
    inner["safe_mode"] = config["safe_mode"] = False
    with (
        zipfile.ZipFile(tmp_path / "m.keras") as old,
        zipfile.ZipFile(tmp_path / "n.keras", "w") as new,
    ):
        new.writestr("config.json", json.dumps(config))
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
    with pytest.raises(ValueError, match="a Python lambda"):
        saving.load_model(tmp_path / "n.keras")


def test_the_outer_choice_counts():
    description = registry.serialize(layers.Lambda(lambda x: x * 2))
    with (
        registry.loading(safe_mode=True),
        pytest.raises(ValueError, match="a Python lambda"),
    ):
        registry.deserialize(description, safe_mode=False)
    assert registry.in_safe_mode()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"value": []},
        {"value": [1, None, None]},
        {"code": "!!", "defaults": None, "closure": None},
        {"code": base64.b64encode(b"\xe3" * 40).decode(), "defaults": None, "closure": None},
        {"value": base64.b64encode(marshal.dumps(5)).decode()},
        {"value": "ü"},
        None,
    ],
)
def test_broken_byte_code(config):
    with pytest.raises(ValueError, match="lambda"):
        deserialize_lambda(config, False)


def test_what_files_cannot_hold():
    thing = object()
    with pytest.raises(TypeError, match="object has no get_config"):
        serialize_lambda(lambda x: (x, thing))
