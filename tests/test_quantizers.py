"""Quantizers: whole numbers, 4 bits in pairs, 8-bit floats, and their options."""

import ml_dtypes
import numpy as np
import pytest

from gpulayers import dtype_policies, quantizers
from gpulayers.arrays import Tape
from gpulayers.quantizers import configs
from gpulayers.quantizers.float8 import rounded

RNG = np.random.default_rng(7)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize(("axis", "scale_shape"), [(0, (1, 6)), (-1, (9, 1)), ((0, 1), (1, 1))])
def test_whole_numbers_are_within_half_a_step(axis, scale_shape):
    x = floats(9, 6)
    numbers, scale = quantizers.abs_max_quantize(x, axis)
    assert numbers.dtype == np.int8
    assert scale.shape == scale_shape
    assert np.all(np.abs(numbers / scale - x) <= 0.5001 / scale)
    assert np.abs(numbers).max() == 127


def test_whole_numbers_of_known_floats():
    numbers, scale = quantizers.abs_max_quantize(np.array([[1.0, -0.5, 0.25]]), -1, epsilon=0.0)
    np.testing.assert_array_equal(numbers, [[127, -64, 32]])
    np.testing.assert_array_equal(scale, [[127.0]])
    numbers, _ = quantizers.abs_max_quantize(np.zeros((1, 3)), -1)
    np.testing.assert_array_equal(numbers, [[0, 0, 0]])


@pytest.mark.parametrize("shift", [0.0, 3.0, -3.0])
@pytest.mark.parametrize("block", [1, 4, 5, 12, 100])
def test_blocks_are_within_a_step(block, shift):
    x = floats(12, 5) + np.float32(shift)
    numbers, scale, zero = quantizers.abs_max_quantize_grouped_with_zero_point(x, block)
    groups = np.arange(12) // block
    assert scale.shape == zero.shape == (groups[-1] + 1, 5)
    assert numbers.min() >= -8
    assert numbers.max() <= 7
    again = (numbers - zero[groups].astype("float32")) * scale[groups]
    assert np.all(np.abs(again - x) <= 1.001 * scale[groups])


def test_blocks_need_a_matrix():
    with pytest.raises(ValueError, match=r"inputs must be a matrix, got shape \(2, 3, 4\)"):
        quantizers.abs_max_quantize_grouped_with_zero_point(floats(2, 3, 4), 2)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(3, 4), (4, 5), (1, 1, 3)])
def test_packing_and_back(dtype, axis, shape):
    low = -8 if dtype == "int8" else 0
    x = RNG.integers(low, low + 16, shape).astype(dtype)
    packed, packed_shape, length = quantizers.pack_int4(x, axis, dtype)
    assert packed.shape == packed_shape
    assert packed.dtype == dtype
    assert packed.shape[axis] == (shape[axis] + 1) // 2
    again = quantizers.unpack_int4(packed, length, axis, dtype)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, x)


def test_packed_bytes():
    packed, _, _ = quantizers.pack_int4(np.array([[-3, 7], [2, -8], [1, 0]], "int8"))
    np.testing.assert_array_equal(packed, [[45, -121], [1, 0]])


@pytest.mark.parametrize("function", ["pack_int4", "unpack_int4"])
def test_bad_packing(function):
    call = getattr(quantizers, function)
    with pytest.raises(
        ValueError, match=f"{function}: dtype must be 'int8' or 'uint8', got 'int4'"
    ):
        call(np.zeros((2, 2), "int8"), 2, dtype="int4")
    with pytest.raises(TypeError, match=f"{function}: expected an array of int8.*, got float32"):
        call(floats(2, 2), 0)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "bfloat16", "float16"])
def test_rounding_to_few_bits(dtype):
    largest = float(ml_dtypes.finfo(dtype).max)
    x = floats(4000) * (10.0 ** RNG.uniform(-9, 5, 4000)).astype("float32")
    x = np.concatenate([x, np.arange(-600, 600) / 256, [0, largest, 1e9, -1e9]]).astype("float32")
    expected = np.clip(x, -largest, largest).astype(ml_dtypes.finfo(dtype).dtype).astype("float32")
    np.testing.assert_array_equal(rounded(x, dtype), expected)


def test_float8_state():
    history = quantizers.compute_float8_amax_history(np.array([1.0, -5.0]), np.array([3.0, 2, 1]))
    np.testing.assert_array_equal(history, [5, 1, 3])
    scale = quantizers.compute_float8_scale(np.float32(5), np.float32(2), 448.0)
    np.testing.assert_allclose(scale, 5 / 448, rtol=1e-6)
    for unknown in (0.0, np.inf, np.nan):
        scale = quantizers.compute_float8_scale(np.float32(unknown), np.float32(2), 448.0)
        assert scale == 2
    x = np.array([1.0, 1000.0], "float32")
    near = quantizers.quantize_and_dequantize(x, np.float32(2), "float8_e4m3fn", "float32")
    np.testing.assert_array_equal(near, [1.0, 896.0])
    with pytest.raises(ValueError, match="expected float8_e4m3fn or float8_e5m2, got 'int8'"):
        quantizers.quantize_and_dequantize(x, 1.0, "int8", "float32")


def test_fake_quantization():
    x = np.array([-2.0, -0.31, 0.0, 0.1, 0.5, 2.0], "float32")
    low, high = np.array(-0.9, "float32"), np.array(1.0, "float32")
    with Tape() as tape:
        watched = [tape.watch(a) for a in (x, low, high)]
        y = quantizers.fake_quant_with_min_max_vars(*watched, num_bits=4)
    expected = 1.9 / 15 * np.array([-7, -2, 0, 1, 4, 8])  # The range moves, so that 0 is a step.
    np.testing.assert_allclose(y.value, expected, atol=1e-6)
    dx, dlow, dhigh = tape.gradient(y, watched)
    np.testing.assert_array_equal(dx, [0, 1, 1, 1, 1, 0])
    assert (dlow, dhigh) == (1, 1)


def test_fake_quantization_by_channel():
    x, ends = floats(4, 3, 2), np.array([0.5, 1.0, 2.0], "float32")
    y = quantizers.fake_quant_with_min_max_vars(x, -ends, ends, axis=1)
    for i, end in enumerate(ends):
        alone = quantizers.fake_quant_with_min_max_vars(x[:, i], -end, end)
        np.testing.assert_allclose(y[:, i], alone, atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        quantizers.Int8QuantizationConfig(),
        quantizers.Int8QuantizationConfig(quantizers.AbsMaxQuantizer(axis=0), None),
        quantizers.Int4QuantizationConfig(block_size=32),
        quantizers.Int4QuantizationConfig(
            quantizers.AbsMaxQuantizer(0, (-8, 7)), quantizers.AbsMaxQuantizer(), block_size=None
        ),
        quantizers.Float8QuantizationConfig(),
        quantizers.GPTQConfig(["text"], len, weight_bits=2, group_size=-1),
        quantizers.AWQConfig(None, None, num_samples=3),
    ],
)
def test_options_and_back(config):
    described = quantizers.serialize(config)
    assert described["module"] == "keras.quantizers"
    again = quantizers.deserialize(described)
    assert type(again) is type(config)
    assert quantizers.serialize(again) == described


def test_names():
    assert isinstance(quantizers.get("abs_max_quantizer"), quantizers.AbsMaxQuantizer)
    assert quantizers.get(quantizers.AbsMaxQuantizer, axis=0).axis == (0,)
    assert quantizers.get(None) is None
    with pytest.raises(ValueError, match="unknown name 'abs_min'"):
        quantizers.get("abs_min")
    with pytest.raises(ValueError, match=r"value_range must lie within -128\.\.127"):
        quantizers.AbsMaxQuantizer(value_range=(-128, 128))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("Int4QuantizationConfig", {"block_size": 0}, "block_size must be None, -1 or a positive"),
        (
            "Int4QuantizationConfig",
            {"activation_quantizer": quantizers.AbsMaxQuantizer()},
            "give block_size=None",
        ),
        (
            "Int4QuantizationConfig",
            {"weight_quantizer": quantizers.AbsMaxQuantizer(0), "block_size": None},
            r"must be \(-8, 7\), got \(-127, 127\)",
        ),
        (
            "Int8QuantizationConfig",
            {"weight_quantizer": quantizers.AbsMaxQuantizer(output_dtype="int16")},
            "must be 'int8', got 'int16'",
        ),
        (
            "GPTQConfig",
            {"dataset": None, "tokenizer": None, "weight_bits": 5},
            "weight_bits must be one of 2, 3, 4, 8, got 5",
        ),
        (
            "AWQConfig",
            {"dataset": None, "tokenizer": None, "num_grid_points": 0},
            "num_grid_points must be positive, got 0",
        ),
    ],
)
def test_bad_options(kind, arguments, message):
    with pytest.raises(ValueError, match=f"{kind}: .*{message}"):
        getattr(quantizers, kind)(**arguments)


def test_mode_or_options():
    assert configs.resolve("Dense", "int4", None).block_size == 128
    assert configs.resolve("Dense", None, quantizers.Float8QuantizationConfig()).mode == "float8"
    for mode, config, message in (
        ("int5", None, "one of int8, float8, int4, gptq, awq, got 'int5'"),
        (None, None, "got None"),
        ("gptq", None, r"gptq needs config=GPTQConfig\(\.\.\.\)"),
        ("int8", quantizers.Int4QuantizationConfig(), "'int8' contradicts .* 'int4'"),
        ("int8", quantizers.AbsMaxQuantizer(), "must be a QuantizationConfig, got AbsMaxQuantizer"),
    ):
        with pytest.raises(ValueError, match=message):
            configs.resolve("Dense", mode, config)


@pytest.mark.parametrize(
    ("name", "kind", "mode", "compute"),
    [
        ("int8_from_float32", "QuantizedDTypePolicy", "int8", "float32"),
        ("int4_from_mixed_bfloat16", "QuantizedDTypePolicy", "int4", "bfloat16"),
        ("int4/64_from_float32", "Int4DTypePolicy", "int4", "float32"),
        ("int4/-1_from_float32", "Int4DTypePolicy", "int4", "float32"),
        ("float8_from_mixed_float16", "QuantizedFloat8DTypePolicy", "float8", "float16"),
        ("gptq/2/16_from_float64", "GPTQDTypePolicy", "gptq", "float64"),
        ("awq/4/-1_from_float32", "AWQDTypePolicy", "awq", "float32"),
    ],
)
def test_policies(name, kind, mode, compute):
    policy = dtype_policies.get(name)
    found = (type(policy).__name__, policy.name, policy.quantization_mode, policy.compute_dtype)
    assert found == (kind, name, mode, compute)
    described = dtype_policies.serialize(policy)
    assert described["module"] == "keras.dtype_policies"
    again = dtype_policies.deserialize(described)
    assert again == policy
    assert hash(again) == hash(policy)
    assert again != dtype_policies.get("float32")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("int8_from_float16", "int8 does not work with compute dtype float16"),
        ("int8/3_from_float32", "one of int8, float8, int4, gptq, awq, got 'int8/3'"),
        ("int4/0_from_float32", "-1 or positive, got 0"),
        ("int4/a_from_float32", "'int4/<block_size>' with integers, got 'int4/a'"),
        ("gptq/4_from_float32", "'gptq/<weight_bits>/<group_size>' with integers"),
        ("awq/8/4_from_float32", "weight_bits must be one of 4, got 8"),
        ("float8", "the form 'int8_from_float32', got 'float8'"),
    ],
)
def test_bad_policies(name, message):
    with pytest.raises(ValueError, match=message):
        dtype_policies.get(name)


def test_policies_by_path():
    policies = dtype_policies.DTypePolicyMap(
        "float32", {"a/b": "bfloat16", "a/.*": "int8_from_float32", ".*/d": "float16"}
    )
    names = [policies[path].name for path in ("a/b", "a/c", "a", "d")]
    assert names == ["bfloat16", "int8_from_float32", "float32", "float32"]
    assert policies.name == "map_float32"
    with pytest.raises(ValueError, match="'a/d' matches several keys: 'a/.*', '.*/d'"):
        policies["a/d"]
    with pytest.raises(ValueError, match="'a/b' is there already"):
        policies["a/b"] = "float32"
    again = dtype_policies.deserialize(dtype_policies.serialize(policies))
    assert dict(again) == dict(policies)
    with pytest.raises(ValueError, match="cannot be a DTypePolicyMap"):
        dtype_policies.DTypePolicyMap(policies)
    with pytest.raises(TypeError, match="must be a dictionary"):
        dtype_policies.DTypePolicyMap(policy_map=["float32"])
