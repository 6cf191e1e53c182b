"""Whole networks by gpulayers and by others: `python -m asv_benchmarks.compare`.

Prints for inference, training steps, single rows, small networks, calls, imports and memory how
long each takes, and how many times as fast gpulayers is: the median over rounds, and in brackets
from the tenth to the ninetieth of a hundred; then which goals are met.  `racing` says how they take
turns.  Who is not installed is left out; `--python PATH` is an interpreter that has the others.

"Training step" is `train_on_batch`, "in an epoch" one step of `fit`; for PyTorch both are a plain
loop.  PyTorch gets what is faster for it: Adam fused, images with their channels last, packed
projections.  All have the same weights, and give the same results within 1e-4: else it stops.
"""

from __future__ import annotations

import argparse
import platform
import signal
import subprocess
import sys
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from . import imports
from .contestants import CONTESTANTS
from .parts import HAND, IMPORTS, MEMORY, ONNX, PARTS, TORCH, TRAINED, names, verdicts
from .racing import OURS, Race, Result, duration, environment, note


def table(title: str, results: list[Result], others) -> str:
    """The results of a part, in Markdown."""
    if not results:
        return f"{title}: there is nobody to compare with."
    others = [name for name in others if any(name in result.seconds for result in results)]
    lines = [f"| {title} | {' | '.join([OURS, *others])} |"]
    lines.append(f"| --- |{' ---: |' * (len(others) + 1)}")
    for result in results:
        cells = [duration(median(result.seconds[OURS]))]
        cells += [cell(result, name) if name in result.seconds else "" for name in others]
        lines.append(f"| {result.network}, {result.work} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(result: Result, name: str) -> str:
    """A contestant's time, and how many times as fast gpulayers is."""
    ratio, low, high = result.ratio(name)
    return f"{duration(median(result.seconds[name]))}: {ratio:.2f} ({low:.2f} to {high:.2f})"


def memory(networks, pythons, folder, options):
    """Megabytes of training steps by gpulayers and by PyTorch, for each network."""
    for network in networks:
        sizes = []
        for name in (OURS, TORCH):
            note(f"{network}, memory of {name}")
            command = [pythons[name], "-m", "asv_benchmarks.compare.memory", name, folder, network]
            done = subprocess.run(
                command,
                env=environment(options.threads, options.keep_memory),
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise RuntimeError(f"{name}, memory of {network}: {done.stderr}")
            sizes.append(int(done.stdout.split()[-1]) / 1e6)
        yield network, *sizes


def memory_table(found) -> str:
    lines = ["| Memory of training | gpulayers | PyTorch | share |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {n} | {a:.1f} MB | {b:.1f} MB | {a / b:.2f} |" for n, a, b in found]
    return "\n".join(lines)


def memory_verdicts(found):
    for network, ours, theirs in found:
        met = "met   " if ours <= theirs else "MISSED"
        yield f"{met}  {network}, memory: {ours / theirs:.2f} of PyTorch's, goal at most 1"


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def heading(race: Race, options) -> str:
    """When, where, and by which versions."""
    versions = dict.fromkeys(v for c in race.contestants for v in c.hello["versions"])
    where = f"{processor()}, {options.threads} threads, Python {platform.python_version()}"
    if options.keep_memory:
        where += ", freed memory kept"
    lines = [f"{date.today()}, {where}, {', '.join(versions)}."]
    left_out = {c.name: c.absent for c in race.started if c.absent}
    if any(c.name == ONNX for c in race.contestants) and find_spec("onnx") is None:
        left_out[ONNX] = "gpulayers makes its files with onnx, which is not installed"
    lines += [f"Left out: {name} ({why})." for name, why in left_out.items()]
    return "\n".join(lines)


def blocks(options, pythons, folder):
    """Tables and the verdicts on them, one after the other; first the heading."""
    with Race(names(options.parts), pythons, folder, options) as race:
        yield heading(race, options), []
        there = {c.name for c in race.contestants}
        for part in options.parts:
            if part in PARTS:
                results = [
                    result
                    for network, works in PARTS[part].lines
                    if options.only in network
                    for result in race.run(network, works, PARTS[part].others)
                ]
                yield table(PARTS[part].title, results, PARTS[part].others), verdicts(part, results)
    if IMPORTS in options.parts:
        found = imports.measured(options.python, environment(options.threads, False))
        yield imports.table(found), [imports.verdict(found)]
    if MEMORY in options.parts and TORCH in there:
        networks = [network for network in TRAINED if options.only in network]
        found = list(memory(networks, pythons, folder, options))
        yield memory_table(found), memory_verdicts(found)


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    every = [*PARTS, IMPORTS, MEMORY]
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(every)}")
    parser.add_argument("--python", default=sys.executable, help="has PyTorch, Keras and so on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4, help="for each line of a table")
    parser.add_argument("--only", default="", help="only networks with this in their names")
    parser.add_argument("--keep-memory", action="store_true", help="see racing.environment")
    parser.add_argument("--markdown", type=Path, help="a file for the tables by themselves")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(every):
        parser.error(f"parts are {', '.join(every)}, got {', '.join(sorted(unknown))}")
    options.parts = options.parts or every
    pythons = dict.fromkeys(CONTESTANTS, options.python)
    pythons |= dict.fromkeys((OURS, HAND), sys.executable)
    texts, said = [], []
    # Whoever is told to end ends the contestants first.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with TemporaryDirectory() as folder:
            for text, verdict in blocks(options, pythons, folder):
                note("")
                print(f"{text}\n", flush=True)
                texts.append(text)
                said += verdict
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except (RuntimeError, AssertionError) as error:
        sys.exit(f"{error}")
    print("\n".join(said))
    if options.markdown:
        options.markdown.write_text("\n\n".join(texts) + "\n")


if __name__ == "__main__":
    main()
