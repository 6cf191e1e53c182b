"""Functions in graphs: described as Keras does, found again, and none but ours."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gpulayers
from gpulayers import activations, models, ops
from gpulayers.models.operations import function_of

X = np.sin(np.arange(24, dtype="float32")).reshape(4, 6)

XP = gpulayers.KerasTensor((None, 6)).__array_namespace__()


def described(function, *more):
    """The entry of the one function in a graph, and the model made anew from its description."""
    x = gpulayers.Input((6,))
    model = models.Model(x, function(x, *more))
    text = model.to_json()
    entry = json.loads(text)["config"]["layers"][-1]
    return entry, model, models.model_from_json(text)


@pytest.mark.parametrize(
    ("function", "name", "options"),
    [
        (lambda x: x + 1.5, "Add", {}),
        (lambda x: 2 - x, "Subtract", {}),
        (lambda x: x / 3, "TrueDivide", {}),
        (lambda x: x // 2, "FloorDivide", {}),
        (lambda x: x % 2, "Mod", {}),
        (lambda x: x**2, "Power", {}),
        (lambda x: -x, "Negative", {}),
        (lambda x: x > 0.5, "Greater", {}),
        (lambda x: x[:, 1:3], "GetItem", {}),
        (lambda x: x[..., None, 2], "GetItem", {}),
        (lambda x: XP.sum(x, axis=1, keepdims=True), "Sum", {"axis": 1, "keepdims": True}),
        (lambda x: XP.mean(x, axis=(0, 1)), "Mean", {"axis": [0, 1]}),
        (lambda x: XP.reshape(x, (-1, 2, 3)), "Reshape", {"newshape": [-1, 2, 3]}),
        (lambda x: XP.permute_dims(x, (1, 0)), "Transpose", {"axes": [1, 0]}),
        (lambda x: XP.expand_dims(x, axis=1), "ExpandDims", {"axis": 1}),
        (lambda x: XP.concat([x, x], axis=-1), "Concatenate", {"axis": -1}),
        (lambda x: XP.stack([x, x], axis=1), "Stack", {"axis": 1}),
        (lambda x: XP.astype(x, "float64"), "Cast", {"dtype": "float64"}),
        (lambda x: XP.clip(x, -0.5, 0.5), "Clip", {"x_min": -0.5, "x_max": 0.5}),
        (lambda x: XP.argmax(x, axis=1), "Argmax", {"axis": 1}),
        (lambda x: XP.flip(x, axis=1), "Flip", {"axis": 1}),
        (lambda x: XP.roll(x, 2, axis=1), "Roll", {"shift": 2, "axis": 1}),
        (lambda x: XP.tile(x, (1, 2)), "Tile", {"repeats": [1, 2]}),
        (lambda x: XP.where(x > 0, x, XP.exp(x)), "Where", {}),
        (lambda x: XP.tanh(x), "Tanh", {}),
        (ops.relu, "Relu", {}),
        (lambda x: ops.einsum("ab,cb->ac", x, x), "Einsum", {"subscripts": "ab,cb->ac"}),
        (lambda x: ops.reshape(x, (-1, 3, 2)), "Reshape", {"newshape": [-1, 3, 2]}),
        (lambda x: ops.mean(x, axis=1, keepdims=True), "Mean", {"axis": 1, "keepdims": True}),
        (lambda x: ops.where(x > 0, x, 0.5), "Where", {}),
        (lambda x: ops.take(x, [0, 2], axis=1), "Take", {"axis": 1}),
        (lambda x: ops.cast(x, "float64"), "Cast", {"dtype": "float64"}),
        (lambda x: ops.layer_normalization(x), "LayerNorm", {}),
        (lambda x: abs(x), "Absolute", {}),
        (lambda x: ops.softmax(x, axis=1), "Softmax", {"axis": 1}),
        (lambda x: ops.gelu(x, approximate=False), "Gelu", {"approximate": False}),
        (lambda x: ops.leaky_relu(x, 0.1), "LeakyRelu", {"negative_slope": 0.1}),
        (lambda x: ops.squareplus(x, b=2), "Squareplus", {"b": 2}),
        (lambda x: ops.average(x, weights=ops.exp(x)), "Average", {}),
        (lambda x: ops.average(x, axis=1, weights=ops.exp(x)), "Average", {"axis": 1}),
        (lambda x: ops.quantile(x, 0.3, axis=1), "Quantile", {"axis": 1}),
        (lambda x: ops.clip(x, -0.5, 0.5), "Clip", {"x_min": -0.5, "x_max": 0.5}),
        (lambda x: ops.stack([x, x], axis=1), "Stack", {"axis": 1}),
        (lambda x: ops.cumsum(x, axis=1), "Cumsum", {"axis": 1}),
    ],
)
def test_functions(function, name, options):
    entry, model, again = described(function)
    assert (entry["class_name"], entry["registered_name"]) == (name, name)
    assert entry["module"].startswith("keras.src.ops.")
    assert entry["config"] == {"name": entry["name"], **options}
    assert all(node["kwargs"] == {} for node in entry["inbound_nodes"])
    np.testing.assert_allclose(again(X), model(X), rtol=1e-6)
    assert again.to_json() == model.to_json()


@pytest.mark.parametrize(
    ("function", "name", "options"),
    [
        (lambda x: ops.image.pad_images(x, 1, 0, 1, 0), "PadImages",
         {"top_padding": 1, "left_padding": 0, "bottom_padding": 1, "right_padding": 0}),
        (lambda x: ops.image.extract_patches_3d(x, 1), "ExtractPatches", {"size": [1, 1, 1]}),
        (lambda x: ops.image.ssim(x, x, filter_size=1), "SSIM", {"filter_size": 1}),
        (lambda x: ops.image.sobel_edges(x), "SobelEdges", {}),
    ],
)  # fmt: skip
def test_functions_of_images(function, name, options):
    x = gpulayers.Input((2, 2, 1) if name != "ExtractPatches" else (2, 2, 2, 1))
    model = models.Model(x, function(x))
    found = json.loads(model.to_json())["config"]["layers"][-1]
    assert (found["module"], found["class_name"]) == ("keras.src.ops.image", name)
    assert {key: found["config"][key] for key in options} == options
    given = np.ones((3, *x.shape[1:]), "float32")
    np.testing.assert_allclose(models.model_from_json(model.to_json())(given), model(given))


@pytest.mark.parametrize(
    ("function", "module"),
    [
        (lambda x: x + 1, "numpy"),
        (ops.tanh, "numpy"),
        (ops.silu, "nn"),
        (ops.erf, "math"),
        (lambda x: XP.astype(x, "float64"), "core"),
    ],
)
def test_modules(function, module):
    assert described(function)[0]["module"] == f"keras.src.ops.{module}"


def test_patterns_belong_to_the_call():
    entry, model, again = described(lambda x: ops.rearrange(x, "b (h w) -> b w h", w=2))
    assert entry["module"] == "keras.src.ops.einops"
    assert entry["config"] == {"name": "rearrange"}
    assert entry["inbound_nodes"][0]["args"][1] == "b (h w) -> b w h"
    assert entry["inbound_nodes"][0]["kwargs"] == {"w": 2}
    np.testing.assert_allclose(again(X), model(X))


def test_activations_that_are_layers_in_keras():
    entry, model, again = described(activations.mish)
    assert (entry["module"], entry["class_name"]) == ("keras.layers", "Activation")
    np.testing.assert_allclose(again(X), model(X))


def test_names_that_keras_gave_are_kept():
    x = gpulayers.Input((6,))
    config = json.loads(models.Model(x, (x + 1) * (x + 2)).to_json())
    names = [entry["name"] for entry in config["config"]["layers"]]
    assert names[1:] == ["add", "add_1", "multiply"]
    text = json.dumps(config).replace("add_1", "add_77")
    assert json.loads(models.model_from_json(text).to_json()) == json.loads(text)


def test_functions_that_have_no_description():
    @gpulayers.primitive
    def mine(x):
        return x * 2

    with pytest.raises(TypeError, match="the function 'mine' of this graph has no description"):
        described(mine)


def entry(name, module="keras.src.ops.numpy", **config):
    return {"module": module, "class_name": name, "config": {"name": "f", **config}}


@pytest.mark.parametrize(
    "name",
    ["Fromfile", "Memmap", "Load", "Save", "Savez", "Genfromtxt", "Ctypeslib", "Lib.npyio.load",
     "Linalg.inv.__class__", "__Class__", "Frombuffer", "Testing", "F2py", "Dtypes"],
)  # fmt: skip
def test_nothing_else_is_found(name):
    with pytest.raises(ValueError, match="unknown function"):
        function_of(entry(name))


def test_descriptions_of_layers_and_broken_ones():
    assert function_of(entry("Dense", "keras.layers")) is None
    assert function_of({"module": None, "class_name": "Add", "config": {}}) is None
    for broken in (entry(3), entry(["Add"]), {**entry("Add"), "config": 3}):
        with pytest.raises(ValueError, match="expected the description of a function"):
            function_of(broken)
    with pytest.raises(TypeError):
        function_of(entry("Relu", made_up=1))(X)
