"""Plans of inference notice all that may change what they give, and are used where they may be."""

from copy import copy

import numpy as np
import pytest
from inference_plan_checks import (
    RNG,
    at_once,
    block,
    check,
    compare,
    functional,
    images,
    in_full,
    randomized,
)

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.models.inference_plan import plan_of

pytestmark = pytest.mark.usefixtures("loops")

# When and for what.


def served(model, x):
    """What the model gives when its plan is in use, compared with full calls."""
    for _ in range(3):
        y = model(x)
    assert model._plan_for(x) is not None
    compare(y, in_full(model, x))
    compare(model.predict(x, verbose=0), in_full(model, x))
    compare(model(x, training=False), y)
    return y


def classifier():
    return functional(lambda x: L.Dense(3)(L.Flatten()(block(x))), (8, 8, 4))


def changed(model, name):
    return next(w for w in model.weights if name in w.path)


CHANGES = {
    "a moving mean": lambda m: changed(m, "moving_mean").assign(np.full(6, 2.0)),
    "a kernel": lambda m: changed(m, "conv").assign(changed(m, "conv") * 2),
    "all weights": lambda m: m.set_weights([w + 1 for w in m.get_weights()]),
    "an array in place": lambda m: changed(m, "gamma").value.__setitem__(0, 5.0),
    "a kernel in place": lambda m: changed(m, "conv").value.__setitem__((0, 0, 0, 0), 5.0),
    "an epsilon": lambda m: setattr(m.layers[2], "epsilon", 0.5),
    "an activation": lambda m: setattr(m.layers[3], "activation", gl.activations.tanh),
    "a step of training": lambda m: m.train_on_batch(images(), np.zeros((3, 3), np.float32)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_noticed(name):
    model, x = classifier(), images()
    model.compile("sgd", "mse")
    before = served(model, x)
    CHANGES[name](model)
    assert np.abs(served(model, x) - before).max() > 1e-3


def test_added_layers():
    model = gl.Sequential([gl.Input((4,)), L.Dense(3), L.BatchNormalization()])
    x = RNG.normal(size=(2, 4)).astype("float32")
    served(randomized(model), x)
    model.add(L.Dense(5, activation="relu"))
    assert served(model, x).shape == (2, 5)
    model.pop()
    assert served(model, x).shape == (2, 3)


def test_training_is_no_inference():
    model, x = functional(lambda x: L.Dropout(0.5)(L.BatchNormalization()(x)), (4,)), images(9, 1)
    x = x[:, 0, 0]
    served(model, x)
    mean = changed(model, "moving_mean").numpy()
    assert (model(x, training=True) == 0).any()
    assert (changed(model, "moving_mean").numpy() != mean).all()
    with gl.Tape() as tape:
        loss = gl.ops.sum(model(x))
    assert tape.gradient(loss, model.trainable_variables)[0] is not None


def test_masks_go_to_those_that_ask():
    inputs = gl.Input((None,), dtype="int32")
    x = L.Embedding(5, 4, mask_zero=True)(inputs)
    model = randomized(gl.Model(inputs, L.LSTM(3)(L.Dense(4)(x))))
    x = np.array([[1, 2, 3, 0, 0, 0], [4, 3, 2, 1, 0, 0]], np.int32)
    y = served(model, x)
    np.testing.assert_allclose(y[:1], model(np.array([[1, 2, 3]], np.int32)), rtol=1e-5)
    features = RNG.normal(size=(2, 6, 4)).astype("float32")
    steps = functional(lambda x: L.LSTM(3)(x), (None, 4))
    served(steps, features)
    from gpulayers.arrays import masked

    mask = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]], bool)
    some = masked(features, mask)
    np.testing.assert_allclose(steps(some)[:1], steps(features[:1, :2]), rtol=1e-5)


class Doubled(L.Layer):
    """A layer of one's own, which tells what it is called with."""

    def call(self, inputs, training=None):
        self.add_loss(gl.ops.sum(inputs))
        self.__dict__.setdefault("calls", []).append(training)
        return 2 * inputs


def test_layers_of_ones_own_are_called_in_full():
    own = Doubled()
    model = functional(lambda x: L.Dense(2)(own(L.Dense(3)(x))), (4,))
    x = RNG.normal(size=(2, 4)).astype("float32")
    served(model, x)
    assert "full call of Doubled" in model._plan_for(x).describe()
    assert own.calls[-1] is False
    model(x)
    assert own.calls[-1] is None
    assert len(model.losses) == 1


class Negative(L.Dense):
    """A subclass with a `call` of its own."""

    def call(self, inputs, training=None):
        return -super().call(inputs)


def test_subclasses_and_adapted_layers():
    model = functional(lambda x: L.Dense(3)(Negative(3)(x)), (4,))
    x = RNG.normal(size=(2, 4)).astype("float32")
    served(model, x)
    model.layers[2].enable_lora(2)
    served(randomized(model), x)


def test_augmentation_makes_no_plan():
    model = functional(lambda x: L.RandomFlip()(L.Conv2D(4, 1)(x)), (8, 8, 4))
    assert plan_of(model, images()) is None
    np.testing.assert_allclose(model(images()[:1], training=False).shape, (1, 8, 8, 4))


def test_other_dtypes_and_policies():
    model = functional(lambda x: L.BatchNormalization()(L.Dense(3)(x)), (4,))
    x = RNG.integers(0, 5, (3, 4))
    for given in (x, x.astype("uint8"), x.astype("float64"), x.astype("float16")):
        y = served(model, given)
        assert y.dtype == np.float32
    wide = gl.Sequential([gl.Input((4,), dtype="float64"), L.Dense(3, "swish", dtype="float64")])
    assert served(wide, x.astype("float64")).dtype == np.float64
    short = gl.Sequential([gl.Input((4,)), L.Dense(3, dtype="mixed_float16"), L.Dense(2)])
    served(short, x.astype("float32"))


def test_each_shape_has_its_plan():
    model = functional(block, (None, None, 4))
    small, large = images(2, 6), images(2, 9)
    for x in (small, large):
        served(model, x)
    plans = [model._plan_for(x) for x in (small, large, small)]
    assert plans[0] is plans[2] is not plans[1]
    assert model._plan_for(images(5, 6)) is plans[0]  # Any number of samples.


def test_wrong_inputs_are_refused_as_ever():
    model, x = classifier(), images()
    served(model, x)
    with pytest.raises(ValueError, match="expected"):
        model(images(2, 8, 5))
    with pytest.raises(ValueError, match="expected"):
        model.predict(images(2, 8, 5), verbose=0)


# Memory and threads.


def test_outputs_belong_to_the_caller():
    def build(x):
        y = L.ReLU()(L.Add()([L.Conv2D(32, 1)(x), L.Conv2D(32, 3, padding="same")(x)]))
        return [y, L.Flatten()(y), L.Conv2D(32, 1)(y), x]

    model, x = functional(build, (64, 64, 4)), images(2, 64)
    model(x), model(x)
    first = model.predict(x, verbose=0)
    kept = [y.copy() for y in first]
    second = model.predict(x * 2, verbose=0)
    compare(first, kept, 0)
    outputs = [*first, *second, x]
    for i, a in enumerate(outputs):
        assert not any(np.shares_memory(a, b) for b in outputs[i + 1 :])
    for y in first:
        y[...] = 7
    compare(model.predict(x, verbose=0), kept, 0)


def test_threads_at_the_same_time():
    model = functional(lambda x: L.Conv2D(32, 3)(block(block(x, 32), 32)), (40, 40, 4))
    given = [images(2, 40) for _ in range(4)]
    expected = [in_full(model, x) for x in given]
    model(given[0]), model(given[0])
    wrong = []

    def work(x, y):
        for _ in range(10):
            error = np.abs(model(x) - y).max() / np.abs(y).max()
            if error > 1e-5:
                wrong.append(error)

    at_once(work, zip(given, expected))
    assert not wrong


def test_copies_plan_for_themselves():
    model, x = classifier(), images()
    served(model, x)
    other = gl.models.clone_model(model)
    served(randomized(other, 5), x)
    assert copy(model)._plan is None


def test_it_can_be_read():
    model = functional(lambda x: L.ReLU()(L.Add()([block(x, 4), x])), (8, 8, 4))
    text = repr(check(model, images()))
    assert "convolution with 3 x 3 x 4 x 4, relu of %0" in text
    assert "sum, relu of" in text and "in place" in text
    assert all(layer.name in text for layer in model.layers[1:])
