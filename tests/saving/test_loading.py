"""What makes loading fast changes nothing: arrays in plain files, shapes inferred once."""

from __future__ import annotations

import io
import random

import h5py
import numpy as np
import pytest
from saving.archives import members, write
from saving.models import compiled, fit, graph, same, sequential
from saving.test_fuzzing import damaged

import gpulayers
from gpulayers import layers, models, saving
from gpulayers.arrays import Abstract
from gpulayers.saving import archive, hdf5, hdf5_plain

DTYPES = "f2 f4 f8 i4 i8 u1 u4 u8".split()


def file_of(make) -> np.ndarray:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        make(opened)
    return np.frombuffer(file.getvalue(), np.uint8)


def test_places_are_those_that_hdf5_gives():
    def make(file):
        for i in range(40):  # Several nodes in the trees.
            group = file.create_group(f"layers/layer_{i}/vars")
            group.attrs["name"] = "a name " * i
            for j, dtype in enumerate(DTYPES):
                group[str(j)] = np.arange(8 * i).astype(dtype).reshape(2, i, 4)

    data = file_of(make)
    places = hdf5_plain.places(data)
    with h5py.File(io.BytesIO(data.tobytes())) as opened:
        assert set(places["layers"]) == set(opened["layers"])
        for i in range(1, 40):
            where = f"layers/layer_{i}/vars"
            assert list(places[where]) == list(map(str, range(len(DTYPES))))
            for name, (shape, dtype, start) in places[where].items():
                stored = opened[where][name]
                assert (stored.shape, stored.dtype) == (shape, dtype)
                assert stored.id.get_offset() == start
    assert places["layers/layer_0/vars"] == dict.fromkeys(map(str, range(len(DTYPES))))  # Empty.


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "f4", "compression": "gzip"},
        {"dtype": "f4", "chunks": (1,)},
        {"dtype": ">f4"},
        {"dtype": "complex64"},
        {"dtype": "bool"},
        {"dtype": h5py.string_dtype()},
        {"dtype": h5py.ref_dtype},
    ],
    ids=str,
)
def test_arrays_of_other_forms_are_left_to_hdf5(options):
    places = hdf5_plain.places(file_of(lambda file: file.create_dataset("a/0", (3,), **options)))
    assert places == {"": {"a": None}, "a": {"0": None}}


@pytest.mark.parametrize(
    "make",
    [
        lambda file: file.__setitem__("a/b", h5py.SoftLink("/c")),
        lambda file: file.__setitem__("a/b", h5py.ExternalLink("/etc/passwd", "/c")),
        lambda file: file.__setitem__("a/b", file),
        lambda file: file.create_group("a/b", track_order=True),
        lambda file: file.__setitem__("t", np.dtype("f4")),
        lambda file: file.create_group("a/" * 1100),
    ],
)
def test_files_of_other_forms_are_left_to_hdf5(make):
    assert hdf5_plain.places(file_of(make)) is None
    assert hdf5_plain.places(np.frombuffer(b"", np.uint8)) is None


def test_damaged_files_give_no_other_error():
    whole = members(compiled)["model.weights.h5"]
    dice, found = random.Random(3), 0
    for _ in range(2000):
        data = damaged(whole, dice)
        if dice.random() < 0.2:
            data = data[: dice.randrange(len(data))]
        places = hdf5_plain.places(np.frombuffer(data, np.uint8))
        for group in (places or {}).values():
            for place in filter(None, group.values()):
                shape, dtype, start = place
                assert start + np.prod(shape, dtype=object) * dtype.itemsize <= len(data)
                found += 1
    assert found


def test_hdf5_is_not_asked(monkeypatch, tmp_path):
    model = compiled()
    fit(model, 1)
    model.save(tmp_path / "m.keras")

    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(hdf5.WeightsFile, "_opened", refuse)
    same(saving.load_model(tmp_path / "m.keras").get_weights(), model.get_weights())


def test_files_that_are_not_plain_load_too(tmp_path):
    model, whole = graph(), members(graph)
    with h5py.File(io.BytesIO(whole["model.weights.h5"])) as old:
        file = io.BytesIO()
        with h5py.File(file, "w", libver="latest") as new:
            for name in old:
                old.copy(name, new)
    write(tmp_path / "m.keras", {**whole, "model.weights.h5": file.getvalue()})
    loaded = saving.load_model(tmp_path / "m.keras")
    assert [v.shape for v in loaded.weights] == [v.shape for v in model.weights]


class Doubled(layers.Dense):
    """What a user's class does with samples is not known."""

    def call(self, inputs):
        return super().call(gpulayers.ops.concatenate([inputs, inputs], axis=0))


def test_shapes_are_inferred_once(monkeypatch):
    seen = []
    call = layers.Dense.call

    def counted(self, inputs, **kwargs):
        if type(inputs) is Abstract:
            seen.append(inputs.shape[0])
        return call(self, inputs, **kwargs)

    monkeypatch.setattr(layers.Dense, "call", counted)
    x = gpulayers.Input((4,))
    y = layers.Dense(3)(x)
    assert (y.shape, len(seen)) == ((None, 3), 1)
    assert Doubled(3)(x).shape == (None, 3)
    assert len(seen) == 3
    assert layers.Dense(3)(gpulayers.Input((None, 4))).shape == (None, None, 3)
    assert len(seen) == 5
    assert layers.Dense(3)(gpulayers.Input(batch_shape=(5, 4))).shape == (5, 3)
    assert len(seen) == 6
    assert layers.Concatenate(axis=0)([x, x]).shape == (None, 4)


def test_weights_that_a_file_replaces_take_no_memory_before(tmp_path, monkeypatch):
    """Nor are random numbers drawn for them; what comes of it can be changed."""
    model = models.Sequential([gpulayers.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    model.save(tmp_path / "m.keras")
    begun = []
    load = archive.Archive.weights
    monkeypatch.setattr(archive.Archive, "weights", lambda self: begun.append(1) or load(self))
    uniform = gpulayers.initializers.GlorotUniform
    monkeypatch.setattr(uniform, "__call__", lambda *_, **__: begun.append(2))
    loaded = saving.load_model(tmp_path / "m.keras")
    assert begun == [1]
    for value, old in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(value.value, old.value)
        assert value.value.flags.writeable


def test_weights_that_a_file_leaves_out_get_memory(tmp_path, monkeypatch):
    """As of a class of ours that skips some."""
    monkeypatch.setattr(layers.Dense, "load_own_variables", layers.Activation.load_own_variables)
    model = sequential()
    model.save(tmp_path / "m.keras")
    monkeypatch.setattr(layers.Dense, "load_own_variables", _nothing)
    loaded = saving.load_model(tmp_path / "m.keras")
    kernel = loaded.weights[0].value
    assert kernel.flags.writeable
    assert kernel.strides[0] > 0


def _nothing(self, store):
    pass


_nothing.__module__ = "gpulayers.test"
