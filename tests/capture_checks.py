"""What tests of captured steps share: small models, their batches, their whole state."""

from __future__ import annotations

import numpy as np
import stand_in_arrays

from gpulayers import Sequential, layers, optimizers
from gpulayers.arrays import devices
from gpulayers.utils import set_random_seed


def adam():
    return optimizers.Adam(0.01)


MIDDLES = {
    "nothing": list,
    "dropout": lambda: [layers.Dropout(0.3), layers.Dropout(0.4, noise_shape=(None, 1), seed=1)],
    "batch_normalization": lambda: [layers.BatchNormalization()],
}


class Batches:
    """Random numbers (samples, 8) and (samples, 3) on the GPU, ten to a batch."""

    def __init__(self, cupy, samples: int = 60):
        rng = np.random.default_rng(0)
        self.x = cupy.asarray(rng.normal(size=(samples, 8)).astype("f4"))
        self.y = cupy.asarray(rng.normal(size=(samples, 3)).astype("f4"))
        self.weights = cupy.asarray(rng.uniform(size=samples).astype("f4"))
        self.home = devices.home_of(self.x)

    @classmethod
    def of(cls, model):
        """Batches for a model on a GPU."""
        import cupy

        return cls(cupy)

    def first(self, size: int):
        return self.x[:size], self.y[:size]

    def batch(self, i: int):
        return self.x[10 * i : 10 * i + 10], self.y[10 * i : 10 * i + 10]

    @staticmethod
    def copies() -> int:
        """How often something came to the host so far (of the stand-in only)."""
        return len(stand_in_arrays.host_copies)


def model_of(
    jit, make_middle=list, make_optimizer=adam, on_device=True,
    metrics=("mae",), kind=Sequential,
):  # fmt: skip
    """A compiled model; without graphs it counts its steps as graphs do."""
    set_random_seed(3)
    model = kind([layers.Dense(8, "relu"), *make_middle(), layers.Dense(3)])
    optimizer = make_optimizer()
    optimizer.counts_on_device = on_device
    getattr(optimizer, "inner_optimizer", optimizer).counts_on_device = on_device
    model.compile(optimizer, "mse", metrics=list(metrics), jit_compile=jit)
    return model


def settled(cupy, model):
    """The model with weights on the GPU, but untrained."""
    data = Batches(cupy)
    model.test_on_batch(*data.batch(0))
    model.optimizer.build(model.trainable_variables)
    model.reset_metrics()
    return model


def fitted(
    cupy, jit, make_middle=list, make_optimizer=adam, samples=50,
    epochs=2, weighted=False, callbacks=(), validation_data=None, **options,
):  # fmt: skip
    """A model after `fit`, ten steps by default, and its history."""
    model, data = model_of(jit, make_middle, make_optimizer, **options), Batches(cupy, samples)
    weights = data.weights if weighted else None
    history = model.fit(
        data.x, data.y, sample_weight=weights, batch_size=10, epochs=epochs, verbose=0,
        shuffle=False, callbacks=list(callbacks), validation_data=validation_data,
    )  # fmt: skip
    return model, history


def state_of(model) -> list[np.ndarray]:
    """Everything that training has changed."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [variable.numpy() for variable in variables]


def check_same(cupy, make_middle=list, make_optimizer=adam, **options):
    """Ten steps with and without graphs leave the same bits, in weights and in all else."""
    plain, one = fitted(cupy, False, make_middle, make_optimizer, **options)
    model, other = fitted(cupy, True, make_middle, make_optimizer, **options)
    assert runs_of(model)["train"] > 0
    for a, b in zip(state_of(plain), state_of(model), strict=True):
        assert a.tobytes() == b.tobytes()
    assert one.history == other.history
    return model


def runs_of(model):
    """How many steps of each kind were made by graphs."""
    runs = dict.fromkeys(("train", "test", "predict"), 0)
    if model._compiled.captured is not None:
        for (verb, *_), graph in model._compiled.captured._graphs.items():
            runs[verb] += graph.recording.runs
    return runs
