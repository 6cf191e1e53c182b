"""LayerNormalization, GroupNormalization, RMSNormalization and UnitNormalization."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers
from gpulayers.arrays import dtypes, get_mask, set_mask

RNG = np.random.default_rng(0)
X = RNG.normal(2, 3, size=(4, 5, 6)).astype("f4")
WITHOUT_MASKS = pytest.mark.filterwarnings("ignore:.*does not support masking")


def scaled(x, axes, epsilon):
    mean, variance = (f(x.astype("f8"), axis=axes, keepdims=True) for f in (np.mean, np.var))
    return (x - mean) / np.sqrt(variance + epsilon)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), [-1, 1]], ids=str)
def test_layer_normalization(axis):
    layer = layers.LayerNormalization(axis, gamma_initializer="uniform", beta_initializer="uniform")
    axes = tuple(sorted(a % 3 for a in (axis if isinstance(axis, (tuple, list)) else (axis,))))
    y = layer(X)
    gamma, beta = layer.get_weights()
    assert gamma.shape == tuple(X.shape[a] for a in (sorted(layer.axis)))
    if len(axes) == 1 or axis == (1, 2):
        shape = [n if i in axes else 1 for i, n in enumerate(X.shape)]
        expected = scaled(X, axes, 1e-3) * gamma.reshape(shape) + beta.reshape(shape)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_layer_normalization_without_weights():
    layer = layers.LayerNormalization(center=False, scale=False)
    np.testing.assert_allclose(layer(X), scaled(X, -1, 1e-3), rtol=1e-5, atol=1e-6)
    assert layer.weights == []
    assert layer.get_config()["axis"] == [-1]


def test_scaling_by_the_deviation_is_deprecated():
    with pytest.warns(UserWarning, match="use RMSNormalization"):
        layer = layers.LayerNormalization(rms_scaling=True, scale=False)
    expected = X / np.sqrt(X.astype("f8").var(-1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-5)
    assert [w.name for w in layer.weights] == ["gamma"]


@pytest.mark.parametrize("groups", [-1, 1, 2, 3])
def test_group_normalization(groups):
    layer = layers.GroupNormalization(groups, beta_initializer="uniform")
    y, n = layer(X), 6 if groups == -1 else groups
    expected = scaled(X.reshape(4, 5, n, 6 // n), (1, 3), 1e-3).reshape(X.shape)
    np.testing.assert_allclose(y, expected + layer.beta.numpy(), rtol=1e-5, atol=1e-6)
    assert layer.get_config()["groups"] == n
    first = layers.GroupNormalization(groups, axis=1, center=False)
    np.testing.assert_allclose(
        first(np.swapaxes(X, 1, 2)), np.swapaxes(expected, 1, 2), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("axis", [-1, [1, 2]], ids=str)
def test_root_mean_squares_and_lengths(axis):
    axes = tuple(axis) if isinstance(axis, list) else axis
    mean = np.mean(X.astype("f8") ** 2, axis=axes, keepdims=True)
    np.testing.assert_allclose(
        layers.RMSNormalization(axis)(X), X / np.sqrt(mean + 1e-6), rtol=1e-5
    )
    length = np.sqrt(np.sum(X.astype("f8") ** 2, axis=axes, keepdims=True))
    np.testing.assert_allclose(layers.UnitNormalization(axis)(X), X / length, rtol=1e-5)
    zeros = np.zeros((2, 5, 6), "f4")
    np.testing.assert_array_equal(layers.UnitNormalization(axis)(zeros), zeros)


@pytest.mark.parametrize(
    "make",
    [layers.LayerNormalization, lambda **o: layers.GroupNormalization(2, **o),
     layers.UnitNormalization, layers.RMSNormalization],
    ids=["layer", "group", "unit", "rms"],
)  # fmt: skip
class TestAll:
    @WITHOUT_MASKS
    def test_masks_pass_on(self, make):
        x, layer = X[:2].copy(), make()
        mask = np.array([[True] * 5, [False] * 5])
        set_mask(x, mask)
        assert (get_mask(layer(x)) is not None) == layer.supports_masking

    @pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
    def test_dtypes(self, make, dtype):
        layer, short = make(dtype=dtype), dtype.removeprefix("mixed_")
        y = layer(X)
        assert dtypes.name(y.dtype) == short
        expected = make()(X)
        np.testing.assert_allclose(y.astype("f4"), expected, rtol=2e-2, atol=2e-2)
        assert all(dtypes.name(w.dtype) == layer.variable_dtype for w in layer.weights)

    def test_float16_of_any_size(self, make):
        large = (X * 8000).astype("f2")
        y = make(dtype="mixed_float16")(large)
        np.testing.assert_allclose(y.astype("f4"), make()(X), rtol=5e-3, atol=5e-3)

    def test_empty_batches(self, make):
        assert make()(np.zeros((0, 5, 6), "f4")).shape == (0, 5, 6)

    def test_plans_are_full_calls(self, make):
        """Training and prediction of a line of layers give what single calls give."""
        gl.utils.set_random_seed(3)
        model = gl.Sequential([gl.Input((5, 6)), make(), layers.Flatten(), layers.Dense(2)])
        model.compile("sgd", "mse")
        target = X.sum((1, 2))[:, None] * [1, -1]
        model.train_on_batch(X, target)
        assert model._compiled.planned_step.exists
        y = model.predict(X, verbose=0)
        z = X
        for layer in model.layers:
            z = layer(np.array(z), training=False)
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-5)
        before = model.get_weights()
        model.train_on_batch(X, target)
        planned = model.get_weights()
        model.set_weights(before)
        with gl.Tape() as tape:
            loss = gl.losses.MeanSquaredError()(target, model(np.array(X), training=True))
        model.optimizer.apply(
            tape.gradient(loss, model.trainable_variables), model.trainable_variables
        )
        for a, b in zip(planned, model.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: layers.LayerNormalization("1"), TypeError, "LayerNormalization: axis must be an"),
        (lambda: layers.UnitNormalization(1.5), TypeError, "UnitNormalization: axis must be an"),
        (lambda: layers.RMSNormalization([None]), TypeError, "RMSNormalization: axis must be an"),
        (lambda: layers.LayerNormalization(epsilon="a"), TypeError, "epsilon must be a number"),
        (lambda: layers.RMSNormalization(epsilon=-1), ValueError, "epsilon must be at least 0"),
        (lambda: layers.GroupNormalization(0), ValueError, "groups must be a positive integer"),
        (lambda: layers.GroupNormalization(1.5), ValueError, "groups must be a positive integer"),
        (lambda: layers.LayerNormalization(3)(X), ValueError, "axis 3 is out of bounds"),
        (lambda: layers.UnitNormalization(-4).compute_output_shape((2, 3, 4)), ValueError,
         "axis -4 is out of bounds"),
        (lambda: layers.LayerNormalization([1, -2])(X), ValueError, "name each axis once"),
        (lambda: layers.GroupNormalization(4)(X), ValueError, "number of groups, 4, got 6"),
        (lambda: layers.GroupNormalization(7)(X), ValueError, "number of groups, 7, got 6"),
        (lambda: layers.GroupNormalization(2, axis=0)(X), ValueError, "that of the batch"),
        (lambda: layers.GroupNormalization(2).build((2, None)), ValueError, "must be known"),
    ],
)  # fmt: skip
def test_errors(make, kind, message):
    with pytest.raises(kind, match=message):
        make()
