"""Work by PyTorch, or by Keras, and by gpulayers in turns, and a table of how long each takes.

`convolution` and its like say what the work is; an interpreter that has both, and as many threads
for both, does it.  They take turns, block by block of `--seconds`, and results are compared first.
Printed are medians of the blocks' medians, and the median over turns of how many times as fast
gpulayers is.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from statistics import median


def block(function, seconds: float) -> float:
    """The median time of a function, called for so long."""
    time.sleep(0.02)  # Threads that wait for work in a loop go to sleep.
    function()
    found, end = [], time.perf_counter() + seconds
    while len(found) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return median(found)


def compared(theirs, ours, rounds: int, seconds: float):
    """Median times and the ratio.  Raises AssertionError if results differ beyond rounding."""
    import numpy as np

    for a, b in zip(theirs(), ours(), strict=True):
        assert np.abs(a - b).max() <= 1e-4 * np.abs(a).max()
    turns = [(block(theirs, seconds), block(ours, seconds)) for _ in range(rounds)]
    return *map(median, zip(*turns, strict=True)), median(a / b for a, b in turns)


def table(description: str, cases, peer: str = "PyTorch") -> None:
    """Measure, and print a table in Markdown.

    Args:
        description: of the script; its first line is shown as help.
        cases: called without arguments, gives (name, (their function, our function)); each of the
            two gives arrays to compare.  Functions are made here, once threads are counted.
        peer: what theirs is.
    """
    parser = argparse.ArgumentParser(description=description.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--only", default="", help="only names with this in them")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # Before NumPy is imported.
        os.environ[name] = str(options.threads)
    try:
        measure(cases, peer, options)
    except ImportError as error:
        sys.exit(f"{error}: {peer} is compared by an interpreter that has it.")


def measure(cases, peer: str, options) -> None:
    """Print a line for each case."""
    import torch

    torch.set_num_threads(options.threads)
    print(f"| | {peer}, ms | gpulayers, ms | times as fast |\n| --- | ---: | ---: | ---: |")
    for name, make in cases():
        if options.only in name:
            theirs, ours, ratio = compared(*make(), options.rounds, options.seconds)
            print(f"| {name} | {theirs * 1e3:.2f} | {ours * 1e3:.2f} | {ratio:.2f} |", flush=True)
