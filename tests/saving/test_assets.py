"""Files of layers inside a `.keras` file."""

import zipfile

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers


def lookup_model():
    layer = layers.StringLookup()
    layer.adapt(["b", "a", "a", "ü"])
    inputs = gl.Input((1,), dtype="string")
    return gl.Model(inputs, layer(inputs))


def test_they_stand_where_keras_looks_for_them(tmp_path):
    path = tmp_path / "model.keras"
    lookup_model().save(path)
    with zipfile.ZipFile(path) as archive:
        text = archive.read("assets/layers/string_lookup/vocabulary.txt")
    assert text.decode() == "[UNK]\na\nü\nb"


@pytest.mark.parametrize("name", ["..", ".hidden", "a b"])
def test_names_that_are_none_of_ours_are_refused(tmp_path, name):
    path = tmp_path / "model.keras"
    lookup_model().save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"assets/layers/string_lookup/{name}", "text")
    with pytest.raises(ValueError, match="is no name of a file of a layer"):
        gl.saving.load_model(path)


def test_paths_that_lead_elsewhere_are_not_looked_at(tmp_path):
    path = tmp_path / "model.keras"
    model = lookup_model()
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/layers/string_lookup/../../../stray.txt", "text")
    same = gl.saving.load_model(path)
    assert same(np.array([["a"], ["x"]])).tolist() == [[1], [0]]
    assert not (tmp_path / "stray.txt").exists()
