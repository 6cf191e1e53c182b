"""Hostile .h5 files in the form of Keras 2: each is refused at once, and does nothing."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from saving.models import sequential
from saving.test_hostile import CODE
from saving.test_limits import PICKLE

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")


def legacy(change):
    sequential().save("m.h5")
    with h5py.File("m.h5", "r+") as file:
        change(file)


@pytest.mark.parametrize("tenth", range(10))
def test_truncated_files_of_keras_2(tmp_path, monkeypatch, tenth, measured):
    monkeypatch.chdir(tmp_path)
    sequential().save("m.h5")
    data = Path("m.h5").read_bytes()
    Path("m.h5").write_bytes(data[: len(data) * tenth // 10])
    measured("m.h5")


@pytest.mark.parametrize(
    "entry",
    [
        {"class_name": "Lambda", "config": {"function": [CODE, None, None]}},
        {"class_name": "Lambda", "config": {"function": "os.system", "module": "os"}},
        {"class_name": "Lambda", "config": {"function": "load_model", "module": "keras.models"}},
        {"class_name": "system", "module": "os", "config": {"command": "true"}},
        {"class_name": "TorchModuleWrapper", "config": {"module": PICKLE}},
        {"class_name": "CSVLogger", "config": {"filename": "evil"}},
        {"class_name": "Dense", "config": {"units": 10**10, "batch_input_shape": [None, 4]}},
        {"class_name": "os.system", "config": {}},
    ],
    ids=lambda entry: str(entry)[:90],
)
def test_hostile_layers_of_keras_2(tmp_path, monkeypatch, entry, measured):
    monkeypatch.chdir(tmp_path)
    config = {"class_name": "Sequential", "config": [entry]}
    legacy(lambda file: file.attrs.__setitem__("model_config", json.dumps(config)))
    measured("m.h5")


def replaced(name, value):
    def change(file):
        group = file["model_weights"]
        place = group.attrs["layer_names"][0]
        inside = group[place]
        where = inside.attrs["weight_names"][0]
        if name == "layer_names":
            group.attrs[name] = value
        elif name == "weight_names":
            inside.attrs[name] = value
        else:
            del inside[where]
            if isinstance(value, h5py.ExternalLink):
                inside[where] = value
            else:
                inside.create_dataset(where, **value)

    return change


EXTERNAL = {"shape": (4, 3), "dtype": "f4", "external": [("/etc/passwd", 0, 48)]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataset", h5py.ExternalLink("/etc/passwd", "/x")),
        ("dataset", EXTERNAL),
        ("dataset", {"shape": (1 << 20, 1 << 20), "dtype": "f4"}),
        ("dataset", {"data": "a text"}),
        ("layer_names", ["x"] * 4000),
        ("layer_names", np.zeros(100, "V4")),
        ("layer_names", ["../../etc"]),
        ("weight_names", ["/optimizer_weights"]),
        ("weight_names", np.arange(3)),
        ("weight_names", [".."]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_hostile_weights_of_keras_2(tmp_path, monkeypatch, name, value, measured):
    monkeypatch.chdir(tmp_path)
    legacy(replaced(name, value))
    measured("m.h5")


# Texts of any length: HDF5 takes memory for them by what the file claims.


def records(data, place):
    """Where the file refers to texts in the heap at `place`: a length stands 4 bytes before."""
    address, at = struct.pack("<Q", place), -1
    while (at := data.find(address, at + 1)) >= 0:
        yield at


def heaps(data):
    at = -1
    while (at := data.find(b"GCOL", at + 1)) >= 0:
        yield at


@pytest.mark.parametrize("size", [10**9, (1 << 32) - 1])
def test_texts_that_claim_to_be_long(tmp_path, monkeypatch, size, measured):
    monkeypatch.chdir(tmp_path)
    sequential().save("m.h5")
    data = bytearray(Path("m.h5").read_bytes())
    places = [at for place in heaps(data) for at in records(data, place)]
    assert places
    for at in places:
        struct.pack_into("<I", data, at - 4, size)
    Path("m.h5").write_bytes(data)
    measured("m.h5", "lists more model_config than any model has")


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 63) - 8, (1 << 64) - 16, (1 << 64) - 1])
def test_heaps_of_texts_that_never_end(tmp_path, monkeypatch, size, measured):
    """HDF5 itself goes round and round in some of these."""
    monkeypatch.chdir(tmp_path)
    sequential().save("m.h5")
    data = bytearray(Path("m.h5").read_bytes())
    struct.pack_into("<Q", data, data.index(b'{"class_name"') - 8, size)
    Path("m.h5").write_bytes(data)
    measured("m.h5", "a text in the attribute model_config of / is not there")


@pytest.mark.parametrize("count", [100, 4000])
def test_lists_of_one_long_text(tmp_path, monkeypatch, count, measured):
    """Each element of a list refers to the same text of a megabyte."""
    monkeypatch.chdir(tmp_path)

    def change(file):
        file.attrs["long"] = "x" * (1 << 20)
        attributes = file["model_weights"].attrs
        attributes.create("layer_names", ["short"] * count, dtype=h5py.string_dtype())

    legacy(change)
    data = bytearray(Path("m.h5").read_bytes())
    places = [at for place in heaps(data) for at in records(data, place)]
    by_size = {size: [at for at in places if data[at - 4 : at] == struct.pack("<I", size)]
               for size in (5, 1 << 20)}  # fmt: skip
    (long,) = by_size[1 << 20]
    assert len(by_size[5]) == count
    for at in by_size[5]:
        data[at - 4 : at + 12] = data[long - 4 : long + 12]
    Path("m.h5").write_bytes(data)
    measured("m.h5", "/model_weights lists more layer_names than any model has")
