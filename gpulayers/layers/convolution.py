"""Convolution layers: Conv1D, Conv2D, Conv3D."""

from __future__ import annotations

from ..ops.convolution import convolution, convolved
from . import arguments
from .lora import Adapted, LowRankAdaptation
from .product_pieces import Product, products_fit
from .sliding import SlidingLayer
from .training_plan import primitive_link

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Convolution1D",
    "Convolution2D",
    "Convolution3D",
]


class BaseConv(LowRankAdaptation, SlidingLayer):
    """A convolution: each filter weighs what a window shows of all channels (of its group).

    At each place i, activation(bias + sum over the window's places p of
    inputs[strides i + dilation_rate p] @ kernel[p]): what mathematics calls a cross-correlation.

    Args:
        filters: how many; the number of channels of the outputs.
        kernel_size: the sizes of the window, one whole number or one for each axis.
        strides: how far the window moves, likewise.
        padding: "valid": only windows inside the inputs; "same": ceil(size / stride) outputs, with
            zeros around the inputs, the odd one behind them.
        data_format: "channels_last" for (batch, ..., channels), or "channels_first" for
            (batch, channels, ...); `config.image_data_format()` by default.
        dilation_rate: the distance of the window's places, 1 for neighbours; above 1 only with
            strides of 1.
        groups: into how many the channels and the filters are divided; filters see the channels of
            their group only.
        activation: a name or a function; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: of the weights, of shapes
            (*kernel_size, channels / groups, filters) and (filters,).
        kernel_regularizer, bias_regularizer, activity_regularizer: terms of the loss.
        kernel_constraint, bias_constraint: applied after each step of training.
        lora_rank, lora_alpha: see `Dense`.

    Raises TypeError or ValueError for sizes that are no positive integers, for filters or channels
    that the groups do not divide, and for inputs smaller than the window.
    """

    settings = (
        "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups",
    )  # fmt: skip
    kernel = Adapted()

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        groups=1,
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
        **kwargs,
    ):
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            {
                "kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
                "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
                "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint,
            },
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        who = type(self).__name__
        self.filters = arguments.whole(who, "filters", filters)
        self.groups = arguments.whole(who, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"{who}: filters must divide evenly among groups, got filters={filters} and "
                f"groups={groups}."
            )
        self.lora_rank, self.lora_alpha = lora_rank, lora_alpha or lora_rank

    def build(self, input_shape):
        channels = self._begin(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: the channels of the inputs must divide "
                f"evenly among groups={self.groups}, got {channels} (shape {tuple(input_shape)})."
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self._add("kernel", shape)
        self.bias = self._add("bias", (self.filters,)) if self.use_bias else None
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def call(self, inputs):
        outputs = convolved(
            f"{type(self).__name__} {self.name!r}", inputs, self.kernel, self.strides,
            self.padding, self.data_format, self.dilation_rate, self.bias, self._taken_in,
        )  # fmt: skip
        return outputs if self._taken_in else self._activated(outputs)

    def compute_output_shape(self, input_shape):
        sizes = self._convolved_sizes(input_shape)
        return self._shape_with(input_shape, self.filters, sizes)

    def _links(self, x):
        if self.lora_enabled:
            return [None]
        options = self._options(x, self.groups)
        weights = (self.kernel, self.bias)
        link = primitive_link(convolution, x, weights, activation=self._fused, **options)
        return [link] if self._fused else [link, *self._activation_links()]

    def _product_pieces(self, x):
        if self.lora_enabled or not products_fit(x, self.kernel, self.bias):
            return None
        options = self._options(x, self.groups)
        return [Product(self.name, convolution, self.kernel, self.bias, x.dtype, **options)]

    def get_config(self):
        config = super().get_config()
        if self.lora_rank:
            config |= {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        return config


class Conv1D(BaseConv):
    __doc__ = f"""{BaseConv.__doc__}
    Takes (batch, steps, channels), gives (batch, steps, filters).  `padding` may also be "causal":
    zeros in front only, so that no output sees inputs behind its own place.
    """

    rank, takes_causal = 1, True


class Conv2D(BaseConv):
    __doc__ = f"""{BaseConv.__doc__}
    Takes (batch, height, width, channels), gives (batch, height, width, filters).
    """

    rank = 2


class Conv3D(BaseConv):
    __doc__ = f"""{BaseConv.__doc__}
    Takes (batch, depth, height, width, channels), gives (batch, depth, height, width, filters).
    """

    rank = 3


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
