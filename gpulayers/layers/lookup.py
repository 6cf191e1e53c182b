"""Layers that number the terms of a vocabulary."""

from __future__ import annotations

from .index_lookup import IndexLookup


class StringLookup(IndexLookup):
    """The numbers of strings in a vocabulary, or with `invert` the strings of numbers.

    Args:
        max_tokens: the most numbers there may be, special ones included; None for no limit.
        num_oov_indices: how many numbers unknown strings share, by their hash; with 0 they raise.
        mask_token: the string that stands for nothing: number 0 with "int", left out else.
        oov_token: what `invert` gives for the numbers of unknown strings.
        vocabulary: a list or array of different strings, or a text file with one in each line;
            else `adapt` learns it.
        idf_weights: with "tf_idf", the weights of the vocabulary.
        invert: whether to turn numbers into strings.
        output_mode: "int" for numbers; "one_hot", "multi_hot" and "count" as in
            `CategoryEncoding`; "tf_idf" for counts times log(1 + documents / (1 + documents with
            the string)).
        pad_to_max_tokens: whether vectors have `max_tokens` places even if there are fewer.
        sparse: without effect, and an error with "int": arrays are dense here.
        encoding: of strings that are given as bytes.
        salt: one or two whole numbers that change the hash of unknown strings.

    Takes strings of any shape, as arrays, lists or columns of tables; lists of different lengths
    give lists.  Gives int64, or vectors in the last axis.
    """

    def __init__(
        self,
        max_tokens=None,
        num_oov_indices=1,
        mask_token=None,
        oov_token="[UNK]",
        vocabulary=None,
        idf_weights=None,
        invert=False,
        output_mode="int",
        pad_to_max_tokens=False,
        sparse=False,
        encoding="utf-8",
        name=None,
        salt=None,
        **kwargs,
    ):
        self.encoding = encoding
        super().__init__(
            max_tokens=max_tokens,
            num_oov_indices=num_oov_indices,
            mask_token=mask_token,
            oov_token=oov_token,
            vocabulary_dtype="string",
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            name=name,
            salt=salt,
            **kwargs,
        )

    def get_config(self):
        config = {**super().get_config(), "encoding": self.encoding}
        del config["vocabulary_dtype"]
        return config


class IntegerLookup(IndexLookup):
    """The numbers of integers in a vocabulary, or with `invert` the integers of numbers.

    Args:
        vocabulary_dtype: must be "int64".
        oov_method: how unknown integers are shared out among several numbers: "floormod" by their
            remainder, "farmhash" by their hash, which may have a `salt`.

    The others are those of `StringLookup`, for integers.
    """

    def __init__(
        self,
        max_tokens=None,
        num_oov_indices=1,
        mask_token=None,
        oov_token=-1,
        vocabulary=None,
        vocabulary_dtype="int64",
        idf_weights=None,
        invert=False,
        output_mode="int",
        sparse=False,
        pad_to_max_tokens=False,
        oov_method="floormod",
        salt=None,
        name=None,
        **kwargs,
    ):
        if vocabulary_dtype != "int64":
            raise ValueError(
                f"IntegerLookup: vocabulary_dtype must be 'int64', got {vocabulary_dtype!r}."
            )
        super().__init__(
            max_tokens=max_tokens,
            num_oov_indices=num_oov_indices,
            mask_token=mask_token,
            oov_token=oov_token,
            vocabulary_dtype=vocabulary_dtype,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            invert=invert,
            output_mode=output_mode,
            sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens,
            oov_method=oov_method,
            salt=salt,
            name=name,
            **kwargs,
        )
