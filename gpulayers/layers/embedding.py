"""Layers that turn whole numbers into vectors, and back."""

from __future__ import annotations

import warnings

import numpy as np

from .. import constraints, initializers, registry, regularizers
from ..arrays import Abstract, dtypes, namespace, plain, set_mask
from ..arrays.variable import at_full_width
from ..ops.embedding import gather
from ..quantizers import AbsMaxQuantizer
from .added_losses import inferring
from .layer import Layer
from .lora import Adapted, LowRankAdaptation
from .quantization import REPLACED, Quantization
from .quantized_weights import kept_matrix


class Embedding(Quantization, LowRankAdaptation, Layer):
    """The rows of a trained table, by number.

    Args:
        input_dim: the number of rows: indices are 0 ... input_dim - 1.
        output_dim: the size of a row.
        embeddings_initializer: of the table (input_dim, output_dim).
        embeddings_regularizer, embeddings_constraint: of the table.
        mask_zero: whether index 0 is padding, which the layers that follow are to skip.
        weights: the table to start with, as an array or a list of one.
        lora_rank, lora_alpha: train a low-rank correction of a frozen table instead (LoRA, Hu et
            al. 2021, arXiv:2106.09685), scaled by lora_alpha / lora_rank.
        quantization_config: options of the mode that a quantized dtype policy names.
        input_length: of older Keras versions; without effect.

    Takes integers (or floats that are whole) of any shape (batch, ...), gives
    (batch, ..., output_dim).  Negative ones count from the end.  On the CPU an index outside the
    table raises ValueError; on a GPU nobody looks.  Raises ValueError for sizes that are not
    positive integers.
    """

    lora_target = "embeddings"
    _casts_weights_itself = True
    quantization_modes = ("int8", "int4")
    embeddings = Adapted()

    def __init__(
        self,
        input_dim,
        output_dim,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        weights=None,
        lora_rank=None,
        lora_alpha=None,
        quantization_config=None,
        **kwargs,
    ):
        if kwargs.pop("input_length", None) is not None:
            warnings.warn(
                "Embedding: input_length has no effect any more; leave it out.", stacklevel=2
            )
        super().__init__(**kwargs)
        self.input_dim = self._checked_size("input_dim", input_dim)
        self.output_dim = self._checked_size("output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = self.supports_masking = bool(mask_zero)
        self.autocast = False  # A 16-bit float cannot hold every index.
        self.lora_rank = lora_rank
        self.lora_alpha = lora_rank if lora_alpha is None else lora_alpha
        self._set_quantization(quantization_config)
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def _checked_size(self, name, value) -> int:
        if not hasattr(value, "__index__") or isinstance(value, bool) or value <= 0:
            raise ValueError(
                f"{type(self).__name__}: {name} must be a positive integer, got {value!r}."
            )
        return int(value)

    def build(self, input_shape=None):
        self._add_target((self.input_dim, self.output_dim), self.embeddings_initializer)
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def build_from_config(self, config):
        """Build; the table's shape does not depend on the inputs'."""
        self.build(config.get("input_shape"))

    def call(self, inputs):
        xp = namespace(inputs)
        if dtypes.name(inputs.dtype) not in ("int32", "int64"):
            inputs = xp.astype(inputs, dtypes.of(xp, "int32"))
        if inferring():  # Positions up to a size that is only tried say nothing of the real ones.
            inputs = Abstract(inputs.shape, inputs.dtype)
        self._check_range(inputs)
        if self.quantized is not None:
            return self._rows(inputs)
        with at_full_width():  # A policy of 16 bits casts the rows, and not all of the table.
            return gather(self.embeddings, inputs)

    def _rows(self, indices):
        """The rows of a quantized table."""
        rows = self.quantized["embeddings"].rows(indices)
        if self.lora_enabled:
            a, b = self._lora_factors
            chosen = gather(a, indices)
            product = namespace(chosen, b).matmul(chosen, b.value)
            rows = rows + (self.lora_alpha / self.lora_rank) * product
        return rows

    def _keep(self, mode, shape):
        size = self._block_size()
        return {"embeddings": kept_matrix(self, "embeddings", shape, 1, 1, mode, size)}

    def _check_range(self, indices):
        indices = plain(indices)
        if type(indices) is not np.ndarray or not indices.size:
            return
        low, high = indices.min(), indices.max()
        if low < -self.input_dim or high >= self.input_dim:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: indices must be in 0..{self.input_dim - 1} "
                f"(input_dim={self.input_dim}), got {high if high >= self.input_dim else low}."
            )

    def compute_mask(self, inputs, mask=None):
        return inputs != 0 if self.mask_zero else None

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.output_dim)

    def get_config(self):
        config = {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "embeddings_constraint": constraints.serialize(self.embeddings_constraint),
            "mask_zero": self.mask_zero,
            "quantization_config": registry.serialize(self.quantization_config),
        }
        if self.lora_rank:
            config |= {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        return {**super().get_config(), **config}


class ReversibleEmbedding(Embedding):
    """An embedding that also projects vectors back to one value (logit) per index.

    Called with `reverse=True` it gives `inputs @ table.T`, as language models use it for their
    outputs (Press and Wolf, "Using the output embedding to improve language models", 2016,
    arXiv:1608.05859).

    Args:
        input_dim, output_dim, embeddings_initializer, embeddings_regularizer,
            embeddings_constraint, mask_zero: as those of `Embedding`.
        tie_weights: whether the way back uses the same table; else it has its own matrix
            (output_dim, input_dim).
        reverse_dtype: the dtype to compute the way back in; that of the layer by default.
        logit_soft_cap: a bound c of the logits: they become tanh(logits / c) * c.

    Takes indices (batch, ...), or with `reverse=True` floats (batch, ..., output_dim), and then
    gives (batch, ..., input_dim).
    """

    def __init__(
        self,
        input_dim,
        output_dim,
        tie_weights=True,
        embeddings_initializer="uniform",
        embeddings_regularizer=None,
        embeddings_constraint=None,
        mask_zero=False,
        reverse_dtype=None,
        logit_soft_cap=None,
        **kwargs,
    ):
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype = None if reverse_dtype is None else dtypes.standardize(reverse_dtype)
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape=None):
        super().build(input_shape)
        if not self.tie_weights and self.quantization_mode not in REPLACED:
            self.reverse_embeddings = self.add_weight(
                (self.output_dim, self.input_dim),
                self.embeddings_initializer,
                name="reverse_embeddings",
            )

    def _keep(self, mode, shape):
        kept = super()._keep(mode, shape)
        if not self.tie_weights:
            options = {}
            if mode == "int4" and self._block_size() is not None:
                options = {"groups": self.g_idx, "zero_dtype": None}
            kept["reverse_embeddings"] = kept_matrix(
                self, "reverse_embeddings", shape[::-1], 0, 0, mode, self._block_size(), **options
            )
        return kept

    def _activation_quantizer(self, mode):
        if self.quantization_config is None:  # Here in int4, too.
            return AbsMaxQuantizer()
        return super()._activation_quantizer(mode)

    def _float_slots(self):
        return super()._float_slots() + ["reverse_embeddings"] * (not self.tie_weights)

    def call(self, inputs, reverse=False):
        if reverse:
            return self._project(inputs)
        outputs = super().call(inputs)
        mask = super().compute_mask(inputs)
        if mask is not None:
            set_mask(outputs, mask)
        return outputs

    def _compute(self, args, kwargs, arrays):
        reverse = kwargs.get("reverse", len(args) > 1 and args[1])
        if reverse and self.reverse_dtype is not None:  # Not rounded to the layer's own dtype.
            return self.call(*args, **kwargs)
        return super()._compute(args, kwargs, arrays)

    def _project(self, inputs):
        if self.quantized is not None:
            inputs = self._quantized_inputs(inputs)
        kernel = self._reverse_kernel()
        xp = namespace(inputs, kernel)
        dtype = None if self.reverse_dtype is None else dtypes.of(xp, self.reverse_dtype)
        if dtype is not None:
            inputs, kernel = xp.astype(inputs, dtype), xp.astype(kernel, dtype)
        logits = xp.matmul(inputs, kernel)
        if self.logit_soft_cap is not None:
            logits = xp.tanh(logits / self.logit_soft_cap) * self.logit_soft_cap
        return logits if dtype is None else xp.astype(logits, dtype)

    def _reverse_kernel(self):
        if self.quantized is not None:
            kept = self.quantized["embeddings" if self.tie_weights else "reverse_embeddings"]
            return kept.value().mT if self.tie_weights else kept.value()
        return self.embeddings.mT if self.tie_weights else self.reverse_embeddings.value

    def compute_mask(self, inputs, mask=None):
        return None  # `call` sets it, because only indices have one.

    def compute_output_shape(self, input_shape, reverse=False):
        if reverse:
            return (*input_shape[:-1], self.input_dim)
        return (*input_shape, self.output_dim)

    def get_config(self):
        config = {
            "tie_weights": self.tie_weights,
            "reverse_dtype": self.reverse_dtype,
            "logit_soft_cap": self.logit_soft_cap,
        }
        return {**super().get_config(), **config}
