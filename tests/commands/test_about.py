"""`gpulayers about`, and `python -m gpulayers`: what it says of this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gpulayers
from gpulayers.arrays import devices
from gpulayers.commands.about import about

ROOT = Path(__file__).parent.parent.parent


def test_it_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "gpulayers"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"gpulayers {gpulayers.__version__}, Python ")
    assert "numpy " in done.stdout


def test_it_says_what_a_gpu_needs(monkeypatch, capsys):
    monkeypatch.setattr(devices, "why_no_gpu", lambda: "nothing is plugged in.")
    monkeypatch.setitem(gpulayers.config._settings, "device", "cpu")
    about()
    printed = capsys.readouterr().out
    assert "GPU:        none: nothing is plugged in." in printed
    assert "Default:    cpu" in printed


def test_it_names_faster_versions(capsys):
    about()
    printed = capsys.readouterr().out
    words = printed.partition("On the CPU:")[2].partition("On a GPU:")[0].replace(",", "").split()
    assert {"dense", "softmax", "adam"} <= set(words)
    assert max(map(len, printed.splitlines()[1:])) <= 100


def test_it_lists_kernels_and_where_they_are_kept(monkeypatch, capsys):
    monkeypatch.setenv("CUPY_CACHE_DIR", "/somewhere")
    about()
    printed = capsys.readouterr().out.partition("Kernels:")[2]
    assert {"activation", "dropout", "softmax"} <= set(printed.replace(",", "").split())
    assert "/somewhere" in printed
