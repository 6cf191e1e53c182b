"""`clone_model`, and models as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gpulayers
from gpulayers import layers, models
from gpulayers.models import clone_model, model_from_json

X = np.sin(np.arange(24, dtype="float32")).reshape(6, 4)


def stack():
    return models.Sequential(
        [gpulayers.Input((4,), name="x"), layers.Dense(3, "tanh"), layers.Dense(2)], name="stack"
    )


def graph():
    a, b = gpulayers.Input((4,), name="a"), gpulayers.Input((4,), name="b")
    shared = layers.Dense(4, name="shared")
    inner = models.Model(a, layers.Dense(4)(shared(a)), name="inner")
    head = models.Sequential([shared, layers.Dense(2)], name="head")
    y = head(inner(a) * 2 + shared(b))
    return models.Model({"a": a, "b": b}, [y, {"part": y[:, :1]}], name="graph")


INPUTS = {"stack": X, "graph": {"a": X, "b": -X}}


def check_equal_but_separate(clone, model):
    assert type(clone) is type(model)
    assert clone.name == model.name
    assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
    assert not {id(v) for v in clone.weights} & {id(v) for v in model.weights}
    assert [v.shape for v in clone.weights] == [v.shape for v in model.weights]
    clone.set_weights(model.get_weights())
    one, other = (gpulayers.tree.flatten(m(INPUTS[model.name])) for m in (clone, model))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [stack, graph])
def test_clones(make):
    model = make()
    check_equal_but_separate(clone_model(model), model)


@pytest.mark.parametrize("make", [stack, graph])
def test_json(make):
    model = make()
    text = model.to_json()
    again = model_from_json(text)
    check_equal_but_separate(again, model)
    assert json.loads(again.to_json()) == json.loads(text)


def test_clones_are_compiled_alike():
    model = stack()
    model.compile(gpulayers.optimizers.Adam(0.5), own_loss, metrics=["mae"])
    clone = clone_model(model)
    assert clone.optimizer is not model.optimizer
    assert float(clone.optimizer.learning_rate) == 0.5
    clone.set_weights(model.get_weights())
    y = X[:, :2]
    assert clone.evaluate(X, y, verbose=0) == model.evaluate(X, y, verbose=0)
    assert not clone_model(stack()).compiled


def own_loss(y_true, y_pred):
    return abs(y_true - y_pred) / 2


def test_what_is_not_registered_can_be_cloned():
    class Plus(layers.Layer):
        def __init__(self, value=1.0, **kwargs):
            super().__init__(**kwargs)
            self.value = value

        def call(self, x):
            return x + self.value

    five = 5.0
    model = models.Sequential(
        [
            gpulayers.Input((4,)),
            Plus(2.0),
            layers.Lambda(lambda x: x * five),
            models.Sequential([Plus(), layers.Dense(2, own_activation)]),
        ]
    )
    clone = clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(X), model(X))
    assert clone.layers[1].function is model.layers[1].function


def own_activation(x):
    return x / 2


def test_own_ways_to_clone():
    model = graph()
    seen = []

    def keep(layer):
        seen.append(layer.name)
        return layer

    clone = clone_model(model, clone_function=keep)
    assert seen == ["inner", "shared", "head"]
    assert {id(v) for v in clone.weights} == {id(v) for v in model.weights}
    seen.clear()
    clone_model(model, clone_function=keep, recursive=True)
    assert sorted(seen) == ["dense", "dense_1", "shared"]

    def wider(layer):
        return layers.Dense(2 * layer.units, layer.activation, name=layer.name)

    assert clone_model(stack(), clone_function=wider).output_shape == (None, 4)


def test_own_ways_to_call():
    x = gpulayers.Input((4,))
    model = models.Model(x, layers.Dense(2)(layers.Dense(3)(x)))

    def call(layer, *args, **kwargs):
        out = layer(*args, **kwargs)
        return layers.ReLU()(out) if isinstance(layer, layers.Dense) else out

    clone = clone_model(model, call_function=call)
    kinds = [type(layer).__name__ for layer in clone.layers]
    assert kinds == ["InputLayer", "Dense", "ReLU", "Dense", "ReLU"]


@pytest.mark.parametrize("make", [stack, graph])
def test_other_inputs(make):
    model = make()
    new = gpulayers.tree.map_structure(
        lambda t: gpulayers.Input(batch_shape=(5, *t.shape[1:]), name=f"{t.name}_5"), model.input
    )
    clone = clone_model(model, input_tensors=new)
    assert clone.input_names == [f"{name}_5" for name in model.input_names]
    assert clone.outputs[0].shape == (5, 2)


def test_models_that_are_neither():
    class Own(models.Model):
        def __init__(self, units=2, **kwargs):
            super().__init__(**kwargs)
            self.units, self.dense = units, layers.Dense(units)

        def call(self, x):
            return self.dense(x)

    clone = clone_model(Own(5))
    assert clone.units == 5
    assert clone(X).shape == (6, 5)
    with pytest.raises(ValueError, match="clone_function and input_tensors are for Sequential"):
        clone_model(Own(5), clone_function=lambda layer: layer)
    with pytest.raises(ValueError, match="call_function is for functional models alone"):
        clone_model(stack(), call_function=lambda layer, x: layer(x))
    with pytest.raises(ValueError, match="expected a model, got Dense"):
        clone_model(layers.Dense(2))
    with pytest.raises(ValueError, match="expected one KerasTensor as input_tensors"):
        clone_model(stack(), input_tensors=[X])
    with pytest.raises(ValueError, match="expected 2 KerasTensors as input_tensors"):
        clone_model(graph(), input_tensors=[gpulayers.Input((4,))])


def test_frozen_models_stay_frozen():
    model = graph()
    model.trainable = False
    clone = clone_model(model)
    assert not clone.trainable
    assert clone.trainable_weights == []
