"""What the tests of hostile files share: an archive's members, changed and written again."""

from __future__ import annotations

import io
import zipfile

import pytest
from saving.models import sequential

from gpulayers import saving


def refused(path, text=None):
    with pytest.raises((ValueError, OSError), match=text) as caught:
        saving.load_model(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 2000


def members(make=sequential):
    file = io.BytesIO()
    make().save(file)
    with zipfile.ZipFile(file) as made:
        return {name: made.read(name) for name in made.namelist()}


def write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, data in members.items():
            made.writestr(name, data)
