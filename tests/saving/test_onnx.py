"""What exporting to ONNX says without the package onnx, and for what it cannot do."""

from __future__ import annotations

import sys

import pytest

from gpulayers import layers
from gpulayers.models import Sequential


@pytest.fixture
def model():
    return Sequential([layers.Input((3,)), layers.Dense(2)])


def test_without_onnx_it_says_how_to_install_it(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'gpulayers\[onnx\]'"):
        model.export(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["tf_saved_model", "openvino", "keras", None])
def test_other_formats_are_refused(model, tmp_path, kind):
    with pytest.raises(ValueError, match=f"format must be 'onnx', got {kind!r}"):
        model.export(tmp_path / "model", format=kind)


def test_unknown_options_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match="unknown options is_static"):
        model.export(tmp_path / "model.onnx", is_static=True)
    with pytest.raises(ValueError, match="opset_version must be one of 18, 19, 20, 21, got 7"):
        model.export(tmp_path / "model.onnx", opset_version=7)
