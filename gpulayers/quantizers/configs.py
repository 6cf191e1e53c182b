"""The options of `layer.quantize` and `model.quantize`, one class for each mode."""

from __future__ import annotations

from .. import registry
from ..arrays.quantized_policy import QUANTIZATION_MODES
from .whole_numbers import AbsMaxQuantizer


class QuantizationConfig:
    """The base of the options.

    Args:
        weight_quantizer: quantizes the weights; the layer's own way if None.
        activation_quantizer: quantizes the inputs at each call; they stay floats if None.
    """

    mode: str | None = None

    def __init__(self, weight_quantizer=None, activation_quantizer=None):
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer

    @property
    def policy_mode(self) -> str:
        """The mode as it stands in the name of a dtype policy."""
        return self.mode

    def get_config(self) -> dict:
        return {
            "weight_quantizer": self.weight_quantizer,
            "activation_quantizer": self.activation_quantizer,
        }

    @classmethod
    def from_config(cls, config: dict) -> QuantizationConfig:
        quantizers = ("weight_quantizer", "activation_quantizer")
        return cls(**config | {key: registry.deserialize(config.get(key)) for key in quantizers})

    def _check_weights(self, value_range=None):
        quantizer = self.weight_quantizer
        if quantizer is None:
            return
        if quantizer.output_dtype != "int8":
            raise ValueError(
                f"{type(self).__name__}: the output_dtype of weight_quantizer must be 'int8', got "
                f"{quantizer.output_dtype!r}."
            )
        if value_range is not None and tuple(quantizer.value_range) != value_range:
            raise ValueError(
                f"{type(self).__name__}: the value_range of weight_quantizer must be "
                f"{value_range}, got {quantizer.value_range}."
            )


class Int8QuantizationConfig(QuantizationConfig):
    """Weights as int8 with a scale for each output, and inputs too, unless told otherwise.

    Args:
        weight_quantizer: gives int8; by the largest value of each output if None.
        activation_quantizer: by the largest value of each row ("default"), another, or None.

    Raises ValueError for a weight_quantizer that does not give int8.
    """

    mode = "int8"

    def __init__(self, weight_quantizer=None, activation_quantizer="default"):
        default = isinstance(activation_quantizer, str) and activation_quantizer == "default"
        super().__init__(weight_quantizer, AbsMaxQuantizer() if default else activation_quantizer)
        self._check_weights()


class Int4QuantizationConfig(QuantizationConfig):
    """Weights as 4-bit numbers, two in a byte; inputs stay floats.

    Args:
        weight_quantizer: gives int8 from -8 to 7; only without blocks.
        activation_quantizer: of the inputs; none ("default"), and only without blocks.
        block_size: how many inputs of an output share a scale and a zero; None or -1 for all.

    Raises ValueError for another block_size, for quantizers together with blocks, and for a
    weight_quantizer of another range.
    """

    mode = "int4"

    def __init__(
        self, weight_quantizer=None, activation_quantizer="default", block_size: int | None = 128
    ):
        default = isinstance(activation_quantizer, str) and activation_quantizer == "default"
        super().__init__(weight_quantizer, None if default else activation_quantizer)
        if block_size not in (None, -1) and block_size <= 0:
            raise ValueError(
                "Int4QuantizationConfig: block_size must be None, -1 or a positive integer, got "
                f"{block_size}."
            )
        own = self.weight_quantizer is not None or self.activation_quantizer is not None
        if own and block_size not in (None, -1):
            raise ValueError(
                "Int4QuantizationConfig: blocks are quantized in their own way; give block_size="
                f"None with a weight_quantizer or an activation_quantizer, got {block_size}."
            )
        self._check_weights((-8, 7))
        self.block_size = block_size

    @property
    def policy_mode(self) -> str:
        return f"int4/{-1 if self.block_size is None else self.block_size}"

    def get_config(self) -> dict:
        return {**super().get_config(), "block_size": self.block_size}

    @classmethod
    def from_config(cls, config: dict) -> Int4QuantizationConfig:
        return super().from_config({"block_size": None, **config})  # None in older files.


class Float8QuantizationConfig(QuantizationConfig):
    """Training with weights, inputs and gradients rounded to 8-bit floats, without options."""

    mode = "float8"

    def __init__(self):
        super().__init__()

    def get_config(self) -> dict:
        return {}

    @classmethod
    def from_config(cls, config: dict) -> Float8QuantizationConfig:
        return cls()


class _Calibrated(QuantizationConfig):
    """Options of quantization by how a model works on example data."""

    _bits: tuple = ()
    _sizes = ("num_samples", "sequence_length")

    def __init__(self, dataset, tokenizer, **options):
        super().__init__()
        self.dataset, self.tokenizer = dataset, tokenizer
        self.__dict__.update(options)
        who = type(self).__name__
        if self.weight_bits not in self._bits:
            raise ValueError(
                f"{who}: weight_bits must be one of {', '.join(map(str, self._bits))}, got "
                f"{self.weight_bits}."
            )
        for name in self._sizes:
            if getattr(self, name) <= 0:
                raise ValueError(f"{who}: {name} must be positive, got {getattr(self, name)}.")
        if self.group_size != -1 and self.group_size <= 0:
            raise ValueError(f"{who}: group_size must be -1 or positive, got {self.group_size}.")
        self._options = options

    @property
    def policy_mode(self) -> str:
        return f"{self.mode}/{self.weight_bits}/{self.group_size}"

    def dtype_policy_string(self) -> str:
        """The mode as it stands in the name of a dtype policy: "gptq/4/128"."""
        return self.policy_mode

    def get_config(self) -> dict:
        """The options; the examples and the tokenizer are not kept."""
        return {"dataset": None, "tokenizer": None, **self._options}

    @classmethod
    def from_config(cls, config: dict) -> _Calibrated:
        return cls(**config)


class GPTQConfig(_Calibrated):
    """How a layer was quantized by GPTQ (Frantar et al. 2022, arXiv:2210.17323).

    Args:
        dataset, tokenizer: the examples; not kept in files.
        weight_bits: 2, 3, 4 or 8.
        num_samples, sequence_length: how many examples, and how long.
        per_channel: a scale for each output.
        hessian_damping: a part of the mean of the Hessian's diagonal that was added to it.
        group_size: how many inputs share a scale; -1 for all.
        symmetric, activation_order: whether ranges are symmetric; whether inputs were sorted.
        quantization_layer_structure: the blocks of the model.

    Raises ValueError for numbers out of their range.
    """

    mode, _bits = "gptq", (2, 3, 4, 8)

    def __init__(
        self,
        dataset,
        tokenizer,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: dict | None = None,
    ):
        if not 0 <= hessian_damping <= 1:
            raise ValueError(f"GPTQConfig: hessian_damping must be in 0..1, got {hessian_damping}.")
        super().__init__(
            dataset,
            tokenizer,
            weight_bits=weight_bits,
            num_samples=num_samples,
            per_channel=per_channel,
            sequence_length=sequence_length,
            hessian_damping=hessian_damping,
            group_size=group_size,
            symmetric=symmetric,
            activation_order=activation_order,
            quantization_layer_structure=quantization_layer_structure,
        )


class AWQConfig(_Calibrated):
    """How a layer was quantized by AWQ (Lin et al. 2023, arXiv:2306.00978).

    Args:
        dataset, tokenizer: the examples; not kept in files.
        weight_bits: 4.
        num_samples, sequence_length: how many examples, and how long.
        group_size: how many inputs share a scale; -1 for all.
        num_grid_points: how many scales of the inputs were tried.
        quantization_layer_structure: the blocks of the model.

    Raises ValueError for numbers out of their range.
    """

    mode, _bits = "awq", (4,)
    _sizes = ("num_samples", "sequence_length", "num_grid_points")

    def __init__(
        self,
        dataset,
        tokenizer,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        quantization_layer_structure: dict | None = None,
    ):
        super().__init__(
            dataset,
            tokenizer,
            weight_bits=weight_bits,
            num_samples=num_samples,
            sequence_length=sequence_length,
            group_size=group_size,
            num_grid_points=num_grid_points,
            quantization_layer_structure=quantization_layer_structure,
        )


_DEFAULTS = {
    "int8": Int8QuantizationConfig,
    "int4": Int4QuantizationConfig,
    "float8": Float8QuantizationConfig,
}


def resolve(who: str, mode: str | None, config) -> QuantizationConfig:
    """The options that `quantize(mode, config)` means.

    Raises ValueError if neither says what to do, or they contradict one another.
    """
    if isinstance(config, str):
        mode, config = config, None
    if config is None:
        if mode in _DEFAULTS:
            return _DEFAULTS[mode]()
        if mode in ("gptq", "awq"):
            raise ValueError(f"{who}: {mode} needs config={mode.upper()}Config(...).")
        raise ValueError(
            f"{who}: quantization mode must be one of {', '.join(QUANTIZATION_MODES)}, got "
            f"{mode!r}."
        )
    if not isinstance(config, QuantizationConfig):
        raise ValueError(
            f"{who}: config must be a QuantizationConfig, got {type(config).__name__}."
        )
    if config.mode not in QUANTIZATION_MODES or mode not in (None, config.mode):
        raise ValueError(f"{who}: mode {mode!r} contradicts the mode of config, {config.mode!r}.")
    return config
