"""The structure of the sources: what may import what, what stands where, and how long files are."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from gpulayers.cuda.parameters import signatures

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gpulayers"
FILES = sorted(PACKAGE.rglob("*.py"))
EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))

# Each floor imports only from those above it, and from itself.
FLOORS = [
    ("config", "registry", "tree", "naming", "version"),
    ("arrays",),
    ("ops",),
    ("cpu", "cuda", "jit"),
    ("activations", "constraints", "dtype_policies", "initializers", "quantizers", "random")
    + ("regularizers",),
    ("losses", "metrics", "optimizers"),
    ("layers",),
    ("callbacks", "models", "saving"),
    (
        "backend",
        "mixed_precision",
        "preprocessing",
        "utils",
        "__init__",
        "__main__",
        "commands",
        "examples",
    ),
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
TOP = {"pyproject.toml", "gpulayers", "tests", "asv_benchmarks", "ci", "README.md", "LICENSE"}
# What `import gpulayers` may load: packages outside the standard library.
LIGHT = {"numpy", "array_api_compat", "gpulayers"}
LINES = 450


def part_of(path: Path) -> str:
    """The part of the package (a folder or file at its top) that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def statements(path: Path):
    """The statements that run when a file is imported: all but those in functions."""
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
            waiting.append(node)
            yield node


def inner_imports(path: Path):
    """The parts of the package that a file imports when it is itself imported."""
    folder = path.relative_to(PACKAGE).parts[:-1]
    for node in statements(path):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = [*folder[: len(folder) + 1 - node.level], *(node.module or "").split(".")]
            parts = [part for part in module if part]
            yield from parts[:1] or (alias.name for alias in node.names)


def outer_imports(path: Path):
    """The packages that a file imports by their full names when it is itself imported."""
    for node in statements(path):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]


def test_every_part_has_a_floor():
    parts = {part_of(path) for path in FILES}
    assert parts <= set(LEVEL), f"without a floor: {sorted(parts - set(LEVEL))}"


def test_imports_are_found():
    assert set(inner_imports(PACKAGE / "layers" / "dense.py")) >= {"activations", "layers", "ops"}
    assert "numpy" in set(outer_imports(PACKAGE / "arrays" / "devices.py"))


@EVERY_FILE
def test_imports_go_one_way(path):
    part = part_of(path)
    for name in inner_imports(path):
        if name in LEVEL and part != "__init__":
            assert LEVEL[name] <= LEVEL[part], f"{part} imports {name}, from a floor below"


@EVERY_FILE
def test_imports_are_light(path):
    outer = set(outer_imports(path)) - set(sys.stdlib_module_names)
    if part_of(path) != "examples":
        assert outer <= LIGHT - {"gpulayers"}


@EVERY_FILE
def test_files_are_short_and_say_what_they_hold(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES
    assert not text or ast.get_docstring(ast.parse(text))


# The files of cpu/, cuda/ and jit/ that have no operation of their own, and why.
INFRASTRUCTURE = {
    "cpu": {
        "bounds": "largest and smallest values of an array and a number",
        "__init__": "imports the others",
        "depthwise": "convolutions of each channel by itself",
        "direct": "convolutions by tiles of compiled loops",
        "gru": "`recurrent` for GRU",
        "inference": "what plans of inference do between products",
        "lowering": "convolutions of few channels",
        "lstm": "`recurrent` for LSTM",
        "simple_rnn": "`recurrent` for SimpleRNN",
        "recurrent_loops": "LSTM, GRU and SimpleRNN by compiled loops",
        "grids": "where the arrays of a program lie",
        "moves": "what plans of inference write down",
        "recurrent_moves": "the same of recurrent layers",
        "chains": "moves of programs that threads share",
        "memory": "memory for results that serves again",
        "panels": "convolutions as matrix products",
        "program": "plans of inference in one call",
        "rows": "rows that are long enough, and sums of their columns",
        "recoloring": "`warped` where images only change their colours",
        "steps": "products and gates of single steps of `recurrent`",
        "threads": "shares work among threads",
        "winograd": "convolutions with fewer products",
    },
    "jit": {
        "elementary": "exp, tanh and sigmoid for other loops",
        "__init__": "compiles loops",
        "tiles": "sums of products in registers",
        "program_table": "what stands where in the table of a program",
    },
    "cuda": {
        "__init__": "imports the others",
        "module": "compiles kernels and launches them",
        "parameters": "reads what kernels take",
        "replay": "what functions of arrays asked of the GPU, asked again",
        "warpgroups": "which products warpgroups multiply",
        "attention_decode": "attention of few queries to many keys",
        "attention_hopper": "attention by wgmma and TMA",
        "attention_hopper_gradients": "its gradients in the same way",
        "attention_tiling": "how kernels of attention share their work",
        "hopper": "what kernels with wgmma and TMA need",
        "partial_sums": "ends sums that other kernels began",
        "order": "sorts keys for other kernels",
        "gemm": "matrix products, for `dense` and for CuPy's namespace",
        "matrices": "how the matrices of a product lie in memory",
        "cublas": "products by NVIDIA's library",
        "geometry": "windows that slide, as kernels are told of them",
        "depthwise": "convolutions with a group for each channel",
        "recurrent_sequences": "what all ways through recurrent layers share",
        "recurrent_gradients": "gradients of recurrent layers by parts of their steps",
        "recurrent_step": "a launch for each step of recurrent layers",
        "recurrent_scan": "one launch for all steps of recurrent layers",
        "capture": "CUDA graphs",
        "inference": "what plans of inference do between products",
    },
}
SOURCES = sorted(PACKAGE.glob("cuda/*.cu"))


@pytest.mark.parametrize("library", ["cpu", "cuda", "jit"])
def test_faster_versions_stand_beside_their_reference(library):
    stems = {path.stem for path in (PACKAGE / library).glob("*.py")}
    stems -= INFRASTRUCTURE[library].keys()
    known = {path.stem for path in PACKAGE.glob("ops/*.py")}
    known |= {path.stem for path in PACKAGE.glob("arrays/*.py")}
    if library == "jit":
        known |= {path.stem for path in PACKAGE.glob("cpu/*.py")}
    assert stems <= known


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_each_kernel_says_what_it_assumes_is_launched_compiled_and_tested(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    contract = lines[: lines.index('#include "common.cuh"')]
    assert len(contract) > 2 and all(line.startswith("//") for line in contract)
    included = [line for line in lines if line.startswith("#include")]
    assert all((PACKAGE / "cuda" / line.split('"')[1]).exists() for line in included)
    assert (ROOT / "tests" / "cuda" / f"test_{path.stem}.py").exists()
    launcher = import_module(f"gpulayers.cuda.{path.stem}")
    assert launcher.INSTANCES or launcher.HOPPER_INSTANCES
    table = (PACKAGE / "cuda" / "registers.csv").read_text(encoding="utf-8").splitlines()
    measured = {line.partition(",")[0] for line in table}
    assert signatures("\n".join(lines)).keys() <= measured


def test_without_faster_versions_everything_works(tmp_path):
    shutil.copytree(
        PACKAGE, tmp_path / "gpulayers", ignore=shutil.ignore_patterns("cpu", "cuda", "jit")
    )
    code = """if True:
        import gpulayers as gl, numpy as np
        x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
        layers = [gl.layers.Dense(8, "gelu"), gl.layers.Dropout(0.1), gl.layers.Dense(3, "softmax")]
        model = gl.Sequential(layers)
        model.compile("adam", "sparse_categorical_crossentropy")
        losses = model.fit(x, x.argmax(1) % 3, epochs=20, verbose=0).history["loss"]
        assert losses[-1] < losses[0], losses
        print(gl.__path__[0])
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(tmp_path / "gpulayers"), done.stderr


def test_the_top_level_is_fixed():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP


def loaded_by(code: str) -> set[str]:
    """The packages that a new process has after running `code`, the standard library's left out."""
    code += "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = {name for name in done.stdout.split() if not name.startswith("_")}
    return found - set(sys.stdlib_module_names)


def test_importing_loads_little():
    nothing = loaded_by("pass")
    assert loaded_by("from gpulayers import *") - nothing <= LIGHT


def test_importing_loads_no_network_and_no_database():
    code = "from gpulayers import *; import sys; print([n for n in {} if n in sys.modules])"
    slow = ["ssl", "urllib.request", "http.client", "sqlite3", "multiprocessing", "asyncio"]
    done = subprocess.run(
        [sys.executable, "-c", code.format(slow)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_public_names_exist():
    import gpulayers

    for name in gpulayers.__all__:
        assert getattr(gpulayers, name) is not None
    assert dir(gpulayers) == sorted(gpulayers.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gpulayers.nothing  # noqa: B018


def test_the_version_is_one():
    from tomllib import loads

    import gpulayers

    project = loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == gpulayers.__version__
