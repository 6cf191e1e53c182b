"""Texts in attributes are read in every form that HDF5 gives them, or refused."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest

from gpulayers.saving import hdf5_attributes, hdf5_objects

TEXTS = {"one": ["x" * 5000], "é": ["ü"], "some": ["a", "", "long" * 40], "none": []}


@pytest.mark.parametrize("version", ["earliest", "latest", "v108"])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("block", [0, 512])
def test_texts_of_any_length(version, ordered, block):
    file = io.BytesIO()
    with h5py.File(file, "w", libver=version, track_order=ordered, userblock_size=block) as made:
        for holder in (made, made.create_group("a/b", track_order=ordered)):
            holder.attrs["number"] = 3
            holder.attrs["bytes"] = np.array([b"ab", b"c"])
            for name, value in TEXTS.items():
                kind = h5py.string_dtype()
                one = value[0] if len(value) == 1 else np.array(value, object)
                holder.attrs.create(name, one, dtype=kind)
        made["a/b"].attrs["many"] = [f"t{i}" for i in range(3000)]
    with hdf5_objects.opened(file) as stored:
        for part in (stored, stored.part("a/b")):
            assert {name: part.texts(name) for name in TEXTS} == TEXTS
            assert part.texts("bytes") == ["ab", "c"]
            assert part.texts("absent") is None
            assert part.has_texts("é")
            assert not part.has_texts("absent")
            with pytest.raises(ValueError, match="the attribute number of .* holds no texts"):
                part.texts("number")
        assert stored.part("a/b").texts("many")[2999] == "t2999"


def test_attributes_that_stand_in_a_heap():
    """More than eight, in files of newer versions: no file of Keras has them."""
    file = io.BytesIO()
    with h5py.File(file, "w", libver="latest") as made:
        for i in range(9):
            made.attrs[f"text{i}"] = "x"
    with (
        hdf5_objects.opened(file) as stored,
        pytest.raises(ValueError, match="text0 of / is stored in an unusual way"),
    ):
        stored.texts("text0")


def test_headers_that_never_end():
    """Each chunk says that another follows: itself."""
    header = b"\1\0\2\0" + b"\1\0\0\0" + (24).to_bytes(4, "little") + bytes(4)
    again = b"\x10\0\x10\0" + bytes(4) + (16).to_bytes(8, "little") + (24).to_bytes(8, "little")
    stored = hdf5_attributes._Stored(io.BytesIO(header + again), 0, (8, 8))
    with pytest.raises(ValueError, match="its attributes are larger than any model needs"):
        list(hdf5_attributes._Header(stored, 0).attributes())
