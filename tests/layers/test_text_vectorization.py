"""Texts as numbers: values from Keras's documentation and by hand."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers
from gpulayers.registry import register_keras_serializable

WORDS = ["earth", "wind", "and", "fire"]
TEXTS = [["Earth, wind... and FIRE!"], ["fire  and\tearth michigan"]]


@register_keras_serializable("text_vectorization")
def without_vowels(texts):
    return np.char.replace(texts, "a", "")


def test_words_are_standardized_split_numbered_and_padded():
    layer = layers.TextVectorization(vocabulary=WORDS)
    assert layer.get_vocabulary() == ["", "[UNK]", *WORDS]
    expected = [[2, 3, 4, 5], [5, 4, 2, 1]]
    flat = [text for (text,) in TEXTS]
    for x in (TEXTS, np.array(TEXTS), np.array(TEXTS, object), np.array(TEXTS, "S"), flat):
        y = layer(x)
        assert y.dtype == np.int64
        assert y.tolist() == expected
    assert layer("wind and").tolist() == [3, 4]
    assert layer(["wind", "", "and and"]).tolist() == [[3, 0], [0, 0], [4, 4]]


def test_columns_of_tables():
    pandas = pytest.importorskip("pandas")
    column = pandas.Series([text for (text,) in TEXTS])
    layer = layers.TextVectorization()
    layer.adapt(column)
    assert layer(column).shape == (2, 4)


@pytest.mark.parametrize(
    ("length", "expected"), [(2, [[2, 3], [1, 0]]), (4, [[2, 3, 4, 0], [1, 0, 0, 0]])]
)
def test_sequences_are_cut_and_padded(length, expected):
    layer = layers.TextVectorization(vocabulary=WORDS, output_sequence_length=length)
    assert layer(["earth wind and", "x"]).tolist() == expected


def test_ragged_gives_lists():
    layer = layers.TextVectorization(vocabulary=WORDS, ragged=True)
    assert layer(["earth wind and", "x", ""]) == [[2, 3, 4], [1], []]
    cut = layers.TextVectorization(vocabulary=WORDS, ragged=True, output_sequence_length=2)
    assert cut(["earth wind and", "x"]) == [[2, 3], [1]]


def test_adapt_as_keras_documents_it():
    layer = layers.TextVectorization(max_tokens=5000, output_sequence_length=4)
    layer.adapt(["foo bar", "bar baz", "baz bada boom"])
    assert layer([["foo qux bar"], ["qux baz"]]).tolist() == [[4, 1, 3, 0], [1, 2, 0, 0]]


def test_adapt_reads_batches_once():
    texts = [f"w{i % 7} w{i % 3} w{i}" for i in range(100)]
    whole, batched = layers.TextVectorization(), layers.TextVectorization()
    whole.adapt(texts)
    batched.adapt(np.array(texts[i : i + 9]) for i in range(0, 100, 9))
    assert whole.get_vocabulary() == batched.get_vocabulary()
    few = layers.TextVectorization()
    few.adapt((np.array([text]) for text in texts), steps=1)
    assert few.get_vocabulary() == ["", "[UNK]", "w0"]


def test_standardization_and_splitting():
    def tokens(text, **options):
        layer = layers.TextVectorization(**options)
        layer.adapt([text])
        return sorted(layer.get_vocabulary(include_special_tokens=False))

    assert tokens("É a_B\u00a0c d", standardize="lower") == ["a_b\u00a0c", "d", "É"]
    assert tokens("A-b, C", standardize="strip_punctuation") == ["Ab", "C"]
    assert tokens("A-b,", standardize=None) == ["A-b,"]
    assert tokens("abä", split="character") == ["a", "b", "ä"]
    assert tokens("a b", split=None) == ["a b"]

    def at_hyphens(texts):
        return [text.split("-") for text in texts]

    assert tokens("b-a", standardize=without_vowels, split=at_hyphens) == ["b"]


def test_ngrams():
    layer = layers.TextVectorization(ngrams=2)
    layer.adapt(["a b a b"])
    assert layer.get_vocabulary() == ["", "[UNK]", "b", "a b", "a", "b a"]
    assert layer(["a b"]).tolist() == [[4, 2, 3]]
    pairs = layers.TextVectorization(ngrams=(2,), vocabulary=["a b"])
    assert pairs(["a b a", "a"]).tolist() == [[2, 1], [0, 0]]


def test_vectors():
    x = ["earth earth fire", "", "x"]
    count = layers.TextVectorization(vocabulary=WORDS, output_mode="count")
    assert count(x).tolist() == [[0, 2, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
    padded = layers.TextVectorization(
        7, vocabulary=WORDS, output_mode="multi_hot", pad_to_max_tokens=True
    )
    assert padded(x)[0].tolist() == [0, 1, 0, 0, 1, 0, 0]
    weighted = layers.TextVectorization(output_mode="tf_idf")
    weighted.adapt(["a a b", "a"])
    weights = np.log([1 + 2 / 3, 2])
    np.testing.assert_allclose(weighted(["a a b"]), [[0, 2 * weights[0], weights[1]]], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"standardize": "upper"}, "standardize must be one of"),
        ({"split": "lines"}, "split must be one of"),
        ({"ngrams": "2"}, "ngrams must be"),
        ({"ngrams": 0}, "ngrams must be"),
        ({"ngrams": (1, 0)}, "ngrams must be"),
        ({"output_sequence_length": -1}, "output_sequence_length must be"),
        ({"output_mode": "x"}, "output_mode must be one of"),
        ({"output_mode": "count", "output_sequence_length": 3}, "output_sequence_length must be"),
        ({"output_mode": "count", "ragged": True}, "ragged=True needs"),
    ],
)
def test_what_it_refuses_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        layers.TextVectorization(**options)


def test_what_it_refuses_when_called():
    layer = layers.TextVectorization(vocabulary=WORDS)
    with pytest.raises(ValueError, match=r"expected texts of shape \(batch,\)"):
        layer([["a", "b"]])
    with pytest.raises(TypeError, match="expected strings, got None"):
        layer(["a", None])
    with pytest.raises(ValueError, match="nothing to learn"):
        layer.adapt(["a"])


def test_a_model_of_texts_learns_and_is_saved(tmp_path):
    texts = np.array(["good fine good", "bad awful", "fine", "awful bad bad"] * 8)[:, None]
    labels = np.array([1, 0, 1, 0] * 8)
    vectorize = layers.TextVectorization(output_sequence_length=3)
    vectorize.adapt(texts)
    inputs = gl.Input((1,), dtype="string")
    x = layers.Embedding(vectorize.vocabulary_size(), 4)(vectorize(inputs))
    model = gl.Model(inputs, layers.Dense(1, "sigmoid")(layers.GlobalAveragePooling1D()(x)))
    model.compile(gl.optimizers.Adam(0.1), "binary_crossentropy")
    losses = model.fit(texts, labels, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    model.save(tmp_path / "model.keras")
    same = gl.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(same.predict(texts, verbose=0), model.predict(texts, verbose=0))


def test_a_sequential_model_without_an_input():
    vectorize = layers.TextVectorization(vocabulary=WORDS, output_mode="count")
    model = gl.Sequential([vectorize, layers.Dense(2)])
    texts = np.array(TEXTS)
    np.testing.assert_array_equal(model.predict(texts, verbose=0), model(texts))


def test_its_config_makes_an_equal_layer():
    layer = layers.TextVectorization(
        9, without_vowels, "character", (1, 2), vocabulary=["b", "c", "b c"]
    )
    same = layers.TextVectorization.from_config(layer.get_config())
    assert same(["abc"]).tolist() == layer(["abc"]).tolist() == [[2, 3, 4]]


@pytest.mark.parametrize("mode", ["int", "tf_idf"])
@pytest.mark.parametrize("most", [None, 3, 4, 9, 40, 1000])
def test_one_batch_and_many_learn_the_same(mode, most):
    """One batch alone makes strings only of frequent tokens; special ones among these included."""
    rng = np.random.default_rng(3)
    words = np.array(["[UNK]", *(f"w{i}" for i in range(60)), "ünder", "much-longer-than-8-bytes"])
    texts = [" ".join(words[rng.integers(0, rng.integers(2, 63), 8)]) for _ in range(120)]
    how = {"standardize": None, "ngrams": 2, "output_mode": mode, "max_tokens": most}
    whole, parts, single = (layers.TextVectorization(**how) for _ in range(3))
    whole.adapt(texts)
    parts.adapt(texts[start : start + 40] for start in (0, 40, 80))
    for text in texts:  # Too few for the way through bytes.
        single.update_state([text])
    single.finalize_state()
    assert whole.get_vocabulary() == parts.get_vocabulary() == single.get_vocabulary()
    np.testing.assert_array_equal(whole(texts), parts(texts))
    np.testing.assert_array_equal(whole(texts), single(texts))
