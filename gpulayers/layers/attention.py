"""Attention without projections: by dot products, and by sums of tanh."""

from __future__ import annotations

from .. import tree
from ..arrays import devices, get_mask, namespace, random
from ..ops.dropout import dropout as dropped
from ..ops.softmax import softmax
from .layer import Layer
from .projected_attention import booleans, both, rate_of
from .unknown_sizes import is_guessed

__all__ = ["AdditiveAttention", "Attention"]

HIDDEN = 1e9  # Taken from scores of what a query does not see, as Keras does.


class Attention(Layer):
    """softmax(scores) value, where scores compare each query with each key.

    Dot products as scores are Luong's (Luong, Pham, Manning, 2015, arXiv:1508.04025).

    Args:
        use_scale: whether a weight, a number that begins with 1, multiplies the products.
        score_mode: "dot" for products query key^T, or "concat" for w sum(tanh(scale (query +
            key))) with another such weight w.
        dropout: the part of the softmax to drop in training.
        seed: of the dropout.

    Call arguments:
        inputs: a list [query (batch, T, size), value (batch, S, size)], and the key (batch, S,
            size) if it is not the value.
        mask: a list [mask of the query or None, mask of the value or None, ...], by default those
            that the arrays carry: outputs of masked queries are 0, masked values do not count.
        return_attention_scores: whether to give (outputs, softmax of the scores (batch, T, S)).
        use_causal_mask: whether query i sees the keys 0 ... i only.

    Raises ValueError for another score_mode, and if it is not called on a list of 2 or 3 arrays.
    """

    def __init__(self, use_scale=False, score_mode="dot", dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise ValueError(
                f"{type(self).__name__}: score_mode must be 'dot' or 'concat', got {score_mode!r}."
            )
        self.supports_masking = True
        self.use_scale, self.score_mode = use_scale, score_mode
        self.dropout, self.seed = rate_of(type(self).__name__, dropout), seed
        if self.dropout > 0:
            self.seed_generator = random.SeedGenerator(seed)

    def build(self, input_shape):
        self._check_list("inputs", input_shape)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def call(
        self,
        inputs,
        mask=None,
        training=False,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        self._check_list("inputs", inputs)
        if mask is not None:
            self._check_list("mask", mask)
        query, value = inputs[:2]
        query_mask, value_mask = (None, None) if mask is None else map(booleans, mask[:2])
        key = inputs[2] if len(inputs) > 2 else value
        if not any(map(is_guessed, (query, value, key))):
            self._check_fit(query, value, key, query_mask, value_mask)
        scores = self._scores(query, key)
        xp = namespace(scores, value)
        seen = self._seen(scores, value_mask, use_causal_mask)
        if seen is not None:
            scores = xp.where(seen, scores, scores - HIDDEN)
        weights = softmax(scores, axis=-1) if scores.shape[-1] else scores
        if training and self.dropout and not is_guessed(weights):
            weights = dropped(weights, rate=self.dropout, seed=self.seed_generator.next())
        outputs = xp.matmul(weights, value)
        if query_mask is not None:
            outputs = xp.where(xp.expand_dims(query_mask, axis=-1), outputs, 0.0)
        return (outputs, weights) if return_attention_scores else outputs

    def _scores(self, query, key):
        """The scores (batch, T, S)."""
        xp = namespace(query, key)
        if self.score_mode == "dot":
            scores = xp.matmul(query, xp.matrix_transpose(key))
            return scores if self.scale is None else scores * self.scale.value
        sums = _sums(query, key)
        if self.scale is not None:
            sums = sums * self.scale.value
        return xp.sum(xp.tanh(sums), axis=-1) * self.concat_score_weight.value

    def _seen(self, scores, value_mask, causal):
        """Where scores count, of 3 axes; None if all do."""
        xp = namespace(scores, value_mask)
        if value_mask is not None and value_mask.ndim == 2:
            value_mask = xp.expand_dims(value_mask, axis=-2)
        if not causal:
            return value_mask
        device = devices.device_of(scores)
        row = xp.reshape(xp.arange(scores.shape[-2], device=device), (1, -1, 1))
        column = xp.reshape(xp.arange(scores.shape[-1], device=device), (1, 1, -1))
        return both(row >= column, value_mask)

    def _check_fit(self, query, value, key, query_mask, value_mask):
        """Raise ValueError, naming the shapes, unless these fit each other."""
        q, v, k = (tuple(x.shape) for x in (query, value, key))
        who, got = f"{type(self).__name__} {self.name!r}", f"got query {q}, value {v}, key {k}."
        if q[-1] != k[-1]:
            raise ValueError(f"{who}: query and key must have the same last size, {got}")
        if v[-2] != k[-2]:
            raise ValueError(f"{who}: value and key must have equally many vectors, {got}")
        rows, columns = q[:-1], v[:-1]
        if value_mask is not None and value_mask.ndim > 2:  # One for each query.
            columns = (*rows, v[-2])
        for name, mask, full in (("query", query_mask, rows), ("value", value_mask, columns)):
            pairs = zip(reversed(getattr(mask, "shape", ())), reversed(full), strict=False)
            if any(size not in (1, n) for size, n in pairs):
                raise ValueError(
                    f"{who}: the {name}'s mask must be broadcastable to {full}, got shape "
                    f"{tuple(mask.shape)}."
                )

    def compute_mask(self, inputs, mask=None):
        self._check_list("inputs", inputs)
        if mask is None:
            mask = [get_mask(x) for x in inputs]
        self._check_list("mask", mask)
        return mask[0]

    def compute_output_shape(self, input_shape):
        self._check_list("inputs", input_shape)
        return (*input_shape[0][:-1], input_shape[1][-1])

    def _check_list(self, what, given):
        """Raise ValueError unless `given` is a list of 2 or 3."""
        if isinstance(given, list) or (type(given) is tuple and not tree.is_shape(given)):
            if 2 <= len(given) <= 3:
                return
            got = f"{len(given)} of them"
        else:
            got = f"a {type(given).__name__}" if what == "mask" else "a single one"
        who = f"{type(self).__name__} {self.name!r}"
        if what == "mask":
            raise ValueError(f"{who}: mask must be a list with a mask for each input, got {got}.")
        raise ValueError(
            f"{who}: inputs must be a list, [query, value] or [query, value, key], got {got}. A "
            "Sequential model gives its layers one array: use a functional model, layer([x, x])."
        )

    def get_config(self):
        return {
            **super().get_config(),
            "use_scale": self.use_scale,
            "score_mode": self.score_mode,
            "dropout": self.dropout,
            "seed": self.seed,
        }


class AdditiveAttention(Attention):
    """`Attention` with the scores sum(scale tanh(query + key)).

    (Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to align and
    translate", 2014, arXiv:1409.0473.)

    Args:
        use_scale: whether `scale` is a weight, (size,), rather than 1.
        dropout: the part of the softmax to drop in training.
        seed: of the dropout.

    It is called like `Attention`.
    """

    def __init__(self, use_scale=True, dropout=0.0, **kwargs):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape):
        self._check_list("inputs", input_shape)
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def _scores(self, query, key):
        sums = _sums(query, key)
        xp = namespace(sums)
        parts = xp.tanh(sums)
        return xp.sum(parts if self.scale is None else parts * self.scale.value, axis=-1)

    def get_config(self):
        config = super().get_config()
        del config["score_mode"]
        return config


def _sums(query, key):
    """Each query plus each key: (batch, T, S, size)."""
    xp = namespace(query, key)
    return xp.expand_dims(query, axis=-2) + xp.expand_dims(key, axis=-3)
