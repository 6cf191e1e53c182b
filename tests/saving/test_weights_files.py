"""Weights in several files, and in safetensors files."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from saving.models import blocks, compiled, fit, graph, same, sequential

import gpulayers
from gpulayers import layers, models

ENDINGS = pytest.mark.parametrize("ending", [".safetensors", ".weights.json", ".weights.h5"])
KILOBYTE = 2**-20  # In GB.


def write(model, path):
    sharded = {"max_shard_size": 0.1 * KILOBYTE} if str(path).endswith(".json") else {}
    model.save_weights(path, **sharded)


@ENDINGS
@pytest.mark.parametrize("make", [sequential, graph, blocks])
def test_weights_come_back(tmp_path, ending, make):
    model, other = make(), make()
    write(model, tmp_path / f"w{ending}")
    other.load_weights(tmp_path / f"w{ending}")
    same(other.get_weights(), model.get_weights())


@ENDINGS
def test_training_goes_on(tmp_path, ending):
    whole, model, again = fit(compiled(), 6), compiled(), compiled()
    fit(model, 3)
    write(model, tmp_path / f"w{ending}")
    again.optimizer.build(again.trainable_variables)
    again.load_weights(tmp_path / f"w{ending}")
    assert fit(again, 6, start=3)["loss"] == whole["loss"][3:]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8"])
def test_dtypes(tmp_path, dtype):
    kept = "float32" if dtype == "int8" else dtype
    model = models.Sequential([gpulayers.Input((4,)), layers.Dense(3, dtype=kept)])
    if dtype == "int8":
        model.quantize("int8")
    model.save_weights(tmp_path / "w.safetensors")
    expected = model.get_weights()
    model.set_weights([np.zeros_like(w) for w in expected])
    model.load_weights(tmp_path / "w.safetensors")
    for a, b in zip(model.get_weights(), expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.astype("float64"), b.astype("float64"))


def test_misfits_are_listed_and_nothing_changes(tmp_path):
    sequential().save_weights(tmp_path / "w.safetensors")
    model = models.Sequential([gpulayers.Input((4,)), layers.Dense(5), layers.Dense(2)])
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"layers/dense .*expected \(4, 5\), .*found \(4, 3\)"):
        model.load_weights(tmp_path / "w.safetensors")
    same(model.get_weights(), before)


def test_the_files_of_shards(tmp_path):
    model = compiled()
    fit(model, 1)
    write(model, tmp_path / "w.weights.json")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[:2] == ["w.weights.json", "w_00000.weights.h5"]
    assert len(names) > 3
    map_ = json.loads((tmp_path / "w.weights.json").read_text())
    total = sum(v.numpy().nbytes for v in (*model.variables, *model.optimizer.variables))
    assert map_["metadata"]["total_size"] == total
    assert map_["weight_map"]["/layers/dense/vars"] == ["w_00000.weights.h5"]
    assert len(map_["weight_map"]["/optimizer/vars"]) > 1


def test_one_array_is_not_split(tmp_path):
    with pytest.raises(ValueError, match=r"layers/dense/0 alone has 48 bytes"):
        sequential().save_weights(tmp_path / "w.weights.json", max_shard_size=1e-9)
    assert list(tmp_path.iterdir()) == []


def test_endings_and_sizes_belong_together(tmp_path):
    with pytest.raises(ValueError, match="belong together"):
        sequential().save_weights(tmp_path / "w.weights.json")
    with pytest.raises(ValueError, match="belong together"):
        sequential().save_weights(tmp_path / "w.safetensors", max_shard_size=1)
    sequential().save_weights(tmp_path / "w.weights.h5", max_shard_size=1)
    assert (tmp_path / "w.weights.json").exists()


@pytest.mark.parametrize("name", ["../w_00000.weights.h5", "/etc/passwd", 3, "a/b.weights.h5", "x"])
def test_lists_name_files_beside_themselves_only(tmp_path, name):
    model = sequential()
    write(model, tmp_path / "w.weights.json")
    (tmp_path / "w.weights.json").write_text(json.dumps({"weight_map": {"/vars": name}}))
    with pytest.raises(ValueError, match=r"w\.weights\.json: .*is no name of a file"):
        model.load_weights(tmp_path / "w.weights.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', "{" * 1000])
def test_lists_that_are_none(tmp_path, text):
    (tmp_path / "w.weights.json").write_text(text)
    with pytest.raises(ValueError, match=r"w\.weights\.json"):
        sequential().load_weights(tmp_path / "w.weights.json")


def test_a_shard_that_is_missing(tmp_path):
    model = sequential()
    write(model, tmp_path / "w.weights.json")
    (tmp_path / "w_00000.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match="w_00000"):
        model.load_weights(tmp_path / "w.weights.json")


# Broken safetensors files.

WHOLE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def tensors(entry, data=bytes(8)):
    text = json.dumps({"layers/dense/0": entry}).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"12345678",
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 2**40) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        tensors(3),
        tensors({**WHOLE, "dtype": "F128"}),
        tensors({**WHOLE, "dtype": ["F32"]}),
        tensors({**WHOLE, "shape": [2**40, 2**40], "data_offsets": [0, 2**82]}),
        tensors({**WHOLE, "shape": [-2], "data_offsets": [8, 0]}),
        tensors({**WHOLE, "shape": [True, 2]}),
        tensors({**WHOLE, "shape": 2}),
        tensors({**WHOLE, "data_offsets": [0, 4]}),
        tensors({**WHOLE, "data_offsets": [4, 12]}),
        tensors({**WHOLE, "data_offsets": ["0", 8]}),
        tensors(WHOLE, bytes(7)),
    ],
)
def test_broken_safetensors(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    model = sequential()
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"w\.safetensors: "):
        model.load_weights(tmp_path / "w.safetensors")
    same(model.get_weights(), before)


def test_safetensors_are_what_others_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    model = sequential()
    model.save_weights(tmp_path / "w.safetensors")
    found = safetensors.load_file(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(found["layers/dense/0"], model.get_weights()[0])
