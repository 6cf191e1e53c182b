"""The structure of the sources: what may import what, and how long files are."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gpulayers"
FILES = sorted(PACKAGE.rglob("*.py"))

# Each floor imports only from those above it.
FLOORS = [
    ("config", "registry", "tree", "naming", "version"),
    ("arrays",),
    ("ops",),
    ("cpu", "cuda"),
    ("activations", "initializers", "regularizers", "constraints", "random", "dtype_policies"),
    ("losses", "metrics", "optimizers"),
    ("layers",),
    ("callbacks", "models", "saving"),
    ("utils", "__init__", "__main__", "examples"),
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
TOP = {"pyproject.toml", "gpulayers", "tests", "asv_benchmarks", "ci", "README.md", "LICENSE"}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(path: Path):
    """The parts of the package that a file imports when it is itself imported."""
    depth = len(path.relative_to(PACKAGE).parts)
    body = ast.parse(path.read_text()).body
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            if node.module:
                yield node.module.partition(".")[0]
            else:
                yield from (alias.name for alias in node.names)


def test_every_part_has_a_floor():
    parts = {part_of(path) for path in FILES}
    assert parts <= set(LEVEL), f"without a floor: {sorted(parts - set(LEVEL))}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    part = part_of(path)
    for name in imports(path):
        if name in LEVEL and name != part:
            same = LEVEL[name] == LEVEL[part]
            assert LEVEL[name] < LEVEL[part] or same, f"{path.name} imports {name}, a lower floor"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 450


def test_the_top_level_is_fixed():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP


def test_importing_loads_nothing_heavy():
    heavy = ("cupy", "h5py", "ml_dtypes", "pandas", "torch", "rich", "matplotlib", "scipy")
    code = (
        "import sys, gpulayers.layers, gpulayers.models, gpulayers.optimizers, gpulayers.saving;"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_public_names_exist():
    import gpulayers

    for name in gpulayers.__all__:
        assert getattr(gpulayers, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gpulayers.nothing  # noqa: B018
