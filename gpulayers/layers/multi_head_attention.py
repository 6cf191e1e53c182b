"""Attention with several heads, over one axis or several."""

from __future__ import annotations

import math
from itertools import pairwise
from string import ascii_lowercase

from ..arrays import get_mask, namespace, set_mask
from . import arguments
from .projected_attention import How, ProjectedAttention, what_counts, with_heads

__all__ = ["MultiHeadAttention"]


class MultiHeadAttention(ProjectedAttention):
    """For each head h: softmax(query_h key_h^T / sqrt(key_dim)) value_h, projected together.

    query_h, key_h and value_h are projections of the inputs. (Vaswani et al., "Attention is all
    you need", 2017, arXiv:1706.03762.)

    Args:
        num_heads: how many heads.
        key_dim: size of each head's queries and keys.
        value_dim: size of each head's values; `key_dim` by default.
        output_shape: sizes of the outputs' last axes: a number or several; by default the size of
            the query's last axis.
        attention_axes: the axes that attend to each other: all but the first and the last by
            default.
        dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer,
        kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint,
        bias_constraint, use_gate, seed: see `ProjectedAttention`.

    Call arguments:
        query: (batch, T, features), or with more axes between the first and the last.
        value: (batch, S, features).
        key: (batch, S, features); the value by default.
        value_mask, key_mask: (batch, S), where keys count; masks that the arrays carry stand in.
        query_mask: ignored, as in Keras: the mask that the query carries counts.
        attention_mask: (batch, T, S), or with an axis for the heads before T; True where a query
            sees a key. All masks hold together.
        return_attention_scores: whether to give (outputs, weights), weights (batch, heads, T, S).
        use_causal_mask: whether query i sees the keys 0 ... i only.
        cache: a `KeyValueCache`, for generation step by step (not Keras's): keys and values go
            into it, and queries, which come after those of earlier calls, see all that is in it.
            Masks of keys and values then say which of the new ones count, the first ones of each
            sample; an attention_mask is (batch, T, cache.length).

    Raises TypeError or ValueError for other numbers, ValueError for shapes that do not fit.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        attention_axes=None,
        sliding_window=None,
        flash_attention=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            dropout=dropout,
            use_bias=use_bias,
            sliding_window=sliding_window,
            flash_attention=flash_attention,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            use_gate=use_gate,
            seed=seed,
            **kwargs,
        )
        who = type(self).__name__
        self.num_heads = arguments.whole(who, "num_heads", num_heads)
        self.key_dim = arguments.whole(who, "key_dim", key_dim)
        given = key_dim if value_dim is None else value_dim
        self.value_dim = arguments.whole(who, "value_dim", given)
        self._output_shape = _sizes(who, "output_shape", output_shape, 1) or None
        self.attention_axes = _sizes(who, "attention_axes", attention_axes, None)
        self._scale = 1.0 / math.sqrt(self.key_dim)

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        self._check_lengths(value_shape, key_shape)
        rank = len(query_shape)
        if not 3 <= rank == len(value_shape):
            raise ValueError(
                f"{self._who}: query and value must have equally many axes, 3 or more, got "
                f"{tuple(query_shape)} and {tuple(value_shape)}."
            )
        axes = self.attention_axes
        self.attention_axes = tuple(range(1, rank - 1)) if axes is None else self._places(rank)
        equation, bias_axes = projection(rank - 1, 1, 2)
        free = (None,) * (rank - 2)
        for name, shape, size, activation in (
            ("query", query_shape, self.key_dim, None),
            ("key", key_shape, self.key_dim, None),
            ("gate", query_shape, self.value_dim, "sigmoid"),
            ("value", value_shape, self.value_dim, None),
        ):
            if name != "gate" or self.use_gate:
                sizes = (*free, self.num_heads, size)
                dense = self._projection(name, equation, sizes, bias_axes, shape, activation)
                setattr(self, f"_{name}_dense", dense)
        self._add_dropout()
        last = self._output_shape or (query_shape[-1],)
        equation, bias_axes = projection(rank - 1, 2, len(last))
        heads_shape = (*query_shape[:-1], self.num_heads, self.value_dim)
        self._output_dense = self._projection(
            "attention_output", equation, (*free, *last), bias_axes, heads_shape
        )

    def _places(self, rank):
        """The attention axes of inputs with `rank` axes, counted from the front."""
        places = tuple(a + rank if a < 0 else a for a in self.attention_axes)
        if not all(0 < a < rank - 1 for a in places) or len({*places}) != len(places):
            raise ValueError(
                f"{self._who}: attention_axes must be different axes between the first and the "
                f"last of {rank}, got {self.attention_axes}."
            )
        return places

    @property
    def query_dense(self):
        """The projection of queries."""
        return self._query_dense

    @property
    def key_dense(self):
        """The projection of keys."""
        return self._key_dense

    @property
    def value_dense(self):
        """The projection of values."""
        return self._value_dense

    @property
    def output_dense(self):
        """The projection of what the heads give."""
        return self._output_dense

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
        cache=None,
    ):
        how = How(use_causal_mask, return_attention_scores, training, cache)
        mask, how = what_counts(get_mask(query), value_mask, key_mask, attention_mask, how)
        key = value if key is None else key
        query, key, value, gate = self._project(query, key, value)
        if query.ndim == 4:
            outputs, scores = self._attend(query, key, value, with_heads(mask, 4, 2), how)
        else:
            outputs, scores = self._attend_over_axes(query, key, value, mask, how)
        outputs = self._output_dense(outputs if gate is None else outputs * gate)
        return (outputs, scores) if return_attention_scores else outputs

    def _attend_over_axes(self, query, key, value, mask, how):
        """`_attend` over the attention axes as one, for all places along the other axes."""
        axes = self.attention_axes
        others = tuple(a for a in range(query.ndim - 2) if a not in axes)
        if how.cache is not None:
            raise ValueError(f"{self._who}: a cache is for arrays of 3 axes, got {query.ndim - 1}.")
        if len(axes) > 1 and (how.causal or self.sliding_window is not None):
            raise ValueError(
                f"{self._who}: use_causal_mask and sliding_window need a single attention axis, "
                f"got attention_axes={axes}."
            )
        batch, lengths = ([query.shape[a] for a in group] for group in (others, axes))
        keys = [key.shape[a] for a in axes]
        order = (*others, *axes, query.ndim - 2, query.ndim - 1)
        seen = with_heads(mask, query.ndim - 1 + len(axes), 2 * len(axes))
        if mask is not None:
            mask = self._folded_mask(mask, batch, lengths, keys)
        outputs, scores = self._attend(
            *(_folded(x, order, len(others)) for x in (query, key, value)),
            *(mask, how),
        )
        xp = namespace(outputs)
        outputs = xp.reshape(outputs, (*batch, *lengths, *outputs.shape[2:]))
        outputs = xp.permute_dims(outputs, tuple(order.index(a) for a in range(len(order))))
        if scores is not None:
            scores = xp.reshape(scores, (*batch, self.num_heads, *lengths, *keys))
            set_mask(scores, seen)
        return outputs, scores

    def _folded_mask(self, mask, batch, lengths, keys):
        """A mask that is broadcast to (*batch, heads, *lengths, *keys), with 4 axes."""
        rank = len(batch) + 1 + 2 * len(lengths)
        full = (*batch, self.num_heads, *lengths, *keys)
        given = tuple(mask.shape)
        if 2 * len(lengths) <= mask.ndim <= rank:
            mask = with_heads(mask, rank, 2 * len(lengths))
        pairs = zip(mask.shape, full, strict=False)
        if mask.ndim != rank or any(size not in (1, n) for size, n in pairs):
            raise ValueError(
                f"{self._who}: the mask must be broadcastable to the scores' shape {full}, got "
                f"a mask of shape {given}."
            )
        ends = (0, len(batch), len(batch) + 1, len(batch) + 1 + len(lengths), rank)
        spread, folded = [], []
        for start, end in pairwise(ends):
            same = all(size == 1 for size in mask.shape[start:end])
            sizes = (1,) * (end - start) if same else full[start:end]
            spread += sizes
            folded.append(math.prod(sizes))
        xp = namespace(mask)
        return xp.reshape(xp.broadcast_to(mask, tuple(spread)), tuple(folded))

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        self._check_lengths(value_shape, value_shape if key_shape is None else key_shape)
        return (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))

    def get_config(self):
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_shape": self._output_shape,
            "attention_axes": self.attention_axes,
        }


def _sizes(who, name, given, least):
    """One integer or several as a tuple, None as it is."""
    if given is None:
        return None
    try:
        if isinstance(given, str):
            raise TypeError
        listed = (given,) if hasattr(given, "__index__") else tuple(given)
        return tuple(arguments.whole(who, name, n) if least else n.__index__() for n in listed)
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"{who}: {name} must be an integer or a sequence of integers, got {given!r}."
        ) from None


def projection(free: int, bound: int, outputs: int) -> tuple[str, str]:
    """The equation of a projection, and the letters of its bias.

    The inputs have `free` axes that stay and `bound` ones that are summed, in whose place the
    outputs have `outputs` ones.
    """
    kept = ascii_lowercase[:free]
    summed = ascii_lowercase[free : free + bound]
    made = ascii_lowercase[free + bound : free + bound + outputs]
    return f"{kept}{summed},{summed}{made}->{kept}{made}", made


def _folded(x, order, others: int):
    """`x` with its axes in this order, the first `others` as one, those before heads as one."""
    xp = namespace(x)
    x = xp.permute_dims(x, order)
    shape = tuple(x.shape)
    middle = len(shape) - 2
    sizes = (math.prod(shape[:others]), math.prod(shape[others:middle]), *shape[middle:])
    return xp.reshape(x, sizes)
