"""Attention layers: numbers of Keras, masks, what is seen, scores, dropout, and bad calls."""

import numpy as np
import pytest

from gpulayers import Input, Model, Sequential, layers, saving
from gpulayers.arrays import get_mask, set_mask

MultiHead, Grouped = layers.MultiHeadAttention, layers.GroupQueryAttention
random = np.random.default_rng(0)
X = random.normal(size=(2, 5, 4)).astype("float32")
Y = random.normal(size=(2, 3, 4)).astype("float32")


def wave(*shape, by=0.7):
    return np.cos(np.arange(np.prod(shape)) * by + 0.3).reshape(shape).astype("float32")


def with_weights(layer, *args, **options):
    """The layer, built by a call, with weights that the numbers below were made with."""
    layer(*args, **options)
    shapes = [w.shape for w in layer.weights]
    layer.set_weights([wave(*s, by=0.5 + 0.1 * i) for i, s in enumerate(shapes)])
    return layer


def masked(x, mask):
    x = np.array(x)
    set_mask(x, np.array(mask, bool))
    return x


QUERY, VALUE = wave(1, 3, 4), wave(1, 2, 4, by=0.4)
MASKS = [np.array([[True, True, False]]), np.array([[True, False]])]
SEEN = [0.955336, 0.764842, 0.453596, 0.070737]
OF_KERAS = [  # Keras 3.15.1 with PyTorch.
    (
        lambda: MultiHead(2, 3, value_dim=2, output_shape=2, use_gate=True),
        ((QUERY, VALUE), {"use_causal_mask": True}),
        [[1.689366, -0.273632], [1.226864, -0.192172], [1.547988, -0.290488]],
    ),
    (
        lambda: MultiHead(2, 3, sliding_window=1, use_bias=False, output_shape=2),
        ((QUERY, VALUE), {}),
        [[-0.096743, -0.063681], [-0.085395, 0.193711], [-0.091069, 0.065015]],
    ),
    (
        lambda: MultiHead(2, 2, attention_axes=2, output_shape=1),
        ((wave(1, 2, 3, 4), wave(1, 2, 3, 4, by=0.4)), {}),
        [[[3.601773], [3.458210], [3.567991]], [[3.707797], [3.699760], [3.691738]]],
    ),
    (
        lambda: Grouped(2, 4, 2, use_gate=True),
        ((QUERY, VALUE), {}),
        [
            [0.746568, -0.053808, -0.750223, -0.152665],
            [0.703267, 1.345337, 0.041618, -1.128177],
            [0.628566, 0.135938, -0.530706, -0.224970],
        ],
    ),
    (
        lambda: layers.Attention(use_scale=True, score_mode="concat"),
        (([QUERY, VALUE],), {}),
        [
            [0.872960, 0.672641, 0.366127, 0.001809],
            [0.916521, 0.721398, 0.412381, 0.038259],
            [0.879626, 0.680102, 0.373205, 0.007387],
        ],
    ),
    (
        layers.Attention,
        (([QUERY, VALUE],), {"mask": MASKS, "use_causal_mask": True}),
        [SEEN, SEEN, [0.0] * 4],
    ),
    (
        layers.AdditiveAttention,
        (([QUERY, VALUE],), {}),
        [
            [0.676880, 0.453176, 0.157926, -0.162257],
            [0.712521, 0.493068, 0.195770, -0.132435],
            [0.607941, 0.376015, 0.084725, -0.219941],
        ],
    ),
]


@pytest.mark.parametrize(("make", "call", "expected"), OF_KERAS, ids=range(len(OF_KERAS)))
def test_numbers_of_keras(make, call, expected):
    args, options = call
    layer = with_weights(make(), *args, **options)
    np.testing.assert_allclose(layer(*args, **options)[0], expected, rtol=1e-5, atol=3e-6)


def test_weights_have_the_names_and_shapes_of_files():
    layer = MultiHead(2, 3, value_dim=5, use_gate=True, output_shape=(2, 6), name="a")
    layer(X, Y)
    expected = {
        "query": ((4, 2, 3), (2, 3)),
        "key": ((4, 2, 3), (2, 3)),
        "gate": ((4, 2, 5), (2, 5)),
        "value": ((4, 2, 5), (2, 5)),
        "attention_output": ((2, 5, 2, 6), (2, 6)),
    }
    found = {w.path: tuple(w.shape) for w in layer.weights}
    assert list(found.items()) == [
        (f"a/{name}/{kind}", shape)
        for name, shapes in expected.items()
        for kind, shape in zip(("kernel", "bias"), shapes, strict=True)
    ]


@pytest.mark.parametrize(
    "make", [lambda **o: MultiHead(2, 3, **o), lambda **o: Grouped(3, 4, 2, **o)]
)
def test_masks_say_what_is_seen(make):
    layer = make()
    mask = np.array([[True, False, True], [False, True, True]])
    expected = layer(X, Y, attention_mask=np.repeat(mask[:, None], 5, axis=1))
    for out in (
        layer(X, masked(Y, mask)),
        layer(X, Y, value_mask=mask),
        layer(X, Y, np.array(Y), key_mask=mask),
        layer(X, Y, attention_mask=mask[:, None, None].astype("int32")),
    ):
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-7)
        assert get_mask(out) is None
    changed = np.where(mask[..., None], Y, 7.0).astype("float32")
    np.testing.assert_allclose(layer(X, masked(changed, mask)), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("make", [lambda: MultiHead(2, 3), lambda: Grouped(3, 4, 2)])
def test_masks_of_heads_hold_together_with_others(make):
    """Whatever the numbers of samples and heads are."""
    layer, mask = make(), np.array([[True, False, True], [False, True, True]])
    pairs = np.random.default_rng(3).random((2, 1, 5, 3)) < 0.8
    pairs[..., 2] = True
    expected = layer(X, Y, attention_mask=pairs[:, 0] & mask[:, None])
    np.testing.assert_allclose(layer(X, masked(Y, mask), attention_mask=pairs), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "make", [lambda **o: MultiHead(2, 3, **o), lambda **o: Grouped(3, 4, 2, **o)]
)
def test_the_querys_mask_travels_on_and_the_arguments_keep_theirs(make):
    layer, rows = make(), np.array([[True] * 5, [True, True, False, False, False]])
    query, value = masked(X, rows), masked(Y, np.ones((2, 3)))
    out, scores = layer(query, value, return_attention_scores=True)
    assert get_mask(out) is rows or (get_mask(out) == rows).all()
    assert get_mask(query) is not None
    assert get_mask(value) is not None
    assert get_mask(scores).shape == (2, 1, 5, 3)
    assert not scores[1, :, 2:].any()
    np.testing.assert_allclose(scores.sum(axis=-1)[0], 1.0, rtol=1e-6)


def test_an_explicit_query_mask_counts_for_groups_only():
    rows = np.array([[True] * 5, [True, True, False, False, False]])
    layer = MultiHead(2, 3)
    np.testing.assert_array_equal(layer(X, Y, query_mask=rows), layer(X, Y))
    layer = Grouped(3, 4, 2)
    out, free = layer(X, Y, query_mask=rows), layer(X, Y)
    np.testing.assert_allclose(out[rows], free[rows], rtol=1e-6)
    assert np.abs(out - free)[~rows].max() > 1e-4


@pytest.mark.parametrize("options", [{}, {"sliding_window": 2}, {"dropout": 0.3}])
def test_outputs_are_those_of_the_scores(options):
    for layer in (MultiHead(2, 3, **options), Grouped(3, 2, 1, **options)):
        out, scores = layer(X, X, use_causal_mask=True, return_attention_scores=True)
        np.testing.assert_allclose(layer(X, X, use_causal_mask=True), out, rtol=1e-5, atol=1e-6)
        i, j = np.indices((5, 5))
        seen = (i >= j) & (i - j < options.get("sliding_window", 5))
        assert (scores > 0)[..., seen].all()
        assert not scores[..., ~seen].any()


def test_a_group_is_as_if_its_keys_were_repeated():
    grouped, plain = Grouped(3, 4, 2), MultiHead(4, 3)
    expected = grouped(X, Y)
    plain(X, Y)
    repeated = [
        np.repeat(w, 2, axis=-2) if 2 <= i < 6 else w for i, w in enumerate(grouped.get_weights())
    ]
    plain.set_weights(repeated)
    np.testing.assert_allclose(plain(X, Y), expected, rtol=1e-5, atol=1e-6)


def test_several_attention_axes_are_like_one_long_one():
    pictures = wave(2, 3, 2, 4)
    layer, flat = MultiHead(2, 3, attention_axes=(1, 2)), MultiHead(2, 3)
    mask = random.random((2, 3, 2, 3, 2)) < 0.7
    mask[..., 0, 0] = True
    out, scores = layer(pictures, pictures, attention_mask=mask, return_attention_scores=True)
    line = pictures.reshape(2, 6, 4)
    flat(line, line)
    flat.set_weights(layer.get_weights())
    folded = mask.reshape(2, 6, 6)
    expected, weights = flat(line, line, attention_mask=folded, return_attention_scores=True)
    np.testing.assert_allclose(out.reshape(2, 6, 4), expected, rtol=1e-5, atol=1e-6)
    assert scores.shape == (2, 2, 3, 2, 3, 2)
    assert get_mask(scores).shape == (2, 1, 3, 2, 3, 2)
    np.testing.assert_allclose(scores.reshape(weights.shape), weights, rtol=1e-5, atol=1e-7)


def test_one_attention_axis_of_two():
    pictures = wave(2, 3, 5, 4)
    layer, rows = MultiHead(2, 3, attention_axes=-2, sliding_window=3), MultiHead(2, 3)
    out = layer(pictures, pictures, use_causal_mask=True)
    rows(pictures[:, 0], pictures[:, 0])
    rows.set_weights(layer.get_weights())
    rows.sliding_window = 3
    for i in range(3):
        row = pictures[:, i]
        np.testing.assert_allclose(out[:, i], rows(row, row, use_causal_mask=True), rtol=1e-5)


def test_dropout_repeats_with_its_seed():
    def run(make, *args):
        layer = make()
        layer(*args)
        layer.set_weights([wave(*w.shape) for w in layer.weights])
        return layer(*args), [layer(*args, training=True) for _ in range(2)]

    for make, args in (
        (lambda: MultiHead(2, 3, dropout=0.5, seed=3), (X, Y)),
        (lambda: Grouped(3, 4, 2, dropout=0.5, seed=3), (X, Y)),
        (lambda: layers.Attention(dropout=0.5, seed=3), ([X, Y],)),
    ):
        still, (one, two) = run(make, *args)
        np.testing.assert_array_equal(run(make, *args)[1], [one, two])
        assert np.abs(one - two).max() > 1e-3
        assert np.abs(one - still).max() > 1e-3


@pytest.mark.parametrize("length", [0, 3])
def test_empty_sequences(length):
    for layer in (MultiHead(2, 3), Grouped(3, 4, 2)):
        assert layer(X, Y[:, :length]).shape == (2, 5, 4)
        assert layer(X[:, :0], Y[:, :length]).shape == (2, 0, 4)
        assert np.isfinite(layer(X, Y[:, :length])).all()
    for layer in (layers.Attention(), layers.AdditiveAttention()):
        assert layer([X[:, :0], Y[:, :length]]).shape == (2, 0, 4)
        out, scores = layer([X, Y[:, :length]], return_attention_scores=True)
        assert (out.shape, scores.shape) == ((2, 5, 4), (2, 5, length))
        assert np.isfinite(out).all()


def test_the_scores_of_attention_carry_no_mask():
    rows = np.array([[True] * 5, [True, True, False, False, False]])
    out, scores = layers.Attention()([masked(X, rows), Y], return_attention_scores=True)
    assert (get_mask(out) == rows).all()
    assert get_mask(scores) is None
    assert not out[~rows].any()


def test_a_key_of_its_own():
    key = random.normal(size=Y.shape).astype("float32")
    out, scores = layers.Attention()([X, Y, key], return_attention_scores=True)
    weights = np.exp(X @ key.transpose(0, 2, 1))
    np.testing.assert_allclose(scores, weights / weights.sum(-1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(out, scores @ Y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [None, 5])
def test_in_a_model_that_is_saved(length, tmp_path):
    tokens = Input((length,), dtype="int32")
    x = layers.Embedding(7, 4, mask_zero=True)(tokens)
    x = MultiHead(2, 3, dropout=0.1, use_gate=True)(x, x, use_causal_mask=True)
    y, scores = Grouped(2, 4, 2, sliding_window=2)(x, x, return_attention_scores=True)
    x = layers.AdditiveAttention()([layers.Attention(score_mode="concat")([x, y]), y])
    model = Model(tokens, [layers.Dense(1)(x), scores])
    assert scores.shape == (None, 4, length, length)
    data = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 1, 2]], "int32")
    model.save(tmp_path / "model.keras")
    again = saving.load_model(tmp_path / "model.keras")
    for a, b in zip(model.predict(data, verbose=0), again.predict(data, verbose=0), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "make", [lambda: MultiHead(2, 3), lambda: Grouped(2, 4, 2), layers.Attention], ids=range(3)
)
def test_not_within_a_sequential_model(make):
    for build in (
        lambda: Sequential([Input((5, 4)), make()]),
        lambda: Sequential([make(), layers.Dense(2)])(X),
    ):
        with pytest.raises((TypeError, ValueError), match=r"Attention '.*use a functional model"):
            build()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MultiHead(0, 3), "num_heads must be a positive integer, got 0"),
        (lambda: MultiHead(2, 3, value_dim=-1), "value_dim must be a positive integer, got -1"),
        (lambda: MultiHead(2, 3, attention_axes="no"), "attention_axes must be .*got 'no'"),
        (lambda: MultiHead(2, 3, sliding_window=0), "sliding_window must be a positive integer"),
        (lambda: MultiHead(2, 3, dropout=1.5), "dropout must be between 0 and 1, got 1.5"),
        (lambda: MultiHead(2, 3, dropout=0.1, flash_attention=True), "takes no dropout, got 0.1"),
        (lambda: Grouped(2, 3, 2), "num_key_value_heads must divide num_query_heads, got 2 and 3"),
        (lambda: layers.Attention(score_mode="no"), "score_mode must be 'dot' or 'concat'"),
        (lambda: MultiHead(2, 3)(X[0], X[0]), "equally many axes, 3 or more"),
        (lambda: MultiHead(2, 3)(X, X, Y), r"same sizes between.*\(2, 5, 4\).*\(2, 3, 4\)"),
        (lambda: MultiHead(2, 3, attention_axes=2)(X, X), "attention_axes must be different axes"),
        (lambda: Grouped(2, 4, 2)(X[0], X[0]), "must have 3 axes"),
        (
            lambda: MultiHead(2, 3)(X, Y, attention_mask=np.ones((2, 5, 4), bool)),
            r"scores' shape \(2, 2, 5, 3\)",
        ),
        (
            lambda: MultiHead(2, 3, attention_axes=(1, 2))(
                wave(1, 2, 3, 4), wave(1, 2, 3, 4), use_causal_mask=True
            ),
            "need a single attention axis",
        ),
        (
            lambda: MultiHead(2, 3, attention_axes=(1, 2))(
                wave(1, 2, 3, 4), wave(1, 2, 3, 4), attention_mask=np.ones((1, 3, 3), bool)
            ),
            r"scores' shape \(1, 2, 2, 3, 2, 3\), got a mask of shape \(1, 3, 3\)",
        ),
        (
            lambda: MultiHead(2, 3, flash_attention=True)(X, Y, return_attention_scores=True),
            "gives no attention scores",
        ),
        (
            lambda: MultiHead(2, 3)(
                X, masked(Y, [[1, 1, 1]] * 2), attention_mask=np.ones((2, 5, 4))
            ),
            r"broadcastable to each other, got shapes \(2, 1, 3\), \(2, 5, 4\)",
        ),
        (lambda: MultiHead(2, 3)(X, Y, value_mask=np.ones((2, 4))), r"got a mask .*\(2, 1, 1, 4\)"),
        (lambda: Grouped(2, 4, 2)(X, Y[:1]), "query and key must have equally many samples"),
        (lambda: layers.Attention()([X, Y[..., :2]]), r"same last size, got query \(2, 5, 4\), v"),
        (lambda: layers.AdditiveAttention()([X, Y[..., :2]]), "query and key must have the same"),
        (lambda: layers.Attention()([X, Y, X]), "value and key must have equally many vectors"),
        (
            lambda: layers.Attention()([X, Y], mask=[None, np.ones((2, 5))]),
            r"the value's mask must be broadcastable to \(2, 3\), got shape \(2, 5\)",
        ),
        (
            lambda: layers.Attention()([X, Y], mask=[np.ones((2, 3)), None]),
            r"the query's mask must be broadcastable to \(2, 5\), got shape \(2, 3\)",
        ),
        (lambda: layers.Attention()([X]), "inputs must be a list, .* got 1 of them"),
        (lambda: layers.Attention()([X, Y], mask=X), "mask must be a list"),
        (lambda: Grouped(2, 4, 2).compute_output_shape((2, 5, 4), (2, 5, 3)), "same last size"),
    ],
)
def test_bad_arguments(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_what_is_no_cache():
    with pytest.raises(TypeError, match="cache must be a KeyValueCache, got list"):
        MultiHead(2, 3)(X, Y, cache=[])
