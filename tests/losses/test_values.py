"""Values of all losses, as real Keras 3.15.1 gives them, and their gradients."""

import numpy as np
import pytest
from checks import check_gradient, check_shape

from gpulayers import losses
from gpulayers.arrays import Tape


def wave(*shape, start=0.0):
    n = int(np.prod(shape))
    return np.cos(np.arange(n) * 0.7 + start).reshape(shape).astype("float32")


def shares(*shape, start=0.0):
    e = np.exp(2 * wave(*shape, start=start))
    return (e / e.sum(-1, keepdims=True)).astype("float32")


CLASSES = np.array([2, 0, 1, 2, 1, 0])
HOT = np.eye(3, dtype="float32")[CLASSES]
BITS = (wave(6, 3, start=1) > 0).astype("float32")
UNIT = wave(6, 3) / np.linalg.norm(wave(6, 3), axis=1, keepdims=True)
WEIGHTS = np.array([1, 0.5, 0, 2, 1, 0.25], dtype="float32")
INPUTS = {  # (y_true, y_pred)
    "numbers": (wave(6, 3, start=0.3), wave(6, 3)),
    "shares": (shares(6, 3, start=1), shares(6, 3)),
    "bits": (BITS, shares(6, 3)),
    "bits, logits": (BITS, wave(6, 3)),
    "one-hot": (HOT, shares(6, 3)),
    "one-hot, logits": (HOT, wave(6, 3)),
    "classes": (CLASSES, shares(6, 3)),
    "classes, logits": (CLASSES, wave(6, 3)),
    "directions": (CLASSES, UNIT),
    "sequences": (np.array([[1, 2, 2], [2, 1, 0], [1, 0, 0]]), wave(3, 7, 3)),
}
# Loss, its arguments, its inputs, and its value with the reductions sum_over_batch_size, sum, and
# mean_with_sample_weight (with WEIGHTS, or 2 where there is one loss for all).
VALUES = [
    ("MeanSquaredError", {}, "numbers", [0.044543, 0.267256, 0.04147]),
    ("MeanAbsoluteError", {}, "numbers", [0.190718, 1.14431, 0.178708]),
    ("MeanAbsolutePercentageError", {}, "numbers", [59.466904, 356.801422, 64.807327]),
    ("MeanSquaredLogarithmicError", {}, "numbers", [0.010356, 0.062134, 0.009608]),
    ("CosineSimilarity", {}, "numbers", [-0.952805, -5.716827, -0.963766]),
    ("CosineSimilarity", {"axis": 0}, "numbers", [-0.955573, -2.866718, -0.95544]),
    ("Huber", {}, "numbers", [0.022271, 0.133628, 0.020735]),
    ("Huber", {"delta": 0.1}, "numbers", [0.014343, 0.086058, 0.01327]),
    ("LogCosh", {}, "numbers", [0.022027, 0.132165, 0.020505]),
    ("KLDivergence", {}, "shares", [0.253919, 1.523515, 0.212144]),
    ("Poisson", {}, "shares", [0.706663, 4.23998, 0.661347]),
    ("BinaryCrossentropy", {}, "bits", [0.789469, 4.736815, 0.453754]),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "bits", [0.801583, 4.809495, 0.49488]),
    ("BinaryCrossentropy", {"from_logits": True}, "bits, logits", [0.589374, 3.536245, 0.622379]),
    ("BinaryFocalCrossentropy", {}, "bits", [0.432464, 2.594783, 0.122439]),
    (
        "BinaryFocalCrossentropy",
        {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5},
        "bits",
        [0.202114, 1.212683, 0.074602],
    ),
    (
        "BinaryFocalCrossentropy",
        {"from_logits": True},
        "bits, logits",
        [0.158481, 0.950886, 0.185328],
    ),
    ("CategoricalCrossentropy", {}, "one-hot", [1.830382, 10.982292, 1.960017]),
    (
        "CategoricalCrossentropy",
        {"label_smoothing": 0.2},
        "one-hot",
        [1.734802, 10.408813, 1.824854],
    ),
    (
        "CategoricalCrossentropy",
        {"from_logits": True},
        "one-hot, logits",
        [1.406329, 8.437973, 1.486576],
    ),
    ("CategoricalFocalCrossentropy", {}, "one-hot", [0.337435, 2.024607, 0.371475]),
    (
        "CategoricalFocalCrossentropy",
        {"from_logits": True, "alpha": [0.1, 0.2, 0.7]},
        "one-hot, logits",
        [0.315298, 1.891787, 0.50676],
    ),
    ("SparseCategoricalCrossentropy", {}, "classes", [1.830382, 10.982292, 1.960017]),
    (
        "SparseCategoricalCrossentropy",
        {"from_logits": True},
        "classes, logits",
        [1.406329, 8.437973, 1.486576],
    ),
    (
        "SparseCategoricalCrossentropy",
        {"ignore_class": 1},
        "classes",
        [1.999303, 7.997213, 2.088143],
    ),
    ("CategoricalGeneralizedCrossEntropy", {}, "classes", [1.14348, 6.860879, 1.212701]),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.8}, "classes", [0.906583, 5.439498, 0.953548]),
    ("Hinge", {}, "bits, logits", [0.670884, 4.025303, 0.721548]),
    ("SquaredHinge", {}, "bits, logits", [0.842907, 5.057444, 1.008832]),
    ("CategoricalHinge", {}, "one-hot, logits", [1.829958, 10.979746, 1.850221]),
    ("Dice", {}, "bits", [0.556006, 0.556006, 1.112013]),
    ("Dice", {"axis": -1}, "bits", [0.648674, 3.892045, 0.623174]),
    ("Tversky", {"alpha": 0.3, "beta": 0.6}, "bits", [0.507518, 0.507518, 1.015035]),
    ("Circle", {}, "directions", [155.956284, 935.737671, 85.990967]),
    (
        "Circle",
        {"gamma": 8.0, "margin": 0.2, "remove_diagonal": False},
        "directions",
        [17.506126, 105.036758, 10.501566],
    ),
    ("CTC", {}, "sequences", [3.679949, 11.039846, 2.872475]),
]


@pytest.mark.parametrize(("name", "options", "inputs", "expected"), VALUES)
def test_value(name, options, inputs, expected, xp):
    make = getattr(losses, name)
    y_true, y_pred = INPUTS[inputs]
    count = np.asarray(make(**options, reduction=None)(y_true, y_pred)).shape
    weights = xp.asarray(WEIGHTS[: count[0]]) if count else 2.0
    args = (xp.asarray(y_true), xp.asarray(y_pred))
    got = [
        make(**options)(*args),
        make(**options, reduction="sum")(*args),
        make(**options, reduction="mean_with_sample_weight")(*args, sample_weight=weights),
    ]
    np.testing.assert_allclose([float(x) for x in got], expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "options", "inputs"), [row[:3] for row in VALUES])
def test_gradient(name, options, inputs):
    y_true, y_pred = INPUTS[inputs]
    loss = getattr(losses, name)(**options, dtype="float64")
    if name == "Circle":
        y_pred = y_pred * 0.999  # Off the edge where a row meets itself at distance 0.
    check_gradient(lambda y: loss(y_true, y), y_pred, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "options", "inputs"), [row[:3] for row in VALUES])
def test_gradient_flows_over_every_library(name, options, inputs, xp):
    y_true, y_pred = INPUTS[inputs]
    loss = getattr(losses, name)(**options)

    def gradient(asarray):
        with Tape() as tape:
            x = tape.watch(asarray(y_pred))
            value = loss(asarray(y_true), x)
        return tape.gradient(value, x)

    expected = gradient(np.asarray)
    np.testing.assert_allclose(xp.to_numpy(gradient(xp.asarray)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "options", "inputs"), [row[:3] for row in VALUES])
def test_shape_inference(name, options, inputs):
    check_shape(getattr(losses, name)(**options, reduction=None), *INPUTS[inputs])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize(("name", "options", "inputs", "expected"), VALUES)
def test_dtype(name, options, inputs, expected, dtype):
    value = getattr(losses, name)(**options, dtype=dtype)(*INPUTS[inputs])
    assert value.dtype.name == dtype
    rtol = {"float16": 1e-2, "bfloat16": 4e-2, "float64": 1e-5}[dtype]
    np.testing.assert_allclose(float(value), expected[0], rtol=rtol, atol=rtol)
