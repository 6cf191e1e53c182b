"""A plan of inference gives what layer after layer gives, in fewer steps."""

import numpy as np
import pytest
from inference_plan_checks import (
    RNG,
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

pytestmark = pytest.mark.usefixtures("loops")

# What becomes one step.


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
