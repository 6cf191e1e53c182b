"""Writes tests/optimizers/golden.npz: what real Keras makes of the same gradients.

Needs Keras 3.15 and one of its backends; run it from the top of the repository:

    KERAS_BACKEND=jax python tests/parity/make_optimizers.py

The file holds the first weights ("weight_<i>"), twenty steps of gradients ("gradient_<i>"), "cases"
(JSON: name -> serialized optimizer and what is special), and for each case ("/<case>") one flat
array: all weights after each of the steps in SEEN, then the optimizer's variables in the end.
"""

import json
import pathlib
import sys

import numpy as np

SHAPES = [(4, 3), (3,), (2, 3, 2), ()]
NAMES = ["dense/kernel", "dense/bias", "conv/kernel", "scale"]
STEPS = 20
SEEN = (0, 4, 19)  # Steps after which the weights are recorded.

EVERY = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}],
    "Adam": [{}, {"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}],
    "AdamW": [{}, {"weight_decay": 0.1}],
    "Adamax": [{}],
    "Nadam": [{}],
    "RMSprop": [{}, {"momentum": 0.9}, {"centered": True}, {"momentum": 0.5, "centered": True}],
    "Adagrad": [{}, {"initial_accumulator_value": 0.0}],
    "Adadelta": [{"learning_rate": 1.0}],
    "Ftrl": [
        {},
        {"learning_rate_power": -0.7, "l1_regularization_strength": 0.1, "beta": 0.1},
        {"l2_regularization_strength": 0.1, "l2_shrinkage_regularization_strength": 0.1},
    ],
    "Lion": [{}],
    "Lamb": [{}],
    "Adafactor": [{}, {"relative_step": False, "clip_threshold": 0.5}],
    "Muon": [{}, {"nesterov": False, "rms_rate": None}, {"exclude_layers": ["dense"]}],
    "ScheduleFreeAdamW": [{}, {"warmup_steps": 7, "beta_1": 0.8}],
}
SHARED = [
    {"weight_decay": 0.05},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.7},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    {"loss_scale_factor": 8.0},
    {"gradient_accumulation_steps": 3},
    {
        "gradient_accumulation_steps": 2,
        "use_ema": True,
        "ema_overwrite_frequency": 2,
        "clipnorm": 0.4,
        "weight_decay": 0.1,
    },
]


def cases(keras):
    """Name -> (optimizer, what is special about the case)."""
    kinds, schedules = keras.optimizers, keras.optimizers.schedules
    made = {}
    for kind, options in EVERY.items():
        for i, option in enumerate(options):
            made[f"{kind}_{i}"] = getattr(kinds, kind)(**{"learning_rate": 0.02, **option}), {}
    for i, option in enumerate(SHARED):
        made[f"shared_{i}"] = kinds.Adam(learning_rate=0.02, **option), {}
        made[f"shared_sgd_{i}"] = kinds.SGD(learning_rate=0.1, momentum=0.9, **option), {}
    made["schedule"] = kinds.Adam(schedules.ExponentialDecay(0.05, 4, 0.5)), {}
    made["accumulated_schedule"] = (
        kinds.SGD(schedules.CosineDecay(0.1, 15), gradient_accumulation_steps=4),
        {},
    )
    made["excluded"] = kinds.AdamW(0.02, weight_decay=0.5), {"exclude": ["bias"]}
    made["constrained"] = kinds.Adam(0.1), {"constrained": True}
    made["overwritten"] = kinds.Adam(0.02), {"overwritten": 1}
    made["overwritten_accumulated"] = (
        kinds.Adam(0.02, gradient_accumulation_steps=3),
        {"overwritten": 1},
    )
    made["missing"] = kinds.Adam(0.02), {"missing": 1}
    made["loss_scale"] = (
        kinds.LossScaleOptimizer(kinds.Adam(0.02), initial_scale=64.0, dynamic_growth_steps=4),
        {"infinite": [0, 6, 7]},
    )
    made["several"] = (
        kinds.MultiOptimizer(kinds.OptimizerMap(kinds.SGD(0.1), {"dense/.*": kinds.Adam(0.02)})),
        {},
    )
    return made


def follow(keras, optimizer, special, weights, gradients):
    """The weights after the steps in SEEN, and the optimizer's variables in the end, flat."""
    variables = []
    for i, (value, path) in enumerate(zip(weights, NAMES, strict=True)):
        variable = keras.Variable(value, name=path.rpartition("/")[2])
        variable._path = path
        if special.get("constrained"):
            variable.constraint = keras.constraints.NonNeg()
        if special.get("overwritten") == i:
            variable.overwrite_with_gradient = True
        variables.append(variable)
    if "exclude" in special:
        optimizer.exclude_from_weight_decay(var_names=special["exclude"])
    optimizer.build(variables)
    seen = []
    for step in range(STEPS):
        grads = [g[step] for g in gradients]
        if step in special.get("infinite", ()):
            grads[0] = np.full_like(grads[0], np.inf)
        grads = [keras.ops.convert_to_tensor(g) for g in grads]
        if "missing" in special:
            grads[special["missing"]] = None
        apply(keras, optimizer, grads, variables)
        if step in SEEN:
            seen += variables_now(keras, variables)
    return [*seen, *variables_now(keras, optimizer.variables)]


def apply(keras, optimizer, grads, variables):
    """One step; on JAX loss scaling works without side effects only."""
    if keras.backend.backend() != "jax" or "Scale" not in type(optimizer).__name__:
        optimizer.apply(grads, variables)
        return
    state = optimizer.variables
    new = optimizer.stateless_apply([v.value for v in state], grads, [v.value for v in variables])
    for variable, value in zip([*variables, *state], [*new[0], *new[1]], strict=True):
        variable.assign(value)


def variables_now(keras, variables):
    """Copies of their values, flat."""
    values = [keras.ops.convert_to_numpy(v.value) for v in variables]
    return [np.array(value, "float32").reshape(-1) for value in values]


def main(path):
    """Write the file."""
    import keras

    rng = np.random.default_rng(7)
    weights = [rng.normal(size=s).astype("float32") for s in SHAPES]
    gradients = [rng.normal(size=(STEPS, *s)).astype("float32") for s in SHAPES]
    gradients[0][:, 1] = 0.0  # A row that never has a gradient.
    arrays = {f"weight_{i}": w for i, w in enumerate(weights)}
    arrays |= {f"gradient_{i}": g for i, g in enumerate(gradients)}
    described = {}
    for name, (optimizer, special) in cases(keras).items():
        described[name] = {"optimizer": keras.optimizers.serialize(optimizer), **special}
        parts = follow(keras, optimizer, special, weights, gradients)
        arrays[f"/{name}"] = np.concatenate(parts)
    arrays["cases"] = np.array(json.dumps(described))
    np.savez_compressed(path, **arrays)


if __name__ == "__main__":
    default = pathlib.Path(__file__).parent.parent / "optimizers" / "golden.npz"
    main(sys.argv[1] if len(sys.argv) > 1 else default)
