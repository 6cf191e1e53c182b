"""Shortcuts of calls, and what is remembered of layers, give what full calls would give."""

import copy
import pickle

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers
from gpulayers.arrays import get_mask
from gpulayers.models import Model, Sequential

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
SERIES, MASK = np.ones((2, 3, 4), "float32"), np.array([[1, 1, 0], [1, 0, 0]], bool)


class Stack(layers.Layer):
    def __init__(self, *blocks):
        super().__init__()
        self.blocks = list(blocks)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def built(units=4):
    layer = layers.Dense(units)
    layer(X)
    return layer


@pytest.mark.parametrize("change", ["swap", "append", "insert a list"])
def test_weights_follow_lists_of_layers(change):
    stack, other = Stack(built(), built()), built()
    model = Sequential([stack])
    model(X)
    assert len(model.weights) == 4
    if change == "swap":
        stack.blocks[0] = other
    elif change == "append":
        stack.blocks.append(other)
    else:
        stack.blocks[:] = [other]
    assert any(v is other.kernel for v in model.trainable_weights)
    assert len(model.weights) == 2 * len(stack.blocks)


class Seeing(layers.Layer):
    supports_masking = True

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, inputs, mask=None):
        self.seen.append(mask)
        return inputs


def functional(layer):
    x = layers.Input((3, 4))
    return Model(x, layer(x))


@pytest.mark.parametrize(
    "make", [lambda layer: Sequential([layer]), functional, lambda layer: layer]
)
def test_an_explicit_mask_is_for_one_call(make):
    layer = Seeing()
    model = make(layer)
    model(SERIES)
    masked = model(SERIES, mask=MASK)
    np.testing.assert_array_equal(layer.seen[-1], MASK)
    np.testing.assert_array_equal(get_mask(masked), MASK)
    model(SERIES)
    assert layer.seen[-1] is None and get_mask(SERIES) is None


def test_a_computed_mask_is_not_put_on_the_callers_array():
    layer = layers.Lambda(lambda x: x, mask=MASK)
    assert get_mask(layer(SERIES)) is not None
    assert get_mask(SERIES) is None


def test_models_pass_masks_on_without_a_warning():
    inner = Sequential([Seeing()])
    x = layers.Input((3, 4))
    model = Model(x, inner(layers.Masking()(x)))
    np.testing.assert_array_equal(get_mask(model(SERIES)), np.ones((2, 3), bool))


def test_a_spec_with_a_batch_size_holds_for_every_call():
    class Three(layers.Layer):
        def __init__(self):
            super().__init__()
            self.input_spec = layers.InputSpec(shape=(3, 4))

        def call(self, inputs):
            return inputs

    layer = Three()
    for _ in range(3):
        layer(X)
    with pytest.raises(ValueError, match=r"expected shape \(3, 4\)"):
        layer(X[:2])


@pytest.mark.parametrize("dtype", [">f4", "f8", "f2", "i8", "u1", "?"])
@pytest.mark.parametrize("first", [layers.Dense(2), layers.Activation("gelu"), layers.Flatten()])
def test_every_way_to_call_agrees(dtype, first):
    x = layers.Input((4,))
    for model in (Sequential([first]), Model(x, first(x))):
        data = (X * 9).astype(dtype)
        full = model(data)
        for way in (data, data.copy(order="F"), np.repeat(data, 2, axis=1)[:, ::2]):
            for y in (model(way), model(way), model.predict(way, verbose=0)):
                assert y.dtype == full.dtype
                np.testing.assert_allclose(y, full, rtol=1e-6, atol=1e-7)


def test_changes_after_calls_count():
    layer = layers.Dense(2, bias_initializer="ones")
    model = Sequential([layer])
    y = model(X)
    model(X)
    layer.activation = np.tanh
    np.testing.assert_allclose(model(X), np.tanh(y), rtol=1e-6)
    layer.activation, layer.bias = None, None
    np.testing.assert_allclose(Sequential([layer])(X), layer(X))


def test_an_error_in_a_call_leaves_no_trace():
    class Failing(layers.Layer):
        broken = True

        def call(self, inputs):
            if self.broken:
                raise ArithmeticError("no")
            return inputs

    failing = Failing()
    model = Sequential([layers.Dense(4), failing, layers.Dropout(0.5)])
    for _ in range(2):
        with pytest.raises(ArithmeticError), gl.Tape():
            model(X, training=True)
    failing.broken = False
    y = model(X)
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, model(X))
    assert len(model.weights) == 2


def test_paths_of_weights_name_a_model_once():
    model = Sequential([layers.Dense(2, name="d")], name="m")
    model(X)
    assert [v.path for v in model.weights] == ["m/d/kernel", "m/d/bias"]


def deep_model():
    x = y = layers.Input((4,))
    for _ in range(500):
        y = layers.Dense(4, activation="tanh")(y)
    return Model(x, y)


@pytest.mark.parametrize("duplicate", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy])
def test_copies_of_deep_models(duplicate):
    model = deep_model()
    again = duplicate(model)
    np.testing.assert_array_equal(again(X), model(X))
    assert again.layers[3].output.shape == (None, 4)
    again.set_weights([0 * w for w in again.get_weights()])
    assert np.any(model(X)) and not np.any(again(X))


@pytest.mark.parametrize("duplicate", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy])
def test_copies_go_on_training(duplicate):
    model = Sequential([layers.Input((4,)), layers.Dense(3), layers.Dropout(0.1), layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, X[:, :2], verbose=0)
    again, y = duplicate(model), model(X)
    again.fit(X, X[:, :2], verbose=0)
    np.testing.assert_array_equal(model(X), y)
    assert (int(model.optimizer.iterations), int(again.optimizer.iterations)) == (1, 2)
    model.layers[0].set_weights(again.layers[0].get_weights())
    pickle.dumps(model.layers[0])


def test_assigned_arrays_stay_the_callers():
    import array_api_strict

    variable = gl.Variable(array_api_strict.asarray([0.0, 0.0]))
    array = array_api_strict.asarray([1.0, 2.0])
    variable.assign(array)
    array[0] = 9.0
    assert float(variable.value[0]) == 1.0
