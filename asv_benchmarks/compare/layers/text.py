"""Layers of texts beside Keras's.

Keras's layers of strings need TensorFlow on every backend; KERAS_BACKEND says which, "numpy" by
default.  Both take the same lists of strings (on backends other than TensorFlow, Keras refuses
NumPy's arrays of strings) and take turns, round by round; results are compared first.  Printed are
medians, and the median over rounds of how many times as fast gpulayers is.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from statistics import median

TEXTS, WORDS, LENGTH = 20_000, 20_000, 12
PUNCTUATION = (" ", " ", " ", ", ", ". ", " - ")


def texts(count: int = TEXTS):
    """Short texts of invented words that are as frequent as those of a language (Zipf)."""
    import numpy as np

    rng = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
    words = ["".join(rng.choice(letters[:20], rng.integers(2, 10))) for _ in range(WORDS)]
    words = np.array(words, object)
    frequencies = 1 / np.arange(1, WORDS + 1)
    frequencies /= frequencies.sum()

    def text():
        chosen = rng.choice(words, rng.integers(4, 2 * LENGTH), p=frequencies)
        gaps = rng.choice(PUNCTUATION, len(chosen))
        return "".join(w + g for w, g in zip(chosen, gaps, strict=True)).strip().capitalize()

    return [text() for _ in range(count)]


def vectorization(options, learn):
    """The call of TextVectorization on all texts, or its `adapt`."""

    def made(layers, data):
        layer = layers.TextVectorization(**options)
        layer.adapt(data)
        if not learn:
            return lambda: layer(data)

        def adapt():
            layer.adapt(data)
            return layer.get_vocabulary()

        return adapt

    return made


def words_of(data, count):
    import numpy as np

    return np.resize(np.array(" ".join(data).split(), object), count).tolist()


def hashing(**options):
    """Hashing of a million strings."""

    def made(layers, data):
        layer, words = layers.Hashing(1000, **options), words_of(data, 1_000_000)
        return lambda: layer(words)

    return made


def lookup(layers, data):
    """StringLookup of 200,000 strings."""
    words = words_of(data, 200_000)
    layer = layers.StringLookup()
    layer.adapt(words)
    return lambda: layer(words)


NUMBERS = {"output_sequence_length": LENGTH, "max_tokens": 10_000}
CASES = (
    ("numbers", vectorization(NUMBERS, False)),
    ("multi_hot", vectorization({"output_mode": "multi_hot", "max_tokens": 1000}, False)),
    ("tf_idf", vectorization({"output_mode": "tf_idf", "max_tokens": 1000}, False)),
    ("bigrams", vectorization({"ngrams": 2, "max_tokens": 10_000}, False)),
    ("characters", vectorization({"split": "character"}, False)),
    ("adapt", vectorization({"max_tokens": 10_000}, True)),
    ("adapt, tf_idf", vectorization({"output_mode": "tf_idf", "max_tokens": 10_000}, True)),
    ("adapt, bigrams", vectorization({"ngrams": 2, "max_tokens": 10_000}, True)),
    ("StringLookup", lookup),
    ("Hashing, a million strings", hashing()),
    ("Hashing with salt, a million strings", hashing(salt=[1, 2])),
)


def timed(function) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compared(theirs, ours, rounds: int):
    """Median times and the ratio.  Raises AssertionError if results differ."""
    import numpy as np

    np.testing.assert_allclose(_numbers(ours()), _numbers(theirs()), rtol=1e-5)
    turns = [(timed(theirs), timed(ours)) for _ in range(rounds)]
    return *map(median, zip(*turns, strict=True)), median(a / b for a, b in turns)


def _numbers(found):
    """Numbers, or for words whether they are in order, as an array."""
    import numpy as np

    if isinstance(found, list):
        return np.array([hash(str(word)) for word in found], float)
    return np.asarray(found, float)


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only names with this in them")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "numpy")
    try:
        import keras
        import tensorflow  # noqa: F401 (Keras says only later that it needs it.)
    except ImportError as error:
        sys.exit(f"{error}: Keras is compared by an interpreter that has it, and TensorFlow.")

    import gpulayers

    data = texts()
    print("| | Keras, ms | gpulayers, ms | times as fast |\n| --- | ---: | ---: | ---: |")
    for name, made in CASES:
        if options.only not in name:
            continue
        theirs, ours = made(keras.layers, data), made(gpulayers.layers, data)
        there, here, ratio = compared(theirs, ours, options.rounds)
        print(f"| {name} | {there * 1e3:.0f} | {here * 1e3:.0f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
