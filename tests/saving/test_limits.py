"""Small files that ask for much: terabytes, endless loops, bombs; and code in every place."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from pathlib import Path

import h5py
import pytest
from saving.archives import members, refused, write
from saving.models import graph, sequential
from saving.test_hostile import CODE, LAYER, changed, function, layer, nodes

import gpulayers
from gpulayers import layers, models, saving
from gpulayers.saving import archive

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")

K = "keras.layers"
PICKLE = "gASVHgAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"  # os.system("true")

# Sizes that ask for terabytes, or for hours.


HUGE = [
    layer(K, "Dense", {"units": 10**9}),
    layer(K, "Dense", {"units": 10**12}),
    layer(K, "Dense", {"units": 10**30}),
    layer(K, "Embedding", {"input_dim": 10**9, "output_dim": 100}),
    layer(K, "STFTSpectrogram", {"frame_length": 10**7, "frame_step": 5}),
    layer(K, "MelSpectrogram", {"fft_length": 1 << 30}),
    layer(K, "MelSpectrogram", {"num_mel_bins": 10**10}),
    layer(K, "MultiHeadAttention", {"num_heads": 10**9, "key_dim": 10**9}),
    layer(K, "LSTM", {"units": 10**8}),
    layer(K, "InputLayer", {"batch_shape": [10**12, 10**12]}),
    layer(K, "InputLayer", {"batch_shape": [1] * 100_000}),
    layer(K, "Reshape", {"target_shape": [10**12, 4]}),
    layer(K, "Dense", {"units": 2, "activation": "x" * 10_000_000}),
    layer(K, "x" * 10_000_000),
    layer(K, "Dense", {"units": 2, "name": ["x"] * 100_000}),
]


@pytest.mark.parametrize("entry", HUGE, ids=lambda entry: str(entry)[:90])
def test_layers_that_ask_for_too_much(folder, entry, measured):
    write("m.keras", changed(LAYER, entry))
    measured("m.keras")


METRICS = [
    layer("keras.metrics", "AUC", {"num_thresholds": 10**9}),
    layer("keras.metrics", "MeanIoU", {"num_classes": 10**6}),
    layer("keras.metrics", "PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 10**9}),
]


@pytest.mark.parametrize("entry", METRICS, ids=str)
def test_metrics_that_ask_for_too_much(folder, entry, measured):
    value = {"optimizer": "sgd", "loss": "mse", "metrics": [entry]}
    write("m.keras", changed(("compile_config",), value))
    measured("m.keras", "larger than what the file could hold")


@pytest.mark.parametrize(
    ("name", "args"),
    [("Tile", [[1, 2], [10**9]]), ("BroadcastTo", [1.0, [10**6, 10**6]]), ("Eye", [10**7])],
)
def test_functions_that_would_run_at_once(folder, name, args, measured):
    whole = members(graph)
    config = json.loads(whole["config.json"])
    for entry in config["config"]["layers"]:
        if entry["class_name"] == "Multiply":
            entry["class_name"] = entry["registered_name"] = name
            entry["inbound_nodes"] = [{"args": args, "kwargs": {}}]
    write("m.keras", {**whole, "config.json": json.dumps(config).encode()})
    measured("m.keras")


def test_calls_on_no_output_of_a_layer(folder):
    entry = [{"args": [[[1.0] * 4]], "kwargs": {}}]
    write("m.keras", changed(("config", "layers", 2, "inbound_nodes"), entry, graph))
    refused("m.keras", "is called on no output of a layer")
    assert nodes(("a", 0, 0)) != entry


# Bombs.


@pytest.mark.parametrize("text", ["[", '{"a":1},', "1.5,", '"ab",', "[0],", "{},"])
def test_bombs_of_json(folder, text, measured):
    body = text * (archive.MOST_TEXT // len(text) - 10)
    write("m.keras", {**members(), "config.json": f'{{"a":[{body}0]}}'.encode()})
    measured("m.keras")


@pytest.mark.parametrize("text", ['{"a":1},', "[0],", "1.5,", "{},"])
def test_as_many_values_as_are_read(folder, measured, text):
    count = archive.MOST_TOKENS // sum(map(text.count, ",[{")) - 10
    write("m.keras", {**members(), "config.json": f'{{"a":[{text * count}0]}}'.encode()})
    measured("m.keras", "expected a model, got dict")


def zeros(count):
    return b"\0" * count


def test_bombs_of_several_members(folder, measured):
    """Each alone would pass; together they do not."""
    whole = lookup()
    more = {f"assets/layers/string_lookup/a{i}": zeros(30 << 20) for i in range(3)}
    write("m.keras", {**whole, **more}, zipfile.ZIP_DEFLATED)
    measured("m.keras", "bytes more than are stored")


def test_members_that_overlap(folder, measured):
    whole = {**lookup(), "assets/layers/string_lookup/a0": os.urandom(1 << 20)}
    with zipfile.ZipFile("m.keras", "w") as made:
        for name, data in whole.items():
            made.writestr(name, data)
        info = made.infolist()[-1]
        for i in range(1, 2000):
            made.infolist().append(copied(info, f"assets/layers/string_lookup/a{i}"))
        made._didModify = True
    measured("m.keras")


def copied(info, name):
    other = zipfile.ZipInfo(name)
    for key in ("compress_size", "file_size", "CRC", "header_offset", "external_attr"):
        setattr(other, key, getattr(info, key))
    return other


def lookup():
    layer = layers.StringLookup(vocabulary=["a", "b"])
    inputs = gpulayers.Input((1,), dtype="string")
    file = io.BytesIO()
    models.Model(inputs, layer(inputs)).save(file)
    with zipfile.ZipFile(file) as made:
        return {name: made.read(name) for name in made.namelist()}


def test_many_members(folder, measured):
    write("m.keras", {**members(), **{"a" * 9000 + str(i): b"" for i in range(500)}})
    measured("m.keras", "the list of its members claims")


def test_endless_groups(folder, measured):
    """The file stays small, and what belongs to no layer is not walked through for long."""
    whole = members()
    file = io.BytesIO(whole["model.weights.h5"])
    with h5py.File(file, "r+") as opened:
        del opened["layers/dense/vars/0"]
        for i in range(2000):
            opened.create_group(f"more/{i}/vars")
    write("m.keras", {**whole, "model.weights.h5": file.getvalue()})
    measured("m.keras", "layers/dense")


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_groups_inside_each_other(folder, version, measured):
    """HDF5 goes through them on the stack of the machine, which would end."""
    file = io.BytesIO()
    with h5py.File(file, "w", libver=version) as opened:
        group = opened.id
        for _ in range(20_000):
            group = h5py.h5g.create(group, b"a")
    write("m.keras", {**members(), "model.weights.h5": file.getvalue()})
    measured("m.keras", "it has groups inside each other, deeper than any model")


def test_sizes_that_lie(folder, measured):
    """The shape of an array is terabytes, and so is what is said to be stored of it."""
    data = bytearray(members()["model.weights.h5"])
    shape = struct.pack("<4Q", 4, 3, 4, 3)  # And the largest that it may get.
    assert data.count(shape) == 1
    at = data.index(shape)
    data[at : at + len(shape)] = struct.pack("<4Q", 1 << 38, 3, 1 << 38, 3)
    data = data.replace(struct.pack("<Q", 48), struct.pack("<Q", 3 << 40))
    write("m.keras", {**members(), "model.weights.h5": bytes(data)})
    measured("m.keras")


# Code of other frameworks, and switches.


FRAMEWORKS = [
    layer(K, "TorchModuleWrapper", {"module": PICKLE}),
    layer(K, "TorchModuleWrapper", {"module": 3}),
    layer(K, "TorchModuleWrapper", {"module": {"class_name": "function", "config": "relu"}}),
    layer(K, "TorchModuleWrapper", {"module": layer("torch.nn", "Linear", {"a": 1})}),
    layer(K, "TFSMLayer", {"filepath": "/etc"}),
    layer(K, "TFSMLayer", {"filepath": "\\\\host\\share", "safe_mode": False}),
    layer(K, "JaxLayer", {"call_fn": function("os.system"), "init_fn": None}),
    layer(K, "JaxLayer", {"call_fn": function("relu"), "init_fn": None, "params": {"a": 1}}),
    layer(K, "JaxLayer", {"call_fn": layer(0, "__lambda__", {"value": [CODE, None, None]}),
                          "init_fn": None}),
    layer(K, "FlaxLayer", {"module": 3, "call_fn": None, "init_fn": None}),
    layer(K, "Lambda", {"function": {"class_name": "__lambda__", "config": {"code": PICKLE}}}),
    layer(K, "Lambda", {"function": function("load_model"), "arguments": {"filepath": "x"}}),
    layer(K, "Lambda", {"function": function("enable_unsafe_deserialization")}),
    layer("keras.config", "enable_unsafe_deserialization"),
    layer("pickle", "loads", {"data": PICKLE}),
    layer("keras.saving", "load_model", {"filepath": "m.keras", "safe_mode": False}),
    layer(K, "StringLookup", {"vocabulary": "/etc/passwd"}),
    layer(K, "IntegerLookup", {"vocabulary": "/etc/passwd"}),
    layer(K, "TextVectorization", {"vocabulary": "/etc/passwd"}),
    layer(K, "StringLookup", {"vocabulary": "../secret.txt"}),
]  # fmt: skip


@pytest.mark.parametrize("entry", FRAMEWORKS, ids=lambda entry: str(entry)[:90])
def test_code_of_other_frameworks(folder, entry, measured):
    write("m.keras", changed(LAYER, entry))
    measured("m.keras")


OPTIMIZERS = [
    layer("os", "system", {"command": "true"}),
    layer("keras.optimizers", "SGD", {"learning_rate": layer("os", "system", {"command": "x"})}),
    layer("keras.optimizers", "SGD", {"learning_rate": function("eval")}),
    layer("keras.optimizers", "Optimizer.__class__"),
    layer("keras.callbacks", "ModelCheckpoint", {"filepath": "evil"}),
]


@pytest.mark.parametrize("entry", OPTIMIZERS, ids=str)
def test_hostile_optimizers(folder, entry, measured):
    write("m.keras", changed(("compile_config",), {"optimizer": entry, "loss": "mse"}))
    measured("m.keras")


CALLBACKS = ["CSVLogger", "ModelCheckpoint", "TensorBoard", "LambdaCallback", "RemoteMonitor"]


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("place", [LAYER, ("compile_config",)])
def test_names_of_callbacks(folder, name, place, measured):
    entry = layer("keras.callbacks", name, {"filename": "evil", "filepath": "evil"})
    value = entry if place == LAYER else {"optimizer": "sgd", "metrics": [entry]}
    write("m.keras", changed(place, value))
    measured("m.keras")


# Folders.


def test_links_out_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sequential().save("model", zipped=False)
    Path("model/config.json").rename("secret.json")
    Path("model/config.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(ValueError, match=r"model: config.json is a link that leads out"):
        saving.load_model("model")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_pipes_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sequential().save("model", zipped=False)
    Path("model/config.json").unlink()
    os.mkfifo("model/config.json")
    with pytest.raises(ValueError, match=r"model: config.json is no file"):
        saving.load_model("model")
