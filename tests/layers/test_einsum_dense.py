"""EinsumDense."""

import numpy as np
import pytest
from checks import check_layer

from gpulayers import initializers, layers, registry
from gpulayers.initializers import GlorotUniform

RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.normal(size=shape).astype("float32")


CASES = [  # equation, output_shape, bias_axes, input shape, kernel shape, bias shape, result shape
    ("ab,bc->ac", 5, "c", (2, 3), (3, 5), (5,), (2, 5)),
    ("ab,bc->ac", 5, None, (2, 3), (3, 5), None, (2, 5)),
    ("abc,cd->abd", (None, 5), "d", (2, 4, 3), (3, 5), (5,), (2, 4, 5)),
    ("abc,cde->abde", (None, 2, 5), "de", (2, 4, 3), (3, 2, 5), (2, 5), (2, 4, 2, 5)),
    ("abc,cde->abde", (4, 2, 5), "be", (2, 4, 3), (3, 2, 5), (4, 1, 5), (2, 4, 2, 5)),
    ("abc,bde->acde", (None, 2, 5), "e", (2, 4, 3), (4, 2, 5), (5,), (2, 3, 2, 5)),
    ("abcd,cde->abe", (None, 5), "e", (2, 4, 3, 2), (3, 2, 5), (5,), (2, 4, 5)),
    ("...x,xy->...y", 5, "y", (2, 4, 3), (3, 5), (5,), (2, 4, 5)),
    ("...xy,yz->...xz", (None, 5), "z", (2, 2, 4, 3), (3, 5), (5,), (2, 2, 4, 5)),
    ("ab...,bc->ac...", 5, "c", (2, 3, 4), (3, 5), (5, 1), (2, 5, 4)),
    ("abc,abd->acd", (3, 5), "cd", (2, 4, 3), (2, 4, 5), (3, 5), (2, 3, 5)),
]


@pytest.mark.parametrize(("equation", "size", "bias_axes", "shape", "kernel", "bias", "out"), CASES)
def test_every_way(xp, equation, size, bias_axes, shape, kernel, bias, out):
    x = array(*shape)
    y = check_layer(
        lambda d: layers.EinsumDense(equation, size, "tanh", bias_axes, dtype=d),
        x,
        xp=xp,
        unknown=() if kernel[0] == shape[0] else (0,),
        gradient=xp.name == "numpy",
    )
    assert y.shape == out
    layer = layers.EinsumDense(equation, size, bias_axes=bias_axes, bias_initializer="ones")
    y = layer(x)
    assert layer.kernel.shape == kernel
    assert (None if layer.bias is None else layer.bias.shape) == bias
    expected = np.einsum(equation, x, layer.kernel.numpy())
    if bias is not None:
        expected = expected + layer.bias.numpy()
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=1e-6)


def test_output_shape():
    layer = layers.EinsumDense("abc,cd->abd", (None, 5))
    assert layer.compute_output_shape((None, 4, 3)) == (None, None, 5)
    assert layer(layers.Input((4, 3))).shape == (None, None, 5)
    layer = layers.EinsumDense("...c,cd->...d", 5)
    assert layer.compute_output_shape((None, 7, 6, 3)) == (None, 7, 6, 5)
    assert layer(layers.Input((7, None, 3))).shape == (None, 7, None, 5)
    layer = layers.EinsumDense("ab...,bc->ac...", 5)
    assert layer(layers.Input((3, None, 4))).shape == (None, 5, None, 4)


def test_fans_of_the_initializer():
    """The kernel (3, 2, 5) has 3 inputs and 10 outputs."""
    layer = layers.EinsumDense("abc,cde->abde", (None, 2, 5), kernel_initializer=GlorotUniform(7))
    layer.build((None, 4, 3))
    expected = GlorotUniform(7, input_axes=[0], output_axes=[1, 2])((3, 2, 5))
    np.testing.assert_array_equal(layer.kernel.numpy(), expected)
    assert layer.kernel_initializer.input_axes is None
    given = GlorotUniform(7, input_axes=[1], output_axes=[0])
    layer = layers.EinsumDense("abc,cde->abde", (None, 2, 5), kernel_initializer=given)
    layer.build((None, 4, 3))
    np.testing.assert_array_equal(layer.kernel.numpy(), given((3, 2, 5)))


def test_config():
    layer = layers.EinsumDense("ab,bc->ac", 5, "relu", "c", lora_rank=2, lora_alpha=4, name="e")
    config = layer.get_config()
    assert list(config) == [
        "name", "trainable", "dtype", "output_shape", "equation", "activation", "bias_axes",
        "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
        "activity_regularizer", "kernel_constraint", "bias_constraint", "quantization_config",
        "lora_rank", "lora_alpha",
    ]  # fmt: skip
    assert config["output_shape"] == (5,)
    assert config["quantization_config"] is None
    again = registry.deserialize(registry.serialize(layer))
    assert again.get_config() == config
    assert "lora_rank" not in layers.EinsumDense("ab,bc->ac", 5).get_config()


def test_regularizers_constraints_and_activity():
    layer = layers.EinsumDense(
        "ab,bc->ac", 2, bias_axes="c", kernel_regularizer="l2", activity_regularizer="l1",
        bias_constraint="non_neg", kernel_initializer=initializers.Constant(0.5),
    )  # fmt: skip
    y = layer(np.ones((2, 3), "float32"))
    assert layer.bias.constraint is layer.bias_constraint
    expected = sorted([0.01 * 6 * 0.25, 0.01 * float(np.abs(y).sum()) / 2])
    np.testing.assert_allclose(sorted(float(loss) for loss in layer.losses), expected, rtol=1e-6)


def test_lora():
    x = array(2, 4, 3)
    layer = layers.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="e")
    before = layer(x)
    layer.enable_lora(2, lora_alpha=3)
    np.testing.assert_allclose(layer(x), before)
    assert [v.name for v in layer.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]
    assert [v.shape for v in layer.trainable_weights] == [(5,), (3, 2, 2), (2, 5)]
    layer.lora_kernel_b.assign(array(2, 5))
    a, b = layer.lora_kernel_a.numpy(), layer.lora_kernel_b.numpy()
    corrected = layer._kernel.numpy() + 1.5 * (a @ b)
    np.testing.assert_allclose(np.asarray(layer.kernel), corrected, rtol=1e-6)
    y = layer(x)
    np.testing.assert_allclose(
        y, np.einsum("abc,cde->abde", x, corrected) + layer.bias.numpy(), rtol=1e-5, atol=1e-6
    )
    store = {}
    layer.save_own_variables(store)
    np.testing.assert_allclose(store["0"], corrected, rtol=1e-6)
    assert sorted(store) == ["0", "1"]
    layer.load_own_variables(store)
    np.testing.assert_allclose(layer(x), y, rtol=1e-5, atol=1e-6)
    assert not layer.lora_kernel_a.numpy().any()
    plain = layers.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="e")
    plain.build(x.shape)
    plain.load_own_variables(store)
    np.testing.assert_allclose(plain(x), y, rtol=1e-5, atol=1e-6)


def test_lora_gradient(xp):
    check_layer(
        lambda d: layers.EinsumDense("ab,bc->ac", 4, bias_axes="c", lora_rank=2, dtype=d),
        array(3, 2),
        xp=xp,
        gradient=False,
    )
    layer = layers.EinsumDense("ab,bc->ac", 4, lora_rank=2, lora_alpha=1)
    layer.build((None, 2))
    assert (layer.lora_rank, layer.lora_alpha, layer.lora_enabled) == (2, 1, True)


def test_lora_errors():
    layer = layers.EinsumDense("ab,bc->ac", 4, name="e")
    with pytest.raises(ValueError, match="EinsumDense 'e': build the layer before enable_lora"):
        layer.enable_lora(2)
    with pytest.raises(AttributeError, match="EinsumDense 'e' has no kernel before it is built"):
        _ = layer.kernel
    layer.build((None, 3))
    with pytest.raises(ValueError, match="rank of LoRA must be a positive integer, got 0"):
        layer.enable_lora(0)
    with pytest.raises(TypeError, match=r"rank of LoRA must be a positive integer, got 1\.5"):
        layer.enable_lora(1.5)
    layer.enable_lora(2)
    with pytest.raises(ValueError, match="enable_lora was called already"):
        layer.enable_lora(2)
    with pytest.raises(ValueError, match=r"its own .* the file has 3"):
        layer.load_own_variables(dict.fromkeys("012"))
    layer = layers.EinsumDense("ab,bc->ac", 4, kernel_constraint="non_neg")
    layer.build((None, 3))
    with pytest.raises(ValueError, match="LoRA cannot keep kernel_constraint"):
        layer.enable_lora(2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("ab,bc", 5), ValueError, "equation must have the form .* got 'ab,bc'"),
        (
            ("ab,bc->a", 5, None, "c"),
            ValueError,
            "bias_axes must be letters of the output",
        ),
        (("ab,bc->ac", 5, None, ""), ValueError, "bias_axes must be letters"),
        ((7, 5), TypeError, "equation must be a string, got 7"),
        (("ab,bc->ac", None), TypeError, "output_shape must be an integer or a tuple .* got None"),
        (("ab,bc->ac", "c"), TypeError, "output_shape must be an integer or a tuple"),
        (("ab,bc->ac", 0), ValueError, "output_shape must be positive, got 0"),
        (("ab,bc->ac", (True,)), TypeError, "output_shape must be an integer"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        layers.EinsumDense(*arguments)


def test_output_shape_is_needed():
    with pytest.raises(TypeError, match="output_shape"):
        layers.EinsumDense("ab,bc->ac")


def test_bad_quantization_config():
    with pytest.raises(TypeError, match="must be a QuantizationConfig or None, got dict"):
        layers.EinsumDense("ab,bc->ac", 5, quantization_config={})


@pytest.mark.parametrize(
    ("equation", "size", "shape", "message"),
    [
        ("ab,bc->ac", 5, (2, 3, 4), r"inputs of shape \(2, 3, 4\) do not fit 'ab,bc->ac'"),
        ("...b,bc->...c", 5, (3,), "do not fit"),
        ("abc,cd->abd", 5, (2, 4, 3), r"output_shape must have 2 sizes .* got \(5,\)"),
        ("abc,cd->abd", (7, 5), (2, 4, 3), "axis 'b' .* has size 4 in inputs .* but 7"),
        ("ab,bc->ad", 5, (2, 3), "axis 'd' of the outputs .* is in no other term"),
        ("ab,bd->ab", 3, (2, 3), "axis 'd' of the kernel .* is in no other term"),
        ("ab,bc->ac", 5, (2, None), "size of axis 'b' .* must be known"),
        ("ab,bc->ac", (None,), (2, 3), "size of axis 'c' .* must be known"),
    ],
)
def test_shapes_that_do_not_fit(equation, size, shape, message):
    with pytest.raises(ValueError, match=f"EinsumDense 'e': .*{message}"):
        layers.EinsumDense(equation, size, name="e").build(shape)
