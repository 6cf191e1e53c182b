"""The public names of activations: finding, describing, defaults that differ from `ops`."""

import math

import numpy as np
import pytest

from gpulayers import activations, layers, ops, registry

# Keras 3.15's functions, without get, serialize, deserialize.
NAMES = {
    *("celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu"),
    *("hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6"),
    *("selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus"),
    *("sparse_sigmoid", "sparsemax", "squareplus", "tanh", "tanh_shrink", "threshold"),
}


def test_all_names_are_there():
    rest = {"get", "serialize", "deserialize", "swish", "hard_swish"}
    assert set(activations.__all__) == {*NAMES, *rest}
    assert activations.swish is activations.silu
    assert activations.hard_swish is activations.hard_silu


@pytest.mark.parametrize("name", sorted(NAMES))
def test_names_come_back(name):
    function = activations.get(name)
    assert function is getattr(activations, name)
    assert activations.serialize(function) == name
    assert activations.deserialize(name) is function
    described = registry.serialize(function)
    assert described["class_name"] == "function"
    assert described["config"] == name
    assert activations.get(described) is function


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_function_says_what_it_does(name):
    assert len(getattr(activations, name).__doc__) > 10


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu
    assert activations.get(math.sin) is math.sin
    x = np.ones(2)
    assert activations.linear(x) is x
    with pytest.raises(ValueError, match=r"unknown name 'rellu'.*relu"):
        activations.get("rellu")
    with pytest.raises(TypeError, match="got int: '3'"):
        activations.get(3)


def test_layers_are_activations_too():
    layer = activations.get(layers.LeakyReLU(0.4))
    description = activations.serialize(layer)
    assert description["class_name"] == "LeakyReLU"
    again = activations.get(description)
    np.testing.assert_allclose(again(np.array([[-1.0]])), [[-0.4]])


def test_own_functions():
    @registry.register_keras_serializable(package="tests")
    def cubed(x):
        return x * x * x

    name = activations.serialize(cubed)
    assert name == "tests>cubed"
    assert activations.get(name) is cubed

    def halved(x):
        return x / 2

    assert activations.serialize(halved) == "halved"
    assert activations.deserialize("halved", {"halved": halved}) is halved


def test_gelu_is_exact_here_and_approximate_in_ops():
    x = np.array([-1.0, 0.5, 2.0])
    exact = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in x]
    np.testing.assert_allclose(activations.gelu(x), exact, rtol=1e-12)
    np.testing.assert_array_equal(activations.gelu(x, approximate=True), ops.gelu(x))
    assert np.abs(ops.gelu(x) - exact).max() > 1e-5


def test_leaky_relu_knows_its_older_argument():
    x = np.array([-1.0, 2.0])
    np.testing.assert_allclose(activations.leaky_relu(x), [-0.2, 2])
    np.testing.assert_allclose(activations.leaky_relu(x, 0.4), [-0.4, 2])
    np.testing.assert_allclose(activations.leaky_relu(x, alpha=0.1), [-0.1, 2])
