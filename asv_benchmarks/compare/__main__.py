"""Whole networks by gpulayers and by others: `python -m asv_benchmarks.compare`.

Prints for inference, training steps, single rows, small networks, calls, imports and memory how
long each takes, and how many times as fast gpulayers is: the median over rounds, and in brackets
from the tenth to the ninetieth of a hundred; then which goals are met.  `racing` says how they take
turns.  Who is not installed is left out; `--python PATH` is an interpreter that has the others.

"Training step" is `train_on_batch`, "in an epoch" one step of `fit`; for PyTorch both are a plain
loop.  PyTorch gets what is faster for it: Adam fused, images with their channels last, packed
projections.  All have the same weights, and give the same results within 1e-4: else it stops.

Two cores of an EPYC (Zen 5, AVX-512), PyTorch 2.13, ONNX Runtime 1.32, 2 threads, nothing else at
work, on 2026-11-28, before there were plans for whole models; "times as fast":

| | gpulayers | PyTorch | ONNX Runtime |
| --- | ---: | ---: | ---: |
| ResNet-50, batch of 8 | 216 ms | 274 ms: 1.29 | 139 ms: 0.65 |
| U-Net, batch of 8 | 143 ms | 156 ms: 1.10 | 114 ms: 0.80 |
| MobileNetV2, batch of 8 | 108 ms | 95.2 ms: 0.87 | 50.5 ms: 0.46 |
| transformer, batch of 8 | 212 ms | 261 ms: 1.24 | 120 ms: 0.57 |
| LSTM, batch of 8 | 5.86 ms | 2.58 ms: 0.47 | 1.42 ms: 0.25 |
| digits, batch of 8 | 347 µs | 325 µs: 0.94 | 67.4 µs: 0.19 |
| ResNet-50, training step | 861 ms | 732 ms: 0.85 | |
| U-Net, training step | 445 ms | 398 ms: 0.89 | |
| MobileNetV2, training step | 368 ms | 205 ms: 0.56 | |
| transformer, training step | 498 ms | 708 ms: 1.42 | |
| LSTM, training step | 28.1 ms | 19.1 ms: 0.69 | |
| MLP, training step | 2.2 ms | 3.8 ms: 1.62 | |
| digits, training step | 5.46 ms | 4.12 ms: 0.76 | |

With `--keep-memory` PyTorch's MobileNetV2 took 32 instead of 105 ms: see `racing.environment`.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from . import imports
from .contestants import CONTESTANTS
from .parts import HAND, PARTS, TORCH, TRAINED, names, verdicts
from .racing import OURS, Race, Result, duration, environment, note

IMPORTS, MEMORY = "imports", "memory"


def table(title: str, results: list[Result], others) -> str:
    """The results of a part, in Markdown."""
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
    lines += [f"Left out: {c.name} ({c.absent})." for c in race.started if c.absent]
    return "\n".join(lines)


def blocks(options, pythons, folder):
    """Tables and the verdicts on them, one after the other; first the heading."""
    wanted = names(options.parts)
    with Race(wanted, pythons, folder, options) as race:
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
    if MEMORY in options.parts and TORCH in there | {TORCH} - set(wanted):
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
    with TemporaryDirectory() as folder:
        for text, verdict in blocks(options, pythons, folder):
            note("")
            print(f"{text}\n", flush=True)
            texts.append(text)
            said += verdict
    print("\n".join(said))
    if options.markdown:
        options.markdown.write_text("\n\n".join(texts) + "\n")


if __name__ == "__main__":
    main()
