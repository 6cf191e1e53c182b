"""Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot, and their functions."""

from functools import reduce

import numpy as np
import pytest
from checks import check_layer

from gpulayers import layers
from gpulayers.arrays import KerasTensor, get_mask, set_mask
from gpulayers.models import Model

ELEMENTWISE = {
    "Add": lambda xs: reduce(np.add, xs),
    "Subtract": lambda xs: xs[0] - xs[1],
    "Multiply": lambda xs: reduce(np.multiply, xs),
    "Average": lambda xs: np.mean(np.stack(np.broadcast_arrays(*xs)), axis=0),
    "Maximum": lambda xs: reduce(np.maximum, xs),
    "Minimum": lambda xs: reduce(np.minimum, xs),
}
ALL = {**ELEMENTWISE, "Concatenate": lambda xs: np.concatenate(xs, axis=-1)}
rng = np.random.default_rng(0)


def array(*shape):
    return rng.normal(size=shape).astype("float32")


def masked(x, mask):
    x = np.array(x)
    set_mask(x, np.array(mask))
    return x


def inputs(name, *shapes):
    count = 2 if name == "Subtract" else len(shapes)
    return [array(*shape) for shape in shapes[:count]]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_way(xp, name):
    xs = inputs(name, (2, 3, 4), (2, 1, 4), (2, 3, 4))
    y = check_layer(lambda d: getattr(layers, name)(dtype=d), *xs, xp=xp)
    np.testing.assert_allclose(y, ELEMENTWISE[name](xs), rtol=1e-6)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_ranks(name):
    one, other = array(2, 4), array(2, 5, 3, 4)
    wide = one[:, None, None, :]
    layer = getattr(layers, name)()
    np.testing.assert_allclose(layer([one, other]), ELEMENTWISE[name]([wide, other]), rtol=1e-6)
    assert layer.compute_output_shape([(None, 4), (2, None, 3, 4)]) == (2, None, 3, 4)
    assert layer([layers.Input((4,)), layers.Input((5, 3, 4))]).shape == (None, 5, 3, 4)


@pytest.mark.parametrize("name", ALL)
def test_functions_are_the_layers(name):
    xs = inputs(name, (2, 3), (2, 3))
    function = getattr(layers, name.lower())
    np.testing.assert_array_equal(function(xs), getattr(layers, name)()(tuple(xs)))
    assert function([layers.Input((3,)), layers.Input((3,))], name="m").node.operation.name == "m"


@pytest.mark.parametrize("name", sorted(set(ALL) - {"Subtract"}))
def test_one_input(name):
    x = array(2, 3)
    np.testing.assert_array_equal(getattr(layers, name)()([x]), x)


@pytest.mark.parametrize("name", ALL)
def test_dtypes(name):
    whole, half = np.array([[3, 4]], "int32"), np.array([[0.5, 2]], "float32")
    assert getattr(layers, name)()([whole, half]).dtype == "float32"
    y = getattr(layers, name)()([whole, whole + 1])
    assert y.dtype == ("float32" if name == "Average" else "int32")
    doubles = getattr(layers, name)(dtype="float64")([whole, half.astype("float64")])
    assert doubles.dtype == "float64"


# Values at the places where the mask of (first, second) is (1, 1), (1, 0), (0, 1), (0, 0).
MASKED = {
    "Add": [5, 5, 5, 5],
    "Subtract": [-1, -1, -1, -1],
    "Average": [2.5, 2.5, 2.5, 2.5],
    "Multiply": [6, 2, 3, 0],
    "Maximum": [3, 2, 3, 2],
    "Minimum": [2, 2, 3, 2],
}


@pytest.mark.parametrize("name", MASKED)
def test_masks(name):
    one = masked(np.full((1, 4, 1), 2, "float32"), [[True, True, False, False]])
    other = masked(np.full((1, 4, 1), 3, "float32"), [[True, False, True, False]])
    y = getattr(layers, name)()([one, other])
    assert y.ravel().tolist() == MASKED[name]
    assert get_mask(y).tolist() == [[True, True, True, False]]
    bare = np.array(other)
    y = getattr(layers, name)()([one, bare])
    assert get_mask(y) is None
    if name in ("Multiply", "Maximum", "Minimum"):
        assert y.ravel().tolist() == {"Multiply": [6, 6, 3, 3], "Maximum": [3] * 4,
                                      "Minimum": [2, 2, 3, 3]}[name]  # fmt: skip


@pytest.mark.parametrize("name", ["Add", "Multiply", "Maximum"])
def test_masked_gradients(name):
    xs = inputs(name, (2, 3, 2), (2, 3, 2))
    mask = np.array([[True, False, True], [False, True, True]])
    check_layer(lambda d: getattr(layers, name)(dtype=d), *xs, mask=mask)


def test_a_mask_of_lower_rank_than_usual():
    x = masked(array(2, 3, 4, 5), [[True, False, True]] * 2)
    y = layers.Multiply()([x, masked(np.array(x), [[True, False, False]] * 2)])
    assert get_mask(y).tolist() == [[True, False, True]] * 2
    assert not y[:, 1].any()
    np.testing.assert_array_equal(y[:, 2], x[:, 2])


@pytest.mark.parametrize("axis", [1, 2, -1, -2])
def test_concatenate(xp, axis):
    xs = [array(2, 3, 4), array(2, 3, 4)]
    y = check_layer(lambda d: layers.Concatenate(axis, dtype=d), *xs, xp=xp)
    np.testing.assert_array_equal(y, np.concatenate(xs, axis=axis))


def test_concatenate_of_different_sizes():
    xs = [array(2, 3, 4), array(2, 5, 4)]
    assert layers.concatenate(xs, axis=1).shape == (2, 8, 4)
    layer = layers.Concatenate(1)
    assert layer.compute_output_shape([(None, 3, 4), (2, None, None)]) == (2, None, 4)
    assert layer([layers.Input((3, None)), layers.Input((5, 4))]).shape == (None, 8, 4)
    assert layer.get_config()["axis"] == 1


def test_concatenated_masks():
    mask = np.array([[True, False, True], [False, False, True]])
    x, bare = masked(array(2, 3, 4), mask), array(2, 3, 4)
    joined = layers.Concatenate(1)([x, bare])
    np.testing.assert_array_equal(get_mask(joined), np.concatenate([mask, mask | True], axis=1))
    assert get_mask(layers.Concatenate(-1)([x, bare])).all()
    both = layers.Concatenate(-1)([x, masked(bare, ~mask & [True, False, True])])
    assert get_mask(both).tolist() == [[True, False, True], [True, False, True]]
    full = masked(bare, np.ones((2, 3, 4), bool))
    assert get_mask(layers.Concatenate(1)([x, full])).shape == (2, 6)
    assert get_mask(layers.Concatenate(1)([bare, bare])) is None


SHAPES = [
    ((2, 3), (2, 3), 1, "bi,bi->b"),
    ((2, 3), (2, 4, 3), -1, "bi,bji->bj"),
    ((2, 3, 4), (2, 4), (2, 1), "bij,bj->bi"),
    ((2, 3, 4), (2, 5, 4), -1, "bij,bkj->bik"),
    ((2, 3, 4), (2, 3, 5), 1, "bij,bik->bjk"),
    ((2, 3, 4, 5), (2, 4, 3), (2, 1), "bijk,bjl->bikl"),
    ((2, 3, 4), (2, 5, 3, 2), (-2, -2), "bij,bkil->bjkl"),
]


@pytest.mark.parametrize(("one", "other", "axes", "equation"), SHAPES)
def test_dot(xp, one, other, axes, equation):
    xs = [array(*one), array(*other)]
    expected = np.einsum(equation, *xs).reshape(2, *([1] if equation.endswith(">b") else []), -1)
    y = check_layer(lambda d: layers.Dot(axes, dtype=d), *xs, xp=xp, gradient=xp.name == "numpy")
    np.testing.assert_allclose(y.ravel(), expected.ravel(), rtol=1e-5, atol=1e-6)
    layer = layers.Dot(axes)
    assert layer.compute_output_shape([one, other]) == y.shape
    assert layer.get_config()["axes"] == axes


def test_dot_is_a_cosine(xp):
    xs = [array(2, 3, 4), array(2, 5, 4)]
    y = check_layer(lambda d: layers.Dot(-1, normalize=True, dtype=d), *xs, xp=xp)
    units = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in xs]
    np.testing.assert_allclose(y, np.einsum("bij,bkj->bik", *units), rtol=1e-5, atol=1e-6)
    assert not layers.dot([np.zeros((1, 2), "float32")] * 2, 1, normalize=True).any()


def test_dot_has_no_mask():
    x = masked(array(2, 3, 4), np.ones((2, 3), bool))
    assert get_mask(layers.Dot(2)([x, x])) is None


def test_dot_of_unknown_sizes():
    one, other = KerasTensor((None, None, 4)), KerasTensor((None, 3, None))
    assert layers.Dot((2, 1))([one, KerasTensor((None, None, 5))]).shape == (None, None, 5)
    assert layers.Dot((1, 1))([one, other]).shape == (None, 4, None)


def test_unknown_sizes_that_the_guesses_make_differ():
    """As in a U-Net: half of an unknown size, doubled, is the size again only if that is even."""
    x = layers.Input((None, 2))
    half = layers.Cropping1D((1, 0))(x)
    for layer, shape in ((layers.Add(), (None, None, 2)), (layers.Concatenate(), (None, None, 4))):
        y = layer([x, half])
        assert y.shape == shape
        outer = layers.Input((None, 2))
        assert Model(x, y)(outer).shape == shape
    assert layers.Add()([x, layers.Input((5, 2))]).shape == (None, None, 2)
    with pytest.raises(ValueError, match="incompatible shapes"):
        layers.Add()([layers.Input((4, 2)), layers.Input((5, 2))])


def test_symbolic_masks():
    ids = layers.Input((5,), dtype="int32")
    x = layers.Embedding(9, 3, mask_zero=True)(ids)
    assert get_mask(layers.Add()([x, x])).shape == (None, 5)
    assert get_mask(layers.Add()([x, layers.Input((5, 3))])) is None
    assert get_mask(layers.Concatenate(1)([x, layers.Input((2, 3))])).shape == (None, 7)
    model = Model(ids, layers.Maximum()([x, x]))
    numbers = np.array([[1, 0, 2, 0, 0]], "int32")
    assert get_mask(model(numbers)).tolist() == [[True, False, True, False, False]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Add()(array(2, 3)), r"expected a list of inputs, got one of shape \(2, 3"),
        (lambda: layers.Add()([]), "expected a list of inputs"),
        (lambda: layers.Add()([array(2, 3), array(3, 3)]), r"different batch sizes: \(2, 3\), \(3"),
        (
            lambda: layers.Add()([array(2, 3), array(2, 4)]),
            r"incompatible shapes: \(2, 3\), \(2, 4",
        ),
        (lambda: layers.Subtract()([array(2, 3)] * 3), "expected 2 inputs, got 3"),
        (lambda: layers.Concatenate()([array(2, 3), array(2, 3, 4)]), "the same shape except"),
        (
            lambda: layers.Concatenate()([array(2, 3, 1), array(2, 4, 1)]),
            r"got \(2, 3, 1\), \(2, 4",
        ),
        (lambda: layers.Concatenate(3)([array(2, 3)] * 2), "have no axis 3"),
        (lambda: layers.Concatenate()(array(2, 3)), "expected a list of inputs"),
        (lambda: layers.Dot((1, 2, 3)), "two of them"),
        (lambda: layers.Dot((1, 0.5)), "two of them"),
        (lambda: layers.Dot(1)([array(2, 3)] * 3), "expected 2 inputs, got 3"),
        (lambda: layers.Dot(0)([array(2, 3)] * 2), "after the batch axis 0"),
        (lambda: layers.Dot(2)([array(2, 3)] * 2), "after the batch axis 0"),
        (lambda: layers.Dot(1)([array(2, 3), array(2, 4)]), "must have the same size"),
        (lambda: layers.Dot(1)([array(2, 3), array(4, 3)]), "different batch sizes"),
        (lambda: layers.Add().compute_mask([1, 2], [None]), "got 2 inputs, but 1 masks"),
        (lambda: layers.Add().compute_mask([1, 2], 5), "mask must be a list, got int"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_kind_of_axes():
    with pytest.raises(TypeError, match="axes must be an integer or two of them, got str"):
        layers.Dot("1")
