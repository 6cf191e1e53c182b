"""Activation layers."""

import numpy as np
import pytest
from checks import check_layer

from gpulayers import layers
from gpulayers.arrays import KerasTensor, get_mask, set_mask
from gpulayers.layers import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 4, 5)) * 2

MAKERS = [
    ("relu", lambda dtype: Activation("relu", dtype=dtype)),
    ("gelu", lambda dtype: Activation("gelu", dtype=dtype)),
    ("re_lu", lambda dtype: ReLU(dtype=dtype)),
    ("bent", lambda dtype: ReLU(max_value=1.5, negative_slope=0.2, threshold=0.3, dtype=dtype)),
    ("leaky", lambda dtype: LeakyReLU(dtype=dtype)),
    ("steep", lambda dtype: LeakyReLU(1.4, dtype=dtype)),
    ("elu", lambda dtype: ELU(0.6, dtype=dtype)),
    ("prelu", lambda dtype: PReLU("glorot_uniform", dtype=dtype)),
    ("shared", lambda dtype: PReLU("glorot_uniform", shared_axes=1, dtype=dtype)),
    ("softmax", lambda dtype: Softmax(dtype=dtype)),
    ("softmax_axes", lambda dtype: Softmax(axis=[1, 2], dtype=dtype)),
]


@pytest.mark.parametrize("make", [m for _, m in MAKERS], ids=[n for n, _ in MAKERS])
def test_everything_a_layer_does(make, xp):
    check_layer(make, X, xp=xp)


@pytest.mark.parametrize("make", [m for _, m in MAKERS], ids=[n for n, _ in MAKERS])
def test_masks_are_carried_on(make):
    mask = np.array([[True] * 4, [True, False, False, True], [True] * 4])
    layer, x = make("float32"), X.astype("float32")
    if "softmax" not in layer.name:
        set_mask(x, mask)
        np.testing.assert_array_equal(get_mask(layer(x)), mask)
    assert layer.supports_masking


def test_values():
    x = np.array([[-10.0, -5.0, 0.0, 5.0, 12.0]], np.float32)
    np.testing.assert_allclose(ReLU()(x), [[0, 0, 0, 5, 12]])
    np.testing.assert_allclose(
        ReLU(max_value=10, negative_slope=1, threshold=0.5)(x), [[-10.5, -5.5, -0.5, 5, 10]]
    )
    np.testing.assert_allclose(LeakyReLU()(x), [[-3, -1.5, 0, 5, 12]], rtol=1e-6)
    np.testing.assert_allclose(ELU(2.0)(x), [[-2 + 2 * np.exp(-10), -2 + 2 * np.exp(-5), 0, 5, 12]])
    np.testing.assert_allclose(PReLU("ones")(x), x)


def test_names_and_configs_are_those_of_keras():
    assert [make("float32").name for _, make in MAKERS[:4]] == [
        "activation", "activation_1", "re_lu", "re_lu_1",
    ]  # fmt: skip
    assert PReLU().name == "p_re_lu"
    own = {
        Activation("swish"): {"activation": "silu"},
        ReLU(6): {"max_value": 6, "negative_slope": 0.0, "threshold": 0.0},
        LeakyReLU(): {"negative_slope": 0.3},
        ELU(): {"alpha": 1.0},
        Softmax(axis=[1, 2]): {"axis": [1, 2]},
    }
    for layer, expected in own.items():
        config = layer.get_config()
        assert {k: config[k] for k in config if k not in ("name", "trainable", "dtype")} == expected
    config = PReLU(shared_axes=(1, 2)).get_config()
    assert config["shared_axes"] == [1, 2]
    assert config["alpha_initializer"]["class_name"] == "Zeros"


def test_older_name_of_the_slope():
    with pytest.warns(UserWarning, match="alpha is now called negative_slope"):
        layer = LeakyReLU(alpha=0.1)
    assert layer.negative_slope == 0.1


def test_softmax_with_a_mask():
    x = np.array([[1.0, 2.0, 1.0], [3.0, 1.0, 2.0]], np.float32)
    mask = np.array([[True, False, True], [False, False, False]])
    expected = [[0.5, 0, 0.5], [0, 0, 0]]
    for kind in (mask, mask.astype(np.float32), mask.astype(np.int32)):
        np.testing.assert_allclose(Softmax()(x, mask=kind), expected, atol=1e-7)
    half = Softmax(dtype="float16")(x.astype(np.float16), mask=mask)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, expected)
    column = np.array([True, False, True])
    np.testing.assert_allclose(Softmax()(x, mask=column)[0], [0.5, 0, 0.5])


@pytest.mark.parametrize("shape", [(2, 2, 3), (2,), (3, 3)])
def test_softmax_refuses_a_mask_of_another_shape(shape):
    with pytest.raises(ValueError, match="the mask must be broadcastable"):
        Softmax()(np.ones((2, 3), np.float32), mask=np.ones(shape, bool))


def test_prelu_weights():
    layer = PReLU(shared_axes=[1, 2])
    layer.build((None, None, None, 7))
    assert layer.alpha.shape == (1, 1, 7)
    assert layer.input_spec.axes == {3: 7}
    layer = PReLU(alpha_regularizer="l2", alpha_constraint="non_neg")
    layer.build((None, 4))
    assert layer.alpha.shape == (4,)
    assert layer.get_config()["alpha_regularizer"]["class_name"] == "L2"
    assert layer.get_config()["alpha_constraint"]["class_name"] == "NonNeg"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Activation("relux"), ValueError, "unknown name 'relux'"),
        (lambda: ReLU(max_value=-1), ValueError, "ReLU: max_value must be a number of at least 0"),
        (lambda: ReLU(negative_slope=-0.1), ValueError, "negative_slope .* at least 0, got -0.1"),
        (lambda: ReLU(threshold=None), ValueError, "threshold must be .* got None"),
        (lambda: ReLU(threshold="1"), TypeError, "threshold must be .* got '1'"),
        (lambda: LeakyReLU(-1), ValueError, "LeakyReLU: negative_slope .* got -1"),
        (lambda: LeakyReLU(None), ValueError, "LeakyReLU: negative_slope .* got None"),
        (lambda: ELU("1"), TypeError, "ELU: alpha must be a number, got '1'"),
        (lambda: Softmax("1"), TypeError, "Softmax: axis must be an integer"),
        (lambda: PReLU(shared_axes=[0]), ValueError, "shared_axes must be positive integers"),
        (lambda: PReLU(shared_axes=3).build((2, 3)), ValueError, r"shared_axes \[3\] must be in 1"),
        (lambda: PReLU().build((None, None, 3)), ValueError, "axes of unknown size"),
        (lambda: ReLU(alpha=1), TypeError, "ReLU: unexpected arguments: 'alpha'"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_symbolic_inputs_and_built_state():
    for layer in (layers.Activation("tanh"), ReLU(), Softmax(), ELU()):
        assert layer.built
        out = layer(KerasTensor((None, 3, None)))
        assert out.shape == (None, 3, None)
    assert not PReLU().built
