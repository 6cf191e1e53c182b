"""Embedding and ReversibleEmbedding."""

import numpy as np
import pytest
from checks import check_layer

from gpulayers import layers, registry
from gpulayers.arrays import Tape, dtypes, get_mask, namespace

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(6, 3)).astype("float32")


def indices(*shape, dtype="int32"):
    return RNG.integers(0, 6, shape).astype(dtype)


@pytest.mark.parametrize("shape", [(4,), (2, 5), (2, 3, 2), (0, 5)])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_every_way(xp, shape, dtype):
    x = indices(*shape, dtype=dtype)
    y = check_layer(
        lambda d: layers.Embedding(6, 3, dtype=d), x, xp=xp,
        unknown=(0, 1) if len(shape) > 1 else (0,), gradient=0 not in shape,
    )  # fmt: skip
    assert y.shape == (*shape, 3)
    layer = layers.Embedding(6, 3, weights=TABLE)
    np.testing.assert_array_equal(layer(x), TABLE[x])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "int8"])
def test_whole_numbers_of_any_dtype(dtype):
    x = np.array([[0, 1], [1, 0]], dtype)
    layer = layers.Embedding(6, 3, weights=[TABLE])
    np.testing.assert_array_equal(layer(x), TABLE[x.astype(int)])
    assert layer([[4, 5]]).shape == (1, 2, 3)


def test_large_indices_survive_a_short_policy():
    """2049 has no place in float16."""
    layer = layers.Embedding(3000, 1, dtype="mixed_float16")
    layer.build()
    layer.embeddings.assign(np.arange(3000.0)[:, None] / 3000)
    np.testing.assert_allclose(layer(np.array([2049.0, 2051.0])), [[0.683], [0.68367]], rtol=1e-3)


def test_gradient_adds_up_equal_indices(xp):
    layer = layers.Embedding(6, 3, embeddings_initializer="ones")
    x = xp.asarray(np.array([[1, 1, 4], [1, 0, 4]]))
    layer(x)
    with Tape() as tape:
        y = layer(x)
        loss = namespace(y).sum(y * 2.0)
    grad = xp.to_numpy(tape.gradient(loss, layer.embeddings))
    expected = np.zeros((6, 3))
    expected[[1, 4, 0]] = [[6.0], [4.0], [2.0]]
    np.testing.assert_array_equal(grad, expected)


def test_mask():
    x = np.array([[0, 2, 0], [3, 0, 1]])
    y = layers.Embedding(6, 3, mask_zero=True)(x)
    np.testing.assert_array_equal(get_mask(y), x != 0)
    assert get_mask(layers.Embedding(6, 3)(x)) is None
    symbolic = layers.Embedding(6, 3, mask_zero=True)(layers.Input((3,), dtype="int32"))
    assert (symbolic.shape, get_mask(symbolic).shape) == ((None, 3, 3), (None, 3))
    layer = layers.Embedding(6, 3, mask_zero=True)
    check_layer(lambda d: layers.Embedding(6, 3, mask_zero=True, dtype=d), x)
    np.testing.assert_array_equal(layer.compute_mask(x.astype("float32")), x != 0)


def test_config():
    layer = layers.Embedding(6, 3, "zeros", "l2", "non_neg", mask_zero=True, name="e")
    config = layer.get_config()
    assert list(config) == [
        "name", "trainable", "dtype", "input_dim", "output_dim", "embeddings_initializer",
        "embeddings_regularizer", "activity_regularizer", "embeddings_constraint", "mask_zero",
        "quantization_config",
    ]  # fmt: skip
    assert registry.deserialize(registry.serialize(layer)).get_config() == config
    layer.build()
    layer.embeddings.assign(TABLE)
    np.testing.assert_allclose(
        [float(loss) for loss in layer.losses], [0.01 * np.square(TABLE).sum()], rtol=1e-6
    )
    assert layer.embeddings.constraint is layer.embeddings_constraint


def test_built_from_any_build_config():
    for build_config in ({"shapes_dict": {}}, {"input_shape": [2, 3]}, {"input_shape": None}):
        layer = layers.Embedding(6, 3)
        layer.build_from_config(build_config)
        assert layer.built
        assert layer.count_params() == 18


def test_older_spelling():
    with pytest.warns(UserWarning, match="input_length has no effect"):
        layer = layers.Embedding(6, 3, input_length=5)
    assert layer(indices(2, 7)).shape == (2, 7, 3)


def test_negative_indices_count_from_the_end():
    layer = layers.Embedding(6, 3)
    np.testing.assert_array_equal(layer(np.array([-1, -6])), layer(np.array([5, 0])))


@pytest.mark.parametrize(
    ("values", "got"), [([0, 6], 6), ([-7, 2], -7), ([[1, 2], [3, 40]], 40), ([2.0, 9.0], 9)]
)
def test_indices_out_of_range(values, got):
    layer = layers.Embedding(6, 3, name="words")
    message = rf"Embedding 'words': indices must be in 0\.\.5 \(input_dim=6\), got {got}\."
    with pytest.raises(ValueError, match=message):
        layer(np.array(values))
    layer.build()
    with Tape(), pytest.raises(ValueError, match=message):
        layer(np.array(values))


@pytest.mark.parametrize("sizes", [(0, 3), (6, -1), (6.0, 3), (True, 3), (6, None)])
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match=r"Embedding: (in|out)put_dim must be a positive integer"):
        layers.Embedding(*sizes)


def test_bad_weights():
    with pytest.raises(ValueError, match=r"set_weights expected 1 arrays(.|\n)*\(6, 4\)"):
        layers.Embedding(6, 3, weights=np.zeros((6, 4)))
    with pytest.raises(TypeError, match="must be a QuantizationConfig or None, got str"):
        layers.Embedding(6, 3, quantization_config="int8")


def test_lora():
    x = indices(2, 5)
    layer = layers.Embedding(6, 3, lora_rank=2, lora_alpha=4)
    layer.build()
    table = layer._embeddings.numpy()
    np.testing.assert_allclose(layer(x), table[x])
    assert [v.path for v in layer.trainable_weights] == [
        f"{layer.name}/lora_embeddings_a",
        f"{layer.name}/lora_embeddings_b",
    ]
    layer.lora_embeddings_b.assign(np.ones((2, 3)))
    corrected = table + 2 * (layer.lora_embeddings_a.numpy() @ np.ones((2, 3)))
    np.testing.assert_allclose(layer(x), corrected[x], rtol=1e-6)
    store = {}
    layer.save_own_variables(store)
    np.testing.assert_allclose(store["0"], corrected, rtol=1e-6)
    assert layer.get_config()["lora_rank"] == 2
    check_layer(lambda d: layers.Embedding(6, 3, lora_rank=2, dtype=d), x, gradient=False)


REVERSE = [{}, {"tie_weights": False}, {"logit_soft_cap": 0.7}]


@pytest.mark.parametrize("settings", REVERSE, ids=lambda s: "-".join(s) or "tied")
def test_there_and_back(xp, settings):
    check_layer(
        lambda d: layers.ReversibleEmbedding(6, 3, dtype=d, **settings), indices(2, 5), xp=xp
    )
    x = RNG.normal(size=(2, 5, 3)).astype("float32")
    y = check_layer(
        lambda d: layers.ReversibleEmbedding(6, 3, dtype=d, **settings),
        x,
        xp=xp,
        call=lambda layer, x: layer(x, reverse=True),
        unknown=(0, 1),
    )
    assert y.shape == (2, 5, 6)
    layer = layers.ReversibleEmbedding(6, 3, **settings)
    y = layer(x, reverse=True)
    matrix = layer.embeddings.numpy().T if len(layer.weights) == 1 else layer.weights[1].numpy()
    expected = x @ matrix
    if "logit_soft_cap" in settings:
        expected = np.tanh(expected / 0.7) * 0.7
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_reversible_mask_shapes_and_config():
    layer = layers.ReversibleEmbedding(6, 3, mask_zero=True, logit_soft_cap=2.0, name="r")
    x = np.array([[0, 2, 0]])
    np.testing.assert_array_equal(get_mask(layer(x)), x != 0)
    assert get_mask(layer(np.ones((1, 2, 3), "float32"), reverse=True)) is None
    assert layer.compute_output_shape((None, 4)) == (None, 4, 3)
    assert layer.compute_output_shape((None, 4, 3), reverse=True) == (None, 4, 6)
    assert layer(layers.Input((4, 3)), reverse=True).shape == (None, 4, 6)
    config = layer.get_config()
    keys = ("tie_weights", "reverse_dtype", "logit_soft_cap")
    assert [config[key] for key in keys] == [True, None, 2.0]
    assert registry.deserialize(registry.serialize(layer)).get_config() == config


@pytest.mark.parametrize("reverse_dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_reverse_dtype(policy, reverse_dtype):
    layer = layers.ReversibleEmbedding(6, 3, dtype=policy, reverse_dtype=reverse_dtype)
    x = RNG.normal(size=(2, 3)).astype("float32")
    y = layer(x, reverse=True)
    assert dtypes.name(y.dtype) == reverse_dtype
    assert dtypes.name(layer(indices(2)).dtype) == policy.removeprefix("mixed_")
    expected = x @ layer.embeddings.numpy().T
    np.testing.assert_allclose(y.astype("float32"), expected, rtol=3e-2, atol=3e-3)
