"""Layers that look terms up in a vocabulary."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers

WORDS = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[1, 3], [0, 0]]),
        ({"mask_token": ""}, [[2, 4], [1, 0]]),
        ({"num_oov_indices": 3}, [[3, 5], [2, 0]]),
        ({"num_oov_indices": 3, "mask_token": ""}, [[4, 6], [3, 0]]),
    ],
)
def test_string_lookup(options, expected):
    layer = layers.StringLookup(vocabulary=WORDS, **options)
    x = [["a", "c"], ["z", ""]]
    y = layer(x)
    assert y.dtype == np.int64
    assert y[0].tolist() == expected[0]
    unknown = range(options.get("num_oov_indices", 1) + int("mask_token" in options))
    assert set(y[1].tolist()) <= set(unknown)
    if "mask_token" in options:
        assert y[1, 1] == 0 < y[1, 0]
    for same in (np.array(x), np.array(x, object), np.array(x, "S")):
        np.testing.assert_array_equal(layer(same), y)


def test_all_modes():
    x = [["a", "c", "c"], ["b", "z", ""]]

    def result(mode, **options):
        layer = layers.StringLookup(vocabulary=WORDS, mask_token="", output_mode=mode, **options)
        return layer(x).tolist()

    assert result("multi_hot") == [[0, 1, 0, 1], [1, 0, 1, 0]]
    assert result("count") == [[0, 1, 0, 2], [1, 0, 1, 0]]
    assert result("count", max_tokens=6, pad_to_max_tokens=True)[0] == [0, 1, 0, 2, 0, 0]
    assert result("tf_idf", idf_weights=[0.5, 2, 3])[0] == [0, 0.5, 0, 6]
    one_hot = np.array(result("one_hot"))
    assert one_hot.shape == (2, 3, 4)
    assert one_hot.sum(-1).tolist() == [[1, 1, 1], [1, 1, 0]]


def test_the_way_back():
    layer = layers.StringLookup(vocabulary=WORDS, mask_token="", invert=True)
    assert layer([[2, 4], [0, 1], [9, -1]]).tolist() == [["a", "c"], ["", "[UNK]"], ["[UNK]"] * 2]
    layer = layers.IntegerLookup(vocabulary=[30, 10], invert=True)
    assert layer(np.array([0, 1, 2])).tolist() == [-1, 30, 10]


def test_integer_lookup():
    layer = layers.IntegerLookup(vocabulary=[12, 36, 1138, 42], num_oov_indices=2)
    assert layer([[12, 1138, 42], [42, 1000, 37]]).tolist() == [[2, 4, 5], [5, 0, 1]]
    hashed = layers.IntegerLookup(vocabulary=[1], num_oov_indices=100, oov_method="farmhash")
    assert hashed([7])[0] == layers.Hashing(100)(["7"])[0]
    salted = layers.IntegerLookup(
        vocabulary=[1], num_oov_indices=100, oov_method="farmhash", salt=5
    )
    assert salted([7])[0] == layers.Hashing(100, salt=5)(["7"])[0]


def test_numbers_stay_beside_the_inputs():
    import array_api_strict

    x = array_api_strict.asarray([12, 7], device=array_api_strict.Device("device1"))
    y = layers.IntegerLookup(vocabulary=[7, 12])(x)
    assert y.device == x.device
    assert np.asarray(y._array).tolist() == [2, 1]


def test_adapt_sorts_by_frequency_and_then_backwards():
    data = ["c", "a", "b", "b", "c", "d"]
    pandas = pytest.importorskip("pandas")
    batches = (np.array(data[i : i + 2]) for i in (0, 2, 4))
    for given in (data, np.array(data), pandas.Series(data), batches):
        layer = layers.StringLookup()
        layer.adapt(given)
        assert layer.get_vocabulary() == ["[UNK]", "c", "b", "d", "a"]
    assert layer.get_vocabulary(include_special_tokens=False) == ["c", "b", "d", "a"]
    assert layer.vocabulary_size() == 5
    small = layers.StringLookup(max_tokens=3)
    small.adapt(data)
    assert small.get_vocabulary() == ["[UNK]", "c", "b"]
    integers = layers.IntegerLookup(mask_token=0)
    integers.adapt([[5, 0, 7], [7, 3, 5]])
    assert integers.get_vocabulary() == [0, -1, 7, 5, 3]


def test_adapt_stops_after_steps_and_learns_document_frequencies():
    layer = layers.StringLookup()
    layer.adapt((["a"], ["b"], ["c"]).__iter__(), steps=2)
    assert layer.get_vocabulary() == ["[UNK]", "b", "a"]
    layer = layers.StringLookup(output_mode="tf_idf")
    layer.adapt([["a", "a"], ["a", "b"]])
    weights = np.log([1 + 2 / 3, 2])
    np.testing.assert_allclose(layer.idf_weights, [weights.mean(), *weights], rtol=1e-6)
    np.testing.assert_allclose(layer([["b", "b"]]), [[0, 0, 2 * weights[1]]], rtol=1e-6)


def test_lists_of_different_lengths():
    layer = layers.StringLookup(vocabulary=WORDS)
    assert layer([["a"], ["b", "z"], []]) == [[1], [2, 0], []]
    count = layers.StringLookup(vocabulary=WORDS, output_mode="count")
    assert count([["a"], ["b", "b"]]).tolist() == [[0, 1, 0, 0], [0, 0, 2, 0]]


def test_vocabularies_from_files(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("a\nä b\nc\n", encoding="utf-8")
    layer = layers.StringLookup(vocabulary=str(path))
    assert layer.get_vocabulary() == ["[UNK]", "a", "ä b", "c"]
    assert layer.get_config()["vocabulary"] is None
    with pytest.raises(ValueError, match="may not name a file"):
        layers.StringLookup.from_config({**layer.get_config(), "vocabulary": str(path)})
    path.write_bytes(b"\n\n")
    with pytest.raises(ValueError, match="the vocabulary is empty"):
        layers.StringLookup(vocabulary=str(path))
    with pytest.raises(ValueError, match="no file"):
        layers.StringLookup(vocabulary=str(tmp_path / "none.txt"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary": ["a", "b", "a"]}, "several times: \\['a'\\]"),
        ({"vocabulary": []}, "is empty"),
        ({"vocabulary": ["b", ""], "mask_token": ""}, "'' is a special token"),
        ({"vocabulary": ["a", "[UNK]"], "invert": True}, "'\\[UNK\\]' is a special token"),
        ({"vocabulary": WORDS, "max_tokens": 3}, "more than max_tokens=3"),
        ({"vocabulary": WORDS, "output_mode": "tf_idf"}, "idf_weights must be given"),
        ({"vocabulary": WORDS, "idf_weights": [1]}, "idf_weights are for"),
        ({"vocabulary": WORDS, "idf_weights": [1], "output_mode": "tf_idf"}, "as many as terms"),
        ({"max_tokens": 1}, "greater than 1"),
        ({"num_oov_indices": -1}, "must not be negative"),
        ({"pad_to_max_tokens": True}, "needs max_tokens"),
        ({"output_mode": "count", "invert": True}, "must be 'int' if invert"),
        ({"salt": "a"}, "salt must be"),
    ],
)
def test_what_it_refuses_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        layers.StringLookup(**options)


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count", "tf_idf"])
@pytest.mark.parametrize("learned", [None, [], [[]]])
def test_without_a_vocabulary(mode, learned):
    """Keras fails in all of these, on TensorFlow as its tables are not initialized."""
    padded = {"max_tokens": 5, "pad_to_max_tokens": True}
    for layer, x in (
        (layers.StringLookup(output_mode=mode), ["z"]),
        (layers.StringLookup(output_mode=mode, **padded), [["z"]]),
        (layers.IntegerLookup(output_mode=mode, num_oov_indices=3), [3]),
        (layers.TextVectorization(output_mode=mode), ["z z"]),
        (layers.TextVectorization(output_mode=mode), ["z z"] * 40),
        (layers.TextVectorization(output_mode=mode, split=None), ["z z"]),
    ):
        assert len(layer(gl.Input((1,), dtype="string")).shape) in (2, 3)
        if learned is not None and not isinstance(layer, layers.IntegerLookup):
            layer.adapt(learned if not isinstance(layer, layers.TextVectorization) else [])
        with pytest.raises(RuntimeError, match="knows no terms: give a vocabulary, or call adapt"):
            layer(x)
    with pytest.raises(RuntimeError, match="knows no terms"):
        layers.StringLookup(invert=True)([1])


def test_what_it_refuses_when_called():
    with pytest.raises(ValueError, match="num_oov_indices=0 lets in nothing"):
        layers.StringLookup(vocabulary=WORDS, num_oov_indices=0)(["z"])
    with pytest.raises(TypeError, match="expected strings, got None"):
        layers.StringLookup(vocabulary=WORDS)(["a", None])
    with pytest.raises(TypeError, match="expected strings, got 1"):
        layers.StringLookup(vocabulary=WORDS)(["a", 1])
    with pytest.raises(TypeError, match="expected integers"):
        layers.IntegerLookup(vocabulary=[1])(["a"])
    for layer in (
        layers.StringLookup(max_tokens=2, num_oov_indices=3),
        layers.StringLookup(max_tokens=3, num_oov_indices=3),
        layers.StringLookup(max_tokens=3, num_oov_indices=3, mask_token=""),
    ):
        with pytest.raises(ValueError, match=r"leaves nothing to learn beside [34] special tokens"):
            layer.adapt(WORDS)
    with pytest.raises(ValueError, match="takes whole numbers, got NaN"):
        layers.IntegerLookup().adapt(np.array([1.0, np.nan]))
    layer = layers.StringLookup(vocabulary=WORDS, output_mode="count")
    with pytest.raises(RuntimeError, match="must keep its size of 4"):
        layer.set_vocabulary(["a"])
    with pytest.raises(ValueError, match="nothing to learn"):
        layer.adapt(["a"])


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("adapted", [True, False])
def test_a_saved_model_carries_its_vocabulary(tmp_path, adapted, zipped):
    x = np.array([["a", "é"], ["b", "z"], ["b", ""]])
    options = {"output_mode": "tf_idf", "mask_token": ""}
    if adapted:
        lookup = layers.StringLookup(**options)
        lookup.adapt(x)
    else:
        lookup = layers.StringLookup(vocabulary=WORDS, idf_weights=[1.0, 2.0, 3.0], **options)
    numbers = layers.StringLookup(mask_token="")
    numbers.adapt(x)
    inputs = gl.Input((2,), dtype="string")
    model = gl.Model(inputs, [lookup(inputs), numbers(inputs)])
    path = tmp_path / ("model.keras" if zipped else "model")
    model.save(path, zipped=zipped)
    same = gl.saving.load_model(path)
    for a, b in zip(model(x), same(x), strict=True):
        np.testing.assert_array_equal(a, b)
    assert same.layers[-1].get_vocabulary() == numbers.get_vocabulary()


def test_single_terms_and_nothing_as_vectors():
    layer = layers.StringLookup(vocabulary=["a", "b"], num_oov_indices=2, output_mode="multi_hot")
    assert layer("b").tolist() == [0, 0, 0, 1]
    assert layer("unseen").sum() == 1
    assert layer([]).tolist() == [0, 0, 0, 0]
    assert layers.CategoryEncoding(3, "count")([]).tolist() == [0, 0, 0]
    texts = layers.TextVectorization(vocabulary=["a", "b"], output_mode="count")
    assert texts("").tolist() == [0, 0, 0]
    assert texts("b b a").tolist() == [0, 1, 2]


@pytest.mark.parametrize("training", [None, False, True])
def test_training_changes_nothing(training):
    for layer in (
        layers.StringLookup(vocabulary=WORDS),
        layers.Hashing(5),
        layers.TextVectorization(vocabulary=WORDS),
    ):
        x = np.array(["a", "c", "z"])
        np.testing.assert_array_equal(layer(x, training=training), layer(x))
