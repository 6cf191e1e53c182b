"""Fixtures of the tests of files."""

from __future__ import annotations

import os

import pytest
from saving.measuring import measured, server  # noqa: F401 - fixtures.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, which must stay empty but for the file."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert set(os.listdir(tmp_path)) <= {"m.keras", "m.weights.h5"}
