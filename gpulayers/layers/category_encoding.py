"""Layers that turn the numbers of categories into vectors of zeros and ones."""

from __future__ import annotations

import numpy as np

from ..arrays import as_array, dtypes, namespace, plain
from ..ops.embedding import hot, several_hot
from .arguments import whole
from .layer import Layer

MODES = ("int", "one_hot", "multi_hot", "count")
OLDER_NAMES = {"binary": "multi_hot", "tf-idf": "tf_idf"}


def check_mode(who: str, mode: str, modes=MODES) -> str:
    """A name of an output mode, in today's spelling.  Raises ValueError for what is none."""
    mode = OLDER_NAMES.get(mode, mode) if isinstance(mode, str) else mode
    if mode not in modes:
        raise ValueError(f"{who}: output_mode must be one of {', '.join(modes)}, got {mode!r}.")
    return mode


def check_sparse(who: str, sparse, mode: str) -> bool:
    """Whether sparse output was asked for.  Raises ValueError where there can be none."""
    if sparse and mode == "int":
        raise ValueError(
            f"{who}: sparse must be False if output_mode is 'int', got sparse={sparse!r}."
        )
    return bool(sparse)


def encode(indices, mode: str, depth: int, dtype: str, weights=None):
    """Numbers of categories as vectors.

    Args:
        indices: integers (samples, length, ...), (length,) of one sample, or a single one. Those
            outside 0 ... depth - 1 count for nothing.
        mode: "one_hot": one vector for each number, in the place of a last axis of size 1;
            "multi_hot": 1 at all numbers of a sample; "count": how often each occurs.
        depth: the size of a vector.
        dtype: of the vectors; that of `weights` if there are any.
        weights: what each number counts for in the mode "count", in the shape of the indices.
    """
    xp = namespace(indices)
    if indices.ndim == 0:
        indices = xp.reshape(indices, (1,))
    if mode == "one_hot":
        if indices.ndim > 1 and indices.shape[-1] == 1:
            indices = xp.reshape(indices, tuple(indices.shape[:-1]))
        return hot(indices, size=depth, axis=indices.ndim, dtype=dtype)
    if type(indices) is np.ndarray and indices.ndim <= 2 and type(plain(weights)) is type(weights):
        return _counted(indices, mode, depth, dtype, weights)
    over = int(indices.ndim > 1)
    if mode == "multi_hot":
        return several_hot(indices, size=depth, axis=indices.ndim, over=over, dtype=dtype)
    ones = hot(indices, size=depth, axis=indices.ndim, dtype=dtype)
    if weights is not None:
        ones = ones * namespace(weights).expand_dims(weights, axis=-1)
    return namespace(ones).sum(ones, axis=over, dtype=ones.dtype)


def _counted(indices, mode, depth, dtype, weights):
    """The same on the CPU, without a vector for each number in between."""
    rows = indices if indices.ndim == 2 else indices[None]
    inside = (rows >= 0) & (rows < depth)
    places = np.repeat(np.arange(len(rows)), inside.sum(axis=1)) * depth
    places += rows[inside].astype(np.int64)
    shape = (*indices.shape[:-1], depth)
    if weights is not None:
        given = weights.reshape(rows.shape)[inside].astype(np.float64)
        found = np.bincount(places, given, minlength=len(rows) * depth)
        return found.reshape(shape).astype(weights.dtype)
    found = np.zeros(len(rows) * depth, dtypes.numpy_dtype(dtype))
    if mode == "multi_hot":
        found[places] = 1
    else:
        np.add.at(found, places, 1)
    return found.reshape(shape)


class CategoryEncoding(Layer):
    """The numbers of categories as vectors of zeros and ones, or of counts.

    Args:
        num_tokens: how many categories there are: inputs are 0 ... num_tokens - 1.
        output_mode: "one_hot" gives a vector for each number, in the place of a last axis of
            size 1; "multi_hot" one for each sample, with 1 at all its numbers; "count" how often
            each number occurs in it.
        sparse: without effect: arrays are dense here.

    Takes integers (batch, length), (batch, 1) or (length,), and with "count" also
    `count_weights` of that shape, which each number then counts for. Gives floats
    (batch, num_tokens). Raises ValueError for `num_tokens` less than 1, another mode, weights in
    another mode, and on the CPU for numbers outside.
    """

    def __init__(self, num_tokens=None, output_mode="multi_hot", sparse=False, **kwargs):
        super().__init__(**kwargs)
        self.output_mode = check_mode("CategoryEncoding", output_mode, MODES[1:])
        if num_tokens is None:
            raise ValueError(
                "CategoryEncoding: num_tokens must be given; IntegerLookup finds out by itself "
                "which numbers there are."
            )
        self.num_tokens = whole("CategoryEncoding", "num_tokens", num_tokens)
        self.sparse = check_sparse("CategoryEncoding", sparse, output_mode)
        self.autocast = False  # A 16-bit float cannot hold every number.

    def call(self, inputs, count_weights=None):
        dtype = self._working_dtype([inputs]) or self.compute_dtype
        inputs = inputs if hasattr(inputs, "dtype") else as_array(inputs)  # A list of nothing.
        if count_weights is not None:
            if self.output_mode != "count":
                raise ValueError(
                    "CategoryEncoding: count_weights are for output_mode='count', got them with "
                    f"{self.output_mode!r}."
                )
            count_weights = as_array(count_weights, dtype=dtype, like=inputs)
            if tuple(count_weights.shape) != tuple(inputs.shape):
                raise ValueError(
                    "CategoryEncoding: count_weights must have the shape of the inputs "
                    f"{tuple(inputs.shape)}, got {tuple(count_weights.shape)}."
                )
        if not dtypes.is_integer(inputs.dtype):
            xp = namespace(inputs)
            inputs = xp.astype(inputs, dtypes.of(xp, "int32"))
        self._check_range(plain(inputs))
        return encode(inputs, self.output_mode, self.num_tokens, dtype, count_weights)

    def _check_range(self, indices):
        if type(indices) is not np.ndarray or not indices.size:
            return
        low, high = indices.min(), indices.max()
        if low < 0 or high >= self.num_tokens:
            raise ValueError(
                f"CategoryEncoding {self.name!r}: inputs must be in 0..{self.num_tokens - 1} "
                f"(num_tokens={self.num_tokens}), got {low if low < 0 else high}."
            )

    def compute_output_shape(self, input_shape):
        return encoded_shape(input_shape, self.output_mode, self.num_tokens)

    def get_config(self):
        config = {"num_tokens": self.num_tokens, "output_mode": self.output_mode}
        return {**super().get_config(), **config}


def encoded_shape(input_shape, mode: str, depth: int | None) -> tuple:
    """The shape of what `encode` gives for numbers of a shape, as Keras tells it."""
    shape = tuple(input_shape)
    if mode == "int":
        return shape
    if mode == "one_hot" and (len(shape) == 1 or shape[-1:] != (1,)):
        return (*shape, depth)
    return (*shape[:-1], depth)
