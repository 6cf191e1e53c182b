"""Transposed convolution layers: Conv1DTranspose, Conv2DTranspose, Conv3DTranspose."""

from __future__ import annotations

from ..arrays import devices
from ..ops.convolution import convolution_input_gradient, transposed, transposed_margins
from . import arguments
from .pieces import Call, ChannelMap
from .product_pieces import Product, products_fit
from .sliding import SlidingLayer
from .training_plan import Link, primitive_link, without_gradients

__all__ = [
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "Convolution1DTranspose",
    "Convolution2DTranspose",
    "Convolution3DTranspose",
]


class BaseConvTranspose(SlidingLayer):
    """A convolution turned round: each input adds its share of the kernel to a window of outputs.

    Sizes grow where a convolution with the same arguments would shrink them.

    Args:
        filters: the number of channels of the outputs.
        kernel_size: the sizes of the window, one whole number or one for each axis.
        strides: how far the windows of neighbouring inputs are apart, likewise.
        padding: "valid" for (size - 1) stride + max(span, stride) outputs along an axis, where the
            window spans (kernel_size - 1) dilation_rate + 1; "same" for size times stride.
        output_padding: less than the strides, or None. Then there are (size - 1) stride + span +
            output_padding outputs for "valid", (size - 1) stride + span % 2 + output_padding for
            "same".
        data_format: "channels_last" for (batch, ..., channels), or "channels_first" for
            (batch, channels, ...); `config.image_data_format()` by default.
        dilation_rate: the distance of the window's places; above 1 only with strides of 1.
        activation: a name or a function; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: of the weights, of shapes
            (*kernel_size, filters, channels) and (filters,).
        kernel_regularizer, bias_regularizer, activity_regularizer: terms of the loss.
        kernel_constraint, bias_constraint: applied after each step of training.

    Raises TypeError or ValueError for sizes that are no positive integers.
    """

    settings = (
        "filters", "kernel_size", "strides", "padding", "output_padding", "data_format",
        "dilation_rate",
    )  # fmt: skip

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
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
        self.output_padding = None
        if output_padding is not None:
            extra = arguments.sizes(who, "output_padding", output_padding, self.rank, least=0)
            if any(e >= s for e, s in zip(extra, self.strides, strict=True)):
                raise ValueError(
                    f"{who}: output_padding must be less than the strides, got {extra} with "
                    f"strides={self.strides}."
                )
            self.output_padding = extra

    def build(self, input_shape):
        channels = self._begin(input_shape)
        self.kernel = self._add("kernel", (*self.kernel_size, self.filters, channels))
        self.bias = self._add("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs):
        outputs = transposed(
            f"{type(self).__name__} {self.name!r}", inputs, self.kernel, self.strides,
            self.padding, self.output_padding, self.data_format, self.dilation_rate,
        )  # fmt: skip
        return self._activated(self._with_bias(outputs))

    def _links(self, x):
        options = self._transposed_options(x)
        link = primitive_link(convolution_input_gradient, x, (self.kernel,), **options)
        biased = [] if self.bias is None else [Link(_with_bias, (self.bias,))]
        return [link, *biased, *self._activation_links()]

    def _transposed_options(self, x) -> dict:
        """The options of `convolution_input_gradient` for arrays like `x`."""
        around = self._margins(x.shape)
        return {
            "sizes": tuple(size for size, _ in around),
            "strides": self.strides,
            "padding": tuple((low, 0) for _, low in around),
            "dilations": self.dilation_rate,
        }

    def _product_pieces(self, x):
        kernel, bias = self.kernel, self.bias
        if devices.is_cupy(kernel._value):
            if not products_fit(x, kernel, bias):
                return None
            options = self._transposed_options(x)
            operation = convolution_input_gradient
            return [Product(self.name, operation, kernel, bias, x.dtype, **options)]
        first, *_ = self._links(x)
        if first is None:
            return None
        product = Call(self.name, without_gradients([first]), "transposed convolution", fresh=True)
        return [product] + ([] if bias is None else [ChannelMap(self.name, _offset_alone, [bias])])

    def _margins(self, input_shape) -> list[tuple[int | None, int | None]]:
        """The size of the outputs and the elements cut in front, for each inner axis."""
        extra = self.output_padding or (None,) * self.rank
        window = self.kernel_size, self.strides, self.dilation_rate, extra
        return [
            (None, None) if one[0] is None else transposed_margins(*one, self.padding)
            for one in zip(self._sizes(input_shape), *window, strict=True)
        ]

    def compute_output_shape(self, input_shape):
        sizes = [size for size, _ in self._margins(input_shape)]
        return self._shape_with(input_shape, self.filters, sizes)


def _offset_alone(bias):
    """Factor and offset of a bias."""
    return None, bias


def _with_bias(x, bias, needs=None):
    """x + bias, and its pullback if something needs one."""
    if needs is None:
        return x + bias
    return x + bias, lambda g: (g, g.sum(axis=tuple(range(g.ndim - 1))) if needs[1] else None)


class Conv1DTranspose(BaseConvTranspose):
    __doc__ = f"""{BaseConvTranspose.__doc__}
    Takes (batch, steps, channels), gives (batch, more steps, filters).
    """

    rank = 1


class Conv2DTranspose(BaseConvTranspose):
    __doc__ = f"""{BaseConvTranspose.__doc__}
    Takes (batch, height, width, channels), gives (batch, new height, new width, filters).
    """

    rank = 2


class Conv3DTranspose(BaseConvTranspose):
    __doc__ = f"""{BaseConvTranspose.__doc__}
    Takes (batch, depth, height, width, channels), gives as many axes, the last one of filters.
    Among the positional arguments, `data_format` comes before `output_padding`, as in Keras.
    """

    rank = 3

    def __init__(
        self, filters, kernel_size, strides=(1, 1, 1), padding="valid", data_format=None,
        output_padding=None, *args, **kwargs,
    ):  # fmt: skip
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, *args, **kwargs
        )


Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
