"""Models that are graphs of layers."""

from __future__ import annotations

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import registry
from gpulayers.arrays import Tape, get_mask
from gpulayers.layers import (
    Activation,
    Add,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Input,
    Lambda,
    Layer,
)

x23 = np.arange(6, dtype=np.float32).reshape(2, 3) / 10


def again(model):
    """The model from its description, with the same weights."""
    made = registry.deserialize(registry.serialize(model), safe_mode=False)
    made.set_weights(model.get_weights())
    return made


def check(model, *inputs):
    """The same results from the model made again from its config; gives them."""
    y = model(*inputs)
    other = again(model)
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    out = other(*inputs)
    for a, b in zip(gl.tree.flatten(y), gl.tree.flatten(out), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    return y


def test_a_chain():
    x = Input((3,), name="x")
    hidden = Dense(4, activation="relu", name="hidden")(x)
    model = gl.Model(x, Dense(2, name="out")(hidden), name="chain")
    assert [layer.name for layer in model.layers] == ["x", "hidden", "out"]
    assert (model.input_shape, model.output_shape) == ((None, 3), (None, 2))
    assert (model.input_names, model.output_names) == (["x"], ["out"])
    assert model.count_params() == 26
    y = check(model, x23)
    kernel, bias, kernel2, bias2 = model.get_weights()
    np.testing.assert_allclose(y, np.maximum(x23 @ kernel + bias, 0) @ kernel2 + bias2, rtol=1e-5)
    assert type(model).__name__ == "Functional"
    assert isinstance(model, gl.Model)


def test_repeated_calls_take_the_short_way_and_see_new_weights():
    x = Input((3,))
    model = gl.Model(x, Dense(2, use_bias=False)(Dense(3, activation="tanh")(x)))
    first = model(x23)
    assert model._inference_plan(x23) is not None
    np.testing.assert_array_equal(model(x23), first)
    model.set_weights([w * 2 for w in model.get_weights()])
    a, b, c = model.get_weights()
    np.testing.assert_allclose(model(x23), np.tanh(x23 @ a + b) @ c, rtol=1e-6)
    model.layers[1].activation = gl.activations.relu
    np.testing.assert_allclose(model(x23), np.maximum(x23 @ a + b, 0) @ c, rtol=1e-6)
    np.testing.assert_allclose(model(x23.astype(np.float64)), model(x23), rtol=1e-6)
    assert model(np.concatenate([x23] * 3)).shape == (6, 2)


def test_several_inputs_and_outputs():
    a, b = Input((3,), name="a"), Input((2,), name="b")
    joined = Concatenate()([Dense(4)(a), b])
    model = gl.Model([a, b], [Dense(1, name="one")(joined), Add(name="two")([a, a])])
    assert model.output_names == ["one", "two"]
    x = [x23, np.ones((2, 2), np.float32)]
    one, two = check(model, x)
    assert one.shape == (2, 1)
    np.testing.assert_allclose(two, 2 * x23)
    np.testing.assert_allclose(model({"a": x[0], "b": x[1]})[0], one)
    with pytest.raises(ValueError, match=r"inputs b are missing; got a"):
        model({"a": x[0]})
    with pytest.raises(ValueError, match=r"takes 2 inputs \(a, b\), got 1"):
        model(x[:1])


def test_dictionaries():
    a, b = Input((3,), name="first"), Input((3,), name="second")
    model = gl.Model({"p": a, "q": b}, {"sum": a + b, "product": a * b})
    out = check(model, {"q": x23 + 1, "p": x23})
    assert set(out) == {"sum", "product"}
    np.testing.assert_allclose(out["product"], x23 * (x23 + 1), rtol=1e-6)


def test_shared_layers():
    a, b = Input((3,)), Input((3,))
    shared = Dense(2)
    model = gl.Model([a, b], Concatenate()([shared(a), shared(b)]))
    assert len(model.weights) == 2
    y = check(model, [x23, x23])
    np.testing.assert_array_equal(y[:, :2], y[:, 2:])


def test_nested_models():
    inner_in = Input((3,))
    inner = gl.Model(inner_in, Dense(2)(inner_in), name="inner")
    stack = gl.Sequential([Dense(3), gl.Sequential([Dense(2)], name="top")], name="stack")
    x = Input((3,))
    model = gl.Model(x, Activation("relu")(inner(x) + stack(x)))
    assert len(model.weights) == 6
    check(model, x23)
    assert model.get_layer("inner") is inner


def test_operators_and_functions():
    x = Input((3, 2))
    y = (2 * x - 1) ** 2 / 4 + abs(-x)
    y = y[:, 1:, ::-1] @ x[:, :2]
    model = gl.Model(x, y)
    data = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    z = (2 * data - 1) ** 2 / 4 + abs(data)
    assert model.output_shape == (None, 2, 2)
    np.testing.assert_allclose(model(data), z[:, 1:, ::-1] @ data[:, :2], rtol=1e-5)


def test_intermediate_results_as_inputs_and_outputs():
    x = Input((3,))
    hidden = Dense(4)(x)
    y = Dense(2)(hidden)
    features, head = gl.Model(x, hidden), gl.Model(hidden, y)
    whole = gl.Model(x, y)
    np.testing.assert_allclose(head(features(x23)), whole(x23), rtol=1e-6)
    assert len(head.weights) == 2
    check(head, np.ones((1, 4), np.float32))


def test_ranks_are_mended_where_an_axis_of_one_is_all_that_differs():
    x = Input((1,))
    model = gl.Model(x, Dense(2)(x))
    assert model(np.ones(3, np.float32)).shape == (3, 2)
    assert model(np.ones((3, 1), np.float32)).shape == (3, 2)
    with pytest.raises(ValueError, match=r"expected the shape \(None, 1\), got \(3, 1, 1, 1\)"):
        model(np.ones((3, 1, 1, 1), np.float32))


def test_unknown_sizes():
    x = Input((None, 3))
    y = Dense(2)(x)
    assert y.shape == (None, None, 2)
    flat = Flatten()(Input((None, 3)))
    assert flat.shape == (None, None)


def test_masks_flow_through_the_graph():
    x = Input((3,), dtype="int32")
    y = Dense(2)(Embedding(5, 2, mask_zero=True)(x))
    model = gl.Model(x, y)
    out = model(np.array([[1, 2, 0]]))
    np.testing.assert_array_equal(get_mask(out), [[True, True, False]])


def test_training_reaches_the_layers():
    x = Input((100,))
    model = gl.Model(x, Dropout(0.5, seed=1)(x))
    data = np.ones((1, 100), np.float32)
    np.testing.assert_array_equal(model(data), data)
    assert (model(data, training=True) == 0).any()
    np.testing.assert_array_equal(model(data), data)


def test_gradients_through_the_graph():
    x = Input((3,))
    model = gl.Model(x, Dense(1, use_bias=False)(Dense(2, use_bias=False)(x)))
    with Tape() as tape:
        loss = gl.namespace(y := model(x23)).sum(y)
    first, second = model.get_weights()
    found = tape.gradient(loss, model.trainable_variables)
    np.testing.assert_allclose(found[0], x23.sum(0)[:, None] @ second.T, rtol=1e-5)
    np.testing.assert_allclose(found[1][:, 0], (x23 @ first).sum(0), rtol=1e-5)


def test_a_subclass_that_is_a_graph():
    class Own(gl.Model):
        def __init__(self, units):
            x = Input((3,))
            super().__init__(x, Dense(units)(x), name="own")
            self.units = units

    model = Own(4)
    assert model(x23).shape == (2, 4)
    assert model.output_shape == (None, 4)
    assert model.name == "own"


def test_subclassed_models():
    class Own(gl.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = Dense(4, activation="relu"), Dense(2)

        def call(self, inputs, training=None):
            return self.out(self.hidden(inputs))

    model = Own()
    assert not model.built
    assert model(x23).shape == (2, 2)
    assert next(w.path for w in model.weights) == "own/dense/kernel"
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
    other = Own()
    other.build((None, 3))
    assert other.built
    assert other.count_params() == 26
    with pytest.raises(AttributeError, match="it is not a graph of layers"):
        model.outputs  # noqa: B018


def test_models_are_layers_of_models():
    class Own(gl.Model):
        def __init__(self):
            super().__init__()
            self.inner = gl.Sequential([Dense(2)])

        def call(self, inputs):
            return self.inner(inputs)

    x = Input((3,))
    model = gl.Model(x, Own()(x))
    assert len(model.trainable_variables) == 2
    model.trainable = False
    assert model.trainable_variables == []


def test_lambda_and_deep_graphs():
    x = y = Input((3,))
    for _ in range(1500):  # Deeper than Python's recursion goes.
        y = y + 1
    model = gl.Model(x, Lambda(lambda t: t * 2)(y))
    np.testing.assert_allclose(model(x23), 2 * (x23 + 1500), rtol=1e-6)


def test_what_is_no_graph():
    a, b = Input((3,), name="a"), Input((3,), name="b")
    with pytest.raises(ValueError, match=r"depend on .*name=b.*not among the inputs"):
        gl.Model(a, a + b)
    with pytest.raises(TypeError, match="outputs must be KerasTensors.*got ndarray"):
        gl.Model(a, x23)
    with pytest.raises(ValueError, match="an input is given twice"):
        gl.Model([a, a], a + 1)
    with pytest.raises(TypeError, match="no value to branch on"):
        bool(a)
    with pytest.raises(TypeError, match="was given to a NumPy function"):
        np.asarray(a)
    with pytest.raises(ValueError, match="give `batch_shape`, or `shape`"):
        Input((3,), batch_shape=(None, 3))
    with pytest.raises(TypeError, match="a shape is a tuple of whole numbers"):
        Input("wide")


def test_errors_while_a_graph_is_made_name_the_layer():
    with pytest.raises(ValueError, match=r"Dense 'narrow'.*last axis.*\(None, None\)"):
        Dense(2, name="narrow")(Input((None,)))

    class Branches(Layer):
        def call(self, inputs):
            return inputs if inputs[0, 0] > 0 else -inputs

    with pytest.raises(TypeError, match="no value yet"):
        Branches()(Input((3,)))


def test_get_layer():
    model = gl.Sequential([Dense(2, name="one"), Dense(3, name="two")])
    assert model.get_layer("two").units == 3
    assert model.get_layer(index=0).name == "one"
    with pytest.raises(ValueError, match="no layer 'three'; there are 'one', 'two'"):
        model.get_layer("three")
    with pytest.raises(ValueError, match="either a name or an index"):
        model.get_layer()


@pytest.mark.parametrize("given", [True, False, None])
def test_the_models_training_counts_more_than_the_graphs(given):
    """As in Keras 3.15: what was said when the graph was made holds where the call says nothing."""
    x, ones = gl.Input((50,)), np.ones((4, 50), "float32")
    options = {} if given is None else {"training": given}
    dropout = gl.layers.Dropout(0.5)
    inner = gl.Model(x, gl.layers.Dropout(0.5)(x))
    for layer in (dropout, inner):
        y = gl.Input((50,))
        model = gl.Model(y, layer(y, **options))
        dropped = [np.any(model(ones, training=t) == 0) for t in (True, False, None)]
        assert dropped == [True, False, bool(given)]
        assert not np.any(model.predict(ones, verbose=0) == 0)


def test_layers_that_augment_do_not_in_predict():
    x = np.random.default_rng(0).random((4, 6, 7, 3), "float32")
    image = gl.Input((6, 7, 3))
    inner = gl.Sequential([image, gl.layers.RandomFlip(), gl.layers.RandomRotation(0.3)])
    for layer in (gl.layers.RandomFlip(), gl.layers.RandomBrightness(0.5), inner):
        y = gl.Input((6, 7, 3))
        model = gl.Model(y, layer(y))
        for count in (4, 1, 4, 3, 4):
            assert np.array_equal(model.predict(x[:count], verbose=0), x[:count])
            assert not all(np.array_equal(model(x), x) for _ in range(9))  # As in Keras.


def test_a_list_of_one_output_comes_as_that_output(tmp_path):
    """As in Keras: arrays come without the list, KerasTensors and `output` with it."""
    x = Input((3,))
    alone, listed = Dense(2, name="y")(x), Dense(2)
    for outputs in ([alone], (alone,)):
        model = gl.Model(x, outputs)
        assert model(x23).shape == model.predict(x23, verbose=0).shape == (2, 2)
        assert model.output_shape == (None, 2)
        assert type(model.output) is type(model(x)) is type(outputs)
        with Tape() as tape:
            y = model(tape.constant(x23))
        assert y.shape == (2, 2)
    outer = gl.Model(x, listed(model(x)[0]))
    np.testing.assert_array_equal(check(outer, x23), listed(model(x23)))
    model = gl.Model([x], [alone])
    seen = []

    class Own(gl.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            seen.append(tuple(y_pred.shape))
            return super().compute_loss(x, y, y_pred, sample_weight, training)

    own = Own(model.inputs, model.outputs)
    own.compile("sgd", "mse", metrics=["mae"])
    history = own.fit(x23, x23[:, :2], verbose=0)
    assert set(seen) == {(2, 2)}
    assert list(history.history) == ["loss", "mae"]
    model.save(tmp_path / "listed.keras")
    same = gl.saving.load_model(tmp_path / "listed.keras")
    np.testing.assert_array_equal(same(x23), model(x23))
    assert same.output_shape == (None, 2)


def test_shapes_of_several_inputs_and_outputs_are_lists():
    a, b = Input((3,)), Input((4,))
    model = gl.Model({"a": a, "b": b}, {"sum": Concatenate()([a, b]), "first": Dense(2)(a)})
    assert model.input_shape == [(None, 3), (None, 4)]
    assert sorted(model.output_shape) == [(None, 2), (None, 7)]
