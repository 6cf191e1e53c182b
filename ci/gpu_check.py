"""All that can be checked on a machine with a GPU: `ci/gpu_check.sh [FOLDER] [--only PART]`.

tests    the whole test suite, with CuPy among the array libraries
memory   the kernels' tests under compute-sanitizer's memcheck and initcheck
races    the same under racecheck and synccheck
bench    times, beside the floor that the hardware sets and beside PyTorch (asv_benchmarks/gpu.py)

FOLDER (gpu-check by default) gets a log for each step, benchmarks.json, and summary.md with all
tables; the short ones are printed last.  Each part has a limit, so that the whole takes 8 minutes;
one that fails does not keep the others from running.  The exit status is 1 if anything failed or
ran out of time, 2 if nothing can run here.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parent.parent
NEEDED = {
    "gpulayers": ("numpy", "array_api_compat", "h5py", "ml_dtypes"),
    "the tests": ("pytest", "array_api_strict", "hypothesis"),
}
SECONDS = 460.0  # Of the parts together.
SHARES = {"tests": 0.4, "memory": 0.2, "races": 0.2, "bench": 0.2}
TOOLS = {"memory": ("memcheck", "initcheck"), "races": ("racecheck", "synccheck")}
FOUND = 86  # The exit status with which compute-sanitizer says that it found something.
PROCESSES = 16  # At most.
MEMORY_EACH = 2 << 30  # Bytes of the GPU that a process of tests may need.
FAULT_SECONDS = 40.0


@dataclass
class Outcome:
    """What came of one step: "passed", "failed", "out of time" or "skipped", and how."""

    name: str
    state: str
    text: str
    seconds: float = 0.0


@dataclass
class Machine:
    """Where the steps run."""

    folder: Path
    python: str = sys.executable
    processes: int = 1
    sanitizer: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, command: list[str], log: Path, seconds: float) -> int | None:
        """The exit status of a command, None if it was stopped after so many seconds."""
        with log.open("ab") as file:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # So that what it starts can be stopped with it.
            )
            try:
                return process.wait(max(seconds, 0.1))
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    return None
                raise


def tests(machine: Machine, seconds: float) -> list[Outcome]:
    """The whole suite."""
    missing = absent(NEEDED["the tests"])
    if missing:
        return [Outcome("tests", "skipped", f"needs {', '.join(missing)}")]
    log = machine.folder / "tests.log"
    command = [machine.python, "-m", "pytest", "tests", "-p", "no:cacheprovider", "--durations=10"]
    if find_spec("xdist"):
        command += ["-n", str(machine.processes)]
    return [outcome("tests", machine.run(command, log, seconds), last_line(log))]


def sanitized(part: str) -> Callable[[Machine, float], list[Outcome]]:
    """What runs the kernels' tests under the tools of a part."""

    def steps(machine: Machine, seconds: float) -> list[Outcome]:
        missing = absent(NEEDED["the tests"])
        if missing:
            return [Outcome(part, "skipped", f"needs {', '.join(missing)}")]
        if machine.sanitizer is None:
            text = "compute-sanitizer is missing; it comes with the CUDA toolkit"
            return [Outcome(part, "skipped", text)]
        with ThreadPoolExecutor(len(TOOLS[part])) as pool:  # The tools of a part share the GPU.
            return list(pool.map(lambda tool: under(machine, tool, seconds), TOOLS[part]))

    return steps


def under(machine: Machine, tool: str, seconds: float) -> Outcome:
    """The kernels' tests under a tool, after a fault that it must find."""
    log, end = machine.folder / f"{tool}.log", monotonic() + seconds
    watched = [machine.sanitizer, "--tool", tool, "--error-exitcode", str(FOUND)]
    watched += ["--target-processes", "all", "--print-limit", "20"]
    watched += ["--report-api-errors", "no"] if tool == "memcheck" else []
    watched += [machine.python]
    fault = [*watched, str(ROOT / "ci" / "gpu_faults.py"), tool]
    if machine.run(fault, log, min(FAULT_SECONDS, seconds)) != FOUND:
        text = f"does not work here: it misses a fault that was planted; {last_line(log)}"
        return Outcome(tool, "skipped", text)
    log.write_text("")  # What was found there is no news.
    count = max(1, machine.processes // 2)
    logs = [machine.folder / f".{tool}-{i}.log" for i in range(count)]
    suite = [*watched, "-m", "pytest", "tests/cuda", "--gpu", "-p", "no:cacheprovider"]

    def shard(i):
        return machine.run([*suite, "--shard", f"{i}/{count}"], logs[i], end - monotonic())

    with ThreadPoolExecutor(count) as pool:
        statuses = list(pool.map(shard, range(count)))
    texts = [part.read_text(errors="replace") if part.exists() else "" for part in logs]
    log.write_text("\n".join(texts))
    for part in logs:
        part.unlink(missing_ok=True)
    passed = sum(int(n) for n in re.findall(r"(\d+) passed", "".join(texts)))
    found = sum(int(n) for n in re.findall(r"SUMMARY: (\d+)", "".join(texts)))
    status = next((s for s in statuses if s), None if None in statuses else 0)
    return outcome(tool, status, f"{passed} tests passed, {found} faults found")


def bench(machine: Machine, seconds: float) -> list[Outcome]:
    """The benchmarks."""
    log, tables = machine.folder / "bench.log", machine.folder / ".benchmarks.md"
    command = [machine.python, str(ROOT / "asv_benchmarks" / "gpu.py"), "--markdown", str(tables)]
    command += ["--json", str(machine.folder / "benchmarks.json")]
    command += ["--seconds", str(int(0.75 * seconds))]
    status = machine.run(command, log, seconds)
    text = "see the tables below" if tables.exists() else last_line(log)
    return [outcome("bench", status, text)]


PARTS = {"tests": tests, "memory": sanitized("memory"), "races": sanitized("races"), "bench": bench}


def outcome(name: str, status: int | None, text: str) -> Outcome:
    """A step's state from the exit status of its command."""
    states = {0: "passed", None: "out of time"}
    return Outcome(name, states.get(status, "failed"), text)


def absent(names) -> list[str]:
    """The packages that are not installed."""
    return [name for name in names if find_spec(name) is None]


def last_line(log: Path) -> str:
    """The end of a log."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip("= ") for line in reversed(lines) if line.strip("= ")), "no output")


def why_not() -> str | None:
    """Why nothing can run on this machine."""
    missing = absent(NEEDED["gpulayers"])
    if missing:
        return f"gpulayers needs {', '.join(missing)}, not installed for {sys.executable}."
    sys.path.insert(0, str(ROOT))
    from gpulayers.arrays.devices import why_no_gpu

    return why_no_gpu()


def this_machine(folder: Path) -> Machine:
    """What there is to run on."""
    import cupy

    free = cupy.cuda.Device().mem_info[0]
    processes = max(1, min(os.cpu_count() or 1, PROCESSES, free // MEMORY_EACH))
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = {**one, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    return Machine(folder, sys.executable, processes, find_sanitizer(), environment)


def find_sanitizer() -> str | None:
    """compute-sanitizer, on the path or in the CUDA toolkit."""
    toolkit = Path(os.environ.get("CUDA_PATH", "/usr/local/cuda"))
    folders = [os.environ.get("PATH", ""), str(toolkit / "bin"), str(toolkit / "compute-sanitizer")]
    return shutil.which("compute-sanitizer", path=os.pathsep.join(folders))


def run_parts(machine: Machine, names: list[str], seconds: float = SECONDS) -> list[Outcome]:
    """Each part within its share of the time; what one leaves over, the next ones have."""
    found, end = [], monotonic() + seconds
    for i, name in enumerate(names):
        share = SHARES[name] / sum(SHARES[n] for n in names[i:])
        begun = monotonic()
        try:
            steps = PARTS[name](machine, share * (end - begun))
        except Exception as error:
            steps = [Outcome(name, "failed", f"{type(error).__name__}: {error}")]
        for step in steps:
            step.seconds = monotonic() - begun
            print(f"{step.name}: {step.state}, {step.text}", flush=True)
        found += steps
    return found


def table(outcomes: list[Outcome]) -> str:
    """The steps, in Markdown."""
    rows = [("step", "state", "seconds", "what was seen"), ("---", "---", "---:", "---")]
    rows += [(o.name, o.state, f"{o.seconds:.0f}", o.text.replace("|", "/")) for o in outcomes]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments=None) -> int:
    """Run the parts, and print and write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("gpu-check"))
    parser.add_argument("--only", nargs="+", choices=[*PARTS], default=[*PARTS], metavar="PART")
    given = parser.parse_args(arguments)
    reason = why_not()
    if reason:
        print(f"Nothing can be checked here: {reason}")
        return 2
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in ("tests", *TOOLS["memory"], *TOOLS["races"], "bench"):
        (given.folder / f"{name}.log").unlink(missing_ok=True)  # Of an earlier run.
    outcomes = run_parts(
        this_machine(given.folder.resolve()), [p for p in PARTS if p in given.only]
    )
    benchmarks = given.folder / ".benchmarks.md"
    tables = benchmarks.read_text(encoding="utf-8") if benchmarks.exists() else ""
    benchmarks.unlink(missing_ok=True)
    (given.folder / "summary.md").write_text(f"{table(outcomes)}\n\n{tables}", encoding="utf-8")
    *_, goals, short = ["", "", *tables.rstrip().split("\n\n")]
    print("\n" + "\n\n".join(filter(None, [goals, short, table(outcomes)])))
    return int(any(o.state in ("failed", "out of time") for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
