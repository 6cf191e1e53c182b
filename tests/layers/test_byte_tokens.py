"""Many texts at once give what each of them gives."""

from collections import Counter

import numpy as np
import pytest

from gpulayers import layers
from gpulayers.layers import byte_tokens, text_vectorization, vocabulary
from gpulayers.layers.byte_tokens import LONGEST, TokenTable, split_bytes
from gpulayers.layers.vocabulary import Vocabulary

PARTS = ["a", "B", "Zz", "é", "ß", "日本", "𝄞", " ", "  ", "\t", "\n", "\x1c", "\x85", "\xa0", "!",
         "#?", "word", "longer-than-8", "as long as sixteen bytes and more", "", "x" * 33, "[UNK]",
         "\x7f", "\u3000"]  # fmt: skip


def some_texts(seed, count=200):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(PARTS, rng.integers(0, 9))) for _ in range(count)]


OPTIONS = [
    {},
    {"standardize": "lower"},
    {"standardize": "strip_punctuation"},
    {"standardize": None},
    {"ngrams": 3},
    {"ngrams": (3, 1)},
    {"split": "character"},
    {"split": "character", "ngrams": 2},
    {"max_tokens": 9, "output_sequence_length": 4},
    {"ragged": True},
    {"output_mode": "multi_hot"},
    {"output_mode": "count", "max_tokens": 50, "pad_to_max_tokens": True},
    {"output_mode": "tf_idf"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_many_texts_give_what_each_of_them_gives(monkeypatch, options, seed):
    learned, texts = some_texts(seed), some_texts(seed + 10)
    fast = layers.TextVectorization(**options)
    fast.adapt(learned)
    found = fast(texts)
    monkeypatch.setattr(text_vectorization, "_MANY", 10**9)
    slow = layers.TextVectorization(**options)
    slow.adapt(learned)
    assert fast.get_vocabulary() == slow.get_vocabulary()
    expected = slow(texts)
    if options.get("ragged"):
        assert found == expected
    else:
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("waiting", [0, 900, 10**6])
@pytest.mark.parametrize("seed", range(3))
def test_texts_in_small_portions(monkeypatch, seed, waiting):
    """Portions of texts count as one, with documents counted once."""
    layer = layers.TextVectorization(output_mode="tf_idf")
    texts = some_texts(seed)
    layer.adapt(texts)
    expected = layer(texts)
    monkeypatch.setattr(text_vectorization, "_AT_ONCE", 37)
    monkeypatch.setattr(byte_tokens, "PORTION", 50)
    monkeypatch.setattr(vocabulary, "WAITING", waiting)
    again = layers.TextVectorization(output_mode="tf_idf")
    again.adapt(texts)
    assert again.get_vocabulary() == layer.get_vocabulary()
    np.testing.assert_array_equal(again(texts), expected)


@pytest.mark.parametrize("odd", ["a\0b", "x" * (LONGEST + 1), "\ud800"])
def test_what_bytes_cannot_be_is_left_to_strings(odd):
    texts = ["a b"] * 40 + [odd]
    assert split_bytes(texts, True, b"", "whitespace") is None
    layer = layers.TextVectorization()
    layer.adapt(texts)
    assert odd in layer.get_vocabulary()
    assert layer(texts)[-1, 0] == layer.get_vocabulary().index(odd)


def test_tokens_keep_their_order_and_rows():
    found = split_bytes(["Hé,  ü", "", " one two"], True, b",", "whitespace", (1, 2))
    assert found.texts(slice(None)) == ["hé", "ü", "hé ü", "one", "two", "one two"]
    assert found.rows.tolist() == [3, 0, 3]
    found = split_bytes(["日a", "", "𝄞é"], False, b"", "character")
    assert found.texts(slice(None)) == ["日", "a", "𝄞", "é"]
    assert found.rows.tolist() == [2, 0, 2]


@pytest.mark.parametrize("most", [None, 1, 2, 7, 60, 10**6])
def test_the_most_frequent_tokens_come_as_strings_fall(most):
    """By falling counts, then falling: "word" before "wor", "é" before "z", and long ones, too."""
    rng = np.random.default_rng(0)
    endings = ["", "a", "b", "é", "日", "𝄞", "-and-much-longer", "-and-much-longer-still"]
    words = [start + end for start in ("word", "12345678", "wor", "z", "é") for end in endings]
    texts = [" ".join(rng.choice(words, 3)) for _ in range(60)]
    counts = Counter(" ".join(texts).split())
    expected = sorted(sorted(counts, reverse=True), key=counts.get, reverse=True)[:most]
    found = vocabulary.TokenCounts()
    for half in (texts[:30], texts[30:]):
        found.add_bytes(split_bytes(half, False, b"", "whitespace"), False)
    assert found.most_frequent(most) == expected
    assert (
        found.most_frequent(most, without=["z", "12345678"])
        == [
            word
            for word in sorted(sorted(counts, reverse=True), key=counts.get, reverse=True)
            if word not in ("z", "12345678")
        ][:most]
    )
    assert found.tokens == counts  # Nothing was lost.


def test_a_table_finds_all_of_its_tokens_and_no_others():
    tokens = [f"{'token' * (i % 9)}{i}" for i in range(5000)]
    texts = [" ".join(tokens[i : i + 100]) for i in range(0, 5000, 100)]
    found = TokenTable(tokens).places(split_bytes(texts, False, b"", "whitespace"))
    np.testing.assert_array_equal(found, np.arange(5000))
    others = split_bytes([text.upper() for text in texts], False, b"", "whitespace")
    upper = np.array([token.upper() == token for token in tokens])
    np.testing.assert_array_equal(TokenTable(tokens).places(others) >= 0, upper)
    assert (TokenTable([]).places(others) == -1).all()


def test_tokens_of_one_hash_are_told_apart(monkeypatch):
    """Should two of them meet, strings are compared."""
    monkeypatch.setattr(
        byte_tokens.ByteTokens, "hashes", lambda self: np.zeros(len(self), np.uint64)
    )
    vocabulary = Vocabulary(["a", "bb", "ccc"])
    tokens = split_bytes(["bb a", "ccc d a"], False, b"", "whitespace")
    assert vocabulary.places_of_bytes(tokens).tolist() == [1, 0, 2, -1, 0]
    layer = layers.TextVectorization()
    layer.adapt(["bb a"] * 40 + ["ccc d a"] * 40)
    assert layer.get_vocabulary() == ["", "[UNK]", "a", "d", "ccc", "bb"]
