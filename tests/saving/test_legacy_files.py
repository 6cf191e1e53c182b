"""`.h5` files that Keras 2 and 3 wrote (`parity.make_legacy_files`), and those that we write."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from saving.legacy_models import MODELS, outputs, step
from saving.models import X, compiled, graph, same, sequential

import gpulayers
from gpulayers import layers, models, saving
from gpulayers.saving.legacy_configs import upgraded, upgraded_since, upgraded_training

FILES = Path(__file__).parent / "legacy"
KERAS = pytest.mark.parametrize("version", ["2", "3"])
EVERY = pytest.mark.parametrize("name", MODELS)


def close(model, name, expected):
    for i, y in enumerate(outputs(model, name)):
        np.testing.assert_allclose(y, expected[f"output_{i}"], 1e-5, 5e-6)


@pytest.mark.filterwarnings("ignore:LeakyReLU. alpha is now called")
@KERAS
@EVERY
def test_files_of_keras(version, name, tmp_path):
    expected = np.load(FILES / f"{version}_{name}.npz")
    model = saving.load_model(FILES / f"{version}_{name}.h5")
    close(model, name, expected)
    model.save(tmp_path / "again.h5")
    again = saving.load_model(tmp_path / "again.h5")
    close(again, name, expected)
    assert model.compiled == again.compiled == ("loss" in expected)
    if model.compiled:  # The state of the optimizer too.
        assert step(model, name) == pytest.approx(float(expected["loss"]), rel=2e-5)
        assert step(again, name) == pytest.approx(float(expected["loss"]), rel=2e-5)


def test_weights_of_keras_2():
    model = MODELS["shared"](gpulayers)
    model.load_weights(FILES / "2_shared_weights.h5")
    close(model, "shared", np.load(FILES / "2_shared.npz"))


def test_weights_by_name():
    x = gpulayers.Input((4,))
    model = models.Model(x, layers.Dense(3, name="other")(layers.Dense(4, name="both")(x)))
    other = model.get_layer("other").get_weights()
    model.load_weights(FILES / "2_shared.h5", by_name=True)
    same(model.get_layer("other").get_weights(), other)
    whole = saving.load_model(FILES / "2_shared.h5")
    same(model.get_layer("both").get_weights(), whole.get_layer("both").get_weights())
    with pytest.raises(ValueError, match="by_name is for .h5 files"):
        model.load_weights("m.weights.h5", by_name=True)


def test_a_model_without_its_training(tmp_path):
    model = saving.load_model(FILES / "2_shared.h5", compile=False)
    assert not model.compiled
    trained = saving.load_model(FILES / "2_shared.h5")
    trained.save(tmp_path / "m.h5", include_optimizer=False)
    assert not saving.load_model(tmp_path / "m.h5").compiled


@pytest.mark.parametrize("make", [sequential, graph, compiled])
def test_our_own_models_come_back(make, tmp_path):
    model = make()
    model.save(tmp_path / "m.h5")
    again = saving.load_model(tmp_path / "m.h5")
    same(again.get_weights(), model.get_weights())
    inputs = {"a": X, "b": -X} if make is graph else X
    same(again.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    other = make()
    other.load_weights(tmp_path / "m.h5")
    same(other.get_weights(), model.get_weights())


def test_lists_of_many_names_are_split(tmp_path):
    name = "a_layer_with_a_long_name_" * 20
    model = models.Sequential([gpulayers.Input((1,))])
    for i in range(150):
        model.add(layers.Dense(1, name=f"{name}{i}"))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert "layer_names1" in file["model_weights"].attrs
    same(saving.load_model(tmp_path / "m.h5").get_weights(), model.get_weights())


# Descriptions.


def test_the_first_layer_says_what_the_input_is():
    dense = {"class_name": "Dense", "config": {"units": 2, "batch_input_shape": [None, 3]}}
    old = {"class_name": "Sequential", "config": [dense]}
    model = gpulayers.registry.deserialize(upgraded(old))
    assert model.input_shape == (None, 3)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("DepthwiseConv2D", {"kernel_size": 3, "groups": 1}, {"kernel_size": 3}),
        ("LSTM", {"units": 2, "time_major": False}, {"units": 2}),
        ("BatchNormalization", {"axis": [3], "fused": True}, {"axis": 3}),
        ("InputLayer", {"batch_input_shape": [None, 2]}, {"batch_shape": [None, 2]}),
    ],
)
def test_arguments_of_keras_2(name, old, new):
    found = upgraded({"class_name": name, "config": old})
    assert found == {"class_name": name, "config": new}


def test_arguments_that_are_gone():
    with pytest.raises(ValueError, match="LSTM: time_major=True of Keras 2"):
        upgraded({"class_name": "LSTM", "config": {"units": 2, "time_major": True}})


def test_training_of_keras_2():
    fn = {"class_name": "MeanMetricWrapper", "config": {"name": "m", "fn": "mean_absolute_error"}}
    old = {
        "optimizer_config": {"class_name": "Custom>Adam", "config": {"lr": 0.5, "decay": 0.0}},
        "loss": {"class_name": "MeanSquaredError", "config": {"reduction": "auto"}},
        "metrics": [fn],
        "sample_weight_mode": None,
    }
    model = sequential()
    model.compile_from_config(upgraded_training(old))
    assert float(model.optimizer.learning_rate) == 0.5
    found = model.evaluate(X, X[:, :2], verbose=0, return_dict=True)
    assert found["m"] == pytest.approx(np.abs(model.predict(X, verbose=0) - X[:, :2]).mean(), 1e-5)


def test_mixed_precision_of_keras_2():
    policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    old = {"class_name": "Dense", "config": {"units": 2, "dtype": policy}}
    made = gpulayers.registry.deserialize(upgraded(old))
    assert made.dtype_policy.name == "mixed_float16"


# Descriptions of Keras 3.0 to 3.10.


def older(config, version, path):
    """A file of our own, as an older version would have written it."""
    models.Sequential([gpulayers.Input((4,)), layers.Dense(2)]).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["metadata.json"] = json.dumps({"keras_version": version}).encode()
    members["config.json"] = json.dumps(config(json.loads(members["config.json"]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return saving.load_model(path)


@pytest.mark.parametrize(
    ("version", "single"), [("3.0.5", True), ("3.10.0", True), ("3.11.1", False)]
)
def test_lists_of_one_end(version, single, tmp_path):
    def config(_):
        x = gpulayers.Input((4,))
        model = models.Model([x], [layers.Dense(2, name="y")(x)])
        return gpulayers.registry.serialize(model)

    model = older(config, version, tmp_path / "m.keras")
    assert isinstance(model.output, list) != single
    assert model.predict(X, verbose=0).shape == (len(X), 2)  # Never in a list.


def test_arguments_that_keras_3_lost():
    old = {"module": "keras.layers", "class_name": "RandomRotation", "registered_name": None}
    old["config"] = {"factor": 0.1, "value_range": [0, 255]}
    assert upgraded_since("3.3.3", [old])[0]["config"] == {"factor": 0.1}
    assert upgraded_since("3.15.0", old) is old
    assert upgraded_since("not a version", old) is old
    mine = {**old, "registered_name": "mine>RandomRotation"}
    assert upgraded_since("3.3.3", mine) == mine


# Files that are no such files.


@pytest.fixture
def file(tmp_path):
    shutil.copy(FILES / "2_shared.h5", tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as opened:
        yield opened


def refused(file, match):
    path = file.filename
    file.close()
    with pytest.raises((ValueError, OSError), match=match) as error:
        saving.load_model(path)
    assert path in str(error.value)


def test_weights_alone_are_no_model(file):
    del file.attrs["model_config"]
    refused(file, "it holds no model")


def test_a_list_that_names_nothing(file):
    del file["model_weights/both"]
    refused(file, "'both' is listed, but not there")


def test_links_to_other_files(file):
    del file["model_weights/both/both/bias:0"]
    file["model_weights/both/both/bias:0"] = h5py.ExternalLink("/etc/passwd", "/")
    refused(file, "link to somewhere else")


def test_endless_lists(file):
    path = file.filename
    with h5py.File(f"{path}.h5", "w", libver="latest") as large:
        for name, value in file.attrs.items():
            large.attrs[name] = value
        group = large.create_group("model_weights")
        group.attrs["layer_names"] = np.broadcast_to(np.bytes_("x"), 200_000)
        refused(large, "lists more layer_names than any model has")


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"class_name": 3}', 7])
def test_broken_descriptions(file, text):
    file.attrs["model_config"] = text
    refused(file, "m.h5")


def test_layers_that_are_not_known(file):
    config = json.loads(file.attrs["model_config"])
    config["config"]["layers"][2]["class_name"] = "TFOpLambda"
    file.attrs["model_config"] = json.dumps(config)
    refused(file, "unknown classes: TFOpLambda at shared / both")


def test_byte_code(file):
    code = {"class_name": "Lambda", "config": {"function": ["YWJj", None, None]}}
    file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": [code]})
    refused(file, "safe_mode=False")


def test_weights_that_do_not_fit(file):
    path = file.filename
    del file["model_weights/both/both/bias:0"]
    file["model_weights/both/both/bias:0"] = np.zeros(5, "float32")
    file.close()
    model = MODELS["shared"](gpulayers)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"'both': expected \[\(4, 4\), \(4,\)\]; found .*\(5,\)"):
        model.load_weights(path)
    same(model.get_weights(), before)
    with pytest.warns(UserWarning, match="do not fit"):
        model.load_weights(path, skip_mismatch=True)
    inner = model.get_layer("encoder").get_weights()
    assert not np.array_equal(inner[0], before[2])
