"""Convolution over any number of axes, and its two gradients.

Layouts: x (N, *sizes, C), kernel (*windows, C / groups, F), y (N, *counts, F); of the C channels
and of the F filters, each group has a part in turn.  The three primitives are each other's
gradients, so that gradients of gradients need no more of them.  The references go through the
window place by place, as the definition does; what runs are the versions in `cpu` and `cuda`.
"""

from __future__ import annotations

from ..arrays import Abstract, devices, dtypes, namespace, primitive
from .calling import array_function, together
from .dense import FUSED, before_activation, product
from .sliding import (
    channels_last,
    counts,
    each,
    margins,
    places,
    require_padding,
    seen_from,
    span,
    spread_to,
    with_margins,
)

__all__ = ["conv", "conv_transpose", "depthwise_conv", "separable_conv"]


@primitive
def convolution(x, kernel, bias=None, *, strides, padding, dilations, groups=1, activation=None):
    """activation(bias + sum over places p of the window: x[s i + d p - low] @ kernel[p]).

    Args:
        x: (N, *sizes, C).
        kernel: (*windows, C / groups, F).
        bias: (F,), or None for none.
        strides, dilations: whole numbers from 1, one for each inner axis.
        padding: a pair (low, high) for each inner axis: zeros before and behind it (elements taken
            away where negative).
        groups: into how many the channels are divided; each filter sees those of one.
        activation: a name in `FUSED` ("relu", "sigmoid", "tanh"), or None.

    Gives (N, *counts, F).
    """
    xp = namespace(x, kernel)
    windows, filters = kernel.shape[:-2], kernel.shape[-1]
    count = counts(x.shape[1:-1], windows, strides, padding, dilations)
    x = with_margins(x, padding)
    y = xp.zeros((x.shape[0], *count, filters), dtype=x.dtype, device=devices.device_of(x))
    for place in places(windows):
        seen = seen_from(x, place, count, strides, dilations)
        y = y + _products(xp, seen, kernel[(*place, ...)], groups)
    if bias is not None:
        y = y + bias
    return y if activation is None else FUSED[activation](y)


@convolution.shape
def _(x, kernel, bias=None, *, strides, padding, dilations, groups=1, activation=None):
    count = counts(x.shape[1:-1], kernel.shape[:-2], strides, padding, dilations)
    return Abstract((x.shape[0], *count, kernel.shape[-1]), dtypes.promote(x, kernel))


@convolution.vjp
def _(xp, out, x, kernel, bias=None, *, strides, padding, dilations, groups=1, activation=None):
    options = {"strides": strides, "padding": padding, "dilations": dilations, "groups": groups}

    def pullback(g):
        g = before_activation(xp, g, out, activation)
        return (
            convolution_input_gradient(g, kernel, sizes=x.shape[1:-1], **options),
            convolution_kernel_gradient(x, g, windows=kernel.shape[:-2], **options),
            None if bias is None else xp.sum(g, axis=tuple(range(g.ndim - 1))),
        )

    return pullback


@primitive
def convolution_input_gradient(g, kernel, *, sizes, strides, padding, dilations, groups=1):
    """The gradient of `convolution` with respect to x: each g[i] goes back to what it saw.

    Args:
        g: (N, *counts, F).
        kernel: (*windows, C / groups, F).
        sizes: the inner sizes of x.
        strides, padding, dilations, groups: of the convolution.

    Gives (N, *sizes, C).  Keras calls the same a transposed convolution.
    """
    xp = namespace(g, kernel)
    windows, count = kernel.shape[:-2], g.shape[1:-1]
    channels, at = kernel.shape[-2] * groups, {"dtype": g.dtype, "device": devices.device_of(g)}
    if 0 in count:
        return xp.zeros((g.shape[0], *sizes, channels), **at)
    wide = tuple((n - 1) * s + span(k, d) for n, k, s, d in zip(count, windows, strides, dilations))
    dx = xp.zeros((g.shape[0], *wide, channels), **at)
    for place in places(windows):
        back = _turned(xp, kernel[(*place, ...)], groups)
        dx = dx + spread_to(_products(xp, g, back, groups), place, wide, strides, dilations)
    cut = ((-low, n - (w - low)) for n, w, (low, _) in zip(sizes, wide, padding, strict=True))
    return with_margins(dx, tuple(cut))


@convolution_input_gradient.shape
def _(g, kernel, *, sizes, strides, padding, dilations, groups=1):
    return Abstract((g.shape[0], *sizes, kernel.shape[-2] * groups), dtypes.promote(g, kernel))


@convolution_input_gradient.vjp
def _(xp, out, g, kernel, *, sizes, strides, padding, dilations, groups=1):
    # The margins behind that give as many places as g has, whatever it was that gave g.
    windows = kernel.shape[:-2]
    ends = (
        (n - 1) * s + span(k, d) - size - low
        for n, k, s, d, size, (low, _) in zip(
            g.shape[1:-1], windows, strides, dilations, sizes, padding, strict=True
        )
    )
    options = {
        "strides": strides,
        "padding": tuple((low, end) for (low, _), end in zip(padding, ends, strict=True)),
        "dilations": dilations,
        "groups": groups,
    }
    return (
        lambda dx: convolution(dx, kernel, **options),
        lambda dx: convolution_kernel_gradient(dx, g, windows=windows, **options),
    )


@primitive
def convolution_kernel_gradient(x, g, *, windows, strides, padding, dilations, groups=1):
    """The gradient of `convolution` with respect to the kernel.

    Args:
        x: (N, *sizes, C).
        g: (N, *counts, F).
        windows: the kernel's inner sizes.
        strides, padding, dilations, groups: of the convolution.

    Gives (*windows, C / groups, F).
    """
    xp = namespace(x, g)
    count = g.shape[1:-1]
    x = with_margins(x, padding)
    parts = [
        _correlated(xp, seen_from(x, place, count, strides, dilations), g, groups)
        for place in places(windows)
    ]
    return xp.reshape(xp.stack(parts), (*windows, x.shape[-1] // groups, g.shape[-1]))


@convolution_kernel_gradient.shape
def _(x, g, *, windows, strides, padding, dilations, groups=1):
    return Abstract((*windows, x.shape[-1] // groups, g.shape[-1]), dtypes.promote(x, g))


@convolution_kernel_gradient.vjp
def _(xp, out, x, g, *, windows, strides, padding, dilations, groups=1):
    options = {"strides": strides, "padding": padding, "dilations": dilations, "groups": groups}
    return (
        lambda dk: convolution_input_gradient(g, dk, sizes=x.shape[1:-1], **options),
        lambda dk: convolution(x, dk, **options),
    )


# Products for each group apart.


def _products(xp, x, matrix, groups):
    """x (..., C) times a matrix (C / groups, F): gives (..., F)."""
    if groups == 1:
        return xp.matmul(x, matrix)
    channels, filters = matrix.shape
    lead = x.shape[:-1]
    x = xp.reshape(x, (*lead, groups, 1, channels))
    matrix = xp.reshape(matrix, (channels, groups, filters // groups))
    y = xp.matmul(x, xp.permute_dims(matrix, (1, 0, 2)))
    return xp.reshape(y, (*lead, filters))


def _turned(xp, matrix, groups):
    """The matrix (F / groups, C) that leads back where one of (C / groups, F) came from."""
    if groups == 1:
        return xp.matrix_transpose(matrix)
    channels, filters = matrix.shape
    matrix = xp.reshape(matrix, (channels, groups, filters // groups))
    matrix = xp.permute_dims(matrix, (2, 1, 0))
    return xp.reshape(matrix, (filters // groups, groups * channels))


def _correlated(xp, x, g, groups):
    """x (..., C) and g (..., F) multiplied and summed over all leading axes: (C / groups, F)."""
    channels, filters = x.shape[-1] // groups, g.shape[-1] // groups
    x = xp.permute_dims(xp.reshape(x, (-1, groups, channels)), (1, 2, 0))
    g = xp.permute_dims(xp.reshape(g, (-1, groups, filters)), (1, 0, 2))
    return xp.reshape(xp.permute_dims(xp.matmul(x, g), (1, 0, 2)), (channels, groups * filters))


# As Keras has them.


@array_function("inputs", "kernel")
def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """A convolution (in fact a cross-correlation) over all axes but batch and channels.

    Args:
        inputs: (N, *sizes, C), or (N, C, *sizes) for `data_format="channels_first"`.
        kernel: (*windows, C / groups, F); there are as many groups as this asks for.
        strides, dilation_rate: one whole number, or one for each axis.
        padding: "valid" for none; "same" for ceil(size / stride) outputs, with zeros around the
            inputs, the odd one at the end; "causal" for zeros in front of them only.

    Gives (N, *counts, F), or (N, F, *counts).  Raises ValueError for sizes that do not fit.
    """
    return convolved("conv", inputs, kernel, strides, padding, data_format, dilation_rate)


@array_function("inputs", "kernel")
def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """A convolution of each channel by itself.

    Args:
        inputs: (N, *sizes, C), or (N, C, *sizes) for `data_format="channels_first"`.
        kernel: (*windows, C, M): M filters for each channel.
        strides, padding, dilation_rate: see `conv`.

    Gives C M channels, those of the first input channel first.
    """
    return convolved_by_channel(
        "depthwise_conv", inputs, kernel, strides, padding, data_format, dilation_rate
    )


@array_function("inputs", "depthwise_kernel", "pointwise_kernel")
def separable_conv(
    inputs,
    depthwise_kernel,
    pointwise_kernel,
    strides=1,
    padding="valid",
    data_format=None,
    dilation_rate=1,
):
    """A depthwise convolution, and then a mixture of its channels at each place.

    Args:
        inputs, depthwise_kernel, strides, padding, dilation_rate: see `depthwise_conv`.
        pointwise_kernel: (1, ..., 1, C M, F).

    Gives F channels.
    """
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return convolved("separable_conv", y, pointwise_kernel, 1, "valid", data_format, 1)


@array_function("inputs", "kernel")
def conv_transpose(
    inputs,
    kernel,
    strides=1,
    padding="valid",
    output_padding=None,
    data_format=None,
    dilation_rate=1,
):
    """The transpose of a convolution: each input adds its share of the kernel to the outputs.

    Args:
        inputs: (N, *sizes, C), or (N, C, *sizes) for `data_format="channels_first"`.
        kernel: (*windows, F, C).
        strides, dilation_rate: of the convolution that this turns round.
        padding: "valid" for (size - 1) stride + max(span, stride) outputs, where the window spans
            (window - 1) dilation + 1; "same" for size times stride.
        output_padding: how many outputs there are instead: beyond (size - 1) stride + span for
            "valid", beyond (size - 1) stride + span % 2 for "same".

    Gives (N, *counts, F), or (N, F, *counts).  Raises ValueError for sizes that do not fit.
    """
    return transposed(
        "conv_transpose", inputs, kernel, strides, padding, output_padding, data_format,
        dilation_rate,
    )  # fmt: skip


# For layers, which are named in errors.


def convolved(who, x, kernel, strides, padding, data_format, dilations, bias=None, activation=None):
    """`conv` with a bias and an activation as in `dense.product`."""
    _, (x, kernel) = together((x, kernel))
    x, back = channels_last(x, data_format)
    strides, dilations = _steps(who, x, kernel, strides, dilations)
    channels, seen = x.shape[-1], kernel.shape[-2]
    if seen == 0 or channels % seen or kernel.shape[-1] % max(channels // seen, 1):
        raise ValueError(
            f"{who}: a kernel of shape {tuple(kernel.shape)} needs a multiple of {seen} channels, "
            f"and filters that divide evenly among as many groups; got {channels} channels."
        )
    options = _options(who, x, kernel, strides, padding, dilations, channels // seen)
    return back(product(convolution, x, kernel, bias, activation, **options))


def convolved_by_channel(
    who, x, kernel, strides, padding, data_format, dilations, bias=None, activation=None
):
    """`depthwise_conv` with a bias and an activation as in `dense.product`."""
    xp, (x, kernel) = together((x, kernel))
    x, back = channels_last(x, data_format)
    strides, dilations = _steps(who, x, kernel, strides, dilations)
    *windows, channels, multiplier = kernel.shape
    if x.shape[-1] != channels:
        raise ValueError(
            f"{who}: a kernel of shape {tuple(kernel.shape)} is for {channels} channels, got "
            f"{x.shape[-1]}."
        )
    kernel = xp.reshape(kernel, (*windows, 1, channels * multiplier))
    options = _options(who, x, kernel, strides, padding, dilations, channels)
    return back(product(convolution, x, kernel, bias, activation, **options))


def transposed(who, x, kernel, strides, padding, output_padding, data_format, dilations):
    """`conv_transpose`."""
    _, (x, kernel) = together((x, kernel))
    x, back = channels_last(x, data_format)
    strides, dilations = _steps(who, x, kernel, strides, dilations)
    require_padding(who, padding)
    windows, rank = kernel.shape[:-2], x.ndim - 2
    if x.shape[-1] != kernel.shape[-1]:
        raise ValueError(
            f"{who}: a kernel of shape {tuple(kernel.shape)} is for {kernel.shape[-1]} channels, "
            f"got {x.shape[-1]}."
        )
    extra = (None,) * rank
    if output_padding is not None:
        extra = each(who, "output_padding", output_padding, rank, least=0)
    geometry = [
        transposed_margins(*one, padding)
        for one in zip(x.shape[1:-1], windows, strides, dilations, extra, strict=True)
    ]
    return back(
        convolution_input_gradient(
            x,
            kernel,
            sizes=tuple(size for size, _ in geometry),
            strides=strides,
            padding=tuple((low, 0) for _, low in geometry),
            dilations=dilations,
        )
    )


def transposed_margins(size, window, stride, dilation, extra, padding) -> tuple[int, int]:
    """The size that Keras gives a transposed convolution, and how many elements it cuts in front.

    `extra` is its `output_padding`, or None.
    """
    wide = span(window, dilation)
    if padding == "valid":
        extra = max(wide, stride) - wide if extra is None else extra
        return (size - 1) * stride + wide + extra, 0
    if extra is None:
        total, longest = stride + wide - 2, size * stride
    else:
        total, longest = wide + wide % 2 - 2 + extra, (size - 1) * stride + wide % 2 + extra
    return longest, wide - 1 - min(total // 2 + total % 2, wide - 1)


def _steps(who, x, kernel, strides, dilations):
    """Strides and dilations, one for each inner axis.  Raises ValueError for ranks that differ."""
    rank = x.ndim - 2
    if rank < 1 or kernel.ndim != rank + 2:
        raise ValueError(
            f"{who}: expected inputs (batch, sizes..., channels) and a kernel with as many axes, "
            f"got shapes {tuple(x.shape)} and {tuple(kernel.shape)}."
        )
    return each(who, "strides", strides, rank), each(who, "dilation_rate", dilations, rank)


def _options(who, x, kernel, strides, padding, dilations, groups):
    """The options of `convolution`.  Raises ValueError if the window does not fit in."""
    require_padding(who, padding, "causal")
    sizes, windows = x.shape[1:-1], kernel.shape[:-2]
    found = margins(padding, sizes, windows, strides, dilations)
    for n, k, d, (low, high) in zip(sizes, windows, dilations, found, strict=True):
        if n + low + high < span(k, d):
            raise ValueError(
                f"{who}: inputs of sizes {tuple(sizes)} are smaller than a kernel of sizes "
                f"{tuple(windows)} with dilation {tuple(dilations)}; padding='same' would allow it."
            )
    return {"strides": strides, "padding": found, "dilations": dilations, "groups": groups}
