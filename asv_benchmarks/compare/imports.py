"""How long imports take in new interpreters, beyond starting them."""

from __future__ import annotations

import os
import subprocess
import time
from statistics import median
from tempfile import TemporaryDirectory

from .racing import duration, note

STANDS_ON = "NumPy, h5py, rich"
KERAS = "import os; os.environ['KERAS_BACKEND'] = '{}'; import keras"
IMPORTS = {
    STANDS_ON: "import numpy, h5py, rich",
    "gpulayers": "import gpulayers",
    "gpulayers, all of it": "from gpulayers import *",
    "PyTorch": "import torch",
    "Keras on PyTorch": KERAS.format("torch"),
    "Keras on JAX": KERAS.format("jax"),
    "ONNX Runtime": "import onnxruntime",
}
GOAL = 2  # times what it stands on


def measured(python: str, environment: dict[str, str], rounds: int = 7) -> dict[str, list[float]]:
    """Seconds by name, for what is installed."""
    environment = {**environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with TemporaryDirectory() as folder:
        environment["PYTHONPYCACHEPREFIX"] = folder

        def seconds(code):
            start = time.perf_counter()
            command = [python, "-c", code]
            done = subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=False)
            return time.perf_counter() - start if done.returncode == 0 else None

        # The first time compiles the sources, and shows who is there.
        there = {name: code for name, code in IMPORTS.items() if seconds(code) is not None}
        found = {name: [] for name in there}
        for done in range(rounds):
            for name, code in there.items():
                empty = seconds("pass")
                found[name].append(seconds(code) - empty)
            note(f"imports, round {done + 1} of {rounds}")
    return found


def table(found: dict[str, list[float]]) -> str:
    """Medians in Markdown, and how many times as long as gpulayers each takes."""
    lines = ["| Import | time | times gpulayers |", "| --- | ---: | ---: |"]
    for name, seconds in found.items():
        ratio = median(a / b for a, b in zip(seconds, found["gpulayers"], strict=True))
        lines.append(f"| {name} | {duration(median(seconds))} | {ratio:.2f} |")
    return "\n".join(lines)


def verdict(found: dict[str, list[float]]) -> str:
    """Whether it is light enough beside what it stands on."""
    pairs = zip(found["gpulayers"], found[STANDS_ON], strict=True)
    ratio = median(a / b for a, b in pairs)
    met = "met   " if ratio <= GOAL else "MISSED"
    return f"{met}  import: {ratio:.2f} times as long as {STANDS_ON}, goal {GOAL}"


if __name__ == "__main__":
    import sys

    print(table(measured(sys.executable, dict(os.environ))))
