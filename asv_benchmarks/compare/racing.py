"""Contestants in processes of their own, which take turns at the same work.

In every round each does it once, or as often as takes 20 ms: so a busy machine hurts all alike.
Meanwhile the others are stopped, for threads that wait for more work in a loop take the cores from
whoever works (measured: 22 ms instead of 0.3 for PyTorch's MLP beside ONNX Runtime).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import numpy as np

from .contestants import EPOCH, STEP

ROOT = Path(__file__).parent.parent.parent
OURS = "gpulayers"
SECONDS = 0.02  # that a turn should take at least
CLOSE = 1e-4  # how far results may be apart, beside the largest of them


def environment(threads: int, keep: bool) -> dict[str, str]:
    """Variables under which libraries use so many threads.

    With `keep`, the C library keeps what is freed for what is allocated next.  Without, as by
    default, it gives large arrays back to the system, which clears their pages when they come
    again: that takes PyTorch most of its time for MobileNetV2, for example.
    """
    names = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    found = {**os.environ, **dict.fromkeys((f"{name}_NUM_THREADS" for name in names), str(threads))}
    if keep:
        found |= dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**31 - 1))
    return {**found, "PYTHONPATH": str(ROOT)}


class Contestant:
    """A process that works when asked."""

    def __init__(self, name: str, python: str, folder: str, options):
        self.name, self.works, threads = name, [], options.threads
        command = [python, "-m", "asv_benchmarks.compare.contestants", name, folder]
        cores = (
            sorted(os.sched_getaffinity(0))[:threads] if hasattr(os, "sched_setaffinity") else []
        )
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(threads, options.keep_memory),
            # XLA counts the cores that it may use, whatever the environment says.
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
        )
        self.hello = None

    @property
    def absent(self) -> str | None:
        """Why it does not take part; waits until it has started."""
        if self.hello is None:
            self.hello = self.heard("absent")
        return self.hello.get("absent")

    def heard(self, otherwise: str) -> dict:
        """The next that it says; why it says nothing more, if it has ended."""
        if line := self.process.stdout.readline():
            return json.loads(line)
        return {otherwise: f"its process ended with status {self.process.wait()}"}

    def ask(self, **question):
        """What it answers.  Raises RuntimeError if it fails, or has ended."""
        self.signal("SIGCONT")
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        answer = self.heard("failed")
        self.signal("SIGSTOP")
        if "failed" in answer:
            what = ", ".join(f"{key} {value}" for key, value in question.items())
            raise RuntimeError(f"{self.name} failed ({what}): {answer['failed']}")
        return answer["is"]

    def make(self, network: str | None) -> None:
        self.works = self.ask(do="make", network=network)

    def result(self, work: str) -> np.ndarray:
        return np.load(self.ask(do="show", work=work))

    def seconds(self, work: str, number: int = 1) -> float:
        return self.ask(do="time", work=work, number=number)

    def signal(self, name: str) -> None:
        """Stop it between its turns, or let it go on, where systems have signals for that."""
        if hasattr(signal, name):
            self.process.send_signal(getattr(signal, name))

    def close(self) -> None:
        """End it, whatever it does, and also where it is stopped."""
        self.process.kill()
        self.process.wait()
        with suppress(BrokenPipeError):  # It may not have read the last question.
            self.process.stdin.close()
        self.process.stdout.close()


@dataclass
class Result:
    """Seconds of the contestants at some work, one number for each round."""

    network: str
    work: str
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def ratio(self, name: str) -> tuple[float, float, float]:
        """How many times as fast gpulayers is: the median, the tenth and ninetieth of a hundred."""
        ratios = [a / b for a, b in zip(self.seconds[name], self.seconds[OURS], strict=True)]
        low, *_, high = quantiles(ratios, n=10, method="inclusive")
        return median(ratios), low, high


class Race:
    """Those contestants who are there.  A context: they go at its end.

    Args:
        names: of all who may be; gpulayers is the first.
        pythons: the interpreter of each.
        folder: where they leave files for each other.
        options: `threads` of each; `seconds` that a work should take all of them; `keep_memory`,
            see `environment`.
    """

    def __init__(self, names, pythons: dict[str, str], folder: str, options):
        self.seconds, self.started = options.seconds, []
        with ExitStack() as stack:
            for name in names:
                self.started.append(Contestant(name, pythons[name], folder, options))
                stack.callback(self.started[-1].close)
            self.contestants = [c for c in self.started if not c.absent]
            self.stack = stack.pop_all()  # From here on, they end with this context.

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def run(self, network: str, works, names=None) -> list[Result]:
        """Each work of a network by all who can do it; results are compared before.

        Raises AssertionError if they differ.
        """
        racing = [c for c in self.contestants if names is None or c.name in {OURS, *names}]
        for contestant in racing:
            contestant.make(network)
        found = []
        for work in works:
            able = [c for c in racing if work in c.works]
            if len(able) > 1:
                self.compare(network, work, able)
                found.append(self.measure(network, work, able))
        for contestant in racing:
            contestant.make(None)  # So that memory is free for the next.
        return found

    def compare(self, network, work, able) -> None:
        if work == EPOCH or (work == STEP and network == "digits"):
            return  # There is noise in it, or another order of batches.
        right, *others = (c.result(work) for c in able)
        for other, contestant in zip(others, able[1:], strict=True):
            error = np.abs(other - right).max() / np.abs(right).max()
            assert error <= CLOSE, f"{network}, {work}, {contestant.name}: apart by {error:.1e}"

    def measure(self, network, work, able) -> Result:
        numbers, once = {}, 0.0
        for contestant in able:
            contestant.seconds(work)
            start = time.perf_counter()
            contestant.seconds(work)
            seconds = time.perf_counter() - start
            numbers[contestant] = max(1, round(SECONDS / seconds))
            once += seconds * (numbers[contestant] + 1)
        result = Result(network, work, {c.name: [] for c in able})
        for done in range(rounds := max(3, min(15, round(self.seconds / once)))):
            for contestant in able:
                contestant.seconds(work)  # Its caches are warm and its threads awake after that.
                seconds = contestant.seconds(work, numbers[contestant])
                result.seconds[contestant.name].append(seconds)
            note(f"{network}, {work}: round {done + 1} of {rounds}")
        return result


def duration(seconds: float) -> str:
    """A time with a unit that suits it."""
    value, unit = (seconds * 1e3, "ms") if seconds > 1e-3 else (seconds * 1e6, "µs")
    return f"{value:.0f} {unit}" if value > 100 else f"{value:.3g} {unit}"


def note(text: str) -> None:
    """Progress, for people who wait."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="", file=sys.stderr)
