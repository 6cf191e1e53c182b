"""Quantized layers against the same layers of floats, and what they keep."""

import numpy as np
import pytest

from gpulayers import dtype_policies, layers, models, optimizers, quantizers
from gpulayers.arrays import Abstract, KerasTensor, Tape, dtypes, infer
from gpulayers.saving import load_model

MODES = {  # The options, and the error that they allow, in parts of the largest result.
    "int8": ({"mode": "int8"}, 0.02),
    "int8 weights": ({"config": quantizers.Int8QuantizationConfig(None, None)}, 0.02),
    "int4": ({"mode": "int4"}, 0.2),
    "int4 blocks": ({"config": quantizers.Int4QuantizationConfig(block_size=4)}, 0.15),
    "int4 outputs": ({"config": quantizers.Int4QuantizationConfig(block_size=None)}, 0.2),
}
PRODUCTS = [
    (lambda **o: layers.Dense(7, activation="tanh", bias_initializer="normal", **o), (5, 10)),
    (lambda **o: layers.EinsumDense("abc,cde->abde", (4, 3, 5), bias_axes="e", **o), (2, 4, 6)),
    (lambda **o: layers.EinsumDense("btnh,nhd->btd", (4, 7), **o), (2, 4, 3, 6)),
    (lambda **o: layers.EinsumDense("...x,xy->...y", 9, **o), (2, 3, 4, 8)),
    (lambda **o: layers.EinsumDense("ab...,bc->ac...", 5, **o), (2, 6, 3)),
    (lambda **o: layers.EinsumDense("abc,cd->adb", (5, 4), **o), (2, 4, 6)),
    (lambda **o: layers.EinsumDense("abc,dbc->ad", 5, **o), (2, 4, 3)),
]
TABLES = [
    layers.Embedding,
    layers.ReversibleEmbedding,
    lambda *a, **o: layers.ReversibleEmbedding(*a, tie_weights=False, **o),
]


def integers(low, high, shape):
    """The same numbers for the same arguments, whichever tests ran before."""
    return np.random.default_rng(3).integers(low, high, shape)


def floats(*shape):
    """The same numbers for the same shape, whichever tests ran before."""
    return np.random.default_rng(3).normal(size=shape).astype("float32")


def built(make, shape, **options):
    layer = make(**options)
    layer.build((None, *shape[1:]))
    return layer


def saved(layer):
    store = {}
    layer.save_own_variables(store)
    return store


def restored(layer, shape):
    """A layer from the config and the saved weights of another."""
    again = type(layer).from_config(layer.get_config())
    again.build(shape)
    again.load_own_variables(saved(layer))
    return again


def close(found, expected, error):
    assert np.abs(found - expected).max() <= error * np.abs(expected).max()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("make", "shape"), PRODUCTS)
def test_products(make, shape, mode):
    layer, x = built(make, shape), floats(*shape)
    expected = layer(x)
    options, error = MODES[mode]
    layer.quantize(**options)
    found = layer(x)
    assert found.dtype == "float32"
    close(found, expected, error)
    assert dtypes.name(layer._kernel.dtype) == "int8"
    assert [v.name for v in layer.trainable_weights] == ["bias"] * (layer.bias is not None)
    np.testing.assert_allclose(restored(layer, (None, *shape[1:]))(x), found, atol=1e-6)
    assert infer(layer, Abstract(shape, "float32")).shape == found.shape


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", TABLES)
def test_tables(make, mode):
    layer, x, back = make(11, 9), integers(-11, 11, (3, 4)), floats(3, 9)
    reversible = isinstance(layer, layers.ReversibleEmbedding)
    expected = [layer(x)] + ([layer(back, reverse=True)] if reversible else [])
    options, error = MODES[mode]
    layer.quantize(**options)
    found = [layer(x)] + ([layer(back, reverse=True)] if reversible else [])
    for a, b in zip(found, expected, strict=True):
        close(a, b, error)
    again = restored(layer, (None, 4))
    np.testing.assert_array_equal(again(x), found[0])
    if reversible:
        np.testing.assert_allclose(again(back, reverse=True), found[1], atol=1e-6)
    assert layer.trainable_weights == []


def test_what_int8_keeps():
    layer = layers.Dense(2, kernel_initializer=lambda shape, dtype: np.array([[1, -4], [-2, 2.0]]))
    layer.build((None, 2))
    layer.quantize("int8")
    assert layer.dtype_policy.name == "int8_from_float32"
    assert [v.name for v in layer.weights] == ["bias", "kernel", "kernel_scale"]
    np.testing.assert_array_equal(layer.kernel, [[64, -127], [-127, 64]])
    np.testing.assert_allclose(layer.kernel_scale.numpy(), [63.5, 31.75], rtol=1e-6)
    store = saved(layer)
    assert [store[key].dtype.name for key in "012"] == ["int8", "float32", "float32"]
    y = layer(np.array([[1.0, 0.25]], "float32"))  # They count as 127 and 32, of 127 to 1.
    expected = [(127 * 64 - 32 * 127) / 63.5 / 127, (-127 * 127 + 32 * 64) / 31.75 / 127]
    np.testing.assert_allclose(y, [expected], rtol=1e-5, atol=1e-7)


def test_what_int4_keeps():
    layer = layers.Dense(5)
    layer.build((None, 10))
    layer.quantize(config=quantizers.Int4QuantizationConfig(block_size=4))
    assert layer.dtype_policy.name == "int4/4_from_float32"
    shapes = {v.name: (v.shape, dtypes.name(v.dtype)) for v in layer.weights}
    assert shapes == {
        "bias": ((5,), "float32"),
        "kernel": ((10, 3), "int8"),
        "kernel_scale": ((3, 5), "float32"),
        "kernel_zero": ((3, 5), "int8"),
        "g_idx": ((10,), "float32"),
    }
    np.testing.assert_array_equal(layer.g_idx.numpy(), [0] * 4 + [1] * 4 + [2] * 2)
    assert layer.kernel.shape == (10, 5)
    config = layer.get_config()
    assert config["dtype"]["config"] == {"mode": "int4/4", "source_name": "float32"}
    assert config["quantization_config"]["config"]["block_size"] == 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("make", "shape"), PRODUCTS)
def test_gradients_are_those_of_the_kernel_as_floats(make, shape, mode):
    layer, x = built(make, shape), floats(*shape)
    layer.activation = None
    layer.quantize(**MODES[mode][0])
    weights = floats(*layer(x).shape)
    kernel = layer.quantized["kernel"].value()
    found, expected = (
        gradient(function, x, weights) for function in (layer, lambda x: layer._product(x, kernel))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def gradient(function, x, weights):
    with Tape() as tape:
        watched = tape.watch(x)
        y = function(watched)
    return tape.gradient(y, watched, weights)


@pytest.mark.parametrize("mode", ["int8", "int4", "int4 blocks"])
@pytest.mark.parametrize(
    ("make", "x", "name"),
    [
        (lambda: layers.Dense(7), floats(5, 10), "kernel"),
        (lambda: layers.EinsumDense("abc,cde->abde", (4, 3, 5)), floats(2, 4, 6), "kernel"),
        (lambda: layers.Embedding(11, 9), integers(0, 11, (3, 4)), "embeddings"),
    ],
)
def test_lora_on_quantized_weights(make, x, name, mode):
    layer = make()
    layer(x)
    layer.quantize(**MODES[mode][0])
    expected = layer(x)
    layer.enable_lora(2, lora_alpha=3)
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    a, b = (getattr(layer, f"lora_{name}_{letter}") for letter in "ab")
    b.assign(0.1 * floats(*b.shape))
    assert [v.name for v in layer.trainable_weights][-2:] == [a.name, b.name]
    numbers = layer.quantized[name].value()
    expected_weight = numbers + 1.5 * a.numpy() @ b.numpy()
    np.testing.assert_allclose(getattr(layer, name), expected_weight, rtol=1e-5, atol=1e-6)
    with Tape() as tape:
        y = layer(x)
    for g in tape.gradient(y, [a, b]):
        assert np.abs(g).max() > 0
    found = layer(x)
    assert np.abs(found - expected).max() > 0.01
    symbolic = layer(KerasTensor((None, *x.shape[1:]), x.dtype.name))
    assert symbolic.shape == (None, *found.shape[1:])
    again = restored(layer, (None, *x.shape[1:]))  # Its correction is in its numbers now.
    assert again.lora_rank == 2
    close(again(x), found, 0.03 if mode == "int8" else 0.25)


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantizing_a_corrected_layer(mode):
    layer, x = layers.Dense(7, lora_rank=2), floats(5, 10)
    layer(x)
    layer.lora_kernel_b.assign(floats(2, 7))
    expected = layer(x)
    layer.quantize(mode)
    close(layer(x), expected, 0.1)


def test_custom_quantizers():
    class Halves(quantizers.Quantizer):
        def __call__(self, x, axis=None):
            scale = np.full((1, x.shape[1]), 2.0, "float32")
            return np.round(x * 2).astype("int8"), scale

    layer, x = layers.Dense(4, use_bias=False), floats(3, 6)
    layer.build((None, 6))
    layer.set_weights([np.round(floats(6, 4) * 4) / 4])
    kernel = layer.kernel.numpy()
    layer.quantize(config=quantizers.Int8QuantizationConfig(Halves(), None))
    np.testing.assert_allclose(layer(x), x @ (np.round(kernel * 2) / 2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("make", "shape"), PRODUCTS[:2])
@pytest.mark.parametrize("source", ["mixed_bfloat16", "bfloat16"])
def test_16_bit_sources(make, shape, source):
    x = floats(*shape)
    layer = built(make, shape, dtype=source)
    expected = np.asarray(layer(x), "float32")
    layer.quantize("int8")
    assert layer.dtype_policy.name == f"int8_from_{source}"
    found = layer(x)
    assert found.dtype.name == "bfloat16"
    close(np.asarray(found, "float32"), expected, 0.03)


CALIBRATED = [  # A layer, the shapes of its inputs, of its kernel, and of that as a matrix.
    (lambda **o: layers.Dense(5, **o), (2, 8), (8, 5), (8, 5)),
    (
        lambda **o: layers.EinsumDense("abc,cde->abde", (4, 2, 3), "relu", "e", **o),
        (2, 4, 8),
        (8, 2, 3),
        (8, 6),
    ),
    (
        lambda **o: layers.EinsumDense("abcd,cde->abe", (4, 9), **o),
        (2, 4, 2, 8),
        (2, 8, 9),
        (16, 9),
    ),
]


@pytest.mark.parametrize("mode", ["gptq/4/3", "gptq/8/-1", "gptq/2/4", "awq/4/3"])
@pytest.mark.parametrize(("make", "shape", "form", "matrix"), CALIBRATED)
def test_calibrated_elsewhere(make, shape, form, matrix, mode):
    layer = built(make, shape, dtype=f"{mode}_from_float32")
    (rows, columns), (kind, bits, size) = matrix, mode.split("/")
    bits, size = int(bits), rows if size == "-1" else int(size)
    places = np.arange(rows) // size
    numbers = integers(0, 2**bits, (columns, rows)).astype("uint8")
    zero = integers(0, 2**bits, (columns, places[-1] + 1))
    scale = floats(*zero.shape)
    factors = np.arange(1, rows + 1) / rows if kind == "awq" else np.ones(rows)

    packed = quantizers.pack_int4(numbers, 0, "uint8")[0] if bits == 4 else numbers
    given = {"kernel": packed, "kernel_scale": scale, "g_idx": places, "awq_scales": factors}
    for variable in layer.weights:
        if variable.name != "bias":
            variable.assign(given.get(variable.name, zero))
    expected = ((numbers - zero[:, places].astype(float)) * scale[:, places]).T / factors[:, None]
    expected = expected.reshape(form)
    np.testing.assert_allclose(layer.quantized["kernel"].value(), expected, rtol=1e-5, atol=1e-6)
    x = floats(*shape)
    floating = built(make, shape)
    floating.set_weights([expected] + [v.numpy() for v in layer.trainable_weights])
    np.testing.assert_allclose(layer(x), floating(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(restored(layer, (None, *shape[1:]))(x), layer(x))


@pytest.mark.parametrize(("make", "shape"), PRODUCTS[:2])
def test_float8_training(make, shape):
    layer, x = built(make, shape), floats(*shape)
    expected = layer(x)
    layer.quantize("float8")
    close(layer(x), expected, 0.1)
    assert len(layer.trainable_weights) == 8
    names = [v.name for v in layer._kept()]
    assert names[:4] == ["kernel", "bias", "inputs_scale", "inputs_amax_history"]
    np.testing.assert_array_equal(restored(layer, (None, *shape[1:]))(x), layer(x))

    before = layer(x)
    optimizer = optimizers.SGD(0.01)
    variables = layer.trainable_weights
    for _ in range(2):
        with Tape() as tape:
            y = layer(x, training=True)
        optimizer.apply(tape.gradient(y, variables), variables)
    assert layer.inputs_amax_history.numpy()[0] == np.abs(x).max()
    np.testing.assert_allclose(layer.inputs_scale.numpy(), np.abs(x).max() / 448, rtol=1e-6)
    assert 0 < layer.outputs_grad_scale.numpy() < 1
    assert layer(x).sum() < before.sum()


def test_float8_rounds_the_gradient_of_the_outputs():
    layer = layers.Dense(1, use_bias=False, kernel_initializer="ones", dtype="float8_from_float32")
    layer.build((None, 1))
    found = gradient(layer, np.ones((3, 1), "float32"), np.array([[0.3], [1.1], [-7.3]], "float32"))
    np.testing.assert_array_equal(found, [[0.3125], [1.0], [-7.0]])  # Two bits after the first.
    assert layer.quantized["kernel"] is not None
    assert layer.inputs_amax_history.shape == (1024,)


@pytest.mark.parametrize("policy", ["int8_from_float32", "int4/8_from_float32"])
def test_setting_the_policy_quantizes(policy):
    layer, x = layers.Dense(4), floats(3, 16)
    expected = layer(x)
    layer.dtype_policy = policy
    assert layer.quantized
    close(layer(x), expected, 0.2)


def test_policies_by_path():
    policies = dtype_policies.DTypePolicyMap("float32", {"first": "int8_from_float32"})
    pair = [layers.Dense(3, name=name, dtype=policies) for name in ("first", "second")]
    for layer in pair:
        layer.build((None, 4))
    assert [layer.quantization_mode for layer in pair] == ["int8", None]


def test_models(tmp_path):
    model = models.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, activation="relu", name="first"),
            layers.Dropout(0.5),
            models.Sequential([layers.Dense(5, name="inner")]),
            layers.Dense(3, name="last"),
        ]
    )
    x = floats(4, 6)
    expected = model.predict(x, verbose=0)
    model.quantize("int8", filters=["first", "inner"])
    modes = [model.get_layer(name).quantization_mode for name in ("first", "last")]
    assert modes == ["int8", None]
    found = model.predict(x, verbose=0)
    close(found, expected, 0.05)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert again.get_layer("first").quantization_mode == "int8"
    np.testing.assert_allclose(again.predict(x, verbose=0), found, atol=1e-6)


def test_models_name_what_cannot_be_quantized():
    class Twice(layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    model = models.Sequential([layers.Input((6,)), Twice(4, name="own"), layers.PReLU()])
    with pytest.warns(UserWarning, match="quantized") as warned:
        model.quantize("int8")
    texts = sorted(str(w.message) for w in warned)
    assert "has nothing that can be quantized" in texts[0]
    assert "Twice 'own': subclasses are only quantized with type_check=False" in texts[1]
    with pytest.warns(UserWarning, match="PReLU"):
        model.quantize("int8", type_check=False)
    assert model.layers[0].quantization_mode == "int8"


def test_bad_calls():
    layer = layers.Dense(3, name="d")
    with pytest.raises(ValueError, match="Dense 'd': build the layer before quantize"):
        layer.quantize("int8")
    layer.build((None, 4))
    with pytest.raises(ValueError, match="Dense 'd': quantization mode must be .* got 'int2'"):
        layer.quantize("int2")
    gptq = quantizers.GPTQConfig(None, None)
    with pytest.raises(NotImplementedError, match="Dense 'd': gptq needs a calibration"):
        layer.quantize(config=gptq)
    with pytest.raises(NotImplementedError, match="gptq needs a calibration"):
        models.Sequential([layer]).quantize("gptq", config=gptq)
    layer.quantize("int8")
    with pytest.raises(ValueError, match=r"quantized already \(int8_from_float32\)"):
        layer.quantize("int4")
    with pytest.raises(NotImplementedError, match="Dropout 'x' has nothing that can be quantized"):
        layers.Dropout(0.5, name="x").quantize("int8")
    table = layers.Embedding(5, 3, name="e")
    table.build()
    with pytest.raises(
        NotImplementedError, match="Embedding 'e': .* one of int8, int4, got 'float8'"
    ):
        table.quantize("float8")
    assert table.quantized is None
    half = layers.Dense(3, dtype="float16")
    half.build((None, 4))
    with pytest.raises(ValueError, match="int8 does not work with compute dtype float16"):
        half.quantize("int8")
    eight = layers.Dense(3, dtype="float8_from_float32")
    eight.build((None, 4))
    with pytest.raises(NotImplementedError, match="LoRA does not work together with float8"):
        eight.enable_lora(2)
    with pytest.raises(TypeError, match="filters must be a regular expression"):
        models.Sequential([layer]).quantize("int8", filters=3)
    unnamed = layers.Dense(3, name="u", dtype=dtype_policies.QuantizedDTypePolicy("gptq"))
    with pytest.raises(ValueError, match="Dense 'u': its dtype policy must say bits and groups"):
        unnamed.build((None, 4))
