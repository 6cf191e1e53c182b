"""`gpulayers predict`: arrays through a model, from file to file."""

from __future__ import annotations

import contextlib
import io
import sys

import numpy as np

from .. import tree
from ..saving import load_model
from ..saving.files import replacing

STREAM = "-"


def predict(file, inputs, output, batch_size: int = 32, quiet: bool = False) -> None:
    """Write what a model gives for the arrays in a file.

    Args:
        file: the model.
        inputs: a `.npy` file, or `.npz` with one array for each input, by its name or in their
            order; "-" for stdin.
        output: a `.npy` file, or `.npz` for several outputs; "-" for stdout.
        batch_size: how many samples are computed at a time.
        quiet: whether to show no progress, which else goes to stderr.

    Raises ValueError or OSError for files that cannot be read or written, and for inputs that do
    not fit the model.
    """
    model = load_model(file, compile=False)
    x = _inputs(inputs, getattr(model, "input_names", None))
    with contextlib.redirect_stdout(sys.stderr):
        found = model.predict(x, batch_size=batch_size, verbose=0 if quiet else 1)
    names = list(getattr(model, "output_names", []) or [])
    arrays = [np.asarray(y) for y in tree.flatten(found)]
    if output == STREAM:
        _write(sys.stdout.buffer, arrays, names, output)
        sys.stdout.buffer.flush()
        return
    with replacing(output) as written:
        _write(written, arrays, names, output)


def _inputs(path, names):
    """The arrays in a file: one, or for several inputs a dict by name."""
    source = io.BytesIO(sys.stdin.buffer.read()) if path == STREAM else path
    try:
        found = np.load(source, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(
            f"{'stdin' if path == STREAM else path}: expected arrays as numpy.save or numpy.savez "
            "write them."
        ) from error
    if isinstance(found, np.ndarray):
        return found
    with found:
        arrays = {name: found[name] for name in found.files}
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if names and set(names) != set(arrays) and len(names) == len(arrays):
        return dict(zip(names, arrays.values(), strict=True))
    return arrays if names else list(arrays.values())


def _write(file, arrays, names, output) -> None:
    if len(arrays) == 1 and not str(output).endswith(".npz"):
        np.save(file, arrays[0], allow_pickle=False)
        return
    if str(output).endswith(".npy"):
        raise ValueError(f"{output}: the model has {len(arrays)} outputs; let OUT end in .npz.")
    if len(set(names)) != len(arrays):
        names = [f"output_{i}" for i in range(len(arrays))]
    np.savez(file, **dict(zip(names, arrays, strict=True)))
