"""Quantized layers: weights in few bits for inference, and training in 8-bit floats.

What a layer's weights are kept as, once they are no plain floats, is described in
`quantized_weights`; this file has what layers do with it.
"""

from __future__ import annotations

from .. import registry
from ..arrays import devices, namespace, primitive, stop_gradient
from ..arrays.quantized_policy import (
    GPTQDTypePolicy,
    Int4DTypePolicy,
    QuantizedFloat8DTypePolicy,
    check_mode,
)
from ..quantizers import (
    AbsMaxQuantizer,
    Int4QuantizationConfig,
    QuantizationConfig,
    compute_float8_amax_history,
    compute_float8_scale,
    quantize_and_dequantize,
)
from ..quantizers.configs import resolve
from ..quantizers.float8 import FORMATS, rounded
from .quantized_weights import Calibrated, kept_matrix, store

REPLACED = ("int8", "int4", "gptq", "awq")  # Modes in which a weight is kept instead of floats.


class Quantization:
    """The part of a layer that can keep a weight in few bits.

    A layer class names the weight in `lora_target` (see `lora.py`), and the modes it knows in
    `quantization_modes`.  It creates the weight by `_add_target`, and says in `_keep` how it is
    kept.  Its `call` leaves to `_quantized_call` if there is `quantized`.
    """

    quantization_modes = REPLACED
    quantization_config = None
    inputs_quantizer = None  # Quantizes the inputs at each call; None leaves them.

    def _set_quantization(self, config) -> None:
        """Take the argument `quantization_config`: options, their description, or None."""
        config = registry.deserialize(config)
        if config is not None and not isinstance(config, QuantizationConfig):
            raise TypeError(
                f"{type(self).__name__}: quantization_config must be a QuantizationConfig or None, "
                f"got {type(config).__name__}."
            )
        self.quantization_config = config

    def _add_target(self, shape, initializer) -> None:
        """Create the weight: as floats, or as the dtype policy says."""
        name, mode = self.lora_target, self.quantization_mode
        if mode is not None:
            self._start(mode, shape)
        if mode not in REPLACED:
            weight = self.add_weight(
                shape,
                initializer,
                regularizer=getattr(self, f"{name}_regularizer"),
                constraint=getattr(self, f"{name}_constraint"),
                name=name,
            )
            setattr(self, name, weight)

    def _start(self, mode, shape) -> None:
        """Create what keeps the weights in a mode."""
        if mode not in self.quantization_modes:
            raise NotImplementedError(
                f"{type(self).__name__} {self.name!r}: quantization mode must be one of "
                f"{', '.join(self.quantization_modes)}, got {mode!r}."
            )
        self.inputs_quantizer = self._activation_quantizer(mode)
        self.quantized = self._keep(mode, tuple(shape))

    def _activation_quantizer(self, mode):
        if self.quantization_config is not None:
            return self.quantization_config.activation_quantizer
        return AbsMaxQuantizer() if mode == "int8" else None

    def _block_size(self) -> int | None:
        """How many inputs share a scale in int4; None for all."""
        size, policy = None, self._policy
        if isinstance(self.quantization_config, Int4QuantizationConfig):
            size = self.quantization_config.block_size
        elif isinstance(policy, Int4DTypePolicy):
            size = policy.block_size
        return None if size == -1 else size

    def _calibrated(self, form, shape, zero_name):
        """The kernel that GPTQ or AWQ has made."""
        policy = self._policy
        if not isinstance(policy, GPTQDTypePolicy):
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: its dtype policy must say bits and groups, "
                f"such as 'gptq/4/128_from_float32', got {policy.name!r}."
            )
        awq = policy.quantization_mode == "awq"
        bits, group_size = policy.weight_bits, policy.group_size
        return Calibrated(self, form, shape, bits, group_size, zero_name, awq)

    def quantize(self, mode: str | None = None, type_check: bool = True, config=None) -> None:
        """Keep the weight in few bits from now on, and give the layer the dtype policy of that.

        Args:
            mode: "int8": whole numbers with a scale for each output, and inputs rounded likewise;
                "int4": 4-bit numbers with scales for blocks of 128 inputs; "float8": training goes
                on, in 8-bit floats.
            type_check: refuse subclasses, which may compute something else.
            config: options instead of a mode: see `gpulayers.quantizers`.

        Raises ValueError for another mode, before the layer is built, and if it is quantized
        already; NotImplementedError for a mode that this layer does not know, and for "gptq" and
        "awq", whose calibration is not available: a layer made with dtype="gptq/4/128_from_float32"
        takes the weights that others calibrated.
        """
        config = resolve(f"{type(self).__name__} {self.name!r}", mode, config)
        self._check_quantizable(config.mode, type_check)
        floats = [self.__dict__[slot] for slot in self._float_slots()]
        self.quantization_config = config
        with self._open(), devices.scope(floats[0].home):
            if config.mode in REPLACED:
                known = {id(weight) for weight in floats}
                self._own_variables = [v for v in self._own_variables if id(v) not in known]
            self._start(config.mode, floats[0].shape)
            if config.mode in REPLACED:
                for kept, weight in zip(self.quantized.values(), floats, strict=True):
                    store(kept.encode(weight._value, config.weight_quantizer))
        if self._policy.quantization_mode is None:
            self.dtype_policy = f"{config.policy_mode}_from_{self._policy.name}"

    def _float_slots(self) -> list[str]:
        """The attributes that hold weights to be replaced, in the order of `quantized`."""
        return ["_" + self.lora_target]

    def _check_quantizable(self, mode, type_check):
        who = f"{type(self).__name__} {self.name!r}"
        if type_check and not type(self).__module__.startswith("gpulayers."):
            raise NotImplementedError(
                f"{who}: subclasses are only quantized with type_check=False, because their `call` "
                "may not know of it."
            )
        if not self.built:
            raise ValueError(f"{who}: build the layer before quantize({mode!r}).")
        if self.quantized is not None:
            raise ValueError(
                f"{who}: quantize({mode!r}), but it is quantized already ({self._policy.name})."
            )
        check_mode(who, mode, self.compute_dtype)
        if mode in ("gptq", "awq"):
            raise NotImplementedError(
                f"{who}: {mode} needs a calibration, which is not available (a layer made with "
                f"dtype='{mode}/4/128_from_float32' takes weights that were calibrated elsewhere). "
                "Use 'int4' or 'int8' instead."
            )

    def enable_lora(self, rank, lora_alpha=None, **initializers) -> None:
        if self.quantization_mode in ("gptq", "awq", "float8"):
            raise NotImplementedError(
                f"{type(self).__name__} {self.name!r}: LoRA does not work together with "
                f"{self.quantization_mode}."
            )
        super().enable_lora(rank, lora_alpha, **initializers)

    def _target_shape(self, weight):
        return self.quantized[self.lora_target].form if self.quantized else weight.shape

    def _as_it_counts(self, weight):
        """The weight as floats if it is corrected, else its numbers."""
        if not self.quantized:
            return super()._as_it_counts(weight)
        kept = self.quantized[self.lora_target]
        if self.lora_enabled:
            return kept.value() + self._correction()
        return weight if kept.packed is None else kept.read()

    def _corrected(self, weight):
        if not self.quantized:
            return super()._corrected(weight)
        return self.quantized[self.lora_target].encode(self._as_it_counts(weight))

    def _kept(self):
        """The own weights in the order of files: the quantized one, the bias, then the rest."""
        first = [] if self.quantization_mode in ("gptq", "awq") else [self.lora_target]
        order = {name: i for i, name in enumerate([*first, "bias"])}
        return sorted(super()._kept(), key=lambda v: order.get(v.name, len(order)))

    def _quantized_inputs(self, x, **options):
        """The inputs as far as they can be told apart when quantized; gradients pass through."""
        if self.inputs_quantizer is None:
            return x
        numbers, scale = self.inputs_quantizer(stop_gradient(x), **options)
        xp = namespace(scale)
        return straight_through(x, xp.astype(numbers, scale.dtype) / scale)


class QuantizedProduct(Quantization):
    """The part of a layer that computes `activation(product(inputs, kernel) + bias)`.

    The layer defines `_product(inputs, kernel)`, and `_summed_axes`: those of the inputs.
    """

    quantization_modes = (*REPLACED, "float8")
    _summed_axes = -1

    def _quantized_call(self, inputs, training):
        kept = self.quantized["kernel"]
        bias = None if self.bias is None else self.bias.value
        if type(kept) is Float8:
            outputs = kept.product(self, inputs, training)
            if bias is not None and self.compute_dtype == "float32":  # As GPUs add it.
                bias = straight_through(bias, rounded(stop_gradient(bias), "bfloat16"))
        else:
            x = self._quantized_inputs(inputs, axis=self._summed_axes)
            outputs = self._product(x, kept.value())
            if self.lora_enabled:
                outputs = outputs + self._product(inputs, self._correction())
        if bias is not None:
            outputs = outputs + bias
        return outputs if self.activation is None else self.activation(outputs)

    def _keep(self, mode, shape):
        if mode == "float8":
            return {"kernel": Float8(self)}
        if mode in ("gptq", "awq"):
            return {"kernel": self._calibrated(shape, shape, "kernel_zero")}
        return {"kernel": kept_matrix(self, "kernel", shape, 0, 1, mode, self._block_size())}


class Float8:
    """Training with inputs, kernel and the outputs' gradient rounded to 8-bit floats.

    Each has a scale, chosen by the largest values of the last steps.  These states are replaced by
    optimizers with their "gradients" (Micikevicius et al., "FP8 formats for deep learning", 2022,
    arXiv:2209.05433).
    """

    packed = None

    def __init__(self, layer):
        length = getattr(
            layer._policy,
            "amax_history_length",
            QuantizedFloat8DTypePolicy.default_amax_history_length,
        )
        for what in ("inputs", "kernel", "outputs_grad"):
            for name, shape, initial in (
                (f"{what}_scale", (), "ones"),
                (f"{what}_amax_history", (length,), "zeros"),
            ):
                variable = layer.add_weight(
                    shape,
                    initial,
                    "float32",
                    autocast=False,
                    overwrite_with_gradient=True,
                    name=name,
                )
                setattr(layer, name, variable)

    def product(self, layer, inputs, training):
        options = {"update": bool(training), "compute_dtype": layer.compute_dtype}
        x = in_float8(inputs, layer.inputs_scale, layer.inputs_amax_history, **options)
        kernel = in_float8(layer._kernel, layer.kernel_scale, layer.kernel_amax_history, **options)
        return with_gradient_in_float8(
            layer._product(x, kernel),
            layer.outputs_grad_scale,
            layer.outputs_grad_amax_history,
            compute_dtype=layer.compute_dtype,
        )


@primitive
def straight_through(x, y):
    """`y`, which stands for `x`: the gradient goes to `x` as it is."""
    return y


@straight_through.vjp
def _(xp, out, x, y):
    return lambda g: g, None


@primitive
def in_float8(x, scale, history, *, update, compute_dtype):
    """`x` rounded to multiples of 8-bit floats; its state's "gradients" are the next state."""
    return _rounded(x, scale, "float8_e4m3fn", compute_dtype)


@in_float8.vjp
def _(xp, out, x, scale, history, *, update, compute_dtype):
    def pullback(g):
        return (g, *(_next_state(x, scale, history, "float8_e4m3fn") if update else (None, None)))

    return pullback


@primitive
def with_gradient_in_float8(y, scale, history, *, compute_dtype):
    """`y` itself; its gradient is rounded to multiples of 8-bit floats."""
    return y


@with_gradient_in_float8.vjp
def _(xp, out, y, scale, history, *, compute_dtype):
    def pullback(g):
        kept = _rounded(g, scale, "float8_e5m2", compute_dtype)
        return (kept, *_next_state(g, scale, history, "float8_e5m2"))

    return pullback


def _rounded(x, scale, dtype, compute_dtype):
    xp = namespace(x, scale)
    return xp.astype(quantize_and_dequantize(x, scale, dtype, compute_dtype), x.dtype)


def _next_state(x, scale, history, dtype):
    """The next scale, and the largest values of the last steps, this one included."""
    largest = namespace(history).max(history)
    next_scale = compute_float8_scale(largest, scale, FORMATS[dtype].largest)
    return next_scale, compute_float8_amax_history(x, history)
