"""Densely connected layers."""

from __future__ import annotations

from functools import partial

from .. import activations, constraints, initializers, registry, regularizers
from ..ops.dense import FUSED_NAMES, dense, product
from .input_spec import InputSpec
from .layer import Layer
from .lora import Adapted, LowRankAdaptation
from .pieces import curve_pieces
from .product_pieces import Product, products_fit
from .quantization import QuantizedProduct
from .training_plan import Link, activation_links


class Dense(QuantizedProduct, LowRankAdaptation, Layer):
    """A densely connected layer: `activation(inputs @ kernel + bias)`.

    Args:
        units: the size of the last axis of the outputs.
        activation: a name or a function; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: of the weights, of shapes (inputs, units), (units,).
        kernel_regularizer, bias_regularizer, activity_regularizer: terms of the loss.
        kernel_constraint, bias_constraint: applied after each step of training.
        lora_rank, lora_alpha: train a low-rank correction of a frozen kernel instead (LoRA, Hu et
            al. 2021, arXiv:2106.09685), scaled by lora_alpha / lora_rank.
        quantization_config: options of the mode that a quantized dtype policy names.

    Takes arrays of shape (batch, ..., inputs), gives (batch, ..., units).
    Raises TypeError or ValueError for units that are not a positive integer.
    """

    supports_masking = True
    _keeps_samples_apart = True
    kernel = Adapted()

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        lora_rank=None,
        lora_alpha=None,
        quantization_config=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if not hasattr(units, "__index__") or isinstance(units, bool):
            raise TypeError(f"Dense: units must be a positive integer, got {units!r}.")
        if units <= 0:
            raise ValueError(f"Dense: units must be a positive integer, got {units}.")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.lora_rank, self.lora_alpha = lora_rank, lora_alpha or lora_rank
        self._set_quantization(quantization_config)

    def build(self, input_shape):
        if len(input_shape) < 2:
            raise ValueError(
                f"Dense {self.name!r}: inputs need at least 2 axes (batch, features), "
                f"got shape {tuple(input_shape)}."
            )
        size = input_shape[-1]
        if size is None:
            raise ValueError(
                f"Dense {self.name!r}: the size of the last axis of the inputs must be known, "
                f"got shape {tuple(input_shape)}."
            )
        self._add_target((size, self.units), self.kernel_initializer)
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: size})
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def call(self, inputs, training=None):
        if self.quantized is not None:
            return self._quantized_call(inputs, training)
        taken = activations.taken_in(self.activation)
        outputs = product(dense, inputs, self.kernel, self.bias, taken)
        return outputs if taken or self.activation is None else self.activation(outputs)

    def _product(self, inputs, kernel):
        return dense(inputs, kernel, None)

    def _inference_step(self, x):
        """What this layer is for plain NumPy arrays: see `plan.py`."""
        if self.lora_enabled or self.quantized or type(self).call is not Dense.call:
            return None
        if x.dtype.name != self.compute_dtype:  # Of whole numbers NumPy's product would be float64.
            return None
        kernel, bias, activation = self.kernel, self.bias, self.activation
        activate = numpy_version(activation)

        def run(x):
            y = x @ kernel._value
            if bias is not None:
                y += bias._value
            return y if activate is None else activate(y)

        return run

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        if self.lora_enabled or self.quantized or type(self).call is not Dense.call:
            return None
        if not products_fit(x, self.kernel, self.bias):
            return None
        product = Product(self.name, dense, self.kernel, self.bias, x.dtype)
        return [product, *curve_pieces(self.name, self.activation)]

    def _training_links(self, x):
        """What this layer is in training: see `training_plan.py`."""
        if self.lora_enabled or self.quantized or type(self).call is not Dense.call:
            return None
        weights = (self.kernel,) if self.bias is None else (self.kernel, self.bias)
        version, fused = dense.version("numpy"), FUSED_NAMES.get(self.activation)
        if version is None or any(w.value.dtype != x.dtype for w in weights):
            return None
        links = [Link(partial(version, activation=fused), weights)]
        if fused or self.activation is None:
            return links
        after = activation_links(self.activation)
        return None if after is None else links + after

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        config = {
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "quantization_config": registry.serialize(self.quantization_config),
        }
        if self.lora_rank:
            config |= {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        return {**super().get_config(), **config}


def numpy_version(activation):
    """The function an activation is on plain NumPy arrays; None for none."""
    if activation is None or activation is activations.linear:
        return None
    version = activation.version("numpy") if hasattr(activation, "version") else None
    return version or activation
