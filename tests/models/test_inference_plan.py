"""A plan of inference gives what layer after layer gives, and notices all that may change that."""

import threading
from copy import copy

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.models.inference_plan import InferencePlan, plan_of

pytestmark = pytest.mark.usefixtures("loops")

RNG = np.random.default_rng(0)


def randomized(model, seed=1):
    """A model with weights that are no zeros and ones, so that each of them counts."""
    rng = np.random.default_rng(seed)
    for w in model.weights:
        if w.dtype.kind == "f":
            low, high = (0.5, 1.5) if "variance" in w.path else (-0.5, 0.5)
            w.assign(rng.uniform(low, high, w.shape).astype("float32"))
    return model


def in_full(model, x):
    """What the layers give one after another, without any plan."""
    return model._call((x,), {"training": False})


def check(model, x, rtol=1e-5, steps=None):
    """Compare a plan with full calls; gives the plan."""
    plan = plan_of(model, x)
    assert isinstance(plan, InferencePlan)
    compare(plan.run(x), in_full(model, x), rtol)
    assert steps is None or len(plan.steps) == steps, plan
    return plan


def compare(found, expected, rtol=1e-5):
    gl.tree.assert_same_structure(found, expected)
    for a, b in zip(gl.tree.flatten(found), gl.tree.flatten(expected), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        finite = np.abs(b[np.isfinite(b)]).max(initial=0)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(finite, 1e-3))


def images(batch=3, size=8, channels=4):
    return RNG.normal(size=(batch, size, size, channels)).astype("float32")


def functional(build, shape):
    inputs = gl.Input(shape)
    return randomized(gl.Model(inputs, build(inputs)))


# What becomes one step.


def block(x, filters=6, **options):
    x = L.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return L.Activation("relu")(L.BatchNormalization(**options)(x))


FUSED = {
    "convolution, normalization, activation": (block, 1),
    "strides and holes": (lambda x: L.Conv2D(3, 2, dilation_rate=2)(L.Conv2D(4, 3, 2)(x)), 2),
    "no factors": (lambda x: block(x, scale=False), 1),
    "no offsets": (lambda x: block(x, center=False, epsilon=0.1), 1),
    "relu6": (lambda x: L.ReLU(6)(L.BatchNormalization()(L.Conv2D(3, 1)(x))), 1),
    "swish": (lambda x: L.Activation("swish")(L.DepthwiseConv2D(3)(x)), 1),
    "depthwise": (
        lambda x: L.ReLU()(L.BatchNormalization()(L.DepthwiseConv2D(3, depth_multiplier=2)(x))),
        1,
    ),
    "separable": (lambda x: L.BatchNormalization()(L.SeparableConv2D(5, 3)(x)), 2),
    "groups": (lambda x: L.BatchNormalization()(L.Conv2D(6, 3, groups=2)(x)), 1),
    "transposed": (
        lambda x: L.ReLU()(L.BatchNormalization()(L.Conv2DTranspose(3, 2, 2)(x))), 2,
    ),
    "dense": (lambda x: L.ELU()(L.BatchNormalization()(L.Dense(5)(x))), 2),
    "margins": (lambda x: L.Conv2D(3, 3, 2)(L.ZeroPadding2D(((0, 1), (2, 1)))(x)), 1),
    "margins of margins": (lambda x: L.Conv2D(3, 3, padding="same")(L.ZeroPadding2D(1)(x)), 1),
    "rescaled": (lambda x: L.Conv2D(3, 3)(L.Rescaling(0.5, -1)(x)), 1),
    "rescaled before margins": (
        lambda x: L.Conv2D(3, 3, padding="same")(L.Rescaling(0.5, -1)(x)), 2,
    ),
    "rescaled twice": (lambda x: L.Rescaling(2.0, 1)(L.Rescaling(0.5, -1)(x)), 1),
    "two normalizations": (lambda x: L.BatchNormalization()(L.BatchNormalization()(x)), 1),
    "activation first": (lambda x: L.BatchNormalization()(L.Conv2D(3, 1, activation="tanh")(x)), 2),
    "for training only": (lambda x: L.Dense(3)(L.Dropout(0.5)(L.GaussianNoise(0.5)(x))), 1),
    "residual": (lambda x: L.ReLU()(L.Add()([block(x, 4), x])), 2),
    "operator": (lambda x: L.ReLU()(block(x, 4) + x), 2),
    "gelu": (lambda x: L.Dense(5, activation="gelu")(x), 2),
    "softmax": (lambda x: L.Dense(5, activation="softmax")(x), 2),
    "pooling": (lambda x: L.AveragePooling2D(2)(L.MaxPooling2D(3, 1)(x)), 2),
    "pooling with margins": (
        lambda x: L.AveragePooling2D(3, 2, "same")(L.MaxPooling2D(3, 2, "same")(x)), 2,
    ),
    "another axis": (lambda x: L.BatchNormalization(axis=1)(L.Conv2D(3, 1)(x)), 2),
}  # fmt: skip


@pytest.mark.parametrize("name", FUSED)
def test_neighbours_become_one(name):
    build, steps = FUSED[name]
    check(functional(build, (8, 8, 4)), images(), steps=steps)


@pytest.mark.parametrize("rank", [1, 3])
def test_other_ranks(rank):
    conv, pool = getattr(L, f"Conv{rank}D"), getattr(L, f"MaxPooling{rank}D")
    x = RNG.normal(size=(2, *(5,) * rank, 3)).astype("float32")
    model = functional(
        lambda x: pool(2)(conv(4, 2, padding="same", activation="relu")(x)), x.shape[1:]
    )
    check(model, x, steps=2)
    check(model, np.concatenate([x] * 60))


@pytest.mark.parametrize("size", [1, 40])
def test_large_arrays_and_kernels(size):
    """Blocks of large arrays; kernels too large for factors of their own."""

    def build(x):
        y = L.Conv2D(256, 3, padding="same", use_bias=False)(x)
        y = L.ReLU()(L.Add()([L.BatchNormalization()(y), L.Conv2D(256, 1)(x)]))
        return L.Activation("swish")(L.BatchNormalization()(y))

    check(functional(build, (size, size, 48)), images(2, size, 48), rtol=2e-5)


@pytest.mark.parametrize(("size", "filters"), [(56, 64), (28, 128), (14, 256), (7, 512)])
def test_blocks_of_a_residual_network(size, filters):
    """Each way that convolutions are computed, with factors and activations in it."""

    def build(x):
        y = x
        for window in (1, 3, 1):
            y = L.Conv2D(filters, window, padding="same", use_bias=False)(y)
            y = L.ReLU()(L.BatchNormalization()(y))
        return L.ReLU()(L.Add()([x, L.BatchNormalization()(y)]))

    for batch in (1, 2):
        check(functional(build, (size, size, filters)), images(batch, size, filters), rtol=3e-5)


def test_what_two_read_stays():
    def build(x):
        y = L.Conv2D(4, 1)(x)
        return [y, L.BatchNormalization()(y), L.Add()([y, y]), L.ReLU()(y)]

    check(functional(build, (8, 8, 4)), images(), steps=4)


def test_branches_shared_layers_and_models_in_models():
    shared = L.Dense(4, activation="relu")
    inner_in = gl.Input((4,))
    inner = gl.Model(inner_in, [L.Dense(3)(inner_in), L.Dropout(0.5)(inner_in)])
    stack = gl.Sequential([L.Dense(4), L.BatchNormalization(), L.ReLU()])
    a, b = gl.Input((4,), name="a"), gl.Input((4,), name="b")
    first, second = inner(shared(a))
    third = stack(shared(b)) * 2 + second
    model = gl.Model({"a": a, "b": b}, {"x": L.Concatenate()([first, third]), "y": [third, b]})
    x = {name: RNG.normal(size=(5, 4)).astype("float32") for name in "ab"}
    plan = check(randomized(model), x)
    assert not plan.in_context
    model(x)
    compare(model.predict(x, verbose=0), in_full(model, x))
    assert model._plan_for(x) is not None
    assert model.predict(x, verbose=0)["y"][1] is not x["b"]


SEQUENCES = {
    "recurrent": lambda x: L.Dense(2)(L.LSTM(5)(L.GRU(4, return_sequences=True)(x))),
    "both ways": lambda x: L.Bidirectional(L.LSTM(3, return_sequences=True))(x),
    "states": lambda x: L.LSTM(3, return_state=True)(x),
    "attention": lambda x: L.LayerNormalization()(x + L.MultiHeadAttention(2, 3)(x, x)),
    "causal": lambda x: L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
    "each step": lambda x: L.TimeDistributed(L.Dense(3, activation="relu"))(x),
    "functions": lambda x: gl.ops.relu(gl.ops.mean(x, axis=1))[:, :2] - 1.0,
    "lambda": lambda x: L.Lambda(lambda x: x * 2)(L.Conv1D(3, 2, padding="causal")(x)),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences(name):
    check(functional(SEQUENCES[name], (6, 4)), RNG.normal(size=(3, 6, 4)).astype("float32"))


def grown(rng, x):
    """A random graph on images: what each layer takes is any array so far of a fitting shape."""
    arrays = [x]
    for _ in range(rng.integers(3, 12)):
        a = arrays[rng.integers(len(arrays))]
        equal = [b for b in arrays if b.shape == a.shape]
        b = equal[rng.integers(len(equal))]
        arrays.append(
            [
                lambda a, b: L.Conv2D(4, 3, padding="same", activation=None)(a),
                lambda a, b: L.Conv2D(4, 1, activation="relu")(a),
                lambda a, b: L.DepthwiseConv2D(3, padding="same")(a),
                lambda a, b: L.BatchNormalization()(a),
                lambda a, b: L.Activation(["relu", "swish", "tanh", "gelu"][rng.integers(4)])(a),
                lambda a, b: L.ReLU(6.0)(a),
                lambda a, b: L.Add()([a, b]),
                lambda a, b: L.Multiply()([a, b]),
                lambda a, b: L.Dropout(0.5)(a),
                lambda a, b: L.ZeroPadding2D(1)(a),
                lambda a, b: L.Rescaling(0.5, 0.25)(a),
                lambda a, b: L.Dense(4)(a),
                lambda a, b: L.Identity()(a),
                lambda a, b: a - b,
            ][rng.integers(14)](a, b)
        )
    return arrays


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed):
    rng = np.random.default_rng(seed)
    x = gl.Input((5, 5, 4))
    arrays = grown(rng, x)
    chosen = [arrays[-1], *(arrays[i] for i in rng.integers(0, len(arrays), rng.integers(3)))]
    model = randomized(gl.Model(x, chosen if len(chosen) > 1 else chosen[0]), seed)
    given = images(2, 5)
    before = given.copy()
    given.flags.writeable = False
    plan = check(model, given, rtol=3e-5)
    np.testing.assert_array_equal(given, before)
    again = plan.run(given)
    compare(plan.run(given), again, 0)


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


def at_once(work, calls):
    """Call a function with several arguments, each in a thread of its own, and wait."""
    threads = [threading.Thread(target=work, args=args) for args in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
