"""Broken and hostile files: each gives a ValueError or OSError that names it, and does nothing."""

from __future__ import annotations

import copy
import json
import struct
import zipfile
from pathlib import Path

import pytest
from saving.archives import members, refused, write
from saving.models import graph, sequential

from gpulayers import saving
from gpulayers.saving import archive

CODE = "4wAAAAAAAAAAAAAAAAEAAABDAAAA8w=="


# Archives.


@pytest.mark.parametrize("tenth", range(10))
def test_truncated_files(folder, tenth):
    sequential().save("m.keras")
    data = Path("m.keras").read_bytes()
    Path("m.keras").write_bytes(data[: len(data) * tenth // 10])
    refused("m.keras", "damaged")


def test_truncated_weights(folder):
    whole = members()
    data = whole["model.weights.h5"]
    for tenth in range(10):
        write("m.keras", {**whole, "model.weights.h5": data[: len(data) * tenth // 10]})
        refused("m.keras")


def test_flipped_bytes(folder):
    """Checksums find what is wrong in weights; a description is text that is no longer right."""
    sequential().save("m.keras")
    data = bytearray(Path("m.keras").read_bytes())
    data[len(data) // 2] ^= 255
    Path("m.keras").write_bytes(data)
    refused("m.keras", "is damaged: Bad CRC-32|m.keras")


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_missing_members(folder, name):
    whole = members()
    del whole[name]
    write("m.keras", whole)
    refused("m.keras", f"it has no member {name}")


def test_paths_of_members_are_not_used(folder):
    write("m.keras", {**members(), "../evil": b"x", "/tmp/evil": b"x", "assets/../../evil": b"x"})
    saving.load_model("m.keras")
    assert not (folder.parent / "evil").exists()


def test_bombs(folder, monkeypatch):
    monkeypatch.setattr(archive, "UNSUSPICIOUS", 1 << 20)  # Else the tests themselves are slow.
    monkeypatch.setattr(archive, "MOST_TEXT", 1 << 20)
    zeros = b"\0" * ((1 << 20) + 1)
    write("m.keras", {**members(), "model.weights.h5": zeros}, zipfile.ZIP_DEFLATED)
    refused("m.keras", r"claims to have \d+ bytes, but \d+ are stored")
    text = b" " * len(zeros)
    write("m.keras", {**members(), "config.json": text}, zipfile.ZIP_STORED)
    refused("m.keras", r"config.json has \d+ bytes, more than the")


def test_other_compressions(folder):
    write("m.keras", members(), zipfile.ZIP_BZIP2)
    refused("m.keras", "config.json is compressed in a way that no .keras archive is")


def test_sizes_that_lie(folder):
    whole = members()
    write("m.keras", whole)
    data = Path("m.keras").read_bytes()
    directory = data.rfind(b"PK\1\2")
    for at, size in ((24, 1 << 31), (20, 1 << 31)):  # Of the data, and of what is stored.
        changed = bytearray(data)
        struct.pack_into("<I", changed, directory + at, size)
        Path("m.keras").write_bytes(changed)
        refused("m.keras")
    changed = bytearray(data)
    struct.pack_into("<I", changed, data.rfind(b"PK\5\6") + 12, 1 << 30)
    Path("m.keras").write_bytes(changed)
    refused("m.keras", "the list of its members claims to have 1073741824 bytes")


# Descriptions.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[]", "must hold an object, got list"),
        (b"{}", "expected a model, got dict"),
        (b"[" * 100_000, "nested too deeply|is no JSON"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "nested more than 200 levels deep"),
        (b"[" + b"0," * (archive.MOST_TOKENS + 1) + b"0]", "holds more than"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is no JSON"),
    ],
)
def test_descriptions_that_are_none(folder, text, message):
    write("m.keras", {**members(), "config.json": text})
    refused("m.keras", message)


def changed(path, value, make=sequential):
    """A whole model's members, with one place of the description changed."""
    whole = members(make)
    config = json.loads(whole["config.json"])
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = copy.deepcopy(value)
    return {**whole, "config.json": json.dumps(config).encode()}


LAYER = ("config", "layers", 1)
ACTIVATION = (*LAYER, "config", "activation")


def layer(module, name, config=None, **more):
    return {"module": module, "class_name": name, "config": config or {}, **more}


def function(name):
    return {"module": "builtins", "class_name": "function", "config": name}


@pytest.mark.parametrize(
    "entry",
    [
        layer("os", "system", {"command": "touch evil"}),
        layer("builtins", "eval"),
        layer("subprocess", "Popen", {"args": ["touch", "evil"]}),
        layer("keras.callbacks", "CSVLogger", {"filename": "evil"}),
        layer("keras.callbacks", "BackupAndRestore", {"backup_dir": "evil"}),
        layer("gpulayers.saving", "load_model", {"filepath": "m.keras"}),
        layer("keras.layers", "__import__", {"name": "os"}),
        layer("keras.layers", "Layer.__class__"),
        layer("keras.layers", "Dense", registered_name="os>system"),
        layer("keras.layers", ["Dense"], {"units": 2}),
        layer("keras.layers", {"a": 1}, {"units": 2}),
        layer("keras.layers", "Dense", {"units": 2}, registered_name=["x"]),
        layer("keras.layers", "Lambda", {"function": function("eval")}),
        layer("keras.layers", "Lambda", {"function": function("os.system")}),
        layer("keras.layers", "Lambda", {"function": function("numpy.fromfile")}),
        layer("keras.layers", "Lambda", {"function": function("keras.saving.load_model")}),
        layer("keras.layers", "Lambda", {"function": function(["relu"])}),
        layer("keras.layers", "Lambda", {"function": layer("os", "function", "system")}),
        layer(
            "keras.layers",
            "Lambda",
            {"function": layer(None, "__lambda__", {"value": [CODE, None, None]})},
        ),
        layer(
            "keras.layers",
            "Lambda",
            {"function": layer(None, "__lambda__", {"code": CODE, "defaults": 0, "closure": 0})},
        ),
        layer("keras.layers", "Lambda", {"function": CODE}),
        layer("keras.src.ops.numpy", "Fromfile", {"file": "m.keras"}),
        layer("keras.layers", "Masking", {"mask_value": layer(0, "__numpy__", {"value": [1]})}),
        layer("keras.layers", "Dense", {"units": 2, "made_up": 1}),
        layer("keras.layers", "Dense", {"units": -2}),
        layer("keras.layers", "Dense", {"units": "many"}),
        layer("keras.layers", "Dense", {"units": 10**14}),
        layer("keras.layers", "Dense", 3),
        layer("keras.layers", "Dense", {"units": 2, "name": "../a"}),
        layer("keras.layers", "Dense", {"units": 2, "dtype": "int1"}),
        layer("keras.layers", "Dense", {"units": 2}, shared_object_id={"a": 1}),
        layer("keras.layers", "Dense", {"units": 2}, build_config={"input_shape": "x"}),
        layer("keras.layers", "Dense", {"units": 2}, build_config=[1]),
        layer("keras.layers", "InputSpec"),
        layer("keras.initializers", "Zeros"),
        "Dense",
        None,
        [],
    ],
    ids=str,
)
def test_hostile_layers(folder, entry):
    write("m.keras", changed(LAYER, entry))
    refused("m.keras")


@pytest.mark.parametrize(
    "activation",
    [
        "eval",
        "os.system",
        "layers.Dense",
        "__class__",
        3,
        ["relu"],
        function("exec"),
        layer(None, "__lambda__", {"value": [CODE, None, None]}),
        layer("os", "system"),
    ],
    ids=str,
)
def test_hostile_activations(folder, activation):
    write("m.keras", changed(ACTIVATION, activation))
    refused("m.keras")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("compile_config",), {"optimizer": layer("os", "system"), "loss": "mse"}),
        (("compile_config",), {"optimizer": "sgd", "loss": function("eval")}),
        (("compile_config",), {"loss": layer(0, "__lambda__", {"value": [CODE, None, None]})}),
        (("compile_config",), {"optimizer": "sgd", "made_up": 1}),
        (("compile_config",), [1]),
        (("config",), None),
        (("config",), []),
        (("config", "layers"), 3),
        (("config", "layers"), {}),
        (("config", "name"), ["x"]),
        (("class_name",), "Model"),
        (("build_config",), {"input_shape": [None, "x"]}),
        (("config", "layers", 0, "config", "batch_shape"), [None, -3]),
        (("config", "layers", 0, "config", "batch_shape"), "abc"),
    ],
    ids=str,
)
def test_hostile_stacks(folder, path, value):
    if path == ("build_config",):
        write("m.keras", changed(("config", "layers"), []))
    else:
        write("m.keras", changed(path, value))
    refused("m.keras")


def tensor(*history):
    config = {"shape": [None, 4], "dtype": "float32", "keras_history": list(history)}
    return {"class_name": "__keras_tensor__", "config": config}


def nodes(*histories, **kwargs):
    return [{"args": [tensor(*h) for h in histories], "kwargs": kwargs}]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("config", "output_layers"), [["missing", 0, 0]]),
        (("config", "output_layers"), [["a", 5, 0]]),
        (("config", "output_layers"), [["a", 0, -1]]),
        (("config", "output_layers"), 3),
        (("config", "input_layers"), None),
        (("config", "input_layers"), [["head", 0, 0]]),
        (("config", "layers", 2, "inbound_nodes"), 3),
        (("config", "layers", 2, "inbound_nodes"), [{}]),
        (("config", "layers", 2, "inbound_nodes"), nodes(("nothing", 0, 0))),
        (("config", "layers", 2, "inbound_nodes"), nodes(("encoder", 0, 0))),  # Its own output.
        (("config", "layers", 2, "inbound_nodes"), nodes(("a", 0, 0), ("b", 0, 0), made_up=1)),
        (("config", "layers", 2, "inbound_nodes"), nodes(([], 0, 0))),
        (("config", "layers", 2, "name"), ["x"]),
    ],
    ids=str,
)
def test_hostile_graphs(folder, path, value):
    whole = members(graph)
    names = [entry["name"] for entry in json.loads(whole["config.json"])["config"]["layers"]]
    assert names[2] == "encoder"
    write("m.keras", changed(path, value, graph))
    refused("m.keras")


@pytest.mark.parametrize(
    "name", ["Fromfile", "Memmap", "Save", "Load", "__Class__", "Linalg.inv", 3]
)
def test_hostile_functions_in_graphs(folder, name):
    whole = members(graph)
    config = json.loads(whole["config.json"])
    for entry in config["config"]["layers"]:
        if entry["module"] == "keras.src.ops.numpy" and entry["class_name"] == "Multiply":
            entry["class_name"] = name
            entry["inbound_nodes"][0]["args"][1] = "evil"
    write("m.keras", {**whole, "config.json": json.dumps(config).encode()})
    refused("m.keras", "m.keras")
