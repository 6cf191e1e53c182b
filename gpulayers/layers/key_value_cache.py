"""What an attention layer has seen so far, kept for the next steps of a generated sequence."""

from __future__ import annotations

import numpy as np

from ..arrays import Abstract, devices, dtypes, is_recorded, namespace, plain
from ..arrays.namespace import NUMPY, library
from . import arguments

__all__ = ["KeyValueCache"]


class KeyValueCache:
    """Keys and values of the positions that an attention layer has seen.

    With it, a layer computes only what is new. Each layer has a cache of its own, which takes its
    memory, for `length` positions of each sample, at the first call and then keeps it:

        cache = layers.KeyValueCache(512)
        y = attention(prompt, prompt, use_causal_mask=True, cache=cache)  # many positions
        y = attention(x, x, use_causal_mask=True, cache=cache)  # one more for each sample

    A layer with a sliding window never comes to the end of its cache: what no later query sees
    makes room. A cache is for inference: nothing in it has a gradient.

    Args:
        length: how many positions it has room for. With a sliding window w, and T new positions at
            a time, w - 1 + T suffice.

    Raises TypeError or ValueError for another length.
    """

    def __init__(self, length: int):
        self.length = arguments.whole("KeyValueCache", "length", length)
        self.clear()

    def __repr__(self):
        held = "empty" if self.keys is None else f"lengths {self.lengths.tolist()}"
        return f"<KeyValueCache of {self.length} positions, {held}>"

    def clear(self) -> None:
        """Forget everything, the number of samples too."""
        self.keys = self.values = None
        self._lengths = self._forgotten = None

    @property
    def lengths(self) -> np.ndarray:
        """How many positions of each sample it holds: NumPy integers (batch,)."""
        return np.zeros(0, np.int32) if self._lengths is None else self._lengths.copy()

    @property
    def positions(self):
        """The position that comes next: an integer for each sample, beside the keys; 0 if empty."""
        if self.keys is None:
            return 0
        return self._beside_keys(self._lengths + self._forgotten)

    def truncate(self, lengths) -> None:
        """Keep the first `lengths` positions of each sample (an integer, or one for each) only.

        Raises ValueError for more of them than it holds.
        """
        wanted = np.broadcast_to(np.asarray(lengths), self.lengths.shape)
        if wanted.dtype.kind not in "iu" or ((wanted < 0) | (wanted > self.lengths)).any():
            raise ValueError(
                f"KeyValueCache.truncate: lengths must be integers from 0 to those held, "
                f"{self.lengths.tolist()}, got {np.asarray(lengths).tolist()}."
            )
        if self._lengths is not None:
            self._lengths = wanted.astype(np.int32)

    def extend(self, key, value, mask=None, window: int | None = None):
        """Put new positions behind those that are there.

        Args:
            key: (B, T, K, H).
            value: (B, T, K, V).
            mask: booleans (B, T), True for those of the T that count: the first ones of each
                sample. All by default.
            window: query i sees the keys j with |i - j| < window only: what none of these and
                later queries sees may go.

        Gives (keys (B, length, K, H), values, lengths (B,), starts (B,)), the arguments of
        `dot_product_attention` for queries at the new positions.

        Raises ValueError if they do not fit behind those that are there.
        """
        self._check(key, value)
        key, value = plain(key), plain(value)
        batch, new = key.shape[:2]
        counts = np.full(batch, new, np.int32) if mask is None else _leading(mask)
        if self.keys is None:
            self._begin(key, value)
        if window is not None and (self._lengths + new > self.length).any():
            self._forget(window - 1)
        if (self._lengths + new > self.length).any():
            raise ValueError(
                f"KeyValueCache: {new} more positions do not fit into one of length {self.length} "
                f"that holds {self._lengths.tolist()} of each sample."
            )
        for kept, x in ((self.keys, key), (self.values, value)):
            _write(kept, x, self._lengths)
        starts, self._lengths = self._lengths, self._lengths + counts
        return self.keys, self.values, *map(self._beside_keys, (self._lengths, starts))

    def _check(self, key, value):
        for x in (key, value):
            if is_recorded(x) or type(x) is Abstract:
                raise ValueError(
                    "KeyValueCache: it is for inference on arrays, got a recorded or symbolic one; "
                    "train without a cache."
                )
        if self.keys is None:
            return
        for name, kept, x in (("keys", self.keys, key), ("values", self.values, value)):
            if (kept.shape[0], *kept.shape[2:]) != (x.shape[0], *x.shape[2:]):
                raise ValueError(
                    f"KeyValueCache: it holds {name} of shape {tuple(kept.shape)}, and gets ones "
                    f"of shape {tuple(x.shape)}: samples, heads and sizes must be the same. "
                    "`clear()` makes it take others."
                )
            if kept.dtype != x.dtype:
                kinds = f"{dtypes.name(kept.dtype)}, and gets ones of {dtypes.name(x.dtype)}"
                raise ValueError(f"KeyValueCache: it holds {name} of {kinds}.")

    def _begin(self, key, value):
        batch = key.shape[0]
        self.keys, self.values = (_room(x, self.length) for x in (key, value))
        self._lengths = np.zeros(batch, np.int32)
        self._forgotten = np.zeros(batch, np.int32)

    def _forget(self, most: int):
        """Keep only the last `most` positions of each sample."""
        gone = np.maximum(self._lengths - most, 0)
        for kept in (self.keys, self.values):
            xp = namespace(kept)
            for rows, start, end in _runs(gone, self._lengths):
                part = xp.asarray(kept[rows, start:end, ...], copy=True)  # The two may overlap.
                kept[rows, : end - start, ...] = part
        self._lengths = self._lengths - gone
        self._forgotten = self._forgotten + gone

    def _beside_keys(self, numbers: np.ndarray):
        return devices.put(numbers, devices.home_of(self.keys))


def _room(x, length: int):
    """Zeros like `x` (B, T, K, H), but with `length` positions."""
    xp, (batch, _, heads, size) = namespace(x), x.shape
    how = {"dtype": x.dtype, "device": devices.device_of(x)}
    if xp is NUMPY:  # Products with the keys of one head are twice as fast if these lie together.
        return xp.permute_dims(xp.zeros((batch, heads, length, size), **how), (0, 2, 1, 3))
    return xp.zeros((batch, length, heads, size), **how)


def _leading(mask) -> np.ndarray:
    """How many positions of each sample count.  Raises ValueError unless they are the first."""
    mask = devices.to_numpy(plain(mask)).astype(bool)
    counts = mask.sum(axis=1, dtype=np.int32)
    if not (mask == (np.arange(mask.shape[1]) < counts[:, None])).all():
        raise ValueError(
            "KeyValueCache: a mask must be True for the first positions of each sample and False "
            "for those behind them, for padding stands at the end."
        )
    return counts


def _runs(starts, ends):
    """(samples, start, end): all at once if their numbers are the same, else each by itself."""
    if (starts == starts[:1]).all() and (ends == ends[:1]).all():
        return [(slice(None), int(starts[0]), int(ends[0]))] if len(starts) else []
    return [(i, int(a), int(b)) for i, (a, b) in enumerate(zip(starts, ends, strict=True))]


def _write(kept, new, starts) -> None:
    """Put new (B, T, ...) into kept (B, length, ...), sample b from position starts[b] on."""
    count = new.shape[1]
    runs = _runs(starts, starts + count)
    if len(runs) > 1 and library(namespace(kept)) in ("numpy", "cupy"):  # At once.
        xp = namespace(kept)
        rows = xp.asarray(np.arange(len(starts))[:, None])
        places = xp.asarray(starts[:, None] + np.arange(count))
        kept[rows, places] = new
        return
    for rows, start, end in runs:
        kept[rows, start:end, ...] = new[rows, ...]
