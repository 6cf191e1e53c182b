"""Lets real Keras write small `.h5` files, and what its models give, for tests/saving/legacy.

    pip install keras==3.15.1 torch
    PYTHONPATH=tests python -m parity.make_legacy_files 3
    pip install tf_keras==2.21.0 tensorflow-cpu
    PYTHONPATH=tests python -m parity.make_legacy_files 2

`<version>_<model>.npz` has the outputs and the losses of one more step of training.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from saving.legacy_models import MODELS, data, outputs, step

FOLDER = Path(__file__).parent.parent / "saving" / "legacy"


def main(version: str) -> None:
    """Write the files of one version of Keras: "2" or "3"."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    if version == "2":
        import tf_keras as keras
    else:
        import keras
    FOLDER.mkdir(exist_ok=True)
    for name, make in MODELS.items():
        keras.utils.set_random_seed(1)
        made, compiled = make(keras), data(name)[1] is not None
        if compiled:
            step(made, name)
        found = {f"output_{i}": y for i, y in enumerate(outputs(made, name))}
        stem = str(FOLDER / f"{version}_{name}")
        made.save(f"{stem}.h5")
        if version == "2" and name == "shared":
            made.save_weights(f"{stem}_weights.h5")
        if compiled:
            found["loss"] = step(made, name)
        np.savez_compressed(f"{stem}.npz", **found)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["3"])
