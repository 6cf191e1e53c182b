"""Hostile HDF5 files inside archives: nothing outside is read, no memory taken, nothing changed."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from saving.archives import members, refused, write
from saving.models import sequential


def weights(change):
    """A whole model's members, with its HDF5 file changed."""
    whole = members()
    file = io.BytesIO(whole["model.weights.h5"])
    with h5py.File(file, "r+") as opened:
        change(opened, opened["layers/dense/vars"])
    return {**whole, "model.weights.h5": file.getvalue()}


def replaced(make):
    def change(file, group):
        del group["0"]
        make(file, group)

    return change


def external_storage(file, group):
    group.create_dataset("0", (4, 3), "float32", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file, group):
    layout = h5py.VirtualLayout((4, 3), "float32")
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", (4, 3), "float32")
    group.create_virtual_dataset("0", layout)


def references(file, group):
    group.create_dataset("0", (4, 3), h5py.ref_dtype)


def strings(file, group):
    group.create_dataset("0", data=np.full((4, 3), "x", dtype=h5py.string_dtype()))


def compound(file, group):
    group.create_dataset("0", data=np.zeros((4, 3), [("a", "f4"), ("b", "f4")]))


def opaque(file, group):
    group.create_dataset("0", data=np.zeros((4, 3), "V2"))


def huge(file, group):
    group.create_dataset("0", (1 << 20, 1 << 20), "float32")


def huge_and_compressed(file, group):
    group.create_dataset("0", (1 << 16, 1 << 16), "float32", compression="gzip", fillvalue=1)


def huge_chunks(file, group):
    group.create_dataset("0", (4, 3), "float32", chunks=(1 << 14, 1 << 15), maxshape=(None, None))


def another_shape(file, group):
    group.create_dataset("0", data=np.zeros((3, 4), "float32"))


def no_dataset(file, group):
    group.create_group("0")


def soft_link(file, group):
    group["0"] = h5py.SoftLink("/layers/dense_1/vars/0")


def external_link(file, group):
    group["0"] = h5py.ExternalLink("/etc/passwd", "/x")


def another_name(file, group):
    group.create_dataset("zero", data=np.zeros((4, 3), "float32"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (external_storage, "is stored in other files"),
        (virtual, "is stored in other files"),
        (references, "holds no numbers"),
        (strings, "holds no numbers"),
        (compound, "holds no numbers"),
        (opaque, "holds two bytes for each element, and does not say what"),
        (huge, "claims to have 4398046511104 bytes, but only 0 are stored"),
        (huge_and_compressed, "claims to have"),
        (huge_chunks, "claims to have"),
        (another_shape, r"expected \(4, 3\), \(3,\); found \(3, 4\), \(3,\)"),
        (no_dataset, "is no dataset"),
        (soft_link, "is a link to somewhere else"),
        (external_link, "is a link to somewhere else"),
        (another_name, "'0'|layers/dense"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_hostile_datasets(folder, make, message):
    write("m.keras", weights(replaced(make)))
    refused("m.keras", message)


def test_hostile_groups(folder):
    def external(file, group):
        del file["layers"]
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/x")

    def dataset(file, group):
        del file["layers/dense/vars"]
        file["layers/dense/vars"] = 3

    def cycle(file, group):
        del file["layers/dense/vars"]
        file["layers/dense/vars"] = file["layers"]

    for change in (external, dataset, cycle):
        write("m.keras", weights(change))
        refused("m.keras")


def test_weights_files_are_checked_too(folder):
    model = sequential()
    before = model.get_weights()
    Path("m.weights.h5").write_bytes(weights(replaced(external_link))["model.weights.h5"])
    with pytest.raises(ValueError, match=r"m\.weights\.h5: .*link to somewhere else"):
        model.load_weights("m.weights.h5")
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)
