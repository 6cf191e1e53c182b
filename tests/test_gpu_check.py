"""The checks for machines with a GPU: what of them can be checked without one."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import compile_kernels
import gpu
import gpu_check
import gpu_faults
import gpu_table
import gpu_timing
import numpy as np
import pytest
import rig
from gpu_check import Machine, Outcome
from stand_in_cupy import installed

from gpulayers.arrays import devices

ROOT = Path(__file__).parent.parent


@pytest.fixture
def stand_in():
    if rig.why_not():
        pytest.skip(rig.why_not())
    with installed(kernels=True) as cupy:
        yield cupy


# What is timed.

CASES = gpu.cases([], tiny=False)


@pytest.mark.parametrize(
    ("what", "shape", "dtype", "nbytes", "flops"),
    [
        ("softmax", (32768, 1024), "float32", 2 * 4 * 32768 * 1024, 0),
        ("softmax, gradient", (32768, 1024), "bfloat16", 3 * 2 * 32768 * 1024, 0),
        ("layer normalization, gradient", (8192, 768), "float32", 3 * 4 * 8192 * 768, 0),
        ("dropout", (8192, 8192), "float32", 2 * 4 * 2**26, 0),
        ("sparse cross-entropy of logits", (8192, 32000), "float32", 4 * 8192 * 32000, 0),
        (
            "embedding, all words, gradient", (16384, 50257, 768), "float32",
            4 * 768 * (16384 + 50257) + 4 * 16384, 0,
        ),
        (
            "dense + relu", (8192, 4096, 4096), "bfloat16",
            2 * (2 * 8192 * 4096 + 4096 * 4096), 2 * 8192 * 4096 * 4096,
        ),
        (
            "step of dense + gelu", (8192, 4096, 4096), "float16",
            2 * (3 * 8192 * 4096 + 3 * 4096 * 4096 + 4 * 8192 * 4096), 6 * 8192 * 4096 * 4096,
        ),
        (
            "convolution 3 x 3 / 2 + relu, gradient", (64, 28, 28, 256, 256), "float32",
            4 * 2 * (64 * 28 * 28 * 256 + 64 * 14 * 14 * 256 + 9 * 256 * 256),
            4 * 64 * 14 * 14 * 9 * 256 * 256,
        ),
        (
            "depthwise 3 x 3 + relu", (64, 112, 112, 32), "bfloat16",
            2 * 2 * 64 * 112 * 112 * 32, 0,
        ),
    ],
)  # fmt: skip
def test_the_fewest_bytes_and_operations(what, shape, dtype, nbytes, flops):
    (case,) = [c for c in CASES if (c.what, c.shape, c.dtype) == (what, shape, dtype)]
    assert (case.nbytes, case.flops) == (nbytes, flops)


def test_every_family_comes_first_once():
    names = [case.family for case in CASES]
    count = len(set(names))
    assert count > 8
    assert len(set(names[:count])) == count
    labels = [case.label for case in CASES]
    assert len(set(labels)) == len(labels)
    assert {case.family for case in gpu.cases(["softmax"], tiny=True)} == {"softmax"}
    assert max(max(case.shape) for case in gpu.cases(["dense", "softmax"], tiny=True)) == 16


def test_networks_train_before_anything_is_left_out_for_want_of_time():
    networks = [case for case in CASES if case.family == "networks"]
    assert len({case.what for case in networks}) == len(networks) == 40
    families = len({case.family for case in CASES})
    training = [i for i, case in enumerate(CASES) if "training" in case.what]
    assert max(training) < families + len(training)
    asked = [what for what in gpu_table.GOALS if "training" in what]
    assert len(asked) == 10 and set(asked) <= {case.what for case in networks}
    assert gpu_table.GOALS["ResNet-50 of 64, training, captured"] == (None, 1.0)
    assert gpu_table.GOALS["MLP of 1, training, eager"] == (None, 2.0)


def test_adam_moves_seven_arrays():
    (case,) = [c for c in CASES if c.what.startswith("Adam")]
    assert case.shape == (124439808,)  # Of GPT-2's smallest.
    assert case.nbytes == 28 * case.shape[0]


def test_a_dry_run(tmp_path, capsys):
    """Each case is prepared, done and printed; on the rig, if there is no GPU."""
    if rig.why_not():
        pytest.skip(rig.why_not())
    figures, tables = tmp_path / "figures.json", tmp_path / "tables.md"
    status = gpu.main(["--dry-run", "--json", str(figures), "--markdown", str(tables)])
    printed = capsys.readouterr()
    result = json.loads(figures.read_text())
    assert [(row["what"], row["error"]) for row in result["rows"] if row["error"]] == []
    assert status == 0
    assert printed.out.strip() == tables.read_text().strip()
    states = {(row["what"], row["dtype"]): row["state"] for row in result["rows"]}
    assert len(result["rows"]) == len(gpu.cases([], tiny=True))
    assert states["bias + gelu, gradient", "bfloat16"] == "measured"
    assert states["dropout", "float32"] == "measured"
    measured = [row for row in result["rows"] if row["state"] == "measured"]
    assert all(row["seconds"] > 0 for row in measured)
    # Without a GPU, what copying takes is a loop's, and NumPy's products are many times as fast.
    most = 10 if devices.gpu_is_usable() else float("inf")
    assert all(0 < row["share"] < most for row in measured if row["nbytes"])


class Peer:
    """Stands for PyTorch."""

    class cuda:
        empty_cache = staticmethod(lambda: None)


CEILINGS = {"bytes": {"64": 1e12, "128": 2e12}, "flops": {"float32": 1e13}}


def case(ours, peer=lambda torch: lambda: None, nbytes=64):
    return gpu.Case("softmax", "softmax", (4, 4), "float32", nbytes, 0, ours, peer)


def test_what_cannot_be_measured_is_a_row_too(stand_in, monkeypatch):
    clock = gpu_timing.Clock(stand_in, 3, flush=False)

    def missing(cupy):
        raise ImportError("no such kernel")

    def wrong(cupy):
        raise ValueError("rows\nof wrong length")

    def slow(cupy):
        import warnings

        warnings.warn("it cannot be captured")

    def row(*args, **options):
        return gpu.measure(case(*args, **options), clock, Peer, CEILINGS)

    assert row(missing)["state"] == "absent"
    assert row(lambda cupy: lambda: cupy.zeros((4,)))["state"] == "absent"  # None of our kernels.
    assert row(wrong)["error"] == "ValueError: rows\nof wrong length"
    assert row(slow)["error"] == "UserWarning: it cannot be captured"
    assert row(wrong, nbytes=2**40)["state"] == "too large for this GPU"
    (silu,) = [c for c in gpu.cases(["activation"], True) if c.label == "silu 16 x 16 float32"]
    found = row(silu.ours, wrong)
    assert (found["state"], found["peer"]) == ("measured", None)
    assert found["peer_state"] == "ValueError: rows"
    assert found["kernels"] == ["activation_forward"]
    assert found["share"] == 64 / 2e12 / found["seconds"]


def test_time_is_limited(stand_in):
    clock = gpu_timing.Clock(stand_in, 1, flush=False)
    assert gpu.measure_all(gpu.cases([], True), clock, None, CEILINGS, seconds=-1) == []


def test_a_clock_is_one(stand_in):
    from time import sleep

    clock = gpu_timing.Clock(stand_in, 3, flush=False)
    assert 0.004 < clock.seconds(lambda: sleep(0.004)) < 0.1
    assert 0.004 < clock.calls(lambda: sleep(0.004), 3)[0] < 0.1
    x = gpu_timing.numbers(stand_in, (3, 2**20), "bfloat16")
    assert x.shape == (3, 2**20) and x.dtype.name == "bfloat16"
    assert len(np.unique(x.get().view("u2"))) > 1000


def test_the_clocks_kernels(stand_in):
    start = "inline long long clock64() { static long long t = 0; return t += 100; }\n"
    module = stand_in.RawModule(code=start + gpu_timing.SOURCE, backend="nvrtc")
    x, y = stand_in.asarray(np.arange(400, dtype="f4")), stand_in.empty((400,), "f4")
    module.get_function("copy_all")((2,), (64,), (x, y, np.int64(100)))
    assert np.array_equal(y.get(), x.get())
    never = stand_in.asarray(np.full(1, 7, "f4"))
    module.get_function("read_all")((2,), (32,), (x, np.int64(100), never))
    assert never.get().tolist() == [7]
    module.get_function("wait")((1,), (1,), (np.int64(1000),))


@pytest.mark.parametrize(
    "source", [gpu_timing.SOURCE, *map(gpu_faults.source, gpu_faults.SOURCES)], ids=str.split
)
def test_sources_compile(source):
    try:
        compiler = compile_kernels.compiler()
    except SystemExit as missing:
        pytest.skip(str(missing))
    fine, log = compiler.compile(source, "source.cu", ("--std=c++17", "-arch=sm_90"))
    assert fine, log


# Tables.


def row(family="softmax", what="softmax", seconds=1e-3, peer=2e-3, share=0.5, **more):
    found = {"family": family, "what": what, "shape": [8192, 4096], "dtype": "float32"}
    found |= {"nbytes": 2 * 4 * 8192 * 4096, "flops": 0, "passes": 2, "seconds": seconds}
    found |= {"share": share, "peer": peer, "peer_state": "", "state": "measured", "error": ""}
    return found | more


def test_the_floor():
    assert gpu_table.floor(2 * 10**12, 0, "float32", CEILINGS) == 1.0
    assert gpu_table.floor(2 * 10**12, 10**14, "float32", CEILINGS) == 10.0


def test_rows_and_families():
    rows = [row(), row(share=0.9, peer=None), row(share=None, seconds=None, state="absent")]
    assert gpu_table.cells(rows[0])[3:] == ["float32", "1000.0", "0.27", "0.50", "2000.0", "2.00"]
    assert gpu_table.cells(rows[2])[4:] == ["absent", "", "", "", ""]
    found = gpu_table.families([*rows, row("dense", state="failed"), row("random", state="absent")])
    assert found["softmax"] == {
        "state": "measured",
        "cases": "2 of 3",
        "share": "0.70 (0.50 to 0.90)",
        "ratio": "2.00 (2.00 to 2.00)",
    }
    assert (found["dense"]["state"], found["random"]["state"]) == ("failed", "absent")
    lines = gpu_table.short_table(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "| softmax | measured | 2 of 3 |" in lines[-1]


def test_goals():
    rows = [
        row(share=0.95),
        row(share=0.85, peer=0.5e-3),
        row(what="dropout", share=0.1, nbytes=1000),  # Too small to count.
        row("capture", "8 layers, captured", share=None, peer=4e-3),
    ]
    lines = "\n".join(gpu_table.verdicts(rows))
    assert "MISSED   softmax 8192 x 4096 float32: 0.85 of the floor, goal 0.9" in lines
    assert "MISSED   softmax 8192 x 4096 float32: 0.50 times PyTorch, goal 1.0" in lines
    assert "unknown  dropout: not measured" in lines
    assert "met      8 layers, captured 8192 x 4096 float32: 4.00 times PyTorch, goal 3.0" in lines


def test_figures_come_into_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    machine = {"name": "A GPU", "date": "2027-01-01", "versions": ""}
    filled = gpu_table.fill_readme(text, {"machine": machine, "rows": [row(), row("dense")]})
    before, after = text.splitlines(), filled.splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 2
    for old, new in changed:
        assert re.search(r"`(softmax|dense)`", old)
        assert new.count("|") == old.count("|")
        assert "| A GPU, 2027-01-01 | 0.50 (0.50 to 0.50) | 2.00 (2.00 to 2.00) |" in new
    failed = {"machine": machine, "rows": [row(state="failed"), row("nothing")]}
    assert gpu_table.fill_readme(text, failed) == text


# The parts.


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path, processes=2)


def test_a_command_is_logged_and_limited(machine, tmp_path):
    log = tmp_path / "log"
    code = "import subprocess, sys; print('begun', flush=True); {}"
    sleeps = "subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    assert machine.run([sys.executable, "-c", code.format("sys.exit(3)")], log, 60) == 3
    assert machine.run([sys.executable, "-c", code.format(sleeps)], log, 1.0) is None
    assert log.read_text() == "begun\n" * 2
    assert gpu_check.last_line(log) == "begun"
    assert gpu_check.last_line(tmp_path / "other") == "no output"


def test_each_part_has_its_share_and_fails_alone(machine, monkeypatch, capsys):
    limits = {}

    def part(name, state):
        def steps(machine, seconds):
            limits[name] = round(seconds)
            if state == "raises":
                raise OSError("no space left")
            return [Outcome(name, state, "text")]

        return steps

    states = dict(zip(gpu_check.PARTS, ("failed", "out of time", "raises", "passed")))
    monkeypatch.setattr(gpu_check, "PARTS", {name: part(name, s) for name, s in states.items()})
    found = gpu_check.run_parts(machine, [*states], 100)
    assert [o.state for o in found] == ["failed", "out of time", "failed", "passed"]
    assert found[2].text == "OSError: no space left"
    assert limits == {"tests": 40, "memory": 33, "races": 50, "bench": 100}  # Nobody took long.
    assert "memory: out of time, text" in capsys.readouterr().out


@pytest.mark.parametrize(("states", "status"), [("passed skipped", 0), ("passed failed", 1)])
def test_the_summary_and_the_status(tmp_path, monkeypatch, capsys, states, status):
    outcomes = [Outcome(f"step {i}", s, "a|b", 1.4) for i, s in enumerate(states.split())]

    def run_parts(machine, names):
        (machine.folder / ".benchmarks.md").write_text("head\n\nall\n\ngoals\n\nshort table\n")
        return outcomes

    monkeypatch.setattr(gpu_check, "why_not", lambda: None)
    monkeypatch.setattr(gpu_check, "this_machine", Machine)
    monkeypatch.setattr(gpu_check, "run_parts", run_parts)
    assert gpu_check.main([str(tmp_path / "new"), "--only", "tests", "bench"]) == status
    written = (tmp_path / "new" / "summary.md").read_text()
    assert "| step 0 | passed | 1 | a/b |" in written
    assert "head\n\nall" in written
    printed = capsys.readouterr().out
    assert "goals\n\nshort table\n\n| step" in printed
    assert "head" not in printed
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["summary.md"]


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


SANITIZER = """
while [ "$1" != python ]; do shift; done
case "$*" in
  *gpu_faults.py*racecheck*) exit {race} ;;
  *gpu_faults.py*) exit 86 ;;
  *"--shard 1/2") echo "2 passed"; echo "ERROR SUMMARY: {faults} errors"; exit {status} ;;
  *) echo "3 passed"; echo "ERROR SUMMARY: 0 errors" ;;
esac
"""


def test_without_a_sanitizer_it_says_so(machine, monkeypatch):
    (found,) = gpu_check.PARTS["memory"](machine, 10)
    assert (found.state, found.text) == (
        "skipped", "compute-sanitizer is missing; it comes with the CUDA toolkit",
    )  # fmt: skip
    monkeypatch.setattr(gpu_check, "find_spec", lambda name: None)
    (found,) = gpu_check.PARTS["races"](machine, 10)
    assert found.text == "needs pytest, array_api_strict, hypothesis"


def test_a_sanitizer_that_finds_faults(machine, tmp_path):
    machine.processes, machine.python = 4, "python"
    program = tmp_path / "compute-sanitizer"
    machine.sanitizer = script(program, SANITIZER.format(race=86, faults=4, status=86))
    found = gpu_check.PARTS["memory"](machine, 60)
    assert [(o.name, o.state) for o in found] == [("memcheck", "failed"), ("initcheck", "failed")]
    assert found[0].text == "5 tests passed, 4 faults found"
    script(program, SANITIZER.format(race=0, faults=0, status=0))
    race, sync = gpu_check.PARTS["races"](machine, 60)
    assert race.state == "skipped" and "misses a fault that was planted" in race.text
    assert (sync.state, sync.text) == ("passed", "5 tests passed, 0 faults found")
    assert "3 passed" in (tmp_path / "synccheck.log").read_text()
    assert {p.name for p in tmp_path.iterdir()} == {
        "compute-sanitizer", "memcheck.log", "initcheck.log", "racecheck.log", "synccheck.log",
    }  # fmt: skip


PYTHON = """
case "$*" in
  *"-m pytest tests "*) echo "===== 5 passed, 1 skipped in 2s =====" ;;
  */gpu.py*) echo table > "$3"; echo "no memory"; exit {status} ;;
esac
"""


@pytest.mark.parametrize(("status", "state"), [(0, "passed"), (1, "failed")])
def test_the_suite_and_the_benchmarks(machine, tmp_path, status, state):
    machine.python = script(tmp_path / "python", PYTHON.format(status=status))
    found = gpu_check.run_parts(machine, ["tests", "bench"], 60)
    assert [(o.name, o.state, o.text) for o in found] == [
        ("tests", "passed", "5 passed, 1 skipped in 2s"),
        ("bench", state, "see the tables below"),
    ]
    assert (tmp_path / ".benchmarks.md").read_text() == "table\n"
    assert gpu_check.last_line(tmp_path / "bench.log") == "no memory"


def test_without_a_gpu_it_says_why():
    done = subprocess.run(
        [str(ROOT / "ci" / "gpu_check.sh")],
        env={**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith("Nothing can be checked here: CuPy ")
