"""Convolution of each channel by itself: DepthwiseConv1D, DepthwiseConv2D."""

from __future__ import annotations

from ..ops.convolution import convolution, convolved_by_channel
from . import arguments
from .product_pieces import Product, products_fit
from .sliding import SlidingLayer
from .training_plan import Link, primitive_link

__all__ = ["DepthwiseConv1D", "DepthwiseConv2D"]


class BaseDepthwiseConv(SlidingLayer):
    """A convolution in which each channel has filters of its own, and sees no other.

    Args:
        kernel_size: the sizes of the window, one whole number or one for each axis.
        strides: how far the window moves, likewise.
        padding: "valid": only windows inside the inputs; "same": ceil(size / stride) outputs, with
            zeros around the inputs, the odd one behind them.
        depth_multiplier: how many filters each channel has.
        data_format: "channels_last" for (batch, ..., channels), or "channels_first" for
            (batch, channels, ...); `config.image_data_format()` by default.
        dilation_rate: the distance of the window's places, 1 for neighbours.
        activation: a name or a function; None for none.
        use_bias: whether a bias is added.
        depthwise_initializer, bias_initializer: of the weights, `kernel` of shape
            (*kernel_size, channels, depth_multiplier) and `bias` of (channels depth_multiplier,).
        depthwise_regularizer, bias_regularizer, activity_regularizer: terms of the loss.
        depthwise_constraint, bias_constraint: applied after each step of training.

    Gives channels times depth_multiplier channels, those of the first one first.
    Raises TypeError or ValueError for sizes that are no positive integers, and for inputs smaller
    than the window.
    """

    settings = (
        "depth_multiplier", "kernel_size", "strides", "padding", "data_format", "dilation_rate",
    )  # fmt: skip
    weights_named = ("depthwise", "bias")
    takes_both = True

    def __init__(
        self,
        kernel_size,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            {
                "depthwise_initializer": depthwise_initializer,
                "depthwise_regularizer": depthwise_regularizer,
                "depthwise_constraint": depthwise_constraint,
                "bias_initializer": bias_initializer,
                "bias_regularizer": bias_regularizer,
                "bias_constraint": bias_constraint,
            },
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        who = type(self).__name__
        self.depth_multiplier = arguments.whole(who, "depth_multiplier", depth_multiplier)

    def build(self, input_shape):
        channels = self._begin(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self._add("kernel", shape, of="depthwise")
        filters = channels * self.depth_multiplier
        self.bias = self._add("bias", (filters,)) if self.use_bias else None

    def call(self, inputs):
        outputs = convolved_by_channel(
            f"{type(self).__name__} {self.name!r}", inputs, self.kernel, self.strides,
            self.padding, self.data_format, self.dilation_rate, self.bias, self._taken_in,
        )  # fmt: skip
        return outputs if self._taken_in else self._activated(outputs)

    def compute_output_shape(self, input_shape):
        filters = self._channels(input_shape) * self.depth_multiplier
        return self._shape_with(input_shape, filters, self._convolved_sizes(input_shape))

    def _links(self, x):
        options = self._options(x, groups=x.shape[-1])
        link = by_channel_link(x, self.kernel, self.bias, activation=self._fused, **options)
        return [link] if self._fused else [link, *self._activation_links()]

    def _product_pieces(self, x):
        return by_channel_pieces(
            self.name, x, self.kernel, self.bias, self._options(x, x.shape[-1])
        )


def by_channel_pieces(name, x, kernel, bias, options) -> list[Product] | None:
    """A convolution by a kernel (*windows, channels, multiplier) of each channel by itself."""
    if not products_fit(x, kernel, bias):
        return None
    *windows, channels, multiplier = kernel.shape
    shape = (*windows, 1, channels * multiplier)
    return [Product(name, convolution, kernel, bias, x.dtype, shape, **options)]


def by_channel_link(x, kernel, bias=None, **options) -> Link | None:
    """A convolution by a kernel (*windows, channels, multiplier) of each channel by itself."""
    link = primitive_link(convolution, x, (kernel, bias), **options)
    if link is None:
        return None
    shape = kernel.shape
    flat = (*shape[:-2], 1, shape[-2] * shape[-1])

    def run(x, kernel, *bias, needs=None):
        made = link.run(x, kernel.reshape(flat), *bias, needs=needs)
        if needs is None:
            return made
        y, pullback = made

        def back(g):
            dx, d_kernel, *rest = pullback(g)
            return dx, None if d_kernel is None else d_kernel.reshape(shape), *rest

        return y, back

    return Link(run, link.variables)


class DepthwiseConv1D(BaseDepthwiseConv):
    __doc__ = f"""{BaseDepthwiseConv.__doc__}
    Takes (batch, steps, channels), gives (batch, steps, channels depth_multiplier).
    """

    rank = 1


class DepthwiseConv2D(BaseDepthwiseConv):
    __doc__ = f"""{BaseDepthwiseConv.__doc__}
    Takes (batch, height, width, channels), gives (batch, height, width, channels
    depth_multiplier).
    """

    rank = 2
