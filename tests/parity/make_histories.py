"""Records training histories of real Keras 3.15 into tests/parity/golden.

    pip install keras==3.15.1 torch jax
    KERAS_BACKEND=jax PYTHONPATH=tests python -m parity.make_histories
    KERAS_BACKEND=torch PYTHONPATH=tests python -m parity.make_histories

Each run is a model's config with its initial weights, the arguments of `compile` and of `fit`
(four epochs, no shuffling), the data, the history, and the trained model's predictions.

Models with masks are run on torch, because on JAX their metrics lose the mask; all others on JAX,
because on torch ScheduleFreeAdamW reads values that were changed in place meanwhile.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from parity.packing import Pack

GOLDEN = Path(__file__).parent / "golden"
EPOCHS, BATCH, SAMPLES = 4, 16, 48
serialize = keras.saving.serialize_keras_object


def random(number: int, *shape) -> np.ndarray:
    return np.random.default_rng(number).normal(size=shape).astype("float32")


def labels(number: int, classes: int, *shape) -> np.ndarray:
    return np.random.default_rng(number).integers(0, classes, shape).astype("int32")


class Run:
    """One model and how it is trained; `record` trains it."""

    def __init__(self, name, model, x, y, compile=None, **fit):
        self.name, self.model, self.x, self.y = name, model, x, y
        self.compile = {"optimizer": "adam", "loss": "mse", **(compile or {})}
        self.fit = fit

    def record(self, pack: Pack) -> dict:
        model = self.model
        rng = np.random.default_rng(7)
        for weight in model.weights:
            value = rng.normal(0, 0.4, weight.shape)
            value = np.abs(value) if weight.name.startswith("embeddings") else value
            weight.assign(value.astype(weight.dtype))
        config, weights = serialize(model), [pack.encode(w) for w in model.get_weights()]
        compiled = {key: serialize(value) for key, value in self.compile.items()}
        model.compile(**{**self.compile, "optimizer": _fresh(self.compile["optimizer"])})
        history = model.fit(
            self.x, self.y, BATCH, EPOCHS, verbose=0, shuffle=False, **self.fit
        ).history
        return {
            "name": self.name,
            "model": config,
            "weights": weights,
            "compile": compiled,
            "x": pack.encode(self.x),
            "y": pack.encode(self.y),
            "fit": pack.encode(self.fit),
            "history": {key: [float(v) for v in values] for key, values in history.items()},
            "predictions": pack.encode(model.predict(self.x, verbose=0)),
        }


def _fresh(optimizer):
    """An optimizer of the same config: one that was serialized may hold state."""
    if isinstance(optimizer, str):
        return optimizer
    return type(optimizer).from_config(optimizer.get_config())


def classifier(**kernel) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(12, "relu", **kernel),
            keras.layers.Dense(10, "tanh"),
            keras.layers.Dense(4, "softmax"),
        ]
    )


def optimizer_runs():
    o = keras.optimizers
    schedules = o.schedules
    for label, optimizer in {
        "Adam": o.Adam(0.01),
        "Adam amsgrad": o.Adam(0.01, amsgrad=True),
        "Adam clipnorm": o.Adam(0.01, clipnorm=0.1),
        "Adam weight decay": o.Adam(0.01, weight_decay=0.02),
        "Adam average": o.Adam(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=5),
        "Adam accumulation": o.Adam(0.01, gradient_accumulation_steps=2),
        "AdamW": o.AdamW(0.01, weight_decay=0.01),
        "SGD": o.SGD(0.1),
        "SGD momentum": o.SGD(0.05, momentum=0.9),
        "SGD nesterov": o.SGD(0.05, momentum=0.9, nesterov=True),
        "SGD clipvalue": o.SGD(0.1, clipvalue=0.01),
        "SGD global clipnorm": o.SGD(0.1, global_clipnorm=0.1),
        "RMSprop": o.RMSprop(0.01),
        "RMSprop centered": o.RMSprop(0.01, momentum=0.5, centered=True),
        "Adagrad": o.Adagrad(0.1),
        "Adadelta": o.Adadelta(1.0),
        "Adamax": o.Adamax(0.02),
        "Nadam": o.Nadam(0.01),
        "Ftrl": o.Ftrl(0.1, l1_regularization_strength=0.01, l2_regularization_strength=0.01),
        "Lion": o.Lion(0.003),
        "Lamb": o.Lamb(0.02),
        "Adafactor": o.Adafactor(0.05),
        "Adafactor fixed": o.Adafactor(0.05, relative_step=False),
        "Muon": o.Muon(0.01),
        "ScheduleFreeAdamW": o.ScheduleFreeAdamW(0.05, warmup_steps=3),
        "LossScaleOptimizer": o.LossScaleOptimizer(o.SGD(0.1), dynamic_growth_steps=3),
        "ExponentialDecay": o.SGD(schedules.ExponentialDecay(0.2, 4, 0.5)),
        "CosineDecay": o.Adam(schedules.CosineDecay(0.0, 8, warmup_target=0.02, warmup_steps=3)),
        "CosineDecayRestarts": o.SGD(schedules.CosineDecayRestarts(0.2, 3)),
        "PiecewiseConstantDecay": o.SGD(schedules.PiecewiseConstantDecay([3, 7], [0.2, 0.1, 0.05])),
        "PolynomialDecay": o.SGD(schedules.PolynomialDecay(0.2, 6, 0.01, power=2.0)),
        "InverseTimeDecay": o.SGD(schedules.InverseTimeDecay(0.2, 2, 0.5)),
    }.items():
        settings = {"optimizer": optimizer, "loss": "sparse_categorical_crossentropy"}
        settings["metrics"] = ["accuracy"]
        yield Run(label, classifier(), random(1, SAMPLES, 8), labels(2, 4, SAMPLES), settings)


def penalty_runs():
    x, y = random(1, SAMPLES, 8), labels(2, 4, SAMPLES)
    settings = {"optimizer": keras.optimizers.SGD(0.1), "loss": "sparse_categorical_crossentropy"}
    for regularizer in ("l1", "l2", "l1_l2", "orthogonal_regularizer"):
        made = getattr(keras.regularizers, regularizer)()
        yield Run(regularizer, classifier(kernel_regularizer=made), x, y, settings)
    activity = keras.regularizers.L2(0.1)
    yield Run("activity", classifier(activity_regularizer=activity), x, y, settings)
    for name, made in {
        "NonNeg": keras.constraints.NonNeg(),
        "UnitNorm": keras.constraints.UnitNorm(axis=0),
        "MaxNorm": keras.constraints.MaxNorm(0.8, axis=0),
        "MinMaxNorm": keras.constraints.MinMaxNorm(0.5, 1.0, rate=0.5, axis=0),
    }.items():
        yield Run(name, classifier(kernel_constraint=made), x, y, settings)


def mask_runs():
    layers = keras.layers
    tokens, steps = labels(3, 6, SAMPLES, 5), labels(4, 3, SAMPLES, 5)
    tagger = [keras.Input((5,), dtype="int32"), layers.Embedding(6, 4, mask_zero=True)]
    tagger += [layers.Dense(8, "tanh"), layers.Dense(3, "softmax")]
    settings = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    settings["optimizer"] = keras.optimizers.Adam(0.02)
    yield Run("embedding mask", keras.Sequential(tagger), tokens, steps, settings)
    series = random(5, SAMPLES, 5, 3) * (random(6, SAMPLES, 5, 1) > -0.5)
    regressor = keras.Sequential(
        [keras.Input((5, 3)), layers.Masking(), layers.Dense(6, "tanh"), layers.Dense(2)]
    )
    settings = {"loss": "mae", "metrics": ["mse"]}
    weights = np.abs(random(8, SAMPLES, 5))
    target = random(7, SAMPLES, 5, 2)
    yield Run("masking", regressor, series, target, settings)
    regressor = keras.models.clone_model(regressor)
    yield Run("masking weights", regressor, series, target, settings, sample_weight=weights)


def weight_runs():
    x, y = random(1, SAMPLES, 8), labels(2, 4, SAMPLES)
    settings = {
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=2)],
        "weighted_metrics": ["accuracy", "sparse_categorical_crossentropy"],
        "optimizer": keras.optimizers.Adam(0.02),
    }
    weights = np.abs(random(3, SAMPLES))
    held_out = (random(4, 20, 8), labels(5, 4, 20))
    yield Run("sample weights", classifier(), x, y, settings, sample_weight=weights)
    balance = {0: 1.0, 1: 0.5, 2: 2.0, 3: 3.0}
    yield Run("class weights", classifier(), x, y, settings, class_weight=balance)
    yield Run("validation data", classifier(), x, y, settings, validation_data=held_out)
    weighted = (*held_out, np.abs(random(6, 20)))
    yield Run("weighted validation", classifier(), x, y, settings, validation_data=weighted)
    yield Run("validation split", classifier(), x, y, settings, validation_split=0.3)
    yield Run("steps", classifier(), x, y, settings, steps_per_epoch=2)


def loss_runs():
    x = random(1, SAMPLES, 8)
    positive = np.abs(random(2, SAMPLES, 3)) + 0.1
    shares = positive / positive.sum(axis=-1, keepdims=True)
    signs = np.sign(random(3, SAMPLES, 3)).astype("float32")
    metrics = {
        "linear": ["mse", "mae", "mape", "cosine_similarity", keras.metrics.RootMeanSquaredError()],
        "sigmoid": ["binary_accuracy", keras.metrics.AUC(num_thresholds=20), "Precision", "Recall"],
        "softmax": ["categorical_accuracy", "kl_divergence"],
        "softplus": ["poisson"],
    }
    for loss, end, target in (
        ("mean_squared_error", "linear", random(4, SAMPLES, 3)),
        ("mean_absolute_error", "linear", random(4, SAMPLES, 3)),
        ("mean_squared_logarithmic_error", "softplus", positive),
        ("huber", "linear", random(4, SAMPLES, 3)),
        ("log_cosh", "linear", random(4, SAMPLES, 3)),
        ("cosine_similarity", "linear", random(4, SAMPLES, 3)),
        ("hinge", "linear", signs),
        ("squared_hinge", "linear", signs),
        ("poisson", "softplus", positive),
        ("binary_crossentropy", "sigmoid", (signs + 1) / 2),
        ("binary_focal_crossentropy", "sigmoid", (signs + 1) / 2),
        ("dice", "sigmoid", (signs + 1) / 2),
        ("categorical_crossentropy", "softmax", shares),
        ("kl_divergence", "softmax", shares),
    ):
        model = keras.Sequential(
            [keras.Input((8,)), keras.layers.Dense(6, "tanh"), keras.layers.Dense(3, end)]
        )
        settings = {"loss": loss, "metrics": metrics[end], "optimizer": keras.optimizers.Adam(0.02)}
        yield Run(loss, model, x, target, settings)


def functional_runs():
    layers = keras.layers
    a, b = keras.Input((6,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(5, "tanh")
    left, right = shared(a), shared(layers.Dense(6, "relu")(b))
    joined = layers.Concatenate()([left * 2.0, layers.Add()([left, right])])
    outputs = {"size": layers.Dense(1, name="size")(joined)}
    outputs["kind"] = layers.Dense(3, "softmax", name="kind")(joined)
    model = keras.Model({"a": a, "b": b}, outputs)
    x = {"a": random(1, SAMPLES, 6), "b": random(2, SAMPLES, 4)}
    y = {"size": random(3, SAMPLES, 1), "kind": labels(4, 3, SAMPLES)}
    settings = {
        "optimizer": keras.optimizers.RMSprop(0.01),
        "loss": {"size": "mse", "kind": "sparse_categorical_crossentropy"},
        "loss_weights": {"size": 0.5, "kind": 2.0},
        "metrics": {"size": ["mae"], "kind": ["accuracy"]},
    }
    yield Run("functional", model, x, y, settings)
    reshaped = keras.Sequential(
        [
            keras.Input((4, 6)),
            layers.EinsumDense("abc,cd->abd", (4, 5), "relu", bias_axes="d"),
            layers.Permute((2, 1)),
            layers.PReLU(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    yield Run("reshaping", reshaped, random(5, SAMPLES, 4, 6), random(6, SAMPLES, 2))


def main() -> None:
    if keras.backend.backend() == "torch":
        stem, makers = "masked_histories", (mask_runs,)
    else:
        stem = "histories"
        makers = (optimizer_runs, penalty_runs, weight_runs, loss_runs, functional_runs)
    pack = Pack()
    runs = [run.record(pack) for maker in makers for run in maker()]
    pack.write(GOLDEN, stem, {"keras_version": keras.__version__, "cases": runs})
    size = sum(path.stat().st_size for path in GOLDEN.glob(f"{stem}*"))
    print(f"{len(runs)} histories, {size / 1024:.0f} KiB in {GOLDEN}")


if __name__ == "__main__":
    main()
