"""What layers that number the terms of a vocabulary have in common."""

from __future__ import annotations

import os

import numpy as np

from .. import config
from .adapting import as_whole, batches
from .byte_tokens import ByteTokens
from .category_encoding import MODES, check_mode, check_sparse, encode, encoded_shape
from .hashing import check_salt, hashed
from .host_layer import HostLayer, as_values, is_ragged
from .lookup_options import check_options, room
from .vocabulary import TokenCounts, Vocabulary
from .vocabulary_files import check_no_file, read_vocabulary, write_vocabulary

VOCABULARY_FILE = "vocabulary.txt"


class IndexLookup(HostLayer):
    """What `StringLookup` and `IntegerLookup` have in common: terms and their numbers.

    Numbers begin with that of the mask, if there is one and the output mode is "int", and those
    of unknown terms; then come those of the vocabulary.

    Args: see `StringLookup`; `vocabulary_dtype` is "string" or "int64".
    """

    def __init__(
        self,
        max_tokens,
        num_oov_indices,
        mask_token,
        oov_token,
        vocabulary_dtype,
        vocabulary=None,
        idf_weights=None,
        invert=False,
        output_mode="int",
        sparse=False,
        pad_to_max_tokens=False,
        oov_method="floormod",
        name=None,
        salt=None,
        **kwargs,
    ):
        who = type(self).__name__
        size = kwargs.pop("vocabulary_size", None)
        given = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token = mask_token, oov_token
        self.vocabulary_dtype = vocabulary_dtype
        self.invert = invert
        super().__init__(name=name, **kwargs)
        self.output_mode = check_mode(who, output_mode, (*MODES, "tf_idf"))
        self.sparse = check_sparse(who, sparse, self.output_mode)
        self.pad_to_max_tokens = pad_to_max_tokens
        self.oov_method = oov_method
        self.salt = check_salt(who, salt)
        check_options(self, idf_weights)
        self._has_input_vocabulary = given
        self._frozen_vocab_size = size
        self.input_vocabulary = self.input_idf_weights = self.idf_weights = None
        self._vocabulary, self._counts = Vocabulary(), TokenCounts()
        if vocabulary is not None:
            if not isinstance(vocabulary, str):  # What a file holds is saved beside the model.
                self.input_vocabulary = as_values(vocabulary, self.encoding)
            if idf_weights is not None:
                self.input_idf_weights = np.asarray(idf_weights)
            self.set_vocabulary(vocabulary, idf_weights)

    # The vocabulary.

    def get_vocabulary(self, include_special_tokens: bool = True) -> list:
        """The terms in the order of their numbers, by default with the mask and unknown ones."""
        special = self._special_tokens() if include_special_tokens else []
        return special + self._vocabulary.tokens

    def vocabulary_size(self) -> int:
        """How many numbers there are, those of the mask and of unknown terms included."""
        return self.token_start() + len(self._vocabulary)

    def set_vocabulary(self, vocabulary, idf_weights=None) -> None:
        """Use these terms, in place of those before.

        Args:
            vocabulary: a list or array of different terms, or the path of a text file with one in
                each line; it may begin with the special tokens, as `get_vocabulary` gives them.
            idf_weights: for "tf_idf", the weight of each term.

        Raises ValueError for terms that are there twice, special ones in other places, more than
        `max_tokens`, none at all, and weights that are missing or do not fit.
        """
        who = f"{type(self).__name__} {self.name!r}"
        if (idf_weights is None) == (self.output_mode == "tf_idf"):
            raise ValueError(
                f"{who}: idf_weights must be given if output_mode is 'tf_idf', and only then; "
                f"got idf_weights={idf_weights} with {self.output_mode!r}."
            )
        terms = self._terms_of(vocabulary)
        special, start = self._special_tokens(), self.token_start()
        begins = terms[:start] == special
        tokens = terms[start:] if begins else terms
        try:
            made = Vocabulary(tokens)
        except ValueError as error:
            raise ValueError(f"{who}: {error}") from None
        reserved = [self.mask_token] + [self.oov_token] * self.invert
        for token in reserved:
            if token is not None and token in made:
                raise ValueError(
                    f"{who}: {token!r} is a special token, and may stand in the vocabulary only "
                    f"at its start, which then is {special}."
                )
        if self.max_tokens is not None and start + len(tokens) > self.max_tokens:
            raise ValueError(
                f"{who}: the vocabulary has {start + len(tokens)} tokens with the special ones, "
                f"more than max_tokens={self.max_tokens}."
            )
        self._replace(made)
        if idf_weights is not None:
            self._set_weights(np.asarray(idf_weights, np.float64), len(terms), begins)

    def _terms_of(self, vocabulary) -> list:
        if isinstance(vocabulary, str):
            if not os.path.exists(vocabulary):
                raise ValueError(f"{type(self).__name__}: there is no file {vocabulary!r}.")
            if self.output_mode == "tf_idf":
                raise ValueError(
                    f"{type(self).__name__}: a file has no weights for output_mode='tf_idf'."
                )
            terms = self._parsed(read_vocabulary(vocabulary))
        else:
            terms = self.checked(as_values(vocabulary, self.encoding)).ravel().tolist()
        if not terms:
            raise ValueError(f"{type(self).__name__} {self.name!r}: the vocabulary is empty.")
        return terms

    def _parsed(self, lines) -> list:
        return lines if self.vocabulary_dtype == "string" else [int(line) for line in lines]

    def _set_weights(self, weights, terms, begins):
        who = f"{type(self).__name__} {self.name!r}"
        if weights.ndim != 1:
            raise ValueError(f"{who}: idf_weights must have one axis, got {weights.ndim}.")
        if len(weights) != terms:
            raise ValueError(
                f"{who}: idf_weights must be as many as terms ({terms}), got {len(weights)}."
            )
        self.idf_weights = self._padded(weights, 0 if begins else self.token_start())

    def _padded(self, weights, before):
        """Weights of all numbers: the mean for those that come before, 0 for those not used."""
        after = self.max_tokens - before - len(weights) if self.pad_to_max_tokens else 0
        mean = weights.mean() if len(weights) else np.nan
        padded = np.concat([np.full(before, mean), weights, np.zeros(max(after, 0))])
        return padded.astype(config.floatx())

    def _replace(self, vocabulary):
        size = self.token_start() + len(vocabulary)
        known = self._frozen_vocab_size
        varies = self.output_mode == "int" or self.pad_to_max_tokens
        if not varies and known not in (None, size):
            raise RuntimeError(
                f"{type(self).__name__} {self.name!r}: the vocabulary must keep its size of "
                f"{known}, because the outputs have it (output_mode={self.output_mode!r}), got "
                f"{size}; pad_to_max_tokens=True lets it change."
            )
        self._vocabulary, self._frozen_vocab_size = vocabulary, size

    def _mask_places(self):
        return int(self.mask_token is not None and self.output_mode == "int")

    def token_start(self) -> int:
        """How many numbers the special tokens have."""
        return self._mask_places() + self.num_oov_indices

    def _special_tokens(self):
        masks = [self.mask_token] * self._mask_places()
        return masks + [self.oov_token] * self.num_oov_indices

    # Learning it.

    def adapt(self, data, steps=None) -> None:
        """Learn the vocabulary from data: the terms by falling frequency, then falling themselves.

        Args:
            data: an array, a list or a column of a table, each element or row of which is a
                document; or an iterable of batches, which is read once.
            steps: take no more batches than this.

        Raises ValueError for a layer with a given vocabulary, or with as many special tokens as
        `max_tokens` or more. (With more of them, Keras 3.15 learns too many terms.)
        """
        room(self)
        self.reset_state()
        whole = data if isinstance(data, (list, tuple)) else as_whole(data)
        if whole is None:
            for batch in batches(type(self).__name__, data, steps):
                self.update_state(batch)
        else:
            values = as_values(whole, self.encoding)
            one = values.ndim == 1 and not is_ragged(values)
            self.update_state(values[:, None] if one else values)
        self.finalize_state()

    def update_state(self, data) -> None:
        """Count the terms of a batch: each row is a document, and so is an array of one axis."""
        if self._has_input_vocabulary:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: adapt() has nothing to learn, because a "
                "vocabulary was given."
            )
        values = as_values(data, self.encoding)
        if is_ragged(values):
            rows = values.tolist()
        else:
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise ValueError(
                    f"{type(self).__name__} {self.name!r}: adapt() takes whole numbers, got NaN or "
                    "infinity (missing values of a table?)."
                )
            values = self.checked(values) if values.size else values
            count = len(values) if values.ndim > 1 else 1
            rows = values.reshape(count, values.size // max(count, 1)).tolist()
        self.count_rows(rows)

    def count_rows(self, rows: list[list]) -> None:
        """Count the terms of documents, each a list of terms."""
        documents = self.output_mode == "tf_idf"
        if not documents:
            rows = [[term for row in rows for term in row]]
        self._counts.add(rows, documents)

    def count_bytes(self, tokens: ByteTokens) -> None:
        """Count the terms of documents as `split_bytes` gives them."""
        self._counts.add_bytes(tokens, self.output_mode == "tf_idf")

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        if self._has_input_vocabulary or not self._counts:
            self._replace(self._vocabulary)
            return
        most, special = room(self), (self.mask_token, self.oov_token)
        tokens = self._counts.most_frequent(most, without=special)
        self._replace(Vocabulary(tokens))
        if self.output_mode == "tf_idf":
            weights = self._counts.inverse_frequencies(tokens)
            self.idf_weights = self._padded(weights, self.token_start())
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._counts = TokenCounts()

    # Using it.

    def checked(self, values):
        """Values of the kind of the vocabulary.  Raises TypeError for others."""
        if self.vocabulary_dtype == "string":
            kinds = {str} if values.dtype.kind in "UT" else set(map(type, values.ravel().tolist()))
            if kinds <= {str, np.str_}:
                return values
            wrong = next(v for v in values.ravel().tolist() if not isinstance(v, str))
            raise TypeError(
                f"{type(self).__name__} {self.name!r}: expected strings, got {wrong!r}."
            )
        if values.dtype.kind == "O" and all(type(v) is int for v in values.ravel().tolist()):
            values = values.astype(np.int64)
        if values.dtype.kind not in "iufb":
            raise TypeError(
                f"{type(self).__name__} {self.name!r}: expected integers, got an array of "
                f"{values.dtype}."
            )
        return values.astype(np.int64, copy=False)

    def call(self, inputs):
        values = self._values(inputs)
        if is_ragged(values):
            return self._of_rows(values)
        if self.invert:
            return self._terms(values)
        numbers = self.numbers(self.checked(values))
        return numbers if self.output_mode == "int" else self.encoded(numbers)

    def _of_rows(self, values):
        """The same for each list of lists of different lengths: a list, or the vectors stacked."""
        rows = [self.call(np.array(row, None if row else str)) for row in values.tolist()]
        listed = self.output_mode in ("int", "one_hot")
        return [row.tolist() for row in rows] if listed else np.stack(rows)

    def _require_terms(self):
        if not len(self._vocabulary):
            raise RuntimeError(
                f"{type(self).__name__} {self.name!r} knows no terms: give a vocabulary, or call "
                "adapt() first."
            )

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """The number of each term; -1 for the mask if it has none."""
        self._require_terms()
        places = self._vocabulary.places(values)
        unknown = places < 0
        numbers = np.asarray(places + self.token_start())
        if self.mask_token is not None:
            masked = values == self.mask_token
            numbers = np.asarray(np.where(masked, 0 if self.output_mode == "int" else -1, numbers))
            unknown &= ~masked
        if self.num_oov_indices == 1:
            return np.where(unknown, self._mask_places(), numbers)
        if not unknown.any():
            return numbers
        strange = values[unknown]
        if not self.num_oov_indices:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: num_oov_indices=0 lets in nothing that is "
                f"not in the vocabulary, got {strange[:10].tolist()}."
            )
        if self.vocabulary_dtype == "string" or self.oov_method == "farmhash":
            buckets = hashed(strange, self.num_oov_indices, self.salt)
        else:
            buckets = strange % self.num_oov_indices
        numbers[unknown] = buckets + self._mask_places()
        return numbers

    def numbers_of_bytes(self, tokens: ByteTokens) -> np.ndarray:
        """The number of each token of texts: none is the mask, and unknown ones have one number."""
        self._require_terms()
        places = self._vocabulary.places_of_bytes(tokens)
        return np.where(places < 0, self._mask_places(), places + self.token_start())

    def encoded(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers as vectors, in the output mode."""
        depth = self._depth()
        if self.output_mode != "tf_idf":
            return encode(numbers, self.output_mode, depth, "int64")
        if self.idf_weights is None:
            raise ValueError(f"{type(self).__name__} {self.name!r}: call adapt() first.")
        counts = encode(numbers, "count", depth, self.output_dtype)
        return np.multiply(counts, self.idf_weights, out=counts)

    def _depth(self):
        return self.max_tokens if self.pad_to_max_tokens else self._frozen_vocab_size

    def _terms(self, values):
        if values.dtype.kind not in "iuf":
            raise TypeError(
                f"{type(self).__name__} {self.name!r}: expected numbers of terms, got an array of "
                f"{values.dtype}."
            )
        self._require_terms()
        terms, start, size = self._vocabulary.tokens, self.token_start(), len(self._vocabulary)

        def term(number):
            if self.mask_token is not None and number == 0:
                return self.mask_token
            return terms[number - start] if 0 <= number - start < size else self.oov_token

        found = [term(number) for number in values.astype(np.int64).ravel().tolist()]
        dtype = str if self.vocabulary_dtype == "string" else np.int64
        return np.array(found, dtype).reshape(values.shape)

    @property
    def compute_dtype(self) -> str:
        """The dtype of what it takes, which the `Input` before it gets if there is none."""
        return "int64" if self.invert else self.vocabulary_dtype

    @property
    def output_dtype(self) -> str:
        """The dtype of the outputs: int64 for numbers, else floatx."""
        return "int64" if self.output_mode == "int" else config.floatx()

    def compute_output_shape(self, input_shape):
        return encoded_shape(input_shape, self.output_mode, self._depth())

    # In files.

    def get_config(self):
        config = {
            "invert": self.invert,
            "max_tokens": self.max_tokens,
            "num_oov_indices": self.num_oov_indices,
            "oov_token": self.oov_token,
            "mask_token": self.mask_token,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "vocabulary_dtype": self.vocabulary_dtype,
            "idf_weights": _listed(self.input_idf_weights),
            "vocabulary": _listed(self.input_vocabulary),
            "vocabulary_size": self._frozen_vocab_size,
            "oov_method": self.oov_method,
            "salt": self.salt,
        }
        return {**super().get_config(), **config}

    def get_build_config(self):
        """Nothing, as Keras has it: there is nothing to build."""
        return {}

    @classmethod
    def from_config(cls, config):
        """A layer from what `get_config` gave.  Raises ValueError for a file outside."""
        check_no_file(cls.__name__, config)
        return super().from_config(config)

    def save_own_variables(self, store):
        """Put the weights of "tf_idf" into `store`."""
        if self.idf_weights is not None:
            store["idf_weights"] = self.idf_weights

    def load_own_variables(self, store):
        """Take the weights of "tf_idf" from `store`."""
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self.idf_weights = np.asarray(store["idf_weights"])

    def save_assets(self, dir_path) -> None:
        """Write the vocabulary into a folder, unless the config has it."""
        if self.input_vocabulary is None:
            write_vocabulary(os.path.join(dir_path, VOCABULARY_FILE), self.get_vocabulary())

    def load_assets(self, dir_path) -> None:
        """Read the vocabulary from a folder, unless the config has it."""
        if self.input_vocabulary is None:
            lines = read_vocabulary(os.path.join(dir_path, VOCABULARY_FILE))
            self._replace(Vocabulary(self._parsed(lines[self.token_start() :])))


def _listed(values):
    return None if values is None else values.tolist()
