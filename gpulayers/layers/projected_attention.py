"""What attention layers have in common that project queries, keys and values to several heads."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import NamedTuple

from .. import constraints, initializers, regularizers
from ..arrays import devices, dtypes, get_mask, is_array, masked, namespace, plain, set_mask
from ..ops.attention import attention, attention_weights, seen_by, weighted_mean
from ..ops.dense import dense
from ..ops.joining import cut
from . import arguments
from .einsum_dense import EinsumDense
from .key_value_cache import KeyValueCache
from .layer import Layer
from .pieces import Launches, Piece
from .product_pieces import JoinedProduct, Product
from .regularization import Dropout
from .unknown_sizes import is_guessed


class How(NamedTuple):
    """What a call says beside its arrays.

    `cache` is a KeyValueCache or None, `new` the mask (B, T) of the positions that go into it.
    """

    causal: bool
    with_scores: bool
    training: bool | None
    cache: object = None
    new: object = None


class ProjectedAttention(Layer):
    """Attention between projections of its inputs, then a projection of what it gives.

    Args:
        dropout: the part of the weights to drop in training.
        use_bias: whether the projections have biases.
        sliding_window: query i sees the keys j with |i - j| below this number; all if None.
        flash_attention: as in Keras, True refuses dropout and scores; results do not depend on it.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
        activity_regularizer, kernel_constraint, bias_constraint: of each projection.
        use_gate: whether to multiply by sigmoid(projection of the query) before the last
            projection (Qiu et al., "Gated attention", 2025, arXiv:2505.06708).
        seed: of the dropout.

    A subclass that defines `positioned` tells queries and keys where they stand, for example:

        class RotaryAttention(layers.GroupQueryAttention):
            def positioned(self, x, positions):
                return ops.rotary_embedding(x, positions)
    """

    def __init__(
        self,
        *,
        dropout,
        use_bias,
        sliding_window,
        flash_attention,
        kernel_initializer,
        bias_initializer,
        kernel_regularizer,
        bias_regularizer,
        activity_regularizer,
        kernel_constraint,
        bias_constraint,
        use_gate,
        seed,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.dropout, self.seed = rate_of(type(self).__name__, dropout), seed
        self.use_bias, self.use_gate = use_bias, use_gate
        if sliding_window is not None:
            arguments.whole(type(self).__name__, "sliding_window", sliding_window)
        self.sliding_window = sliding_window
        self._flash_attention = bool(flash_attention)
        if self._flash_attention and dropout > 0:
            raise ValueError(
                f"{type(self).__name__}: flash_attention=True takes no dropout, got {dropout}."
            )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self._inner_activity_regularizer = regularizers.get(activity_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    # Building.

    def _projection(self, name, equation, output_shape, bias_axes, input_shape, activation=None):
        """A built projection with initializers of its own."""
        dense = EinsumDense(
            equation,
            output_shape=output_shape,
            bias_axes=bias_axes if self.use_bias else None,
            activation=activation,
            kernel_initializer=_renewed(self.kernel_initializer),
            bias_initializer=_renewed(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            activity_regularizer=self._inner_activity_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build(tuple(input_shape))
        return dense

    def _add_dropout(self):
        self._dropout_layer = Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)

    def _check_lengths(self, value_shape, key_shape):
        """Raise ValueError unless there is a value for each key."""
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ValueError(
                f"{self._who}: value and key must have the same sizes between the first and the "
                f"last, got a value of shape {tuple(value_shape)} and a key of shape "
                f"{tuple(key_shape)}."
            )

    @property
    def _who(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    # Calling.

    def _call(self, args, kwargs):
        if len(args) < 2 and kwargs.get("value") is None:
            raise TypeError(
                f"{self._who}: expected a query and a value, got one array. In a Sequential model "
                "a layer gets one array only: use a functional model, layer(x, x)."
            )
        return super()._call(args, kwargs)

    def _project(self, query, key, value):
        """The projections of these, and of the query the gate (None without)."""
        same = query is key is value
        query, key, value = map(without_mask, (query, key, value))
        gate = self._gate_dense(query) if self.use_gate else None
        # On a CPU one product of joined kernels is not faster (0.4 to 1.1 times as fast forward,
        # 0.2 to 1.0 back, for 1 to 4096 rows), for joining costs what it saves.  A GPU has launches
        # to save, and reads the inputs once instead of three times.
        if same and devices.is_cupy(plain(query)) and query.ndim == 3 and self._can_join():
            return *self._joined_projections(query), gate
        return self._query_dense(query), self._key_dense(key), self._value_dense(value), gate

    def _three(self):
        return self._query_dense, self._key_dense, self._value_dense

    def _can_join(self) -> bool:
        """Whether the three projections are plain products, with kernels of three axes."""
        return all(map(_is_plain, self._three()))

    def _joined_projections(self, x):
        """Queries, keys and values (B, T, heads, size) of an array (B, T, D), by one product."""
        xp = namespace(x)
        kernels = [xp.reshape(d.kernel.value, (d.kernel.shape[0], -1)) for d in self._three()]
        biases = [
            None if d.bias is None else xp.reshape(d.bias.value, (-1,)) for d in self._three()
        ]
        bias = None if biases[0] is None else xp.concat(biases)
        return self._parted(dense(x, xp.concat(kernels, axis=1), bias))

    def _parted(self, joined):
        """Queries, keys and values (B, T, heads, size) that lie side by side in one array."""
        shapes = [d.kernel.shape[1:] for d in self._three()]
        parts = cut(joined, sizes=tuple(heads * size for heads, size in shapes))
        return [
            namespace(part).reshape(part, (*joined.shape[:2], *shape))
            for part, shape in zip(parts, shapes, strict=True)
        ]

    def _pieces_of_call(self, arrays, args, options) -> list[Piece] | None:
        """What a call with `args` and `options` is in a plan on a GPU: see `pieces.py`.

        Attention of an array to itself is two products, and what is between them; None for calls
        that ask for more.
        """
        x = arrays[0]
        given = {**dict(enumerate(args)), **options}
        causal = bool(given.pop("use_causal_mask", False))
        inputs = {id(array) for name, array in given.items() if name in (0, 1, 2, "value", "key")}
        is_plain = len(inputs) == 1 and len(given) <= 3 and {*given} <= {0, 1, 2, "value", "key"}
        if not is_plain or x.ndim != 3 or self.use_gate or not self._can_join():
            return None
        last = self._output_dense
        if not _is_plain(last) or not devices.is_cupy(last.kernel._value):
            return None
        how = How(causal, False, False)

        def attend(joined):
            outputs, _ = self._attend(*self._parted(joined), None, how)
            return outputs.reshape(*joined.shape[:2], -1)

        three, (*heads, size) = self._three(), last.kernel.shape
        kernels, biases = [d.kernel for d in three], [d.bias for d in three if d.bias is not None]
        return [
            JoinedProduct(self.name, kernels, biases, x.dtype),
            Launches(self.name, attend, "attention", fresh=True),
            Product(self.name, dense, last.kernel, last.bias, x.dtype, shape=(prod(heads), size)),
        ]

    def positioned(self, x, positions):
        """Queries or keys (batch, T, heads, size) that know where they stand: here they do not.

        Args:
            x: projected queries or keys.
            positions: integers (T,), or (batch, T) with a cache.
        """
        return x

    def _with_positions(self, query, key, cache):
        if type(self).positioned is ProjectedAttention.positioned:
            return query, key
        xp, device = namespace(query), devices.device_of(query)
        start = 0 if cache is None else cache.positions
        if is_array(start):
            start = xp.expand_dims(start, axis=-1)
        return (
            self.positioned(x, xp.arange(x.shape[1], device=device) + start) for x in (query, key)
        )

    def _attend(self, query, key, value, mask, how):
        """What heads of queries (B, T, N, H) see, and its weights, or None without `with_scores`.

        As in Keras, queries that see nothing give the mean of all values, but zeros if the layer
        has dropout, or if the weights are wanted.
        """
        if how.with_scores and self._flash_attention:
            raise ValueError(
                f"{self._who}: flash_attention=True gives no attention scores: make the layer "
                "without it."
            )
        rules = {"causal": how.causal, "window": self.sliding_window, "scale": self._scale}
        query, key = self._with_positions(query, key, how.cache)
        lengths = starts = None
        if how.cache is not None:
            kept = how.cache.extend(key, value, how.new, self.sliding_window)
            key, value, lengths, starts = kept
        drops = how.training and self.dropout and not is_guessed(query)
        if how.with_scores:
            weights = attention_weights(query, key, mask, lengths, starts, **rules)
            kept = self._dropout_layer(weights, training=True) if drops else weights
            outputs = weighted_mean(kept, value)
            limits = (how.causal, self.sliding_window, lengths, starts)
            set_mask(weights, with_heads(seen_by(query, key, mask, *limits), 4, 2))
            return outputs, weights
        if self.dropout:
            rules["unseeing"] = "zeros"
        if drops:
            rules |= {"rate": self.dropout, "seed": self._dropout_layer.seed_generator.next()}
        return attention(query, key, value, None, mask, lengths, starts, **rules), None

    def get_config(self):
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "use_gate": self.use_gate,
            "sliding_window": self.sliding_window,
            "dropout": self.dropout,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self._inner_activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "seed": self.seed,
        }


def _is_plain(projection) -> bool:
    """Whether a projection is a product with a kernel of three axes, and nothing else."""
    return (
        type(projection) is EinsumDense
        and projection.built
        and not projection.lora_enabled
        and projection.quantized is None
        and projection.activity_regularizer is None
        and len(projection.kernel.shape) == 3
    )


def rate_of(who, dropout):
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)):
        raise TypeError(f"{who}: dropout must be a number, got {type(dropout).__name__}.")
    if not 0 <= dropout <= 1:
        raise ValueError(f"{who}: dropout must be between 0 and 1, got {dropout}.")
    return dropout


def _renewed(initializer):
    """An equal initializer, which without a seed gives other numbers."""
    if not hasattr(initializer, "get_config"):
        return initializer
    return type(initializer).from_config(initializer.get_config())


def without_mask(x):
    """`x`, or if it carries a mask the same values as another array without."""
    return x if get_mask(x) is None else masked(x, None)


def booleans(mask):
    """A mask of any dtype as booleans; None stays."""
    if mask is None or dtypes.is_bool(mask):
        return mask
    xp = namespace(mask)
    return xp.astype(mask, xp.bool)


def both(*masks):
    """Where all of these masks are True; None if none is given.

    Raises ValueError, naming their shapes, if they do not fit each other.
    """
    given = [mask for mask in masks if mask is not None]
    try:
        return reduce(namespace(*given).logical_and, given) if given else None
    except ValueError as error:
        shapes = ", ".join(str(tuple(mask.shape)) for mask in given)
        raise ValueError(
            f"attention: masks must be broadcastable to each other, got shapes {shapes}."
        ) from error


def pair_mask(query_mask, value_mask, key_mask, attention_mask):
    """The masks (B, T), (B, S), (B, S) and (B, T, S) as one of pairs (B, T, S), or None.

    The last one may have an axis for the heads before T.
    """
    query_mask, value_mask, key_mask = map(booleans, (query_mask, value_mask, key_mask))
    rows = None if query_mask is None else namespace(query_mask).expand_dims(query_mask, axis=-1)
    columns = [
        None if m is None else namespace(m).expand_dims(m, axis=-2) for m in (value_mask, key_mask)
    ]
    merged = both(rows, *columns)
    if attention_mask is not None and attention_mask.ndim == 4:
        merged = with_heads(merged, 4, 2)
    return both(merged, booleans(attention_mask))


def what_counts(query_mask, value_mask, key_mask, attention_mask, how):
    """The mask of pairs (B, T, S), and `how`; with a cache, masks of values say what goes in."""
    if how.cache is None:
        return pair_mask(query_mask, value_mask, key_mask, attention_mask), how
    if not isinstance(how.cache, KeyValueCache):
        raise TypeError(
            f"attention: cache must be a KeyValueCache, got {type(how.cache).__name__}."
        )
    new = both(booleans(value_mask), booleans(key_mask))
    return booleans(attention_mask), how._replace(new=new)


def with_heads(mask, rank: int, places: int):
    """`mask` with axes of size 1 before its last `places`, so that it has `rank` axes.

    Masks lack the heads' axis, which stands before those of queries and keys.
    """
    if mask is None or mask.ndim >= rank:
        return mask
    xp = namespace(mask)
    shape = tuple(mask.shape)
    ones = (1,) * (rank - len(shape))
    split = len(shape) - places
    return xp.reshape(mask, (*shape[:split], *ones, *shape[split:]))
