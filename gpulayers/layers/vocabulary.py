"""What lookup layers know: a vocabulary, and how often tokens occur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress

import numpy as np

from .byte_tokens import ByteTokens, TokenTable


class _Places(dict):
    def __missing__(self, token):
        return -1


class Vocabulary:
    """Different tokens in their order.

    Args:
        tokens: strings or whole numbers.

    Raises ValueError if there is one twice.
    """

    def __init__(self, tokens: Sequence = ()):
        self.tokens = list(tokens)
        self._places = _Places(zip(self.tokens, range(len(self.tokens)), strict=True))
        self._table = None
        if len(self._places) < len(self.tokens):
            repeated = [token for token, n in Counter(self.tokens).items() if n > 1]
            raise ValueError(
                f"the vocabulary must hold each term once, got several times: {repeated[:10]}."
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token) -> bool:
        return token in self._places

    def places(self, values: np.ndarray) -> np.ndarray:
        """The place of each value, from 0 on; -1 for those that are not in it."""
        flat = values.ravel().tolist()
        found = np.fromiter(map(self._places.__getitem__, flat), np.int64, len(flat))
        return found.reshape(values.shape)

    def places_of_bytes(self, tokens: ByteTokens) -> np.ndarray:
        """The same for tokens of texts that are not strings yet."""
        if self._table is None:
            self._table = TokenTable(self.tokens)
        found = self._table.places(tokens)
        return self.places(np.array(tokens.texts(slice(None)), object)) if found is None else found


class TokenCounts:
    """How often tokens were seen, and in how many documents.

    Of texts that are not strings yet, the first batch waits: if it stays the only one, only its
    most frequent tokens become strings.
    """

    def __init__(self):
        self._tokens, self._in_documents, self.documents = Counter(), Counter(), 0
        self._waiting = None  # (tokens, which of them, their counts, in how many documents)

    @property
    def tokens(self) -> Counter:
        """How often each token was seen."""
        self._settle()
        return self._tokens

    @property
    def in_documents(self) -> Counter:
        """In how many documents each token was."""
        self._settle()
        return self._in_documents

    def __bool__(self) -> bool:
        """Whether any token was seen."""
        return bool(self._tokens) or (self._waiting is not None and len(self._waiting[1]) > 0)

    def add(self, rows: Iterable[list], documents: bool) -> None:
        """Count the tokens of documents; `documents` to count in how many each occurs, too."""
        for row in rows:
            self.tokens.update(row)
            if documents:
                self.in_documents.update(set(row))
                self.documents += 1

    def add_bytes(self, tokens: ByteTokens, documents: bool) -> None:
        """The same for the tokens of texts that are not strings yet, each text a document."""
        found = tokens.counted(documents)
        if found is None:
            self.add(tokens.lists(), documents)
            return
        self._settle()
        self._waiting = (tokens, *found)
        if self._tokens:
            self._settle()
        if documents:
            self.documents += len(tokens.rows)

    def _settle(self) -> None:
        """Count what waits."""
        if self._waiting is None:
            return
        (tokens, which, counts, inside), self._waiting = self._waiting, None
        texts = tokens.texts(which)
        self._tokens.update(dict(zip(texts, counts.tolist(), strict=True)))
        if inside is not None:
            self._in_documents.update(dict(zip(texts, inside.tolist(), strict=True)))

    def _drop_rare(self, most: int) -> None:
        """Keep, of what waits, only those that may be among the most frequent ones."""
        if self._waiting is None or not 0 < most < len(self._waiting[1]):
            return
        tokens, *numbers = self._waiting
        kept = numbers[1] >= np.partition(numbers[1], -most)[-most]
        self._waiting = (tokens, *(None if n is None else n[kept] for n in numbers))

    def most_frequent(self, most: int | None = None, without=()) -> list:
        """The tokens, most frequent first; of two as frequent ones, the greater.

        Args:
            most: how many are wanted at most; None for all. Counts of others may be dropped.
            without: what is left out, and not counted any longer.
        """
        if most is not None:
            self._drop_rare(most + len(without))
        for token in without:
            self.tokens.pop(token, None)
        kept = self.tokens
        if most is not None and len(kept) > most:  # The rest need not be sorted.
            counts = np.fromiter(kept.values(), np.int64, len(kept))
            least = np.partition(counts, -most)[-most] if most > 0 else 0
            kept = list(compress(kept, (counts >= least).tolist()))
        return sorted(sorted(kept, reverse=True), key=self.tokens.__getitem__, reverse=True)[:most]

    def inverse_frequencies(self, tokens: Sequence) -> np.ndarray:
        """log(1 + documents / (1 + documents with the token)) of each token."""
        found = np.array([self.in_documents[token] for token in tokens], np.float64)
        return np.log(1 + self.documents / (1 + found))
