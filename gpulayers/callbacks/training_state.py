"""All that a training run needs to go on elsewhere as if it had never stopped, in one file.

The file is a NumPy archive (.npz). Its arrays are, in this order, the values of the model's
weights, the optimizer's variables, the seeds of its random layers, and the running metrics; the
member "state" is JSON: for each array its group, path and dtype, then the states of all global
random numbers, and what the caller adds, such as epoch and batch. It is written beside its
place and moved there when complete, so that there is always a whole one.
"""

from __future__ import annotations

import json
import random

import numpy as np

from ..arrays import devices, dtypes, seeds


def random_states() -> dict:
    """The states of Python's, NumPy's and our global random numbers, fit for JSON."""
    version, numbers, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [kind, keys.tolist(), *rest],
        # Looked at, not asked for: to make the generator would draw from Python's numbers.
        "gpulayers": [generator.state.numpy().tolist() for generator in seeds._global],
    }


def set_random_states(states: dict) -> None:
    """Go back to what `random_states` gave."""
    seeds._global.clear()
    for state in states["gpulayers"]:
        seeds.global_seed_generator().state.assign(np.asarray(state, np.int64))
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.asarray(keys, np.uint32), *rest))


def save(model, path: str, randoms: dict, **progress) -> None:
    """Write the state of `model`'s training to `path`.

    Args:
        model: built and compiled.
        path: the file; replaced at once and as a whole.
        randoms: from `random_states`.
        progress: what `load` is to give back; fit for JSON.
    """
    from ..saving.files import replacing

    found = _variables(model)
    values = [devices.to_numpy(variable.value) for _, variable in found]
    state = {
        "variables": [
            [group, variable.path, dtypes.name(value.dtype)]
            for (group, variable), value in zip(found, values, strict=True)
        ],
        "random": randoms,
        "progress": progress,
    }
    with replacing(path) as file:
        arrays = {str(number): value for number, value in enumerate(values)}
        np.savez(file, state=np.array(json.dumps(state)), **arrays)


def load(model, path: str) -> dict:
    """Set the state of `model`'s training to what `save` wrote; gives back its `progress`.

    Raises OSError if the file is damaged, and ValueError if it is of another model or optimizer;
    nothing is changed then.
    """
    import zipfile

    if not zipfile.is_zipfile(path):
        raise OSError(f"{path} is damaged: it is no NumPy archive.")
    with np.load(path) as file:
        state = json.loads(str(file["state"]))
        names = state["variables"]
        values = [_typed(file[str(number)], names[number][2]) for number in range(len(names))]
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    found = _variables(model)
    saved = [(group, value.shape) for (group, _, _), value in zip(names, values, strict=True)]
    here = [(group, tuple(variable.shape)) for group, variable in found]
    metrics_are_known = any(group == "metrics" for group, _ in here)
    if not metrics_are_known:  # They are made at the first batch.
        saved = [one for one in saved if one[0] != "metrics"]
    if saved != here:
        raise ValueError(f"{path} is of another model or optimizer: {_difference(saved, here)}.")
    for (_, variable), value in zip(found, values, strict=False):
        variable.assign(value)
    set_random_states(state["random"])
    return state["progress"]


def _variables(model):
    groups = {"weights": list(model.weights)}
    optimizer = getattr(model, "optimizer", None)
    groups["optimizer"] = list(optimizer.variables) if optimizer is not None else []
    known = {id(variable) for group in groups.values() for variable in group}
    metrics = list(getattr(model, "metrics_variables", ()))
    known.update(id(variable) for variable in metrics)
    groups["seeds"] = [v for v in getattr(model, "variables", ()) if id(v) not in known]
    groups["metrics"] = metrics
    return [(name, variable) for name, group in groups.items() for variable in group]


def _typed(value, dtype):
    # NumPy's files do not know bfloat16, and give its bytes back.
    return value if value.dtype.kind != "V" else value.view(dtypes.numpy_dtype(dtype))


def _difference(saved, here):
    if len(saved) != len(here):
        return f"it holds {len(saved)} arrays, the model and its optimizer have {len(here)}"
    one, other = next(pair for pair in zip(saved, here, strict=True) if pair[0] != pair[1])
    return f"it holds {one[0]} of shape {one[1]} where there are {other[0]} of shape {other[1]}"
