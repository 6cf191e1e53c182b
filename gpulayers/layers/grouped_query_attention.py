"""Attention in which several heads of queries share a head of keys and values."""

from __future__ import annotations

import math

from .. import regularizers
from . import arguments
from .projected_attention import How, ProjectedAttention, what_counts, with_heads

__all__ = ["GroupQueryAttention", "GroupedQueryAttention"]


class GroupedQueryAttention(ProjectedAttention):
    """`MultiHeadAttention` with fewer heads of keys and values than of queries.

    (Ainslie et al., "GQA: training generalized multi-query transformer models from multi-head
    checkpoints", 2023, arXiv:2305.13245.) Keras's public name of it is `GroupQueryAttention`.

    Args:
        head_dim: size of each head's queries, keys and values.
        num_query_heads: how many heads of queries.
        num_key_value_heads: how many heads of keys and values; it divides the former.
        dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer,
        kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint,
        bias_constraint, use_gate, seed: see `ProjectedAttention`; `activity_regularizer` counts
            for the outputs, too.

    Call arguments: as of `MultiHeadAttention`, with arrays of 3 axes; `query_mask` (batch, T)
    counts.

    Raises TypeError or ValueError for other numbers, ValueError for shapes that do not fit.
    """

    def __init__(
        self,
        head_dim,
        num_query_heads,
        num_key_value_heads,
        dropout=0.0,
        use_bias=True,
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
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.head_dim = arguments.whole(who, "head_dim", head_dim)
        self.num_query_heads = arguments.whole(who, "num_query_heads", num_query_heads)
        heads = arguments.whole(who, "num_key_value_heads", num_key_value_heads)
        self.num_key_value_heads = heads
        if num_query_heads % heads:
            raise ValueError(
                f"{who}: num_key_value_heads must divide num_query_heads, got {heads} and "
                f"{num_query_heads}."
            )
        self._scale = 1.0 / math.sqrt(self.head_dim)

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        self._check_lengths(value_shape, key_shape)
        if not len(query_shape) == len(value_shape) == 3:
            raise ValueError(
                f"{self._who}: query and value must have 3 axes, got {tuple(query_shape)} and "
                f"{tuple(value_shape)}."
            )
        for name, shape, heads, activation in (
            ("query", query_shape, self.num_query_heads, None),
            ("key", key_shape, self.num_key_value_heads, None),
            ("gate", query_shape, self.num_query_heads, "sigmoid"),
            ("value", value_shape, self.num_key_value_heads, None),
        ):
            if name != "gate" or self.use_gate:
                sizes = (None, heads, self.head_dim)
                dense = self._projection(name, "btm,mnh->btnh", sizes, "nh", shape, activation)
                setattr(self, f"_{name}_dense", dense)
        self._add_dropout()
        sizes, heads = (None, query_shape[-1]), (self.num_query_heads, self.head_dim)
        self._output_dense = self._projection(
            "attention_output", "btnh,nhm->btm", sizes, "m", (None, None, *heads)
        )

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
        mask, how = what_counts(query_mask, value_mask, key_mask, attention_mask, how)
        key = value if key is None else key
        query, key, value, gate = self._project(query, key, value)
        outputs, scores = self._attend(query, key, value, with_heads(mask, 4, 2), how)
        outputs = self._output_dense(outputs if gate is None else outputs * gate)
        return (outputs, scores) if return_attention_scores else outputs

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        self._check_lengths(value_shape, value_shape if key_shape is None else key_shape)
        if query_shape[-1] != value_shape[-1]:
            raise ValueError(
                f"{self._who}: query and value must have the same last size, got "
                f"{tuple(query_shape)} and {tuple(value_shape)}."
            )
        return tuple(query_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
        }


GroupQueryAttention = GroupedQueryAttention
