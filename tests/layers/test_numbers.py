"""Layers that prepare numbers: scaled, normalized, in bins, and as vectors of zeros and ones."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers

random = np.random.default_rng(5)


def test_category_encoding_in_all_modes():
    x = [[0, 1, 1], [2, 2, 2]]
    assert layers.CategoryEncoding(3)(x).tolist() == [[1, 1, 0], [0, 0, 1]]
    assert layers.CategoryEncoding(3, "count")(x).tolist() == [[1, 2, 0], [0, 0, 3]]
    one_hot = layers.CategoryEncoding(3, "one_hot")
    assert one_hot([[2], [0]]).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert one_hot([2, 0]).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert one_hot(x).shape == (2, 3, 3)
    weighted = layers.CategoryEncoding(3, "count")(x, count_weights=[[0.5, 1, 2], [3, 0, 0.25]])
    assert weighted.tolist() == [[0.5, 3, 0], [0, 0, 3.25]]


def test_category_encoding_refuses_what_it_cannot_encode():
    with pytest.raises(ValueError, match=r"num_tokens must be a positive integer, got 0"):
        layers.CategoryEncoding(0)
    with pytest.raises(TypeError, match=r"num_tokens must be an integer, got float"):
        layers.CategoryEncoding(2.5)
    with pytest.raises(ValueError, match=r"must have the shape of the inputs \(1, 2\), got \(2,\)"):
        layers.CategoryEncoding(3, "count")([[1, 2]], count_weights=[1, 2])
    with pytest.raises(ValueError, match="num_tokens must be given"):
        layers.CategoryEncoding()
    with pytest.raises(ValueError, match="output_mode must be one of"):
        layers.CategoryEncoding(3, "int")
    with pytest.raises(ValueError, match=r"must be in 0\.\.2 \(num_tokens=3\), got 3"):
        layers.CategoryEncoding(3)([[1, 3]])
    with pytest.raises(ValueError, match="count_weights are for"):
        layers.CategoryEncoding(3)([[1, 2]], count_weights=[[1, 2]])


def test_discretization_counts_the_boundaries_that_are_not_above():
    layer = layers.Discretization([0.0, 1.0, 2.0])
    assert layer(np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]])).tolist() == [
        [0, 2, 3, 1],
        [1, 3, 2, 1],
    ]
    assert layer([]).shape == (0,)
    with pytest.raises(TypeError, match="expected numbers"):
        layer(["a"])
    for boundaries in ([1.0, 0.0], [np.nan, 1.0], [1.0, np.nan]):
        with pytest.raises(ValueError, match="must rise"):
            layers.Discretization(boundaries)
    with pytest.raises(ValueError, match="num_bins must be positive, got 0"):
        layers.Discretization(num_bins=0)
    with pytest.raises(ValueError, match="epsilon must be a share from 0 to 1, got 2"):
        layers.Discretization(num_bins=2, epsilon=2)
    with pytest.raises(ValueError, match="either bin_boundaries or num_bins"):
        layers.Discretization()
    with pytest.raises(ValueError, match="call adapt"):
        layers.Discretization(num_bins=3)(np.ones((2, 2)))
    with pytest.raises(ValueError, match="nothing to find"):
        layer.adapt(np.ones(3))


def test_discretization_adapts_as_keras_does():
    x = np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]])
    layer = layers.Discretization(num_bins=4, epsilon=0.01)
    layer.adapt(x)
    assert layer(x).tolist() == [[0, 2, 3, 2], [1, 3, 3, 1]]  # From Keras's documentation.
    same = layers.Discretization.from_config(layer.get_config())
    assert same(x).tolist() == layer(x).tolist()


@pytest.mark.parametrize(
    ("epsilon", "expected"),  # From Keras 3.15.
    [
        (0.01, [0.2011, 0.401507, 0.600565, 0.800948]),
        (0.1, [0.201104, 0.401508, 0.600563, 0.800904]),
    ],
)
def test_discretization_finds_bins_of_equal_content_in_one_pass(epsilon, expected):
    values = np.arange(20_000) * 7919 % 20_000 / 20_000
    layer = layers.Discretization(num_bins=5, epsilon=epsilon)
    layer.adapt(batch for batch in values.reshape(40, 500))
    np.testing.assert_allclose(layer.bin_boundaries, expected, atol=1e-6)


def test_normalization_learns_from_arrays_batches_tables_and_lists():
    x = (random.normal(size=(100, 3)) * [1, 2, 3] + [1000, 0, -5]).astype("float32")
    frame = pytest.importorskip("pandas").DataFrame(x)
    for data in (x, frame, x.tolist(), [x[:30], x[30:]], ((x[i::7], i) for i in range(7))):
        layer = layers.Normalization()
        layer.adapt(data)
        y = layer(x)
        np.testing.assert_allclose(y.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(y.std(0), 1, rtol=1e-4)
    back = layers.Normalization(invert=True)
    back.adapt(x)
    np.testing.assert_allclose(back(y), x, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("axis", "shape"), [(None, (1, 1, 1)), (1, (1, 3, 1)), ((0, -1), (2, 1, 4))]
)
def test_normalization_keeps_the_axes_it_is_told(axis, shape):
    x = random.normal(size=(2, 3, 4)).astype("float32")
    layer = layers.Normalization(axis)
    layer.adapt(x)
    over = tuple(i for i, n in enumerate(shape) if n == 1)
    assert layer.mean.shape == shape
    np.testing.assert_allclose(layer.mean, x.mean(over, keepdims=True), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(layer.variance, x.var(over, keepdims=True), rtol=1e-5, atol=1e-7)


def test_normalization_does_not_lose_small_deviations():
    x = (1e4 + np.arange(1000) % 2).astype("float32")[:, None]
    layer = layers.Normalization()
    layer.adapt(x[i : i + 10] for i in range(0, 1000, 10))
    np.testing.assert_allclose(layer.variance, 0.25, rtol=1e-6)


def test_normalization_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="given both or not at all"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ValueError, match="same shape"):
        layers.Normalization(mean=[1.0, 2.0], variance=1.0)
    with pytest.raises(ValueError, match="no more axes"):
        layers.Normalization(mean=[[1.0]], variance=[[1.0]])
    with pytest.raises(ValueError, match=r"shape \(2,\) do not fit the 3 places of axis 1"):
        layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0])(np.ones((5, 3)))
    for axis in (1.0, "a", ("a",)):
        with pytest.raises(TypeError, match="axis must be integers or None"):
            layers.Normalization(axis=axis)
    with pytest.raises(ValueError, match=r"each named once, got \(1, -1\)"):
        layers.Normalization(axis=(1, -1))(np.ones((5, 3)))
    with pytest.raises(ValueError, match=r"axis must be in -2\.\.1"):
        layers.Normalization(2).build((3, 4))
    with pytest.raises(ValueError, match="must be known"):
        layers.Normalization().build((3, None))
    with pytest.raises(ValueError, match="no data"):
        layers.Normalization().adapt(iter([]))
    with pytest.raises(TypeError, match="a batch of type list"):
        layers.Normalization().adapt([["a"]])
    with pytest.raises(ValueError, match="nothing to learn"):
        layers.Normalization(mean=1.0, variance=2.0).adapt(np.ones((2, 2)))
    layer = layers.Normalization()
    layer.build((None, 3))
    with pytest.raises(ValueError, match="that fit the shape"):
        layer.adapt(np.ones((2, 4)))


def test_what_was_learned_is_saved(tmp_path):
    x = random.normal(3, 2, size=(50, 4)).astype("float32")
    normalization, bins = layers.Normalization(), layers.Discretization(num_bins=3)
    normalization.adapt(x)
    bins.adapt(x)
    inputs = gl.Input((4,))
    model = gl.Model(inputs, [normalization(inputs), bins(inputs)])
    model.save(tmp_path / "model.keras")
    same = gl.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(model.predict(x, verbose=0), same.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(a, b)


def test_rescaling():
    x = np.array([[0, 255], [51, 102]], "uint8")
    y = layers.Rescaling(1 / 127.5, -1)(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, [[-1, 1], [-0.6, -0.2]], rtol=1e-6)
    with_array = layers.Rescaling(np.array([1.0, 2.0]), offset=[0.5, 0.0])
    same = layers.Rescaling.from_config(with_array.get_config())
    np.testing.assert_allclose(same(x), [[0.5, 510], [51.5, 204]])


def test_rescaling_of_channels_that_stand_first():
    before = gl.config.image_data_format()
    gl.config.set_image_data_format("channels_first")
    try:
        y = layers.Rescaling([1.0, 10.0])(np.ones((3, 2, 4, 4)))
    finally:
        gl.config.set_image_data_format(before)
    assert y[0, :, 0, 0].tolist() == [1, 10]


class Table:
    """As pandas has them: columns of numbers that become an array."""

    def __init__(self, numbers):
        self.numbers = np.array(numbers)

    def to_numpy(self):
        return self.numbers


@pytest.mark.parametrize(
    "layer",
    [
        layers.Normalization(mean=1.0, variance=4.0),
        layers.Discretization([1.5]),
        layers.CategoryEncoding(4),
        layers.Rescaling(0.5),
        layers.Dense(3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_tables_are_taken_as_arrays(layer):
    numbers = [[1, 2], [3, 0]]
    np.testing.assert_array_equal(layer(Table(numbers)), layer(np.array(numbers)))


def test_normalization_learns_from_batches_of_which_some_are_empty():
    layer = layers.Normalization()
    layer.adapt(iter([np.zeros((0, 2)), np.array([[1.0, 4.0]]), np.array([[3.0, 4.0]])]))
    np.testing.assert_allclose(layer.mean, [[2, 4]])
    np.testing.assert_allclose(layer.variance, [[1, 0]])


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_whole_numbers_give_floats_each_time(dtype):
    dense, x = layers.Dense(3), np.ones((2, 4), dtype)
    assert [dense(x).dtype for _ in range(3)] == ["float32"] * 3
