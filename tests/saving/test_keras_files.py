"""Files that real Keras wrote (`parity.make_files`): we read them, and write what it wrote."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from saving.data import inputs, leaves, train
from saving.models import Blocks  # noqa: F401  The class in "subclassed".

from gpulayers import saving

FILES = Path(__file__).parent / "files"
EXPECTED = json.loads((FILES / "expected.json").read_text())
SAFE = sorted(set(EXPECTED) - {"code"})


def content(path):
    """The description in an archive, and what its HDF5 file holds."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    found = {}

    def note(name, value):
        array = value[()] if isinstance(value, h5py.Dataset) else None
        found[name] = (dict(value.attrs), array)

    weights.visititems(note)
    return config, found


@pytest.mark.parametrize("name", SAFE)
def test_outputs_and_losses(name):
    expected = EXPECTED[name]
    model = saving.load_model(FILES / f"{name}.keras")
    outputs = leaves(model.predict(inputs(name), verbose=0))
    tolerance = 2**-7 if name == "short_floats" else 1e-6
    for got, wanted in zip(outputs, expected["outputs"], strict=True):
        np.testing.assert_allclose(np.asarray(got, "float64"), wanted, tolerance, tolerance)
    assert model.compiled == (expected["losses"] is not None)
    if model.compiled:
        np.testing.assert_allclose(train(model, name), expected["losses"], 1e-5)


@pytest.mark.parametrize("name", SAFE)
def test_we_write_what_keras_writes(name, tmp_path):
    saving.load_model(FILES / f"{name}.keras").save(tmp_path / "m.keras")
    config, weights = content(tmp_path / "m.keras")
    keras_config, keras_weights = content(FILES / f"{name}.keras")
    assert normal(config) == normal(keras_config)
    assert list(weights) == list(keras_weights)
    for path, (attributes, array) in weights.items():
        keras_attributes, keras_array = keras_weights[path]
        assert attributes == keras_attributes
        np.testing.assert_array_equal(array, keras_array)
        assert getattr(array, "dtype", None) == getattr(keras_array, "dtype", None)


def normal(value):
    """A description without what may differ: numbers of objects, and where optimizers stand."""
    if isinstance(value, list):
        return [normal(part) for part in value]
    if not isinstance(value, dict):
        return value
    value = {key: normal(part) for key, part in value.items() if key != "shared_object_id"}
    if "optimizers." in str(value.get("module")) and "schedules" not in value["module"]:
        value |= {"module": "keras.optimizers", "registered_name": None}
    if value.get("class_name") in ("Flatten", "Permute"):
        value.pop("build_config", None)  # Nothing is built.
    if not value.get("compile_config"):  # {} for models that are not compiled.
        value.pop("compile_config", None)
    for name, default in NOT_WRITTEN.items():
        if name in value and value[name] == default:
            del value[name]
    return value


# Where we leave out what Keras writes for nothing, or the other way round.
NOT_WRITTEN = {"jit_compile": False, "mask": None}


def test_code_is_refused():
    with pytest.raises(ValueError, match=r"code.keras: .*lambda.*safe_mode=False"):
        saving.load_model(FILES / "code.keras")


def test_weights_alone():
    model = saving.load_model(FILES / "sequential.keras", compile=False)
    before = model.get_weights()
    for variable in model.weights:
        variable.assign(variable.numpy() + 1)
    model.load_weights(FILES / "sequential.keras")
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)
