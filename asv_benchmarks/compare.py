"""gpulayers beside NumPy by hand, PyTorch and Keras: `python asv_benchmarks/compare.py`.

Each contestant has a process of its own, and they take turns: in every round each does every case
once, so that a busy machine hurts all alike.  Printed are the least and the median time, and how
many times as long as gpulayers a contestant takes: the median over rounds, and in brackets from the
tenth to the ninetieth of a hundred.  Everything runs on one thread.

`--python PATH` is an interpreter that has PyTorch or Keras; contestants that are not installed
are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent))
from contestants import CALL, CONTESTANTS, FIT, PREDICT, STEP, TAPE

OURS, HAND = "gpulayers", "NumPy by hand"
IMPORT, STANDS_ON = "import, in a new process", "import numpy, h5py, rich"
IMPORTS = {
    STANDS_ON: "import numpy, h5py, rich",
    OURS: "import gpulayers",
    "gpulayers, all of it": "from gpulayers import *",
    "PyTorch": "import torch",
    "Keras on torch": "import os; os.environ['KERAS_BACKEND'] = 'torch'; import keras",
    "Keras on jax": "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras",
}
NOTHING = "pass"
SECONDS = 0.02  # that a measurement should take
# What the README promises: the case, against whom, at most how many times (or seconds).
GOALS = ((IMPORT, STANDS_ON, 2), (CALL, HAND, 2), (PREDICT, HAND, 5), (TAPE, None, 7e-6))
FASTEST = (STEP, FIT)


class Contestant:
    """A process that does cases when asked."""

    def __init__(self, name: str, python: str, environment: dict[str, str]):
        script = Path(__file__).with_name("contestants.py")
        self.name = name
        self.process = subprocess.Popen(
            [python, str(script), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        hello = json.loads(self.process.stdout.readline() or '{"absent": "it stopped"}')
        self.absent = hello.get("absent")
        self.cases, self.versions = hello.get("cases", []), hello.get("versions", [])
        self.numbers = {}
        for case in self.cases:
            start = perf_counter()
            self.seconds(case, 1)
            self.numbers[case] = max(1, round(SECONDS / (perf_counter() - start)))

    def seconds(self, case: str, number: int | None = None) -> float:
        """How long the case takes, on average over `number` times in a row."""
        number = number or self.numbers[case]
        self.process.stdin.write(json.dumps([case, number]) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def measure(contestants: list[Contestant], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds by case and contestant, one number for each round."""
    cases = [CALL, PREDICT, STEP, FIT, TAPE]
    found = {case: {c.name: [] for c in contestants if case in c.cases} for case in cases}
    for done in range(rounds):
        for case in cases:
            for contestant in contestants:
                if case in contestant.cases:
                    found[case][contestant.name].append(contestant.seconds(case))
        note(f"round {done + 1} of {rounds}")
    return found


def measure_imports(pythons, environment, rounds: int) -> dict[str, list[float]]:
    """Seconds that imports take in fresh interpreters, beyond starting them."""
    environment = {**environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with TemporaryDirectory() as folder:
        environment["PYTHONPYCACHEPREFIX"] = folder

        def seconds(name, code):
            start = perf_counter()
            done = subprocess.run(
                [pythons[name], "-c", code], env=environment, stderr=subprocess.DEVNULL
            )
            return perf_counter() - start if done.returncode == 0 else None

        # The first time compiles the sources, and shows who is there.
        there = {name: code for name, code in IMPORTS.items() if seconds(name, code) is not None}
        found = {name: [] for name in there}
        for done in range(rounds):
            for name, code in there.items():
                empty = seconds(name, NOTHING)
                found[name].append(seconds(name, code) - empty)
            note(f"imports, round {done + 1} of {rounds}")
    return found


def table(case: str, found: dict[str, list[float]]) -> str:
    """The times of a case as a table in Markdown, the fastest first."""
    lines = [f"| {case} | least | median | times gpulayers |", "| --- | ---: | ---: | ---: |"]
    for name, seconds in sorted(found.items(), key=lambda item: median(item[1])):
        ratios = [a / b for a, b in zip(seconds, found[OURS], strict=True)]
        low, *_, high = quantiles(ratios, n=10)
        ratio = "1" if name == OURS else f"{median(ratios):.2f} ({low:.2f} to {high:.2f})"
        lines.append(f"| {name} | {time(min(seconds))} | {time(median(seconds))} | {ratio} |")
    return "\n".join(lines)


def summary(found) -> str:
    """One table in Markdown: medians, and in brackets how many times as long as gpulayers."""
    names = list(dict.fromkeys(name for times in found.values() for name in times))
    names.sort(key=lambda name: name != OURS)
    rows = [["", *found], ["---", *("---:" for _ in found)]]
    for name in names:
        row = [name]
        for times in found.values():
            if name in times:
                ratios = [a / b for a, b in zip(times[name], times[OURS], strict=True)]
                ratio = "" if name == OURS else f" ({median(ratios):.2f})"
                row.append(time(median(times[name])) + ratio)
            else:
                row.append("")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def time(seconds: float) -> str:
    """A time with a unit that suits it."""
    if seconds > 1:
        return f"{seconds:.2f} s"
    value, unit = (seconds * 1e3, "ms") if seconds > 1e-3 else (seconds * 1e6, "µs")
    return f"{value:.0f} {unit}" if value > 100 else f"{value:.1f} {unit}"


def verdicts(found) -> list[str]:
    """Each goal, what came of it, and whether it is met."""
    lines = []
    for case, other, goal in GOALS:
        ours = found[case][OURS]
        if other is None:
            got = f"{median(ours) * 1e6:.1f} µs, goal at most {goal * 1e6:.0f}"
            lines.append((case, got, median(ours) <= goal))
        elif other in found[case]:
            ratio = median(a / b for a, b in zip(ours, found[case][other], strict=True))
            got = f"{ratio:.2f} times {other}, goal at most {goal}"
            lines.append((case, got, ratio <= goal))
    for case in FASTEST:
        for other, theirs in found[case].items():
            if other != OURS:
                ratio = median(a / b for a, b in zip(found[case][OURS], theirs, strict=True))
                lines.append((case, f"{ratio:.2f} times {other}, goal below 1", ratio < 1))
    return [f"{'met   ' if met else 'MISSED'}  {case}: {got}" for case, got, met in lines]


def note(text: str) -> None:
    """Progress, for people who wait."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="", file=sys.stderr)


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Measure, and print tables and verdicts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--python", default=sys.executable, help="has PyTorch or Keras")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **one, "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
    pythons = dict.fromkeys({*CONTESTANTS, *IMPORTS}, options.python)
    here = (OURS, STANDS_ON, "gpulayers, all of it", *(n for n in CONTESTANTS if HAND in n))
    pythons.update(dict.fromkeys(here, sys.executable))

    found = {IMPORT: measure_imports(pythons, environment, max(5, options.rounds // 2))}
    contestants = [Contestant(name, pythons[name], environment) for name in CONTESTANTS]
    present = [c for c in contestants if not c.absent]
    try:
        found |= measure(present, options.rounds)
    finally:
        for contestant in contestants:
            contestant.close()
    note("")
    versions = ", ".join(dict.fromkeys(v for c in present for v in c.versions))
    print(
        f"{date.today()}, {processor()}, one thread; Python {platform.python_version()}, {versions}"
    )
    for contestant in contestants:
        if contestant.absent:
            print(f"Left out: {contestant.name} ({contestant.absent})")
    for case, times in found.items():
        print(f"\n{table(case, times)}")
    print(f"\n{summary(found)}")
    print("\n" + "\n".join(verdicts(found)))


if __name__ == "__main__":
    main()
