"""What lookup layers know: a vocabulary, and how often tokens occur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from .byte_tokens import ByteTokens, TokenTable, together

WAITING = 8 << 20  # Bytes of texts that wait at most.


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

    Those of texts that are not strings yet wait as bytes. If they stay few enough, only the most
    frequent ones of them ever become strings.
    """

    def __init__(self):
        self._tokens, self._in_documents, self.documents = Counter(), Counter(), 0
        self._waiting = []  # (different tokens, their counts, in how many documents) each

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
        return bool(self._tokens) or any(len(counts) for _, counts, _ in self._waiting)

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
        self._waiting.append((tokens.only(found[0]), *found[1:]))
        if sum(tokens.size for tokens, *_ in self._waiting) > WAITING:
            self._merge()
            self._waiting = [(tokens.compact(), *numbers) for tokens, *numbers in self._waiting]
            if self._waiting[0][0].size > WAITING // 2:
                self._settle()
        if documents:
            self.documents += len(tokens.rows)

    def _merge(self) -> None:
        """Count what waits together, unless two tokens have one hash."""
        parts, *numbers = zip(*self._waiting, strict=True)
        tokens = together(parts)
        chosen = tokens.equal_ones() if len(parts) > 1 else None
        if chosen is None:
            return
        first = np.flatnonzero(np.bincount(chosen))
        sums = (
            None if n[0] is None else np.bincount(chosen, np.concat(n))[first].astype(np.int64)
            for n in numbers
        )
        self._waiting = [(tokens.only(first), *sums)]

    def _settle(self) -> None:
        """Count what waits as strings."""
        waiting, self._waiting = self._waiting, []
        for tokens, counts, inside in waiting:
            texts = tokens.texts(slice(None))
            self._tokens.update(dict(zip(texts, counts.tolist(), strict=True)))
            if inside is not None:
                self._in_documents.update(dict(zip(texts, inside.tolist(), strict=True)))

    def most_frequent(self, most: int | None = None, without=()) -> list:
        """The tokens, most frequent first; of two as frequent ones, the greater.

        Args:
            most: how many are wanted at most; None for all.
            without: what is left out.
        """
        enough = None if most is None else most + len(without)
        if not self._tokens and self._waiting:
            self._merge()
        if not self._tokens and len(self._waiting) == 1:
            tokens, counts, _ = self._waiting[0]
            among = _frequent(counts, enough)
            among = among[tokens.only(among).in_order(counts[among])[:enough]]
            found = tokens.texts(among)
        else:
            words = list(self.tokens)
            among = _frequent(np.fromiter(self.tokens.values(), np.int64, len(words)), enough)
            found = sorted([words[i] for i in among.tolist()], reverse=True)
            found = sorted(found, key=self.tokens.__getitem__, reverse=True)[:enough]
        return [token for token in found if token not in without][:most]

    def inverse_frequencies(self, tokens: Sequence) -> np.ndarray:
        """log(1 + documents / (1 + documents with the token)) of each token."""
        found = np.array([self.in_documents[token] for token in tokens], np.float64)
        return np.log(1 + self.documents / (1 + found))


def _frequent(counts: np.ndarray, most: int | None) -> np.ndarray:
    """The places of all counts that may be among the `most` greatest."""
    if most is None or not 0 < most < len(counts):
        return np.arange(len(counts))
    return np.flatnonzero(counts >= np.partition(counts, -most)[-most])
