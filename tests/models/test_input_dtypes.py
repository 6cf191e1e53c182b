"""Graphs cast arrays to the dtypes of their inputs."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers.layers import Dense, Embedding, Identity, Input


@pytest.mark.parametrize("given", ["uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize(("dtype", "expected"), [("float32", 9.0), ("float64", 9.0), ("int32", 9)])
def test_a_graph_computes_in_its_inputs_dtype(given, dtype, expected):
    x = np.full((2, 3), 3, given)
    tensor = Input((3,), dtype=dtype)
    model = gl.Model(tensor, tensor * 3)
    for y in (model(x), model(x), model.predict(x, verbose=0)):
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, np.full((2, 3), expected))


def test_bytes_do_not_overflow():
    tensor = Input((2,))
    model = gl.Model(tensor, tensor * 2)
    np.testing.assert_array_equal(model(np.full((1, 2), 200, np.uint8)), [[400, 400]])
    np.testing.assert_array_equal(model.predict(np.full((1, 2), 200, np.uint8), verbose=0), 400)


def test_fractions_are_cut_where_integers_are_expected():
    tensor = Input((2,), dtype="int32")
    y = gl.Model(tensor, tensor + 1)(np.full((1, 2), 1.75))
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, [[2, 2]])


@pytest.mark.parametrize("inputs", [None, Input((3,))])
def test_stacks_do_so_too(inputs):
    model = gl.Sequential([*([] if inputs is None else [inputs]), Identity()])
    for _ in range(2):
        assert model(np.ones((2, 3), np.int64)).dtype == np.float32
        assert model.predict(np.ones((2, 3), np.int64), verbose=0).dtype == np.float32


def test_indices_stay_whole_in_a_stack():
    model = gl.Sequential([Embedding(4, 2)])
    index = np.array([[1, 3]])
    np.testing.assert_array_equal(model(index)[0], model.layers[0].embeddings.numpy()[[1, 3]])


def test_inputs_by_name():
    a, b = Input((2,), name="a"), Input((2,), dtype="int32", name="b")
    for model in (gl.Model([a, b], [a * 1, b * 1]), gl.Model({"a": a, "b": b}, [a * 1, b * 1])):
        one, other = model({"a": np.ones((1, 2)), "b": np.ones((1, 2))})
        assert (one.dtype, other.dtype) == (np.float32, np.int32)


def test_other_structures_are_noticed():
    a, b = Input((2,), name="a"), Input((2,), name="b")
    model, x = gl.Model({"a": a, "b": b}, a - b), np.ones((1, 2), np.float32)
    with pytest.warns(UserWarning, match="a list is taken for the dict"):
        model([x, x])
    with pytest.warns(UserWarning, match=r"\['c'\] of the inputs are not used"):
        model({"a": x, "b": x, "c": x})
    with pytest.raises(ValueError, match="expected a dict of the inputs"):
        gl.Model({"b": b, "a": a}, a - b)([x, x])


def test_a_tuple_of_outputs_stays_one():
    a = Input((2,))
    again = gl.Model.from_config(gl.Model(a, (Dense(1)(a), Dense(2)(a))).get_config())
    assert isinstance(again(np.ones((1, 2), np.float32)), tuple)


def test_own_layers_of_a_config():
    class Twice(gl.Layer):
        def call(self, inputs):
            return inputs * 2

    a = Input((2,))
    config = gl.Model(a, Twice()(a)).get_config()
    model = gl.Model.from_config(config, custom_objects={"Twice": Twice})
    np.testing.assert_array_equal(model(np.ones((1, 2), np.float32)), [[2, 2]])
    assert [type(op) for op in model.operations][-1] is Twice
