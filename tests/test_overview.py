"""What people paste from overviews of Keras's layers, with only the library's name changed."""

import numpy as np
import pytest

import gpulayers as keras
from gpulayers import ops
from gpulayers.activations import elu, gelu, leaky_relu, relu, selu, sigmoid, softmax, tanh
from gpulayers.arrays import KerasTensor
from gpulayers.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from gpulayers.initializers import GlorotUniform, HeUniform, RandomUniform, TruncatedNormal
from gpulayers.layers import (
    ELU,
    Activation,
    ActivityRegularization,
    Dense,
    Dot,
    EinsumDense,
    Embedding,
    Input,
    Lambda,
    Layer,
    LeakyReLU,
    Masking,
    PReLU,
    ReLU,
)
from gpulayers.models import Model, Sequential
from gpulayers.optimizers import Adam
from gpulayers.regularizers import L1, L1L2, L2, OrthogonalRegularizer, Regularizer

RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(100, 10))
Y = RANDOM.integers(0, 2, size=(100,))


# The whole examples.


def test_custom_layer_with_regularizer():
    class MyCustomLayer(Layer):
        def __init__(self, units=32, input_dim=32):
            super(MyCustomLayer, self).__init__()  # noqa: UP008 - as the overview writes it.
            self.units = units
            self.weight = self.add_weight(
                shape=(input_dim, units),
                initializer="random_normal",
                regularizer=keras.regularizers.l2(1e-4),
                trainable=True,
            )
            self.bias = self.add_weight(shape=(units,), initializer="zeros", trainable=True)

        def call(self, inputs):
            return ops.matmul(inputs, self.weight) + self.bias

    layer = MyCustomLayer(10, 5)
    y = layer(ops.ones((3, 5)))
    weights = layer.get_weights()[0]
    assert y.shape == (3, 10) and len(layer.weights) == 2 and weights.shape == (5, 10)
    (loss,) = layer.losses
    np.testing.assert_allclose(loss, 1e-4 * np.sum(weights**2), rtol=1e-5)


def test_activations_are_functions_of_numpy_arrays():
    x = np.linspace(-3, 3, 100)
    values = {
        relu: np.maximum(x, 0),
        sigmoid: 1 / (1 + np.exp(-x)),
        tanh: np.tanh(x),
        selu: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    }
    for function, expected in values.items():
        np.testing.assert_allclose(function(x), expected, rtol=1e-6)
    np.testing.assert_allclose(leaky_relu(x, alpha=0.1), np.where(x > 0, x, 0.1 * x), rtol=1e-6)
    np.testing.assert_allclose(elu(x, alpha=1.0), np.where(x > 0, x, np.expm1(x)), rtol=1e-6)
    assert gelu(x).shape == x.shape
    assert softmax(x.reshape(-1, 1), axis=0).flatten().sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "initializer",
    [
        keras.initializers.RandomNormal(mean=0.0, stddev=0.05),
        RandomUniform(minval=-0.05, maxval=0.05),
        TruncatedNormal(mean=0.0, stddev=0.05),
        keras.initializers.GlorotNormal(),
        GlorotUniform(),
        keras.initializers.HeNormal(),
        HeUniform(),
    ],
    ids=lambda initializer: type(initializer).__name__,
)
def test_initializers_are_looked_at(initializer):
    weights = initializer(shape=(10000,)).flatten()
    assert weights.shape == (10000,) and abs(weights.mean()) < 2e-3 and weights.std() > 0


@pytest.mark.parametrize("regularizer", [L1(0.01), L2(0.01), L1L2(l1=0.01, l2=0.01)])
def test_regularization_makes_weights_small(regularizer):
    def sizes(regularizer):
        keras.utils.set_random_seed(0)
        model = Sequential(
            [
                Dense(64, input_dim=10, activation="relu", kernel_regularizer=regularizer),
                Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(optimizer=Adam(), loss="binary_crossentropy")
        model.fit(X, Y, epochs=10, verbose=0)
        assert np.isfinite(np.sum([np.sum(layer.get_weights()[0]) for layer in model.layers]))
        return np.abs(model.layers[0].get_weights()[0].flatten()).mean()

    assert sizes(regularizer) < 0.97 * sizes(None)


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        (MaxNorm(max_value=2), lambda w: np.linalg.norm(w, axis=0).max() <= 2 + 1e-5),
        (NonNeg(), lambda w: w.min() >= 0),
        (UnitNorm(axis=0), lambda w: np.allclose(np.linalg.norm(w, axis=0), 1, atol=1e-5)),
        (
            MinMaxNorm(min_value=0.5, max_value=1.5),
            lambda w: np.linalg.norm(w, axis=0).min() >= 0.5 - 1e-5,
        ),
    ],
)
def test_constraints_hold_after_fit(constraint, holds):
    model = Sequential(
        [
            Dense(64, input_dim=10, activation="relu", kernel_constraint=constraint),
            Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy")
    model.fit(X, Y, epochs=2, verbose=0)
    assert holds(model.layers[0].get_weights()[0])


def core_layers():
    return Sequential(
        [
            Embedding(input_dim=10000, output_dim=128, input_length=10),
            Masking(mask_value=0),
            Dense(64, activation="relu"),
            Lambda(lambda x: x * 2),
            Dense(1, activation="sigmoid"),
        ]
    )


WORDS = RANDOM.integers(0, 10000, size=(100, 10))


@pytest.mark.filterwarnings("ignore:.*does not support masking", "ignore:.*input_length")
def test_core_layers_together(capsys):
    """The overview's model has an output (None, 10, 1) for targets (100,), which Keras refuses."""
    model = core_layers()
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"(?s)binary_crossentropy.*\(32,.*\(32, 10, 1\)"):
        model.fit(WORDS, Y, epochs=5, verbose=0)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    targets = np.repeat(Y[:, None, None], 10, axis=1)
    history = model.fit(WORDS, targets, epochs=3, verbose=1).history
    assert history["loss"][-1] < history["loss"][0]
    model.summary()
    assert "Total params" in capsys.readouterr().out


# The inline snippets.

NAMES = (
    "relu sigmoid softmax softplus softsign tanh selu elu exponential relu6 swish hard_silu gelu "
    "hard_sigmoid linear mish log_softmax leaky_relu"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_activation_of_an_input(name):
    x = Input(shape=(784,))
    assert Activation(name)(x).shape == (None, 784)
    ones = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)
    expected = getattr(keras.activations, {"swish": "silu"}.get(name, name))(ones)
    np.testing.assert_array_equal(Activation(name)(ones), expected)


@pytest.mark.parametrize(
    "source",
    [
        "RandomNormal(mean=0.0, stddev=0.05)", "RandomUniform(minval=-0.05, maxval=0.05)",
        "TruncatedNormal(mean=0.0, stddev=0.05)", "Zeros()", "Ones()", "GlorotNormal()",
        "GlorotUniform()", "HeNormal()", "HeUniform()", "Orthogonal(gain=1.0)",
        "Constant(value=0.5)", "LecunNormal()", "LecunUniform()", "IdentityInitializer()",
        "VarianceScaling(scale=1.0, mode='fan_in', distribution='truncated_normal')",
    ],
)  # fmt: skip
def test_initializer_snippets(source):
    initializer = eval(source, vars(keras.initializers))
    assert Dense(3, kernel_initializer=initializer)(np.ones((2, 3))).shape == (2, 3)


@pytest.mark.parametrize(
    "regularizer", [L1(0.01), L2(0.01), L1L2(l1=0.01, l2=0.01), OrthogonalRegularizer(0.01)]
)
def test_regularizer_snippets(regularizer):
    layer = Dense(4, kernel_regularizer=regularizer)
    layer(np.ones((2, 3)))
    np.testing.assert_allclose(layer.losses[0], regularizer(layer.kernel.numpy()), rtol=1e-5)


def test_own_regularizers_and_constraints():
    class Half(Regularizer):
        def __init__(self, strength):
            self.strength = strength

        def __call__(self, x):
            return self.strength * ops.sum(x * x)

        def get_config(self):
            return {"strength": self.strength}

    class Rounded(Constraint):
        def __call__(self, w):
            return ops.round(w)

    layer = Dense(1, kernel_regularizer=Half(0.5), kernel_constraint=Rounded())
    model = Sequential([Input((10,)), layer])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    kernel = layer.kernel.numpy()
    np.testing.assert_array_equal(kernel, np.round(kernel))
    np.testing.assert_allclose(layer.losses[0], 0.5 * np.sum(kernel**2))


def softmax_after(*layers):
    return [*layers, Dense(10, activation="softmax")]


L = keras.layers
STACKS = {
    "Dense": (lambda: [Dense(64, activation="relu", input_shape=(784,))], (784,)),
    "Activation": (lambda: [Dense(64), Activation("relu"), Dense(10)], (5,)),
    "ReLU": (lambda: [Dense(64), ReLU()], (5,)),
    "LeakyReLU": (lambda: [Dense(64), LeakyReLU(negative_slope=0.01)], (5,)),
    "PReLU": (lambda: [Dense(64), PReLU()], (5,)),
    "ELU": (lambda: [Dense(64), ELU(alpha=1.0)], (5,)),
    "Dropout": (lambda: [Dense(64, activation="relu"), L.Dropout(0.5)], (5,)),
    "GaussianDropout": (lambda: [Dense(64), L.GaussianDropout(0.5)], (5,)),
    "AlphaDropout": (lambda: [Dense(64, activation="selu"), L.AlphaDropout(0.5)], (5,)),
    "ActivityRegularization": (
        lambda: [Dense(64, activation="relu"), ActivityRegularization(l1=0.01, l2=0.01)],
        (5,),
    ),
    "SpatialDropout1D": (lambda: [L.SpatialDropout1D(0.5)], (6, 4)),
    "SpatialDropout2D": (lambda: [L.SpatialDropout2D(0.5)], (6, 6, 4)),
    "SpatialDropout3D": (lambda: [L.SpatialDropout3D(0.5)], (4, 4, 4, 2)),
    "Reshape": (lambda: [L.Reshape((64, 64, 3), input_shape=(12288,))], (12288,)),
    "Flatten": (lambda: [L.Flatten()], (3, 4)),
    "RepeatVector": (lambda: [Dense(64, activation="relu"), L.RepeatVector(10)], (5,)),
    "Permute": (lambda: [L.Permute((2, 1), input_shape=(10, 20))], (10, 20)),
    "Cropping1D": (lambda: [L.Cropping1D(cropping=2, input_shape=(10, 20))], (10, 20)),
    "Cropping2D": (
        lambda: [L.Cropping2D(cropping=((2, 2), (2, 2)), input_shape=(64, 64, 3))],
        (64, 64, 3),
    ),
    "Cropping3D": (
        lambda: [L.Cropping3D(cropping=((2, 2), (2, 2), (2, 2)), input_shape=(8, 8, 8, 3))],
        (8, 8, 8, 3),
    ),
    "UpSampling1D": (lambda: [L.UpSampling1D(size=2, input_shape=(10, 20))], (10, 20)),
    "UpSampling2D": (lambda: [L.UpSampling2D(size=(2, 2), input_shape=(8, 8, 3))], (8, 8, 3)),
    "UpSampling3D": (
        lambda: [L.UpSampling3D(size=(2, 2, 2), input_shape=(4, 4, 4, 3))],
        (4, 4, 4, 3),
    ),
    "ZeroPadding1D": (lambda: [L.ZeroPadding1D(padding=2, input_shape=(10, 20))], (10, 20)),
    "ZeroPadding2D": (
        lambda: [L.ZeroPadding2D(padding=(2, 2), input_shape=(64, 64, 3))],
        (64, 64, 3),
    ),
    "ZeroPadding3D": (
        lambda: [L.ZeroPadding3D(padding=(2, 2, 2), input_shape=(8, 8, 8, 3))],
        (8, 8, 8, 3),
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_stack_snippets(name):
    make, shape = STACKS[name]
    model = Sequential(softmax_after(*make()))
    x = RANDOM.normal(size=(2, *shape)).astype("float32")
    y = model(x)
    assert y.shape[-1] == 10
    np.testing.assert_allclose(np.sum(y, axis=-1), 1, rtol=1e-5)
    assert model.output_shape == (None, *y.shape[1:])


@pytest.mark.filterwarnings("ignore:.*alpha", "ignore:.*input_length")
def test_older_spellings():
    assert LeakyReLU(alpha=0.1).negative_slope == 0.1
    embedding = Embedding(10, 4, input_length=3)
    assert embedding(np.zeros((2, 3), int)).shape == (2, 3, 4)
    assert Sequential([Dense(3, input_dim=5)]).input_shape == (None, 5)


@pytest.mark.parametrize(
    "name", ["Concatenate", "Average", "Maximum", "Minimum", "Add", "Subtract", "Multiply"]
)
def test_merging_snippets(name):
    input1, input2 = Input(shape=(64, 64, 3)), Input(shape=(64, 64, 3))
    options = {"axis": -1} if name == "Concatenate" else {}
    merged = getattr(L, name)(**options)([input1, input2])
    model = Model(inputs=[input1, input2], outputs=merged)
    a, b = RANDOM.normal(size=(2, 1, 64, 64, 3)).astype("float32")
    functions = {
        "Concatenate": lambda a, b: np.concatenate([a, b], -1),
        "Average": lambda a, b: (a + b) / 2,
        "Maximum": np.maximum,
        "Minimum": np.minimum,
        "Add": np.add,
        "Subtract": np.subtract,
        "Multiply": np.multiply,
    }
    np.testing.assert_allclose(model([a, b]), functions[name](a, b), rtol=1e-6)


def test_dot_snippet():
    input1, input2 = Input(shape=(8, 8, 3)), Input(shape=(8, 8, 3))
    out = Dot(axes=-1)([input1, input2])
    assert out.shape == (None, 8, 8, 8, 8)


def test_input_and_input_spec_snippets():
    assert isinstance(Input(shape=(784,)), KerasTensor)

    class CustomLayer(Layer):
        def __init__(self):
            super().__init__()
            self.input_spec = [keras.InputSpec(shape=(None, 784))]

        def call(self, inputs):
            return inputs

    assert CustomLayer()(np.ones((2, 784))).shape == (2, 784)
    with pytest.raises(ValueError, match="expected shape"):
        CustomLayer()(np.ones((2, 7)))


def test_lambda_snippets():
    np.testing.assert_array_equal(Lambda(lambda x: x * 2)(np.ones((2, 2))), 2 * np.ones((2, 2)))
    np.testing.assert_array_equal(L.Identity()(np.ones((2, 2))), np.ones((2, 2)))


@pytest.mark.parametrize(
    ("attention", "listed"),
    [
        (lambda: L.MultiHeadAttention(num_heads=8, key_dim=64), False),
        (
            lambda: L.GroupQueryAttention(head_dim=8, num_query_heads=8, num_key_value_heads=2),
            False,
        ),
        (L.Attention, True),
        (L.AdditiveAttention, True),
    ],
)
def test_attention_snippets(attention, listed):
    """In Sequential models, as the overview has them, they fail when called, as Keras's do."""
    head = [Dense(64, activation="relu"), Dense(10, activation="softmax")]
    x = np.random.default_rng(0).normal(size=(2, 5, 16)).astype("float32")
    with pytest.raises((TypeError, ValueError), match="use a functional model"):
        Sequential([attention(), *head])(x)
    inputs, layer = Input((5, 16)), attention()
    attended = layer([inputs, inputs]) if listed else layer(inputs, inputs)
    model = Model(inputs, head[1](head[0](attended)))
    np.testing.assert_allclose(model(x).sum(axis=-1), 1, rtol=1e-5)


# What Keras 3 refuses as well.


@pytest.mark.parametrize(
    ("snippet", "error", "message"),
    [
        (lambda: EinsumDense("ij,jk->ik"), TypeError, "output_shape"),
        (lambda: Dense(3, kernel_normalizer="l2"), TypeError, "Dense.*kernel_normalizer"),
        (lambda: Dense(3, weights=[np.ones((2, 3))]), TypeError, "Dense.*weights"),
    ],
)
def test_what_keras_refuses(snippet, error, message):
    with pytest.raises(error, match=message):
        snippet()


# Names.


def test_import_paths():
    assert keras.layers.Dense is Dense and keras.Sequential is Sequential is keras.models.Sequential
    assert keras.Input is Input and keras.Model is Model and keras.Layer is Layer
    assert keras.InputSpec is L.InputSpec
    assert keras.optimizers.Adam is Adam and keras.activations.relu is relu
    assert all(hasattr(keras, name) for name in keras.__all__)
