"""Convolution in two steps, by channel and then across channels: SeparableConv1D, -2D."""

from __future__ import annotations

from ..ops.convolution import convolution, convolved, convolved_by_channel
from . import arguments
from .depthwise_convolution import by_channel_link, by_channel_pieces
from .product_pieces import Product, products_fit
from .sliding import SlidingLayer
from .training_plan import primitive_link

__all__ = ["SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D"]


class BaseSeparableConv(SlidingLayer):
    """A convolution of each channel by itself, and then a mixture of the channels at each place.

    Far fewer weights and products than a convolution has (Chollet 2017, "Xception: deep learning
    with depthwise separable convolutions").

    Args:
        filters: the number of channels of the outputs.
        kernel_size: the sizes of the window, one whole number or one for each axis.
        strides: how far the window moves, likewise.
        padding: "valid": only windows inside the inputs; "same": ceil(size / stride) outputs, with
            zeros around the inputs, the odd one behind them.
        data_format: "channels_last" for (batch, ..., channels), or "channels_first" for
            (batch, channels, ...); `config.image_data_format()` by default.
        dilation_rate: the distance of the window's places, 1 for neighbours.
        depth_multiplier: how many filters each channel has in the first step.
        activation: a name or a function; None for none. It follows the second step.
        use_bias: whether a bias is added, after the second step.
        depthwise_initializer, pointwise_initializer, bias_initializer: of the weights, of shapes
            (*kernel_size, channels, depth_multiplier), (1, ..., channels depth_multiplier, filters)
            and (filters,).
        depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer: terms
            of the loss.
        depthwise_constraint, pointwise_constraint, bias_constraint: applied after each step of
            training.

    Raises TypeError or ValueError for sizes that are no positive integers, and for inputs smaller
    than the window.
    """

    settings = (
        "depth_multiplier", "filters", "kernel_size", "strides", "padding", "data_format",
        "dilation_rate",
    )  # fmt: skip
    weights_named = ("depthwise", "pointwise", "bias")
    takes_both = True

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            {
                "depthwise_initializer": depthwise_initializer,
                "pointwise_initializer": pointwise_initializer,
                "bias_initializer": bias_initializer,
                "depthwise_regularizer": depthwise_regularizer,
                "pointwise_regularizer": pointwise_regularizer,
                "bias_regularizer": bias_regularizer,
                "depthwise_constraint": depthwise_constraint,
                "pointwise_constraint": pointwise_constraint,
                "bias_constraint": bias_constraint,
            },
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        who = type(self).__name__
        self.filters = arguments.whole(who, "filters", filters)
        self.depth_multiplier = arguments.whole(who, "depth_multiplier", depth_multiplier)

    def build(self, input_shape):
        channels, multiplier = self._begin(input_shape), self.depth_multiplier
        shape = (*self.kernel_size, channels, multiplier)
        self.depthwise_kernel = self._add("depthwise_kernel", shape, of="depthwise")
        shape = (*(1,) * self.rank, channels * multiplier, self.filters)
        self.pointwise_kernel = self._add("pointwise_kernel", shape, of="pointwise")
        self.bias = self._add("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs):
        who = f"{type(self).__name__} {self.name!r}"
        outputs = convolved_by_channel(
            who, inputs, self.depthwise_kernel, self.strides, self.padding, self.data_format,
            self.dilation_rate,
        )  # fmt: skip
        outputs = convolved(
            who, outputs, self.pointwise_kernel, 1, "valid", self.data_format, 1, self.bias,
            self._taken_in,
        )  # fmt: skip
        return outputs if self._taken_in else self._activated(outputs)

    def compute_output_shape(self, input_shape):
        sizes = self._convolved_sizes(input_shape)
        return self._shape_with(input_shape, self.filters, sizes)

    def _links(self, x):
        once = (1,) * self.rank
        pointwise = primitive_link(
            convolution, x, (self.pointwise_kernel, self.bias), strides=once,
            padding=((0, 0),) * self.rank, dilations=once, activation=self._fused,
        )  # fmt: skip
        options = self._options(x, groups=x.shape[-1])
        links = [by_channel_link(x, self.depthwise_kernel, **options), pointwise]
        return links if self._fused else links + self._activation_links()

    def _product_pieces(self, x):
        kernel, once = self.pointwise_kernel, (1,) * self.rank
        options = self._options(x, groups=x.shape[-1])
        first = by_channel_pieces(self.name, x, self.depthwise_kernel, None, options)
        if first is None or not products_fit(x, kernel, self.bias):
            return None
        options = {"strides": once, "padding": ((0, 0),) * self.rank, "dilations": once}
        return [*first, Product(self.name, convolution, kernel, self.bias, x.dtype, **options)]


class SeparableConv1D(BaseSeparableConv):
    __doc__ = f"""{BaseSeparableConv.__doc__}
    Takes (batch, steps, channels), gives (batch, steps, filters).
    """

    rank = 1


class SeparableConv2D(BaseSeparableConv):
    __doc__ = f"""{BaseSeparableConv.__doc__}
    Takes (batch, height, width, channels), gives (batch, height, width, filters).
    """

    rank = 2


SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
