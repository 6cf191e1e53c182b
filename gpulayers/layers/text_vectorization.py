"""Layers that turn texts into numbers."""

from __future__ import annotations

import re
import string
from itertools import chain

import numpy as np

from .. import config, registry
from .adapting import as_whole, batches
from .byte_tokens import ByteTokens, split_bytes
from .category_encoding import MODES, check_mode
from .host_layer import HostLayer, as_values
from .lookup import StringLookup
from .vocabulary_files import check_no_file

# As TensorFlow's kernels do it, only ASCII letters are lowered, and only its white space splits.
_LOWER = {ord(a): b for a, b in zip(string.ascii_uppercase, string.ascii_lowercase, strict=True)}
_STRIP = dict.fromkeys(map(ord, string.punctuation))
_STANDARDS = {
    "lower_and_strip_punctuation": _LOWER | _STRIP,
    "lower": _LOWER,
    "strip_punctuation": _STRIP,
    None: {},
}
_OTHER_SPACE = re.compile("[\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_AT_ONCE = 1 << 18  # Characters of texts whose tokens are in the processor's cache together.
_MANY = 32  # Texts that are worth a way through bytes.


class TextVectorization(HostLayer):
    """Texts as sequences of the numbers of their words, or as vectors of what occurs in them.

    Each text is standardized, split into tokens, these joined to n-grams, and looked up in a
    vocabulary: number 0 is padding, 1 stands for all unknown tokens ("int"; else unknown ones are
    number 0).

    Args:
        max_tokens: the most numbers there may be; None for no limit.
        standardize: "lower_and_strip_punctuation", "lower" or "strip_punctuation" (of ASCII),
            None, or a function of an array of strings.
        split: "whitespace", "character", None, or a function from an array of strings to lists of
            tokens.
        ngrams: None, the longest n-gram, or a tuple of the lengths to take.
        output_mode: "int" for numbers; "multi_hot", "count", "tf_idf" as in `StringLookup`.
        output_sequence_length: to how many numbers texts are cut or padded, with "int".
        pad_to_max_tokens: whether vectors have `max_tokens` places even if there are fewer.
        vocabulary: different strings, or a text file of one in each line; else `adapt` learns it.
        idf_weights: with "tf_idf", the weights of the vocabulary.
        sparse: without effect, and an error with "int": arrays are dense here.
        ragged: whether "int" gives lists of different lengths, without padding.
        encoding: of texts that are given as bytes.

    Takes texts (batch,) or (batch, 1), as arrays, lists or columns of tables, or a single one;
    gives int64 (batch, length), or vectors (batch, numbers).
    """

    def __init__(
        self,
        max_tokens=None,
        standardize="lower_and_strip_punctuation",
        split="whitespace",
        ngrams=None,
        output_mode="int",
        output_sequence_length=None,
        pad_to_max_tokens=False,
        vocabulary=None,
        idf_weights=None,
        sparse=False,
        ragged=False,
        encoding="utf-8",
        name=None,
        **kwargs,
    ):
        hidden = {k: kwargs.pop(k, None) for k in ("has_input_vocabulary", "vocabulary_size")}
        if hidden["has_input_vocabulary"] is None:
            hidden["has_input_vocabulary"] = vocabulary is not None
        super().__init__(name=name, **kwargs)
        self._standardize = _checked("standardize", standardize, tuple(_STANDARDS)[:3])
        self._split = _checked("split", split, ("whitespace", "character"))
        self._ngrams_arg, self._ngrams = ngrams, _widths(ngrams)
        self._output_mode = check_mode("TextVectorization", output_mode, (*MODES, "tf_idf"))
        self._output_sequence_length = output_sequence_length
        self._ragged = ragged
        self.encoding = encoding
        self._check_options()
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=self._output_mode,
            sparse=sparse,
            encoding=encoding,
            **hidden,
        )

    def _check_options(self):
        length, mode = self._output_sequence_length, self._output_mode
        if length is not None and (mode != "int" or not isinstance(length, int) or length < 0):
            raise ValueError(
                "TextVectorization: output_sequence_length must be None or, with output_mode='int',"
                f" a whole number, not negative; got {length!r} with {mode!r}."
            )
        if self._ragged and mode != "int":
            raise ValueError(
                f"TextVectorization: ragged=True needs output_mode='int', got {mode!r}."
            )

    # From texts to tokens.

    def _tokens(self, texts: np.ndarray):
        """The tokens of an array of texts.

        `ByteTokens` of many texts, if what to do is known; else a list of tokens for each text, or
        an array if they are not split.
        """
        found = self._byte_tokens(texts)
        if found is not None:
            return found
        texts = self._standardized(texts)
        if self._split is None:
            tokens = texts
        else:
            rows = self._split_up(texts.ravel())
            tokens = [list(row) for row in rows] if callable(self._split) else rows
        if self._ngrams is None:
            return tokens
        if isinstance(tokens, list):
            return [_joined(row, self._ngrams) for row in tokens]
        rows = [_joined(r, self._ngrams) for r in tokens.reshape(-1, tokens.shape[-1]).tolist()]
        made = np.array(rows, object)
        return made.reshape((*tokens.shape[:-1], made.shape[-1]))

    def _byte_tokens(self, texts):
        """The tokens of many texts as bytes; None if they have to be strings."""
        words, characters = self._split == "whitespace", self._split == "character"
        known = words or (characters and self._ngrams is None)
        if texts.size < _MANY or callable(self._standardize) or not known:
            return None
        table = _STANDARDS[self._standardize]
        strip = "".join(map(chr, _STRIP)).encode() if table.keys() >= _STRIP.keys() else b""
        lower = table.keys() >= _LOWER.keys()
        return split_bytes(texts.ravel().tolist(), lower, strip, self._split, self._ngrams)

    def _standardized(self, texts):
        if callable(self._standardize):
            return as_values(self._standardize(texts.astype(str)), self.encoding)
        if self._standardize is None:
            return texts
        table = str.maketrans(_STANDARDS[self._standardize])
        made = np.empty(texts.size, object)
        made[:] = [text.translate(table) for text in texts.ravel().tolist()]
        return made.reshape(texts.shape)

    def _split_up(self, texts):
        if callable(self._split):
            rows = self._split(texts.astype(str))
            return rows.tolist() if hasattr(rows, "tolist") else rows
        if self._split == "character":
            return [list(text) for text in texts.tolist()]
        return [
            text.split()
            if (text.isascii() and text.isprintable()) or not _OTHER_SPACE.search(text)
            else [part.decode() for part in text.encode().split()]
            for text in texts.tolist()
        ]

    def _texts(self, inputs):
        """The texts, without a last axis of size 1 if they are to be split."""
        values = self._lookup_layer.checked(as_values(inputs, self.encoding))
        if self._split is None or values.ndim < 2:
            return values
        if values.shape[-1] != 1:
            raise ValueError(
                f"TextVectorization {self.name!r}: expected texts of shape (batch,) or (batch, 1), "
                f"got {values.shape}."
            )
        return values[..., 0]

    # From tokens to numbers.

    def call(self, inputs):
        texts = self._texts(inputs)
        lookup = self._lookup_layer
        if self._split is None:
            tokens = self._tokens(texts)
            numbers = lookup.numbers(lookup.checked(tokens))
            return self._cut(numbers) if self._output_mode == "int" else lookup.encoded(numbers)
        numbers, lengths = self._numbers(texts.ravel())
        if self._ragged:
            rows = np.split(numbers, lengths.cumsum()[:-1])
            rows = [row[: self._output_sequence_length].tolist() for row in rows]
            return rows if texts.ndim else rows[0]
        if self._output_mode != "int":
            found = lookup.encoded(_padded(numbers, lengths, None, -1))
            return found.reshape(*texts.shape, *found.shape[1:])
        if not texts.ndim:
            return self._cut(numbers)
        found = _padded(numbers, lengths, self._output_sequence_length, 0)
        return found.reshape(*texts.shape, found.shape[-1])

    def _numbers(self, texts):
        """The numbers of the tokens of all texts, and how many tokens each has."""
        lookup, numbers, lengths = self._lookup_layer, [], []
        for some in _portions(texts):
            tokens = self._tokens(some)
            if isinstance(tokens, ByteTokens):
                numbers.append(lookup.numbers_of_bytes(tokens))
                lengths.append(tokens.rows)
            else:
                flat = np.array(list(chain.from_iterable(tokens)), object)
                numbers.append(lookup.numbers(flat))
                lengths.append(np.array([len(row) for row in tokens], np.int64))
        return np.concat(numbers), np.concat(lengths)

    def _cut(self, numbers):
        """An array of numbers, cut or padded in its last axis."""
        length = self._output_sequence_length
        if length is None:
            return numbers
        numbers = numbers[..., :length]
        missing = 0 if self._ragged else length - numbers.shape[-1]
        return np.pad(numbers, [(0, 0)] * (numbers.ndim - 1) + [(0, missing)])

    # The vocabulary.

    def adapt(self, data, batch_size=None, steps=None) -> None:
        """Learn the vocabulary from texts: the tokens by falling frequency, then falling.

        Args:
            data: an array, a list or a column of a table; or an iterable of batches of texts, which
                is read once.
            batch_size: without effect, as in Keras.
            steps: take no more batches than this.

        Raises ValueError for a layer with a given vocabulary.
        """
        self.reset_state()
        whole = data if isinstance(data, (list, tuple)) else as_whole(data)
        if whole is None:
            for batch in batches("TextVectorization", data, steps):
                self.update_state(batch)
        else:
            values = whole if self._split else as_values(whole, self.encoding)
            flat = not self._split and values.ndim == 1
            self.update_state(values[:, None] if flat else values)
        self.finalize_state()

    def update_state(self, data) -> None:
        """Count the tokens of a batch of texts, each of which is a document."""
        if self._lookup_layer._has_input_vocabulary:
            self._lookup_layer.update_state(data)  # Raises.
        texts = self._texts(data)
        if self._split is None:
            self._lookup_layer.update_state(self._tokens(texts))
            return
        for some in _portions(texts.ravel()):
            tokens = self._tokens(some)
            if isinstance(tokens, ByteTokens):
                self._lookup_layer.count_bytes(tokens)
            else:
                self._lookup_layer.count_rows(tokens)

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The tokens in the order of their numbers, by default with "" and "[UNK]"."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many numbers there are, those of padding and unknown tokens included."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary, idf_weights=None) -> None:
        """Use these tokens, in place of those before: see `StringLookup.set_vocabulary`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    # Without data, and in files.

    @property
    def compute_dtype(self) -> str:
        """The dtype of what it takes, which the `Input` before it gets if there is none."""
        return "string"

    @property
    def output_dtype(self) -> str:
        """The dtype of the outputs: int64 for numbers, else floatx."""
        return "int64" if self._output_mode == "int" else config.floatx()

    def compute_output_shape(self, input_shape):
        if self._output_mode == "int":
            return (input_shape[0], self._output_sequence_length)
        shape = tuple(input_shape)
        if self._split is not None:
            shape = (*shape, None) if len(shape) < 2 else (*shape[:-1], None)
        elif len(shape) < 2:
            shape = (*shape, 1)
        return self._lookup_layer.compute_output_shape(shape)

    def get_config(self):
        lookup = self._lookup_layer.get_config()
        same = ("max_tokens", "pad_to_max_tokens", "sparse", "vocabulary", "idf_weights")
        config = {
            "standardize": registry.serialize(self._standardize),
            "split": registry.serialize(self._split),
            "ngrams": self._ngrams_arg,
            "output_mode": self._output_mode,
            "output_sequence_length": self._output_sequence_length,
            "ragged": self._ragged,
            "encoding": self.encoding,
            "vocabulary_size": lookup["vocabulary_size"],
        }
        return {**super().get_config(), **config, **{name: lookup[name] for name in same}}

    @classmethod
    def from_config(cls, config):
        """A layer from what `get_config` gave.  Raises ValueError for a file outside."""
        check_no_file(cls.__name__, config)
        given = dict(config)
        for name in ("standardize", "split"):
            if isinstance(given.get(name), dict):
                given[name] = registry.deserialize(given[name])
        if isinstance(given.get("ngrams"), list):
            given["ngrams"] = tuple(given["ngrams"])
        return super().from_config(given)

    def save_own_variables(self, store):
        """Put the weights of "tf_idf" into `store`."""
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store):
        """Take the weights of "tf_idf" from `store`."""
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path) -> None:
        """Write the vocabulary into a folder, unless the config has it."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path) -> None:
        """Read the vocabulary from a folder, unless the config has it."""
        self._lookup_layer.load_assets(dir_path)


def _checked(name, value, known):
    if value is not None and value not in known and not callable(value):
        raise ValueError(
            f"TextVectorization: {name} must be one of {', '.join(known)}, None or a function, got "
            f"{value!r}."
        )
    return value


def _widths(ngrams):
    widths = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams
    if ngrams is None or (widths and type(widths) is tuple and all(map(_is_width, widths))):
        return widths
    raise ValueError(
        "TextVectorization: ngrams must be None, a positive integer or a tuple of some, got "
        f"{ngrams!r}."
    )


def _is_width(n) -> bool:
    return isinstance(n, int) and n > 0


def _portions(texts: np.ndarray) -> list[np.ndarray]:
    """Texts (n,) in portions of about as many characters."""
    sizes = np.fromiter(map(len, texts.tolist()), np.int64, len(texts))
    which = (sizes + 1).cumsum() // _AT_ONCE
    return np.split(texts, np.flatnonzero(which[1:] > which[:-1]) + 1)


def _joined(tokens: list[str], widths) -> list[str]:
    """The n-grams of each width in turn."""
    return [
        " ".join(tokens[i : i + width]) for width in widths for i in range(len(tokens) - width + 1)
    ]


def _padded(numbers, lengths, length, padding):
    """Numbers of rows that lie one after another, as rows of one length."""
    length = lengths.max(initial=0) if length is None else length
    places = np.arange(length)
    inside = places < lengths[:, None]
    if not len(numbers):
        return np.full(inside.shape, padding, np.int64)
    first = lengths.cumsum() - lengths
    rows = numbers.take(first[:, None] + places, mode="clip")
    rows[~inside] = padding
    return rows
