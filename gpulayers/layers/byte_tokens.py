"""Tokens of many texts at once: ranges of one buffer of UTF-8 bytes, looked up without a string.

Only bytes of ASCII are lowered, stripped and split at, and these never stand inside another
character of UTF-8, so that all of it can happen to bytes.
"""

from __future__ import annotations

import numpy as np

PORTION = 1 << 16  # Tokens that are counted together.
LONGEST = 256  # Bytes of a token: longer ones are left to Python.
SPACE = b" \t\n\r\x0b\x0c"
_BLANK, _END = 0x20, 0x00  # What stands between tokens, and between texts.
_FACTOR = 0x9E3779B97F4A7C15  # Odd: products of different numbers differ.
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)  # The first n bytes of 8.


class ByteTokens:
    """Tokens as ranges of a buffer.

    Args:
        buffer: bytes, or an array of them (n,), with 8 zeros or more after the last token.
        starts, lengths: of each token in bytes.
        rows: how many of the tokens each text has. By default they are counted when asked for: a
            zero stands before the first text and behind each, and 8 more at the end.
    """

    def __init__(self, buffer, starts, lengths, rows=None):
        self.starts, self.lengths, self._rows = starts, lengths, rows
        self._bytes = buffer if type(buffer) is bytes else buffer.tobytes()
        # Eight bytes from each place on, as one number.
        self._eights = np.ndarray(len(self._bytes) - 7, "<u8", self._bytes, strides=(1,))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def size(self) -> int:
        """The bytes of the buffer."""
        return len(self._bytes)

    @property
    def rows(self) -> np.ndarray:
        """How many of the tokens each text has."""
        if self._rows is None:
            ends = np.flatnonzero(np.frombuffer(self._bytes, np.uint8) == _END)[:-8]
            self._rows = np.diff(np.searchsorted(self.starts, ends))
        return self._rows

    def words(self, which, k: int) -> np.ndarray:
        """The k-th 8 bytes of some tokens as numbers, with zeros after the end."""
        starts, lengths = self.starts[which], self.lengths[which]
        if k:
            starts, lengths = starts + 8 * k, lengths - 8 * k
        words = self._eights[starts].astype(np.uint64, copy=False)
        words &= _MASKS.take(lengths, mode="clip")
        return words

    def hashes(self) -> np.ndarray:
        """A number of each token: different ones for different tokens of 8 bytes or less."""
        found = self.words(slice(None), 0) * _FACTOR
        k, longer = 1, np.flatnonzero(self.lengths > 8)
        while len(longer):
            mixed = found[longer]
            found[longer] = ((mixed ^ (mixed >> 32)) + self.words(longer, k)) * _FACTOR
            k += 1
            longer = longer[self.lengths[longer] > 8 * k]
        return found

    def are(self, which, other: ByteTokens, others) -> bool:
        """Whether some tokens of equal hashes are equal to those of another object."""
        lengths = self.lengths[which]
        if not np.array_equal(lengths, other.lengths[others]):
            return False
        k, longer = 0, np.flatnonzero(lengths > 8)
        while len(longer):
            if not np.array_equal(self.words(which[longer], k), other.words(others[longer], k)):
                return False
            k += 1
            longer = longer[lengths[longer] > 8 * k]
        return True

    def texts(self, which) -> list[str]:
        """Some tokens as strings."""
        return self._one_behind_the_other(which)[0].tobytes().decode().split("\0")[:-1]

    def _one_behind_the_other(self, which):
        """The bytes of some tokens, with a zero behind each, and where each of these is."""
        starts, sizes = self.starts[which], self.lengths[which] + 1
        ends = sizes.cumsum()
        places = np.arange(sizes.sum()) + np.repeat(starts - (ends - sizes), sizes)
        joined = np.frombuffer(self._bytes, np.uint8)[places]
        joined[ends - 1] = _END
        return joined, ends - 1

    def only(self, which) -> ByteTokens:
        """Some tokens, in the same buffer."""
        return ByteTokens(self._bytes, self.starts[which], self.lengths[which], ())

    def compact(self) -> ByteTokens:
        """The tokens in a buffer that holds nothing else."""
        joined, ends = self._one_behind_the_other(slice(None))
        return ByteTokens(joined.tobytes() + bytes(8), ends - self.lengths, self.lengths, ())

    def lists(self) -> list[list[str]]:
        """The tokens of each text as strings."""
        bounds = self.rows.cumsum()[:-1]
        rows = np.split(np.array(self.texts(slice(None)), object), bounds)
        return [row.tolist() for row in rows]

    def counted(self, documents: bool):
        """Which tokens differ, how often each occurs, and in how many texts (None if not asked).

        None if two of them have one hash, which is not to be expected before 10^9 tokens.
        """
        chosen = self.equal_ones()
        if chosen is None:
            return None
        counts, inside = np.bincount(chosen), None
        first = np.flatnonzero(counts)
        if documents:
            row = np.repeat(np.arange(len(self.rows)), self.rows)
            once = np.sort(row * len(self) + chosen)
            once = once[np.diff(once, prepend=-1) > 0] % max(len(self), 1)
            inside = np.bincount(once)[first]
        return first, counts[first], inside

    def equal_ones(self):
        """For each token the place of one that is equal, the same for all equal ones, or None."""
        chosen = _representatives(self.hashes())
        longer = np.flatnonzero(self.lengths > 8)
        longer = longer[chosen[longer] != longer]
        same = np.array_equal(self.lengths[chosen], self.lengths)
        return chosen if same and self.are(longer, self, chosen[longer]) else None

    def in_order(self, counts: np.ndarray) -> np.ndarray:
        """The places of the tokens by falling counts, then by falling tokens, as strings fall."""
        first = self.words(slice(None), 0).byteswap()  # As numbers they fall like their bytes.
        order = np.lexsort((first, counts))[::-1]
        equal = (np.diff(first[order]) == 0) & (np.diff(counts[order]) == 0)
        edges = np.flatnonzero(np.diff(equal, prepend=False, append=False))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            run = slice(start, stop + 1)
            order[run] = sorted(order[run].tolist(), key=self._token, reverse=True)
        return order

    def _token(self, place: int) -> bytes:
        start = self.starts[place]
        return self._bytes[start : start + self.lengths[place]]

    def joined(self, widths) -> ByteTokens:
        """The n-grams of each width in turn, for tokens with one blank between them."""
        ends = self.starts + self.lengths
        row = np.repeat(np.arange(len(self.rows)), self.rows)
        counts = [np.maximum(self.rows - width + 1, 0) for width in widths]
        rows = sum(counts)
        starts, lengths = np.empty((2, rows.sum()), np.int64)
        first, last = self.rows.cumsum() - self.rows, np.repeat(self.rows.cumsum(), self.rows)
        shift = rows.cumsum() - rows - first  # From a token to its first n-gram of a width.
        for width, count in zip(widths, counts, strict=True):
            begins = np.flatnonzero(np.arange(len(self)) + width <= last)
            to = begins + shift[row[begins]]
            starts[to] = self.starts[begins]
            lengths[to] = ends[begins + width - 1] - self.starts[begins]
            shift = shift + count
        return ByteTokens(self._bytes, starts, lengths, rows)


def together(parts: list[ByteTokens]) -> ByteTokens:
    """The tokens of several objects, without what texts they are of."""
    if len(parts) == 1:
        return parts[0]
    sizes = np.array([part.size for part in parts])
    buffer = b"".join(part._bytes for part in parts)
    shifts = np.repeat(sizes.cumsum() - sizes, [len(part) for part in parts])
    starts = np.concat([part.starts for part in parts]) + shifts
    return ByteTokens(buffer, starts, np.concat([part.lengths for part in parts]), ())


def split_bytes(
    texts: list[str], lower: bool, strip: bytes, split: str, widths=None
) -> ByteTokens | None:
    """The tokens of texts, or their n-grams.

    Args:
        texts: one or more.
        lower: whether to take A-Z as a-z.
        strip: bytes of ASCII that are left out.
        split: "whitespace" of ASCII, or "character".
        widths: of n-grams of words, which have a blank between two words; None for the words.

    None if there are a zero byte in a text, a longer token than `LONGEST`, or half a surrogate.
    """
    try:
        whole = "\0".join(texts).encode()
    except UnicodeEncodeError:
        return None
    table = bytes(range(256))
    if lower:
        table = table.lower()
    if split == "whitespace":
        table = table.translate(bytes.maketrans(SPACE, b" " * len(SPACE)))
    whole = np.frombuffer(b"\0" + whole.translate(table, strip) + b"\0" * 9, np.uint8)
    if np.count_nonzero(whole == _END) != len(texts) + 9:
        return None
    if widths is not None:
        blank = whole == _BLANK
        whole = whole[~(blank & np.append(blank[1:] | (whole[1:] == _END), False))]
    found = _words(whole) if split == "whitespace" else _characters(whole)
    if widths is not None:
        found = found.joined(widths)
    return found if found.lengths.max(initial=0) <= LONGEST else None


def _words(buffer):
    between = (buffer == _BLANK) | (buffer == _END)
    edges = np.flatnonzero(between[1:] != between[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    return ByteTokens(buffer, starts, ends - starts)


def _characters(buffer):
    starts = np.flatnonzero(((buffer & 0xC0) != 0x80) & (buffer != _END))
    lengths = np.ones(len(starts), np.int64)
    lead = buffer[starts]
    for least in (0xC0, 0xE0, 0xF0):
        lengths += lead >= least
    return ByteTokens(buffer, starts, lengths)


class TokenTable:
    """Where each of different tokens stands among them: a hash table.

    Args:
        tokens: strings.
    """

    def __init__(self, tokens: list[str]):
        encoded = [token.encode(errors="surrogatepass") for token in tokens]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        buffer = np.frombuffer(b"".join(encoded) + b"\0" * 8, np.uint8)
        self.tokens = ByteTokens(buffer, lengths.cumsum() - lengths, lengths)
        self._hashes = self.tokens.hashes()
        self._slots = _inserted(self._hashes)[0]

    def places(self, tokens: ByteTokens) -> np.ndarray | None:
        """The place of each token, -1 for those that are not there; None if hashes collide.

        They do if the table holds what is no token and differs from one by a zero byte at its end.
        """
        if not len(self.tokens):
            return np.full(len(tokens), -1)
        hashes = tokens.hashes()
        at = _first_slots(hashes, self._slots)
        found, left = self._tried(at, hashes)
        while len(left):
            at[left] = (at[left] + 1) % len(self._slots)
            found[left], more = self._tried(at[left], hashes[left])
            left = left[more]
        known = np.flatnonzero(found >= 0)
        same = tokens.are(known, self.tokens, found[known])
        return found.astype(np.int64) if same else None

    def _tried(self, at, hashes):
        """What is found in some slots, and which of them hold something else."""
        candidates = self._slots[at]
        taken = candidates >= 0
        equal = taken & (self._hashes[candidates] == hashes)
        return np.where(equal, candidates, -1), np.flatnonzero(taken & ~equal)


def _representatives(hashes):
    """For each of many numbers the place of one that is equal, the same for all equal ones."""
    if len(hashes) <= PORTION:
        return _inserted(hashes)[1]
    chosen = np.empty(len(hashes), np.int64)
    for start in range(0, len(hashes), PORTION):  # Tables that stay in cache.
        part = slice(start, start + PORTION)
        chosen[part] = _inserted(hashes[part])[1] + start
    found = np.zeros(len(hashes), np.int64)
    found[chosen] = 1
    first = np.flatnonzero(found)
    found[first] = first[_inserted(hashes[first])[1]]
    return found[chosen]


def _inserted(hashes):
    """A hash table of numbers, open to the next slot where one is taken.

    Gives its slots, in each the place of one of equal hashes or -1, and for each hash that place.
    """
    slots = np.full(1 << max(4 * len(hashes), 2).bit_length(), -1, np.int32)
    at = _first_slots(hashes, slots)
    slots[at] = np.arange(len(hashes), dtype=np.int32)
    chosen = slots[at].astype(np.intp)
    left = np.flatnonzero(hashes[chosen] != hashes)
    while len(left):
        here = at[left] = (at[left] + 1) % len(slots)
        free = slots[here] < 0
        slots[here[free]] = left[free]
        held = slots[here]
        equal = hashes[held] == hashes[left]
        chosen[left[equal]] = held[equal]
        left = left[~equal]
    return slots, chosen


def _first_slots(hashes, slots):
    """The highest bits, which depend on all others."""
    return (hashes >> (65 - len(slots).bit_length())).view(np.int64)
