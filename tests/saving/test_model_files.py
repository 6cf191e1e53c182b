"""Whole models in `.keras` files: what is saved comes back, and errors leave all as it was."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile

import pytest
from saving.models import Scale, X, Y, blocks, compiled, fit, graph, same, sequential

import gpulayers
from gpulayers import layers, losses, metrics, models, optimizers, saving


def saved(model, path):
    """The model after a way through a file, and its description there."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        names = [info.filename for info in archive.infolist()]
        assert names == ["metadata.json", "config.json", "model.weights.h5"]
        assert json.loads(archive.read("metadata.json"))["keras_version"] == "3.15.1"
        config = json.loads(archive.read("config.json"))
    return saving.load_model(path), config


# What comes back.


@pytest.mark.parametrize(("make", "x"), [(sequential, X), (graph, {"a": X, "b": -X}), (blocks, X)])
def test_models_come_back(tmp_path, make, x):
    model = make()
    again, _ = saved(model, tmp_path / "m.keras")
    assert type(again) is type(model)
    assert again.name == model.name
    assert not again.compiled
    same(again.get_weights(), model.get_weights())
    same(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.to_json() == model.to_json()


def test_shared_layers_stay_shared(tmp_path):
    shared = layers.Dense(4)
    first = models.Sequential([gpulayers.Input((4,)), shared])
    second = models.Sequential([gpulayers.Input((4,)), shared, layers.Dense(2)])
    x = gpulayers.Input((4,))
    model = models.Model(x, second(first(x) + shared(x)))
    again, _ = saved(model, tmp_path / "m.keras")
    assert len(again.weights) == len(model.weights) == 4
    same(again(X), model(X))


def test_the_description_is_as_keras_writes_it(tmp_path):
    _, config = saved(compiled(), tmp_path / "m.keras")
    assert (config["module"], config["class_name"]) == ("keras", "Sequential")
    first, dense, scale, last = config["config"]["layers"]
    assert (first["class_name"], dense["module"]) == ("InputLayer", "keras.layers")
    assert dense["build_config"] == {"input_shape": [None, 4]}
    assert dense["config"]["activation"] == "tanh"
    assert (scale["module"], scale["registered_name"]) == (None, "tests>Scale")
    assert last["config"]["activation"] == "tests>halved"
    optimizer = config["compile_config"]["optimizer"]
    assert (optimizer["module"], optimizer["class_name"]) == ("keras.optimizers", "Adam")
    assert optimizer["config"]["learning_rate"]["module"] == "keras.optimizers.schedules"


def test_a_nested_graph_is_numbered_as_keras_does(tmp_path):
    x = gpulayers.Input((4,), name="x")
    inner = models.Model(x, layers.Dense(4)(x), name="inner")
    y = inner(x)
    model = models.Model(x, [y, layers.Dense(2, name="last")(y)])
    again, config = saved(model, tmp_path / "m.keras")
    entries = {entry["name"]: entry for entry in config["config"]["layers"]}
    (call,) = entries["last"]["inbound_nodes"]
    assert call["args"][0]["config"]["keras_history"] == ["inner", 0, 0]
    assert config["config"]["output_layers"] == [["inner", 1, 0], ["last", 0, 0]]
    same(again(X), model(X))


def test_training_goes_on_exactly(tmp_path):
    whole = fit(compiled(), 6)
    model = compiled()
    fit(model, 3)
    again, _ = saved(model, tmp_path / "m.keras")
    rest = fit(again, 6, start=3)
    assert {name: values[3:] for name, values in whole.items()} == rest
    assert sorted(rest) == ["loss", "mae", "squares"]


def test_training_that_was_not_begun(tmp_path):
    model = compiled()
    again, _ = saved(model, tmp_path / "m.keras")
    assert fit(again, 2) == fit(model, 2)


def test_checkpoints_while_training(tmp_path):
    whole = fit(compiled(), 5)
    path = str(tmp_path / "deep" / "{epoch}.keras")
    checkpoint = gpulayers.callbacks.ModelCheckpoint(path)
    compiled().fit(X, Y, batch_size=3, epochs=2, shuffle=False, verbose=0, callbacks=[checkpoint])
    again = saving.load_model(tmp_path / "deep" / "2.keras")
    assert fit(again, 5, start=2)["loss"] == whole["loss"][2:]


@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.LossScaleOptimizer(optimizers.SGD(0.01, momentum=0.9)),
        optimizers.MultiOptimizer(
            optimizers.OptimizerMap(optimizers.SGD(0.01), {".*bias": optimizers.Adam()})
        ),
        optimizers.Lamb(gradient_accumulation_steps=2),
        optimizers.Nadam(use_ema=True, ema_overwrite_frequency=3),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_optimizers(tmp_path, optimizer):
    model = sequential()
    model.compile(optimizers.deserialize(optimizers.serialize(optimizer)), "mse")
    fit(model, 2)
    again, _ = saved(model, tmp_path / "m.keras")
    same(
        [v.numpy() for v in again.optimizer.variables],
        [v.numpy() for v in model.optimizer.variables],
    )
    assert fit(again, 2) == fit(model, 2)


def test_losses_and_metrics_of_several_outputs(tmp_path):
    x, z, y = gpulayers.Input((4,)), "sums", "halves"
    model = models.Model(x, [layers.Dense(2, name=z)(x), layers.Dense(2, name=y)(x)])
    model.compile(
        "sgd",
        loss={z: losses.MeanSquaredError(reduction="sum"), y: halved_error},
        loss_weights={z: 0.5, y: 2},
        metrics={z: ["mae", metrics.RootMeanSquaredError()]},
    )
    model.save(tmp_path / "m.keras")
    again = saving.load_model(tmp_path / "m.keras", custom_objects={"halved_error": halved_error})
    data = X, {z: Y, y: Y}
    assert again.evaluate(*data, verbose=0) == model.evaluate(*data, verbose=0)
    assert again.get_compile_config() == model.get_compile_config()
    assert not saving.load_model(tmp_path / "m.keras", compile=False).compiled


def halved_error(y_true, y_pred):
    return abs(y_true - y_pred) / 2


def test_weights_of_16_bits(tmp_path):
    model = models.Sequential([gpulayers.Input((4,)), layers.Dense(2, dtype="bfloat16")])
    again, _ = saved(model, tmp_path / "m.keras")
    assert str(again.weights[0].numpy().dtype) == "bfloat16"
    same(again.get_weights(), model.get_weights())


def test_frozen_layers_stay_frozen(tmp_path):
    model = sequential()
    model.layers[0].trainable = False
    again, _ = saved(model, tmp_path / "m.keras")
    assert [layer.trainable for layer in again.layers] == [False, True, True]
    assert len(again.trainable_weights) == len(model.trainable_weights) == 3


def test_a_model_that_is_not_built(tmp_path):
    again, _ = saved(models.Sequential([layers.Dense(2)]), tmp_path / "m.keras")
    assert not again.built
    assert again(X).shape == (10, 2)


# Names.


class Unregistered(layers.Layer):
    def call(self, x):
        return x + 1


def test_unknown_classes_are_listed_with_their_places(tmp_path):
    class Other(Unregistered):
        pass

    inner = models.Sequential([gpulayers.Input((4,)), Unregistered(name="deep")], name="inner")
    model = models.Sequential([gpulayers.Input((4,)), inner, Other(name="top")], name="outer")
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError) as caught:
        saving.load_model(tmp_path / "m.keras")
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "m.keras"))
    assert "Unregistered at outer / inner / deep" in text
    assert "Other at outer / top" in text
    assert "register_keras_serializable" in text
    again = saving.load_model(tmp_path / "m.keras", {"Unregistered": Unregistered, "Other": Other})
    same(again(X), model(X))
    with saving.custom_object_scope({"Unregistered": Unregistered, "Other": Other}):
        same(saving.load_model(tmp_path / "m.keras")(X), model(X))


def test_a_class_of_ours_does_not_stand_in_for_another_of_its_name(tmp_path):
    class Dense(Unregistered):
        pass

    models.Sequential([gpulayers.Input((4,)), Dense()]).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"unknown classes: Dense at sequential / dense"):
        saving.load_model(tmp_path / "m.keras")


def test_a_config_that_does_not_fit(tmp_path):
    class Changed(Scale):
        def __init__(self, name, trainable, dtype):
            super().__init__(name=name, trainable=trainable, dtype=dtype)

    sequential().save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"m.keras: Changed: this config does not fit: .*'start'"):
        saving.load_model(tmp_path / "m.keras", custom_objects={"tests>Scale": Changed})


# Files.


def test_a_folder(tmp_path):
    model = compiled()
    fit(model, 1)
    model.save(tmp_path / "m", zipped=False)
    assert sorted(os.listdir(tmp_path / "m")) == [
        "config.json",
        "metadata.json",
        "model.weights.h5",
    ]
    again = saving.load_model(tmp_path / "m")
    assert fit(again, 2) == fit(model, 2)
    again.load_weights(tmp_path / "m")


def test_open_files():
    model, file = compiled(), io.BytesIO()
    saving.save_model(model, file)
    file.seek(0)
    same(saving.load_model(file).get_weights(), model.get_weights())
    with pytest.raises(ValueError, match="the file: it is no .keras archive"):
        saving.load_model(io.BytesIO(b"nothing"))


def test_compressed_archives(tmp_path):
    model = sequential()
    model.save(tmp_path / "m.keras")
    with (
        zipfile.ZipFile(tmp_path / "m.keras") as old,
        zipfile.ZipFile(tmp_path / "n.keras", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    same(saving.load_model(tmp_path / "n.keras").get_weights(), model.get_weights())


def test_overwriting(tmp_path):
    path = tmp_path / "m.keras"
    path.write_text("old")
    with pytest.raises(FileExistsError, match=r"m\.keras exists already, and overwrite=False"):
        sequential().save(path, overwrite=False)
    assert path.read_text() == "old"
    os.chmod(path, 0o640)
    link = tmp_path / "link.keras"
    link.symlink_to(path)
    sequential().save(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert isinstance(saving.load_model(path), models.Sequential)


def test_new_files_have_the_usual_mode(tmp_path):
    (tmp_path / "plain").write_text("")
    sequential().save(tmp_path / "m.keras")
    assert (tmp_path / "m.keras").stat().st_mode == (tmp_path / "plain").stat().st_mode


class Unsaveable(Scale):
    def save_own_variables(self, store):
        raise RuntimeError("broken")


@pytest.mark.parametrize("way", ["crash", "full disk", "own layer"])
def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch, way):
    path = tmp_path / "m.keras"
    sequential().save(path)
    old = path.read_bytes()
    model = sequential()
    if way == "own layer":
        model = models.Sequential([gpulayers.Input((4,)), Unsaveable()])
    elif way == "crash":
        monkeypatch.setattr(os, "replace", _fail)
    else:
        monkeypatch.setattr(zipfile.ZipFile, "writestr", _fail)
    with pytest.raises((OSError, RuntimeError), match="no space left|broken"):
        model.save(path)
    assert os.listdir(tmp_path) == ["m.keras"]
    assert path.read_bytes() == old


def _fail(*args, **kwargs):
    raise OSError("no space left")


@pytest.mark.parametrize(
    ("path", "options", "error", "text"),
    [
        ("m.h6", {}, ValueError, "must end in .keras, .h5 or .hdf5"),
        ("m", {}, ValueError, r"must end in \.keras, .*, got '.*m'"),
        ("m.keras", {"zipped": False}, ValueError, "and not end in .keras, if not zipped"),
        ("m.keras", {"form": 1}, ValueError, "unknown arguments form"),
        ("missing/m.keras", {}, FileNotFoundError, "missing"),
        ("", {}, ValueError, r"must end in \.keras"),
    ],
)
def test_wrong_places(tmp_path, path, options, error, text):
    with pytest.raises(error, match=text):
        sequential().save(os.path.join(tmp_path, path), **options)
    assert os.listdir(tmp_path) == []


def test_wrong_sources(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.keras"):
        saving.load_model(tmp_path / "nothing.keras")
    with pytest.raises(FileNotFoundError, match="config.json"):
        saving.load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="m.h5"):
        saving.load_model(tmp_path / "m.h5")
    with pytest.raises(TypeError, match="save_model: expected a model, got Dense"):
        saving.save_model(layers.Dense(2), tmp_path / "m.keras")
    (tmp_path / "m.keras").mkdir()
    with pytest.raises(IsADirectoryError, match="m.keras is a folder"):
        sequential().save(tmp_path / "m.keras")


def test_other_ways_to_the_functions(tmp_path):
    models.save_model(sequential(), tmp_path / "m.keras")
    assert isinstance(models.load_model(tmp_path / "m.keras"), models.Sequential)
    assert gpulayers.saving.__all__ == sorted(gpulayers.saving.__all__, key=_by_case)


def _by_case(name):
    return name[0].islower(), name
