"""Stacks of layers."""

from __future__ import annotations

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import registry
from gpulayers.layers import Add, Dense, Dropout, Flatten, Input, InputLayer, Layer

x23 = np.arange(6, dtype=np.float32).reshape(2, 3) / 10


def test_with_an_input_the_weights_are_there_at_once():
    for first in (Input((3,)), InputLayer((3,))):
        model = gl.Sequential([first, Dense(4), Dense(2)])
        assert model.built
        assert len(model.weights) == 4
        assert [type(layer) for layer in model.layers] == [Dense, Dense]
        assert model.input_shape == (None, 3)
        assert model.output_shape == (None, 2)
        gl.utils.clear_session()
    assert model.weights[0].path == "sequential/dense/kernel"


def test_without_an_input_the_first_data_decide():
    model = gl.Sequential([Dense(4), Dense(2)])
    assert not model.built
    with pytest.raises(AttributeError, match="has no outputs yet"):
        model.outputs  # noqa: B018
    assert model(x23).shape == (2, 2)
    assert model.built
    assert model.input_shape == (None, 3)


def test_add_and_pop():
    model = gl.Sequential(name="stack")
    model.add(Input((3,)))
    model.add(Dense(4))
    model.add(Dense(2))
    assert model.output_shape == (None, 2)
    assert model.pop().units == 2
    assert model.output_shape == (None, 4)
    assert model(x23).shape == (2, 4)
    model.add(Dense(5))
    assert model(x23).shape == (2, 5)
    with pytest.raises(ValueError, match="no layers to take off"):
        gl.Sequential().pop()


def test_build_by_hand():
    model = gl.Sequential([Flatten(), Dense(2)])
    model.build((None, 2, 3))
    assert model.count_params() == 14
    assert model.compute_output_shape((7, 2, 3)) == (7, 2)


def test_the_same_results_by_every_way():
    model = gl.Sequential([Dense(4, activation="relu"), Dropout(0.3), Dense(2)])
    first = model(x23)
    for y in (model(x23), model(x23), model.predict(x23, verbose=0), model(x23, training=False)):
        np.testing.assert_allclose(y, first, rtol=1e-6)


def test_config():
    model = gl.Sequential([Input((3,)), Dense(4, activation="tanh"), Dense(2)], name="stack")
    config = registry.serialize(model)
    assert (config["module"], config["class_name"]) == ("keras", "Sequential")
    other = registry.deserialize(config)
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(other(x23), model(x23))
    assert registry.serialize(other) == config
    unbuilt = gl.Sequential.from_config(gl.Sequential([Dense(2)]).get_config())
    assert not unbuilt.built


def test_as_a_layer_of_another():
    inner = gl.Sequential([Dense(4), Dense(3)])
    outer = gl.Sequential([inner, Dense(1)])
    assert outer(x23).shape == (2, 1)
    assert len(outer.weights) == 6
    built = gl.Sequential([Input((3,)), Dense(2)])
    assert gl.Sequential([built, Dense(1)]).built


def test_its_graph_can_be_used_on():
    model = gl.Sequential([Input((3,)), Dense(4, name="features"), Dense(2)])
    features = gl.Model(model.inputs, model.get_layer("features").output)
    assert features(x23).shape == (2, 4)


def test_what_does_not_fit():
    with pytest.raises(TypeError, match="expected a layer, got int"):
        gl.Sequential([3])
    with pytest.raises(ValueError, match="the name 'a' is taken"):
        gl.Sequential([Dense(1, name="a"), Dense(1, name="a")])
    with pytest.raises(ValueError, match="the Input must come first, and once"):
        gl.Sequential([Dense(1), Input((3,))])

    class Two(Layer):
        def call(self, inputs):
            return inputs, inputs

    with pytest.raises(ValueError, match="every layer must give a single array; Two 'two'"):
        gl.Sequential([Input((3,)), Two()])
    with pytest.raises(ValueError, match="list of"):
        gl.Sequential([Input((3,)), Add()])
    model = gl.Sequential([Dense(2), Dense(3, name="late")])
    model(x23)
    with pytest.raises(ValueError, match=r"\(2, 5\)"):
        model(np.ones((2, 5), np.float32))


def test_an_error_while_building_leaves_the_stack_as_it_was():
    model = gl.Sequential([Dense(2), Add()])
    with pytest.raises(ValueError, match="list of"):
        model(x23)
    model.pop()
    assert model(x23).shape == (2, 2)


def test_layers_of_several_inputs_build_themselves():
    class Pair(Layer):
        def call(self, inputs):
            return {"sum": inputs["a"] + inputs["b"]}

    class Last(Layer):
        def call(self, inputs):
            return inputs[1]

    x = np.ones((3, 2), np.float32)
    model = gl.Sequential([Pair()])
    np.testing.assert_array_equal(model({"a": x, "b": x})["sum"], x + x)
    assert gl.Sequential([Last()])([x, x + 1])[0, 0] == 2


def test_layers_without_shape_inference():
    class Dark(Layer):
        def call(self, inputs):
            return inputs + 1.0

        def compute_output_spec(self, *args, **kwargs):
            raise NotImplementedError

    np.testing.assert_array_equal(gl.Sequential([Dark()])(np.ones((3, 2))), np.full((3, 2), 2.0))


def test_no_layers_and_another_shape():
    with pytest.raises(ValueError, match="has no layers yet"):
        gl.Sequential()(np.ones((3, 2)))
    model = gl.Sequential([Input((2,)), Dense(2)])
    model.build((3, 2))
    with pytest.raises(ValueError, match="has an input of shape"):
        model.build((3, 4))


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: (x,), lambda x: {"a": x}])
def test_a_list_or_dict_of_one_array_is_that_array(wrap):
    model = gl.Sequential([Input((3,), name="a"), Dense(2)])
    model.compile("sgd", "mse")
    x = np.ones((4, 3), np.float32)
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(model(wrap(x)), expected)
    np.testing.assert_array_equal(model.predict(wrap(x), verbose=0), expected)
    model.fit(wrap(x), expected, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[1], [0, 0])
    with pytest.raises(TypeError, match="expected one array, got a list of 2"):
        model([x, x])


def test_a_graph_as_the_first_layer():
    x = Input((3,))
    base = gl.Model(x, Dense(4)(x))
    model = gl.Sequential([base, Dense(2)])
    assert model.built
    assert (model.input_shape, model.output_shape) == ((None, 3), (None, 2))
    np.testing.assert_array_equal(model(x23), model.layers[1](base(x23)))
