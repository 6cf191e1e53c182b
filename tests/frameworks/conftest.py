"""Tests beside other frameworks: `ci/test_frameworks.sh` installs these, and runs the tests alone.

A file stands for tests only where what it needs is installed.  Keras runs on PyTorch here.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

NEEDS = {
    "test_compare.py": "torch",
    "test_flax.py": "flax",
    "test_jax.py": "jax",
    "test_keras_applications.py": "keras",
    "test_keras_models.py": "keras",
    "test_onnx.py": "onnxruntime",
    "test_onnx_layers.py": "onnxruntime",
    "test_onnx_masks.py": "onnxruntime",
    "test_onnx_models.py": "onnxruntime",
    "test_tensorflow.py": "tensorflow",
    "test_torch.py": "torch",
}
collect_ignore = [name for name, module in NEEDS.items() if find_spec(module) is None]
os.environ.setdefault("KERAS_BACKEND", "torch")


def pytest_collection_modifyitems(items):
    """Warnings inside of other frameworks are theirs."""
    for item in items:
        if item.path.parent.name == "frameworks":
            for module in ("keras", "torch", "jax", "flax", "tensorflow"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore:::{module}"))


@pytest.fixture(autouse=True)
def _forgetful(request):
    """Models of Keras leave no names and no memory behind."""
    import gc

    yield
    if "keras" in request.node.path.name:
        import keras

        keras.backend.clear_session()
        gc.collect()


@pytest.fixture
def path(tmp_path):
    """Where an ONNX file is to be written."""
    return str(tmp_path / "model.onnx")
