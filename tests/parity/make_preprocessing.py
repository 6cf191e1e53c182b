"""Records what Keras 3.15 makes of layers of preprocessing with options drawn at random.

    pip install keras==3.15.1 jax tensorflow
    KERAS_BACKEND=tensorflow PYTHONPATH=tests python -m parity.make_preprocessing
    KERAS_BACKEND=jax PYTHONPATH=tests python -m parity.make_preprocessing

write small samples into tests/parity/golden: TensorFlow's of texts and categories, for Keras has
all of these on it, and JAX's of numbers and images, for it has all interpolations and rounds as
here.  `--compare 500` instead compares so many of each kind with gpulayers, and prints where they
differ.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from parity.packing import Pack
from parity.preprocessing_cases import NUMBERS, TEXTS, differences, draw, outcome

GOLDEN = Path(__file__).parent / "golden"
SAMPLE = 12  # Of each kind.


def plain(value):
    """Results of Keras as NumPy's arrays, and bytes as strings; ragged ones as lists."""
    if isinstance(value, (bytes, str)):
        return value.decode() if isinstance(value, bytes) else value
    if isinstance(value, (int, float, np.integer)):
        return int(value)
    if isinstance(value, list):
        return [plain(part) for part in value]
    if hasattr(value, "to_list"):
        return plain(value.to_list())
    array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    return plain(array.tolist()) if array.dtype.kind in "OSU" else array


def compare(count: int, first: int, kinds) -> None:
    """Print where gpulayers differs."""
    from gpulayers import layers

    for kind in kinds:
        wrong = 0
        for number in range(first, first + count):
            case = draw(kind, number)
            theirs, ours = outcome(keras.layers, case, plain), outcome(layers, case)
            found = list(differences(case, theirs, ours))
            if found:
                wrong += 1
                print(f"--- {kind} {number}: {case.layer} {case.options}", *found, sep="\n    ")
        print(f"{kind}: {wrong} of {count} differ", flush=True)


def record(kinds) -> None:
    """Write the sample."""
    pack, cases = Pack(), {}
    for kind in kinds:
        for number in range(SAMPLE):
            found = outcome(keras.layers, draw(kind, number), plain)
            cases[f"{kind} {number}"] = pack.encode(found)
    stem = f"preprocessing_{keras.config.backend()}"
    pack.write(GOLDEN, stem, {"keras": keras.__version__, "cases": cases})


if __name__ == "__main__":
    served = TEXTS if keras.config.backend() == "tensorflow" else NUMBERS
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--compare", type=int, default=0, metavar="COUNT")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one")
    parser.add_argument("--kinds", default=",".join(served), help="with commas between")
    chosen = parser.parse_args()
    if chosen.compare:
        compare(chosen.compare, chosen.first, chosen.kinds.split(","))
    else:
        record(chosen.kinds.split(","))
