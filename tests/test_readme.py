"""What README.md shows and says is so."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from stand_in_cupy import installed

from gpulayers import layers
from gpulayers.cuda.module import available

README = Path(__file__).parent.parent / "README.md"
PACKAGE = README.parent / "gpulayers"
FLOATS = ("float16", "bfloat16", "float32", "float64")
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_its_programs_run_one_after_another(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    names = {}
    assert len(BLOCKS) == 6
    for block in BLOCKS:
        code = compile(block, f"README.md: {block.splitlines()[0]}", "exec")
        if "import cupy" in block:
            with installed():
                exec(code, names)
                assert isinstance(names["y"], names["cupy"].ndarray)
        else:
            exec(code, names)
    assert "Epoch 20/20" in capsys.readouterr().out
    assert names["model"].evaluate(names["x"] / 16, verbose=0, **labels())[1] > 0.95


def labels():
    from sklearn.datasets import load_digits

    return {"y": load_digits().target}


def test_its_table_is_honest():
    rows = re.findall(r"^\| (\w+)[^|]*?: ([^|]*`[^|]*) \| (works|not there yet) \|", TEXT, re.M)
    found = {family: (re.findall(r"`([A-Z]\w+)`", names), state) for family, names, state in rows}
    assert len(found) > 10
    for names, state in found.values():
        for name in names:
            assert hasattr(layers, name) == (state == "works"), name


def test_its_table_of_kernels_is_complete():
    """A row of six columns for each CUDA source, with the floats that it is compiled for."""
    lines = [line.split("|")[1:-1] for line in TEXT.splitlines() if line.startswith("| `")]
    named, rows = set(), [line for line in lines if len(line) == 6]
    for kernels, _, floats, where, *figures in rows:
        stems = re.findall(r"`(\w+)`", kernels)
        named |= {*stems}
        sources = [stem for stem in stems if stem in available()]
        found = {c for s in sources for i in instances(s) for c in i.values() if c in FLOATS}
        assert {*floats.split()} == (found or {"any"}), stems
        assert (where.strip() == "not yet run on a GPU") == (not any(f.strip() for f in figures))
    assert {*available()} - {"order", "partial_sums"} <= named, (
        "README.md: a row for each CUDA source"
    )
    assert all((PACKAGE / "cuda" / f"{name}.py").exists() for name in named)


def instances(stem):
    return import_module(f"gpulayers.cuda.{stem}").INSTANCES


def test_its_first_program_is_short():
    assert len(BLOCKS[0].strip().splitlines()) <= 13
    assert TEXT.index("```python") < 600


def test_its_two_commands_are_there():
    commands = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    assert "python -m gpulayers.examples.digits" in commands[0]
    assert commands[1] == "ci/test.sh\n"
    assert (README.parent / "ci" / "test.sh").stat().st_mode & 0o100
