"""Convolutions, pooling and what changes the sizes of images, as nodes of ONNX."""

from __future__ import annotations

import numpy as np

from ... import layers as made
from ...ops.convolution import transposed_margins
from ...ops.resize import interpolation_weights, nearest_places
from ...ops.sliding import margins, span
from .activations import activated
from .masks import with_axis
from .writer import NotCovered, Value, Writer, numbers, turned_axis


def convolution(writer: Writer, layer, x: Value) -> Value:
    kernel = _filters_first(numbers(layer.kernel))
    y = _convolved(writer, layer, x, kernel, layer.bias, layer.groups)
    return activated(writer, y, layer.activation)


def depthwise(writer, layer, x):
    y = _convolved(writer, layer, x, _by_channel(layer.kernel), layer.bias, _channels(layer, x))
    return activated(writer, y, layer.activation)


def separable(writer, layer, x):
    y = _convolved(writer, layer, x, _by_channel(layer.depthwise_kernel), None, _channels(layer, x))
    name = writer.channels_first(y, layer.data_format)
    kernel = writer.constant(_filters_first(numbers(layer.pointwise_kernel)))
    bias = None if layer.bias is None else writer.constant(layer.bias)
    name = writer.node("Conv", name, kernel, bias)
    shape = layer.compute_output_shape(x.shape)
    return activated(
        writer, writer.from_channels_first(name, shape, layer.data_format), layer.activation
    )


def _channels(layer, x):
    return x.shape[layer._channel_axis]


def _filters_first(kernel):
    """(*sizes, inputs, outputs) as (outputs, inputs, *sizes)."""
    rank = kernel.ndim - 2
    return kernel.transpose(rank + 1, rank, *range(rank))


def _by_channel(kernel):
    """(*sizes, channels, multiplier) as (channels multiplier, 1, *sizes)."""
    kernel = numbers(kernel)
    rank = kernel.ndim - 2
    return kernel.transpose(rank, rank + 1, *range(rank)).reshape(-1, 1, *kernel.shape[:rank])


def _convolved(writer, layer, x, kernel, bias, groups):
    window = layer.kernel_size, layer.strides, layer.dilation_rate
    name = writer.node(
        "Conv",
        writer.channels_first(writer.cast(x, "float32"), layer.data_format),
        writer.constant(kernel),
        None if bias is None else writer.constant(bias),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=groups,
        **_around(layer.padding, _sizes(layer, x), *window),
    )
    sizes = layer._convolved_sizes(x.shape)
    shape = layer._shape_with(x.shape, kernel.shape[0], sizes)
    return writer.from_channels_first(name, shape, layer.data_format)


def _inner(layer, shape):
    return shape[1:-1] if layer.data_format == "channels_last" else shape[2:]


def _sizes(layer, x):
    return _inner(layer, x.shape)


def _around(padding, sizes, windows, strides, dilations):
    """The attributes that say how many zeros stand around: with unknown sizes, by a rule."""
    known = [n if n is not None or s > 1 else span(k, d) for n, k, s, d in zip(
        sizes, windows, strides, dilations, strict=True)]  # fmt: skip
    if padding != "same":
        known = [1] * len(known)
    if None in known:
        return {"auto_pad": "SAME_UPPER"}
    found = margins(padding, known, windows, strides, dilations)
    return {"pads": [low for low, _ in found] + [high for _, high in found]}


def transposed(writer, layer, x):
    kernel = numbers(layer.kernel)
    rank = kernel.ndim - 2
    extra = layer.output_padding or (None,) * rank
    lows, highs, more = [], [], []
    for k, s, d, e in zip(
        layer.kernel_size, layer.strides, layer.dilation_rate, extra, strict=True
    ):
        size, low = transposed_margins(1, k, s, d, e, layer.padding)  # The same for any size.
        high = span(k, d) - low - size
        lows.append(low)
        highs.append(max(high, 0))
        more.append(max(-high, 0))
    name = writer.node(
        "ConvTranspose",
        writer.channels_first(writer.cast(x, "float32"), layer.data_format),
        writer.constant(_filters_first(kernel)),
        None if layer.bias is None else writer.constant(layer.bias),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        pads=lows + highs,
        output_padding=more,
    )
    y = writer.from_channels_first(name, layer.compute_output_shape(x.shape), layer.data_format)
    return activated(writer, y, layer.activation)


def pooling(writer, layer, x):
    largest = isinstance(layer, (made.MaxPooling1D, made.MaxPooling2D, made.MaxPooling3D))
    ones = (1,) * layer.rank
    name = writer.node(
        "MaxPool" if largest else "AveragePool",
        writer.channels_first(x, layer.data_format),
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        count_include_pad=None if largest else 0,
        **_around(layer.padding, _sizes(layer, x), layer.pool_size, layer.strides, ones),
    )
    return writer.from_channels_first(name, layer.compute_output_shape(x.shape), layer.data_format)


def global_pooling(writer, layer, x):
    if x.mask is not None and isinstance(layer, made.GlobalAveragePooling1D):
        kept = with_axis(writer, x.mask, 2 if layer.data_format == "channels_last" else 1)
        kept_x = writer.each("Where", kept, x, 0.0)
        total, count = (
            writer.along("ReduceSum", one, layer._axes, keepdims=bool(layer.keepdims))
            for one in (kept_x, writer.cast(kept, "float32"))
        )
        return writer.each("Div", total, count)
    operation = "ReduceMean" if layer.reduction == "mean" else "ReduceMax"
    return writer.along(operation, x, layer._axes, keepdims=bool(layer.keepdims))


# Sizes.


def zero_padding(writer, layer, x):
    turned, widths = x.prefers_turned, layer._widths()
    places = range(x.ndim) if not turned else [0, x.ndim - 1, *range(1, x.ndim - 1)]
    pads = [widths[i][0] for i in places] + [widths[i][1] for i in places]
    name = x.turned if turned else writer.plain(x)
    name = writer.node("Pad", name, writer.integers(*pads), writer.constant(np.zeros((), x.dtype)))
    return _in_the_same_order(name, layer.compute_output_shape(x.shape), x, turned)


def cropping(writer, layer, x):
    turned, first = x.prefers_turned, 2 if layer.data_format == "channels_first" else 1
    axes = range(first, first + len(layer.cropping))
    axes = [turned_axis(axis, x.ndim) if turned else axis for axis in axes]
    ends = [-after if after else np.iinfo(np.int64).max for _, after in layer.cropping]
    name = writer.node(
        "Slice",
        x.turned if turned else writer.plain(x),
        writer.integers(*(before for before, _ in layer.cropping)),
        writer.integers(*ends),
        writer.integers(*axes),
    )
    return _in_the_same_order(name, layer.compute_output_shape(x.shape), x, turned)


def _in_the_same_order(name, shape, x, turned):
    return Value(shape, x.dtype, turned=name) if turned else Value(shape, x.dtype, plain=name)


def upsampling(writer, layer, x):
    name = writer.channels_first(x, layer.data_format)
    way = getattr(layer, "interpolation", "nearest")
    shape = layer.compute_output_shape(x.shape)
    if way in WAYS:
        scales = writer.constant(np.array((1, 1, *layer.size), np.float32))
        name = writer.node("Resize", name, None, scales, **WAYS[way])
    else:
        name = _resampled(writer, name, _sizes(layer, x), _inner(layer, shape), way)
    return writer.from_channels_first(name, shape, layer.data_format)


# How ONNX enlarges images by whole factors.
WAYS = {
    "nearest": {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    },
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    "bicubic": {
        "mode": "cubic",
        "coordinate_transformation_mode": "half_pixel",
        "cubic_coeff_a": -0.5,
        "exclude_outside": 1,
    },
}


def resizing(writer, layer, x):
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or x.ndim != 4:
        raise NotCovered("keeps the ratio of images, or takes single ones, which is not covered")
    x = writer.cast(x, layer.compute_dtype)
    new = (layer.height, layer.width)
    last = layer.data_format == "channels_last"
    shape = (x.shape[0], *new, x.shape[3]) if last else (*x.shape[:2], *new)
    name = writer.channels_first(x, layer.data_format)
    way, antialias = layer.interpolation, layer.antialias
    name = _resampled(writer, name, _sizes(layer, x), new, way, antialias)
    return writer.from_channels_first(name, shape, layer.data_format)


def _resampled(writer, name, old, new, way, antialias=False):
    """Images (batch, channels, *old) in other sizes: by products with the weights of pixels.

    ONNX rounds sizes and places in its own way, and onnxruntime does not have all of its ways.
    """
    if None in old:
        raise NotCovered("needs to know the sizes of its inputs")
    for i, (n, size) in enumerate(zip(old, new, strict=True)):
        if n == size:
            continue
        if way == "nearest":
            places = writer.integers(*nearest_places(n, size))
            name = writer.node("Gather", name, places, axis=2 + i)
            continue
        weights = interpolation_weights(n, size, way, bool(antialias), "float32")
        pair = (writer.constant(weights), name) if i == 0 else (name, writer.constant(weights.T))
        name = writer.node("MatMul", *pair)
    return name


LAYERS = {
    **dict.fromkeys((made.Conv1D, made.Conv2D, made.Conv3D), convolution),
    **dict.fromkeys((made.DepthwiseConv1D, made.DepthwiseConv2D), depthwise),
    **dict.fromkeys((made.SeparableConv1D, made.SeparableConv2D), separable),
    **dict.fromkeys((made.Conv1DTranspose, made.Conv2DTranspose, made.Conv3DTranspose), transposed),
    **dict.fromkeys((made.MaxPooling1D, made.MaxPooling2D, made.MaxPooling3D), pooling),
    **dict.fromkeys((made.AveragePooling1D, made.AveragePooling2D, made.AveragePooling3D), pooling),
    **dict.fromkeys((made.GlobalMaxPooling1D, made.GlobalMaxPooling2D), global_pooling),
    **dict.fromkeys((made.GlobalMaxPooling3D, made.GlobalAveragePooling1D), global_pooling),
    **dict.fromkeys((made.GlobalAveragePooling2D, made.GlobalAveragePooling3D), global_pooling),
    **dict.fromkeys((made.ZeroPadding1D, made.ZeroPadding2D, made.ZeroPadding3D), zero_padding),
    **dict.fromkeys((made.Cropping1D, made.Cropping2D, made.Cropping3D), cropping),
    **dict.fromkeys((made.UpSampling1D, made.UpSampling2D, made.UpSampling3D), upsampling),
    made.Resizing: resizing,
}
