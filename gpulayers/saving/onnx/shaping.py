"""Layers that change shapes, merge arrays or give them on as they are, as nodes of ONNX."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from ... import config
from ... import layers as made
from .masks import spread
from .normalization import unit_length
from .writer import NotCovered, Value, Writer


def same(writer: Writer, layer, x: Value) -> Value:
    return x


def inner(writer, layer, x):
    """What a wrapper holds: all it does itself is done in training."""
    return writer.call(layer.layer, x)


def in_line(writer, layer, x):
    return reduce(lambda y, one: writer.call(one, y), layer.layers, x)


def masking(writer, layer, x):
    if np.ndim(layer.mask_value):
        raise NotCovered("has an array as mask_value: only numbers are covered")
    differs = writer.each("Not", writer.each("Equal", x, layer.mask_value))
    counted = writer.each("Where", differs, 1.0, 0.0)
    return writer.each("Mul", x, writer.along("ReduceMax", counted, [-1], keepdims=True))


def flatten(writer, layer, x):
    if x.ndim > 2 and layer.data_format == "channels_first":
        x = writer.transposed(x, (0, *range(2, x.ndim), 1))
    if x.ndim == 1:
        return writer.reshaped(x, (x.shape[0], 1))
    return writer.reshaped(x, layer.compute_output_shape(x.shape))


def reshape(writer, layer, x):
    return writer.reshaped(x, layer.compute_output_shape(x.shape))


def permute(writer, layer, x):
    return writer.transposed(x, (0, *layer.dims))


def repeat_vector(writer, layer, x):
    batch, features = x.shape
    x = writer.node("Unsqueeze", x, writer.integers(1))
    shape = (batch, layer.n, features)
    return writer.single("Tile", x, writer.integers(1, layer.n, 1), shape=shape)


def custom_scale(writer, layer, inputs):
    first, second = inputs
    return writer.each("Add", first, writer.each("Mul", second, layer.scale))


# Merging.


def of_one_rank(writer, inputs):
    """Inputs with axes of size 1 after the batch's, so that they have equally many."""
    ndim, found = max(x.ndim for x in inputs), []
    for x in inputs:
        if x.ndim < ndim:
            ones = (1,) * (ndim - x.ndim)
            axes = writer.integers(*range(1, 1 + len(ones)))
            shape = (x.shape[0], *ones, *x.shape[1:])
            x = writer.single("Unsqueeze", x, axes, shape=shape, dtype=x.dtype)
        found.append(x)
    return found


def _merging(operation):
    def merge(writer, layer, inputs):
        inputs = of_one_rank(writer, inputs)
        return reduce(lambda a, b: writer.each(operation, a, b), inputs)

    return merge


def multiply(writer, layer, inputs):
    """Masked inputs count as 1; where all are masked, the product is 0."""
    masks = [x.mask for x in inputs]
    inputs = of_one_rank(writer, inputs)
    masks = [spread(writer, m, x.ndim) for m, x in zip(masks, inputs, strict=True)]
    parts = [
        x if m is None else writer.each("Where", m, x, 1.0)
        for m, x in zip(masks, inputs, strict=True)
    ]
    product = reduce(lambda a, b: writer.each("Mul", a, b), parts)
    if any(m is None for m in masks):
        return product
    some = reduce(lambda a, b: writer.each("Or", a, b), masks)
    return writer.each("Where", some, product, 0.0)


def _extreme(operation):
    def extreme(writer, layer, inputs):
        masks = [x.mask for x in inputs]
        inputs = of_one_rank(writer, inputs)
        masks = [spread(writer, m, x.ndim) for m, x in zip(masks, inputs, strict=True)]
        result, mask = inputs[0], masks[0]
        for x, own in zip(inputs[1:], masks[1:], strict=True):
            x = x if own is None else writer.each("Where", own, x, result)
            result = result if mask is None else writer.each("Where", mask, result, x)
            mask = None if mask is None or own is None else writer.each("Or", mask, own)
            result = writer.each(operation, result, x)
        return result

    return extreme


def average(writer, layer, inputs):
    total = _merging("Add")(writer, layer, inputs)
    return writer.each("Div", writer.cast(total, "float32"), len(inputs))


def concatenate(writer, layer, inputs):
    return concatenated(writer, inputs, layer.axis)


def concatenated(writer, inputs, axis):
    """Values joined along an axis, as the layers count it."""
    ndim = inputs[0].ndim
    axis %= ndim
    sizes = [x.shape[axis] for x in inputs]
    shape = list(inputs[0].shape)
    shape[axis] = None if None in sizes else sum(sizes)
    dtypes = {x.dtype for x in inputs}
    dtype = "float32" if "float32" in dtypes else inputs[0].dtype
    inputs = [writer.cast(x, dtype) for x in inputs]
    if axis == ndim - 1 and ndim > 2 and any(x.plain is None for x in inputs):
        name = writer.node("Concat", *(writer.turned(x) for x in inputs), axis=1)
        return Value(shape, dtype, turned=name)
    return writer.single("Concat", *inputs, shape=shape, dtype=dtype, axis=axis)


def dot(writer, layer, inputs):
    shapes = [x.shape for x in inputs]
    left, right = (
        _rows(writer, layer, x, axis) for x, axis in zip(inputs, layer._places(shapes), strict=True)
    )
    across = writer.transposed(right, (0, 2, 1))
    shape = (left.shape[0], left.shape[1], across.shape[2])
    product = writer.single("MatMul", left, across, shape=shape)
    return writer.reshaped(product, layer.compute_output_shape(shapes))


def _rows(writer, layer, x, axis):
    """`x` as (batch, rows, size of the axis)."""
    if layer.normalize:
        x = unit_length(writer, x, [axis], config.epsilon())
    if axis != x.ndim - 1:
        x = writer.transposed(x, (*(i for i in range(x.ndim) if i != axis), axis))
    batch, *others, size = x.shape
    rows = None if None in others else math.prod(others)
    return x if len(others) == 1 else writer.reshaped(x, (batch, rows, size))


def time_distributed(writer, layer, x):
    """The steps as further samples: the layer inside does the same to each."""
    batch, steps, *rest = x.shape
    if None in rest:
        raise NotCovered(f"needs to know the sizes of its steps, got {tuple(rest)}")
    samples = writer.single("Reshape", x, writer.integers(-1, *rest), shape=(None, *rest),
                            dtype=x.dtype)  # fmt: skip
    y = writer.call(layer.layer, samples)
    if not isinstance(y, Value):
        raise NotCovered("has a layer inside that gives several outputs")
    _, *sizes = y.shape
    if None in sizes:
        raise NotCovered(f"gives steps of unknown sizes {tuple(sizes)}")
    if steps is not None:
        target = writer.integers(-1, steps, *sizes)
    else:
        start = writer.node("Shape", x, start=0, end=2)
        target = writer.node("Concat", start, writer.integers(*sizes), axis=0)
    return writer.single("Reshape", y, target, shape=(batch, steps, *sizes), dtype=y.dtype)


AUGMENTING = """
    AugMix CutMix MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter
    RandomContrast RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur
    RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom
"""  # Only in training.
LAYERS = {
    **{getattr(made, name): same for name in AUGMENTING.split()},
    **dict.fromkeys((made.Dropout, made.SpatialDropout1D, made.SpatialDropout2D), same),
    **dict.fromkeys((made.SpatialDropout3D, made.GaussianDropout, made.GaussianNoise), same),
    **dict.fromkeys((made.AlphaDropout, made.ActivityRegularization, made.Identity), same),
    made.SpectralNormalization: inner,
    made.Pipeline: in_line,
    made.Masking: masking,
    made.Flatten: flatten,
    made.Reshape: reshape,
    made.Permute: permute,
    made.RepeatVector: repeat_vector,
    made.CustomScaleLayer: custom_scale,
    made.Add: _merging("Add"),
    made.Subtract: _merging("Sub"),
    made.Multiply: multiply,
    made.Maximum: _extreme("Max"),
    made.Minimum: _extreme("Min"),
    made.Average: average,
    made.Concatenate: concatenate,
    made.Dot: dot,
    made.TimeDistributed: time_distributed,
}
