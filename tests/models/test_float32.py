"""A step of training in float32 makes no float64: not on the tape, not in what it changes."""

import numpy as np
import pytest
from checks import called
from layers.test_all_layers import CASES, made

import gpulayers as gl
from gpulayers import layers, losses, metrics, optimizers, regularizers, tree
from gpulayers.arrays import Tape, Variable, dtypes, is_recorded, namespace
from gpulayers.arrays.tape import _fit
from gpulayers.layers.training_plan import TrainingPlan

pytestmark = pytest.mark.usefixtures("loops")

RNG = np.random.default_rng(0)
X = RNG.uniform(0.1, 1, (8, 3, 2)).astype("float32")


def narrow(what, array):
    """Raise AssertionError for an array of float64 or complex128."""
    dtype = getattr(array, "dtype", None)
    assert dtype not in (np.float64, np.complex128), f"{what}: {dtype}, {array.shape}"
    return array


def narrow_pullback(pullback):
    """The same for all that a pullback gives."""
    if pullback is None:
        return None

    def run(g):
        found = pullback(g)
        for part in found if isinstance(found, (list, tuple)) else (found,):
            narrow("gradient", part)
        return found

    return run


@pytest.fixture
def watched(monkeypatch):
    """Look at the dtypes of all that tapes, plans and Variables are given."""
    record, run, replace = Tape.record, TrainingPlan.run, Variable.replace

    def watching_record(self, outs, parents, pullbacks, many=False):
        for out in outs if many else (outs,):
            narrow("result", out)
        if callable(pullbacks):
            pullbacks = narrow_pullback(pullbacks)
        else:
            pullbacks = tuple(map(narrow_pullback, pullbacks))
        return record(self, outs, parents, pullbacks, many)

    def watching_run(self, *args):
        y, places, pullback = run(self, *args)
        return narrow("result", y), places, narrow_pullback(pullback)

    def watching_replace(self, value):
        narrow("value", value)
        assert dtypes.name(value.dtype) == dtypes.name(self.dtype), self.path
        return replace(self, value)

    monkeypatch.setattr(Tape, "record", watching_record)
    monkeypatch.setattr(TrainingPlan, "run", watching_run)
    monkeypatch.setattr(Variable, "replace", watching_replace)


@pytest.mark.parametrize(
    ("name", "options", "inputs", "how"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_layers(name, options, inputs, how, watched):
    layer, call = made(name, options, "float32"), how.get("call", called)
    arrays = [a.astype("float32") if a.dtype.kind == "f" else a for a in inputs]
    with Tape() as tape:
        sources = [tape.watch(a) if a.dtype.kind == "f" else a for a in arrays]
        found = [y for y in tree.flatten(call(layer, *sources)) if is_recorded(y)]
        totals = [namespace(y).sum(y * y) for y in found if dtypes.is_floating(y)]
        total = sum(totals) + sum(layer.losses)
    for y in found:
        narrow("output", y)
    if is_recorded(total) and total.index is not None:
        sources = [s for s in sources if is_recorded(s)]
        for g in tape.gradient(total, [*layer.trainable_variables, *sources]):
            assert g is None or g.dtype == np.float32


def trained(model, x, y, steps=2):
    for _ in range(steps):
        for value in model.train_on_batch(x, y, return_dict=True).values():
            assert np.isfinite(value)
    for variable in (*model.variables, *model.optimizer.variables, *model.metrics_variables):
        assert dtypes.name(variable.value.dtype) == dtypes.name(variable.dtype) != "float64"


def model_of(*hidden, functional, last=None):
    """A line of layers, of which steps are planned, or a graph, of which they are recorded."""
    x = inputs = layers.Input(X.shape[1:])
    if not functional:
        return gl.Sequential([inputs, *hidden, layers.Activation(last)])
    for layer in hidden:
        x = layer(x)
    around = layers.Dense(x.shape[-1])(inputs if len(x.shape) == 3 else layers.Flatten()(inputs))
    return gl.Model(inputs, layers.Activation(last)(layers.Add()([x, around])))


def hidden(**options):
    norm = layers.BatchNormalization()
    first = layers.Dense(5, "relu", **options)
    return first, norm, layers.Dropout(0.5), layers.Flatten(), layers.Dense(4)


BOTH = pytest.mark.parametrize("functional", [False, True], ids=["line", "graph"])
OPTIMIZERS = [
    "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Muon",
    "Nadam", "RMSprop", "SGD", "ScheduleFreeAdamW",
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("how", ["plain", "clipped", "averaged"])
def test_optimizers(kind, how, functional, watched):
    options = {
        "plain": {"learning_rate": optimizers.schedules.CosineDecay(1e-3, 10)},
        "clipped": {"global_clipnorm": 0.1, "weight_decay": 0.01},
        "averaged": {"use_ema": True, "gradient_accumulation_steps": 2, "clipvalue": 0.1},
    }[how]
    model = model_of(*hidden(), functional=functional)
    model.compile(getattr(optimizers, kind)(**options), "mse", metrics=["mae"])
    trained(model, X, RNG.normal(size=(8, 4)).astype("float32"))


CLASSES = (
    "CategoricalGeneralizedCrossEntropy", "Circle", "CTC", "SparseCategoricalCrossentropy",
)  # fmt: skip


def targets(kind):
    if kind in CLASSES:
        return RNG.integers(1, 4, (8, 1) if kind == "CTC" else 8)
    return np.eye(4, dtype="float32")[RNG.integers(0, 4, 8)]


NAMES = ("Loss", "LossFunctionWrapper")
LOSSES = [n for n in dir(losses) if isinstance(getattr(losses, n), type) and n not in NAMES]


@BOTH
@pytest.mark.parametrize("kind", LOSSES)
def test_losses(kind, functional, watched):
    some = [layers.Dense(4)] if kind == "CTC" else [layers.Flatten(), layers.Dense(4)]
    model = model_of(*some, functional=functional, last=None if kind == "CTC" else "sigmoid")
    model.compile("sgd", getattr(losses, kind)())
    trained(model, X, targets(kind))


@BOTH
@pytest.mark.parametrize(
    "regularizer",
    [
        regularizers.L1(0.01),
        regularizers.L2(0.01),
        regularizers.L1L2(0.01, 0.02),
        regularizers.OrthogonalRegularizer(0.01),
    ],
    ids=lambda r: type(r).__name__,
)
@pytest.mark.parametrize("of", ["kernel_regularizer", "activity_regularizer"])
def test_regularizers(regularizer, of, functional, watched):
    if type(regularizer).__name__ == "OrthogonalRegularizer" and of != "kernel_regularizer":
        of = "bias_constraint"
        regularizer = gl.constraints.NonNeg()
    model = model_of(*hidden(**{of: regularizer}), functional=functional)
    model.compile("adam", "mse")
    trained(model, X, RNG.normal(size=(8, 4)).astype("float32"))


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_and_weights(weighted, watched):
    named = ["MeanSquaredError", "CosineSimilarity", "AUC", "R2Score", "F1Score", "Recall"]
    model = model_of(*hidden(), functional=True, last="sigmoid")
    own = [getattr(metrics, name)() for name in named]
    model.compile("adam", "mse", weighted_metrics=own)
    weights = RNG.uniform(size=8) if weighted else None
    y = np.eye(4)[RNG.integers(0, 4, 8)]
    model.fit(X.astype("float64"), y, sample_weight=weights, epochs=2, batch_size=4, verbose=0)
    for variable in (*model.variables, *model.optimizer.variables, *model.metrics_variables):
        assert variable.value.dtype != np.float64


def test_what_the_watch_would_see(watched):
    """A float64 constant in a call is found."""

    class Wide(layers.Layer):
        def call(self, x):
            return x * np.ones(2)

    model = gl.Sequential([layers.Input((2,)), layers.Dense(2), Wide()])
    model.compile("sgd", "mse")
    with pytest.raises(AssertionError, match="float64"):
        model.train_on_batch(X[:, 0], X[:, 0])
    assert _fit(np.ones(3), (3,), np.dtype("float32")).dtype == np.float32
