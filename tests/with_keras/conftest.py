"""Tests beside real Keras, on PyTorch: `ci/test_keras.sh` installs both, and runs these alone.

Where Keras is not installed there are no tests here.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

if find_spec("keras") is None or find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    os.environ.setdefault("KERAS_BACKEND", "torch")


def pytest_collection_modifyitems(items):
    """Warnings inside of Keras and PyTorch are theirs."""
    for item in items:
        if item.path.parent.name == "with_keras":
            for module in ("keras", "torch"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore:::{module}"))


@pytest.fixture(autouse=True)
def _forgetful():
    """Models of a test leave no names and no memory behind."""
    import gc

    import keras

    yield
    keras.backend.clear_session()
    gc.collect()
