"""Each family of the README's table has benchmarks: of forward, of a training step, of memory."""

from __future__ import annotations

import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from stand_in_cupy import installed

from asv_benchmarks.benchmarks import activation, core, libraries, tape
from gpulayers import layers

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "asv_benchmarks" / "benchmarks"
BOTH = {"time_forward", "time_training_step", "track_peak_of_training"}
ADAPTING = BOTH | {"time_adapt", "track_peak_of_adapting"}
# The files of each family, and what each of them measures.
FAMILIES = {
    "Core": {"core": BOTH},
    "Activations": {"activation": BOTH},
    "Reshaping": {"reshaping": BOTH},
    "Merging": {"merging": BOTH},
    "Regularization": {"regularization": BOTH},
    "Models": {
        "whole_models": BOTH | {"time_predict"},
        "classifier": BOTH | {"time_predict", "time_epoch"},
        "tape": BOTH | {"time_recording"},
        "memory": {"track_by_a_thousand_steps"},
    },
    "Optimizers, schedules, losses, metrics, callbacks, initializers, regularizers, constraints": {
        "optimizers": BOTH - {"time_forward"},
        "losses": BOTH,
        "metrics": BOTH,
    },
    "Files": {
        "saving": {"time_save", "time_load", "track_peak_of_saving", "track_peak_of_loading"},
        "imports": {"timeraw_import_gpulayers"},
    },
    "Normalization": {"normalization": BOTH},
    "Convolution": {"convolution": BOTH},
    "Pooling": {"pooling": BOTH},
    "Recurrent": {"recurrent": BOTH},
    "Attention": {"attention": BOTH},
    "Preprocessing": {"text": ADAPTING, "features": ADAPTING},
    "Images": {"image": BOTH},
    "Colours and mixtures of images": {"image_colors": BOTH},
    "Other frameworks": {"frameworks": BOTH},
    "Sounds": {"spectrograms": BOTH},
    "CUDA kernels": {},  # asv_benchmarks/gpu.py measures them.
}
WITHOUT_WORK = {"Input"}
# What runs on NumPy alone, and why: strings, and bytes that tracemalloc counts.
ON_NUMPY = {("text", "Strings"), ("text", "Adapting"), ("memory", "Kept"), ("saving", "Arrays")}


@cache
def rows() -> dict[str, str]:
    """The first cells of the table of families, by the family's name."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("| Family | State |", 1)[1].split("\n\n", 1)[0]
    cells = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    return {cell.partition(":")[0]: cell for cell in cells}


def benchmarks(stem: str) -> dict[str, type]:
    """The classes of a file that asv runs."""
    module = import_module(f"asv_benchmarks.benchmarks.{stem}")
    return {
        name: found
        for name, found in vars(module).items()
        if inspect.isclass(found) and found.__module__ == module.__name__ and measured(found)
    }


def measured(found) -> set[str]:
    return {name for name in dir(found) if name.startswith(("time", "track_"))} - {"timeout"}


def test_every_family_is_here():
    assert rows().keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_file_measures_all_of_it(family):
    for stem, wanted in FAMILIES[family].items():
        module = import_module(f"asv_benchmarks.benchmarks.{stem}")
        found = measured(module).union(*map(measured, benchmarks(stem).values()))
        assert wanted <= found, f"{stem} measures no {wanted - found}"
        for name, each in benchmarks(stem).items():
            if (stem, name) not in ON_NUMPY:
                assert each.param_names[0] == "library", f"{stem}.{name}"
                assert each.params[0] == libraries.LIBRARIES, f"{stem}.{name}"


@pytest.mark.parametrize("family", FAMILIES)
def test_each_layer_of_the_table_is_measured(family):
    text = "".join((FOLDER / f"{stem}.py").read_text("utf-8") for stem in FAMILIES[family])
    for name in re.findall(r"`(\w+)`", rows()[family]):
        if hasattr(layers, name) and name not in WITHOUT_WORK:
            assert re.search(rf"\b{name}\b", text), f"no benchmark of {name}"


def test_each_file_belongs_to_a_family():
    known = {stem for files in FAMILIES.values() for stem in files}
    found = {path.stem for path in FOLDER.glob("*.py")}
    assert found - known == {"__init__", "layer", "libraries", "networks"}


@pytest.fixture
def cupy():
    """The stand-in for CuPy; afterwards benchmarks have forgotten it."""
    caches = libraries.namespace, tape.operands, import_module(core.layer.__name__).made
    with installed() as found:
        yield found
    for each in caches:
        each.cache_clear()


def test_on_cupy(cupy):
    case = "cupy", "Softmax of short rows"
    softmax = activation.Activations()
    softmax.setup(*case)
    assert type(softmax.inputs) is cupy.ndarray
    softmax.time_forward(*case)
    softmax.time_training_step(*case)
    chain = tape.NinetyOperations()
    chain.setup("cupy")
    chain.time_training_step("cupy")
    assert type(chain.variable.value) is cupy.ndarray


def test_without_a_gpu_cupy_is_left_out():
    libraries.namespace.cache_clear()
    with installed(usable=False), pytest.raises(NotImplementedError, match="no usable GPU"):
        core.Small().setup("cupy", "Identity")


def test_memory_is_what_an_action_holds_on_its_way():
    held = []

    def action():
        parts = [np.ones(1 << 20, np.uint8) for _ in range(3)]
        held[:] = parts[:1]

    kept, peak = libraries.held(action)
    assert abs(kept) < 10_000  # What it replaces is of the same size.
    assert 3 << 20 <= peak < (3 << 20) + 10_000
