"""Convolution and its gradients: against a plain loop, against each other, against differences."""

import itertools

import numpy as np
import pytest
from checks import check_primitive
from function_checks import real
from hypothesis import given, settings
from hypothesis import strategies as st

from gpulayers import ops
from gpulayers.arrays import Tape, namespace
from gpulayers.ops import convolution as primitives
from gpulayers.ops.sliding import counts, margins, span

pytestmark = pytest.mark.usefixtures("loops")

convolution = primitives.convolution
input_gradient = primitives.convolution_input_gradient
kernel_gradient = primitives.convolution_kernel_gradient


def by_loop(x, kernel, strides, padding, dilations, groups):
    """Each output on its own, from what its window sees."""
    *windows, channels, filters = kernel.shape
    wide = np.pad(x, [(0, 0), *((max(a, 0), max(b, 0)) for a, b in padding), (0, 0)])
    for axis, (a, b) in enumerate(padding, 1):
        wide = np.take(wide, range(max(-a, 0), wide.shape[axis] - max(-b, 0)), axis)
    count = counts(x.shape[1:-1], windows, strides, padding, dilations)
    y, per = np.zeros((len(x), *count, filters)), filters // groups
    for place in itertools.product(*map(range, count)):
        starts = [i * s for i, s in zip(place, strides, strict=True)]
        parts = [
            slice(a, a + span(k, d), d) for a, k, d in zip(starts, windows, dilations, strict=True)
        ]
        seen = wide[(slice(None), *parts)]
        for g in range(groups):
            own = seen[..., g * channels : (g + 1) * channels]
            part = slice(g * per, (g + 1) * per)
            y[(slice(None), *place, part)] = np.tensordot(own, kernel[..., part], x.ndim - 1)
    return y


@st.composite
def geometries(draw):
    """Shapes of x and of a kernel, and options under which there is at least one output."""
    rank = draw(st.integers(1, 3))

    def each(least, most):
        return tuple(draw(st.integers(least, most)) for _ in range(rank))

    windows, strides, dilations = each(1, 3), each(1, 3), each(1, 2)
    padding = tuple((draw(st.integers(-1, 2)), draw(st.integers(-1, 2))) for _ in range(rank))
    sizes = tuple(
        max(span(k, d) - sum(around), -min(around[0], 0) - min(around[1], 0), 1) + more
        for k, d, around, more in zip(windows, dilations, padding, each(0, 3), strict=True)
    )
    groups, channels, per = (draw(st.integers(1, 3)) for _ in range(3))
    x = (draw(st.integers(0, 2)), *sizes, channels * groups)
    options = {"strides": strides, "padding": padding, "dilations": dilations, "groups": groups}
    return x, (*windows, channels, per * groups), options


@settings(max_examples=300, deadline=None)
@given(geometries(), st.sampled_from(["float32", "float64"]))
def test_any_geometry(geometry, dtype):
    """Versions for NumPy against the references, the references against the loop."""
    shape, kernel_shape, options = geometry
    rng = np.random.default_rng(1)
    x, kernel = (rng.normal(size=s).astype(dtype) for s in (shape, kernel_shape))
    expected = by_loop(x, kernel, **options)
    close = {"rtol": 1e-5, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-11}
    for call in (convolution, convolution.reference):
        np.testing.assert_allclose(call(x, kernel, **options), expected, **close)
    g = rng.normal(size=expected.shape).astype(dtype)
    for op, arrays, sizes in (
        (input_gradient, (g, kernel), {"sizes": shape[1:-1]}),
        (kernel_gradient, (x, g), {"windows": kernel_shape[:-2]}),
    ):
        reference = op.reference(*arrays, **sizes, **options)
        found = op(*arrays, **sizes, **options)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, reference, **close)
        if dtype == "float64":  # <g, A x> = <A' g, x>.
            other = x if op is input_gradient else kernel
            np.testing.assert_allclose((reference * other).sum(), (g * expected).sum(), **close)


GEOMETRIES = [  # x, kernel, strides, padding, dilations, groups
    ((2, 6, 3), (3, 3, 2), (1,), ((1, 1),), (1,), 1),
    ((2, 6, 4), (2, 2, 6), (2,), ((2, -1),), (2,), 2),
    ((1, 4, 5, 2), (3, 2, 2, 3), (2, 1), ((0, 1), (-1, 1)), (1, 2), 1),
    ((2, 3, 4, 4), (2, 2, 1, 8), (1, 2), ((1, 0), (1, 1)), (1, 1), 4),
    ((1, 3, 3, 2, 2), (2, 1, 2, 2, 2), (1, 2, 1), ((0, 1), (0, 0), (1, 0)), (1, 1, 1), 1),
    ((0, 4, 3, 2), (2, 2, 2, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_every_way(geometry):
    """Shape rules and gradients by differences, of the three primitives."""
    shape, kernel_shape, strides, padding, dilations, groups = geometry
    x, kernel = real(*shape), real(*kernel_shape)
    options = {"strides": strides, "padding": padding, "dilations": dilations, "groups": groups}
    check_primitive(convolution, x, kernel, **options)
    g = real(*convolution(x, kernel, **options).shape)
    check_primitive(input_gradient, g, kernel, sizes=shape[1:-1], **options)
    check_primitive(kernel_gradient, x, g, windows=kernel_shape[:-2], **options)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid", "tanh"])
def test_bias_and_activation(activation):
    options = {"strides": (1, 1), "padding": ((1, 1), (0, 1)), "dilations": (1, 1)}
    arrays = real(2, 3, 4, 2), real(3, 2, 2, 5), real(5)
    check_primitive(convolution, *arrays, activation=activation, **options)


@pytest.mark.parametrize("channels", [3, 32])
def test_second_derivatives(channels):
    """The gradient of a norm of the gradient, by differences along one direction."""
    x, kernel = real(1, 4, 4, channels), real(3, 3, channels, 2)
    way = real(*x.shape)

    def squared_slope(x):
        with Tape([]) as tape:
            x = tape.watch(x)
            y = ops.conv(x, kernel, padding="same")
            total = namespace(y).sum(y**3)
        slope = tape.gradient(total, [x])[0]
        return namespace(slope).sum(slope * slope)

    with Tape([]) as tape:
        watched = tape.watch(x)
        value = squared_slope(watched)
    found = (tape.gradient(value, [watched])[0] * way).sum()
    step = 1e-5
    expected = (squared_slope(x + step * way) - squared_slope(x - step * way)) / (2 * step)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_large_enough_for_every_formulation():
    """Sizes at which versions for NumPy choose other ways than for small ones."""
    rng = np.random.default_rng(2)
    for channels, filters, groups, windows in (
        (64, 64, 1, (3, 3)), (3, 32, 1, (7, 7)), (64, 128, 1, (1, 1)), (48, 48, 48, (3, 3)),
    ):  # fmt: skip
        x = rng.normal(size=(2, 18, 17, channels)).astype("float32")
        kernel = rng.normal(size=(*windows, channels // groups, filters)).astype("float32")
        for strides in ((1, 1), (2, 2)):
            padding = margins("same", x.shape[1:-1], windows, strides, (1, 1))
            options = {
                "strides": strides, "padding": padding, "dilations": (1, 1), "groups": groups,
            }  # fmt: skip
            wide = [a.astype("float64") for a in (x, kernel)]
            expected = convolution.reference(*wide, **options)
            found = convolution(x, kernel, **options)
            close(found, expected)
            g = rng.normal(size=found.shape).astype("float32")
            pairs = [(g, kernel), (x, g)]
            for op, pair, more in zip(
                (input_gradient, kernel_gradient), pairs,
                ({"sizes": x.shape[1:-1]}, {"windows": windows}), strict=True,
            ):  # fmt: skip
                wide = [a.astype("float64") for a in pair]
                close(op(*pair, **more, **options), op.reference(*wide, **more, **options))


def close(found, expected):
    """Within 1e-5 of the largest value."""
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


# As Keras has them.


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_conv(data_format, padding):
    x, kernel = real(2, 7, 4), real(3, 2, 6)
    around = margins(padding, (7,), (3,), (2,), (1,))
    expected = by_loop(x, kernel, (2,), around, (1,), 2)
    first = data_format == "channels_first"
    found = ops.conv(x.swapaxes(1, 2) if first else x, kernel, 2, padding, data_format)
    found = found.swapaxes(1, 2) if first else found
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_same_has_the_odd_margin_behind():
    x = np.arange(1.0, 5).reshape(1, 4, 1)
    np.testing.assert_array_equal(ops.conv(x, np.ones((2, 1, 1)), 1, "same")[0, :, 0], [3, 5, 7, 4])
    causal = ops.conv(x, np.ones((2, 1, 1)), 1, "causal", dilation_rate=2)
    np.testing.assert_array_equal(causal[0, :, 0], [1, 2, 4, 6])


def test_depthwise_and_separable():
    x, kernel, mixing = real(2, 5, 4, 3), real(2, 3, 3, 2), real(1, 1, 6, 4)
    expected = np.stack(
        [
            by_loop(x[..., c : c + 1], kernel[:, :, c : c + 1], (1, 1), ((0, 0),) * 2, (1, 1), 1)
            for c in range(3)
        ],
        axis=-2,
    ).reshape(2, 4, 2, 6)
    np.testing.assert_allclose(ops.depthwise_conv(x, kernel), expected, rtol=1e-9)
    found = ops.separable_conv(x, kernel, mixing)
    np.testing.assert_allclose(found, expected @ mixing[0, 0], rtol=1e-9)


@pytest.mark.parametrize(
    ("window", "stride", "padding", "output_padding", "size"),
    [(3, 2, "same", None, 10), (3, 2, "same", 0, 9), (3, 2, "same", 1, 10),
     (3, 2, "valid", None, 11), (2, 3, "valid", None, 15), (3, 2, "valid", 1, 12)],
)  # fmt: skip
def test_transposed_sizes(window, stride, padding, output_padding, size):
    """Keras's sizes, and where each input lands."""
    x, kernel = np.zeros((1, 5, 1)), np.arange(1.0, window + 1).reshape(window, 1, 1)
    x[0, 2] = 1
    y = ops.conv_transpose(x, kernel, stride, padding, output_padding)
    assert y.shape == (1, size, 1)
    found = np.flatnonzero(y[0, :, 0])
    np.testing.assert_array_equal(y[0, found, 0], kernel[:, 0, 0])
    assert found[0] == 2 * stride - (padding == "same" and (output_padding == 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.conv(np.ones((1, 3, 2)), np.ones((4, 2, 1))), r"sizes \(3,\) are smaller"),
        (lambda: ops.conv(np.ones((1, 3, 3)), np.ones((2, 2, 1))), "multiple of 2 channels"),
        (lambda: ops.conv(np.ones((1, 4, 4)), np.ones((2, 2, 3))), "divide evenly"),
        (lambda: ops.conv(np.ones((1, 3, 2)), np.ones((2, 2, 2, 1))), "as many axes"),
        (lambda: ops.conv(np.ones((1, 3, 2)), np.ones((2, 2, 1)), 0), "strides must be"),
        (lambda: ops.conv(np.ones((1, 3, 2)), np.ones((2, 2, 1)), (1, 1)), "strides must be"),
        (lambda: ops.conv(np.ones((1, 3, 2)), np.ones((2, 2, 1)), 1, "full"), "padding must be"),
        (lambda: ops.depthwise_conv(np.ones((1, 3, 2)), np.ones((2, 3, 1))), "for 3 channels"),
        (lambda: ops.conv_transpose(np.ones((1, 3, 2)), np.ones((2, 1, 3))), "for 3 channels"),
        (lambda: ops.conv_transpose(np.ones((1, 3, 2)), np.ones((2, 1, 2)), 2, "valid", -1),
         "output_padding must be"),
    ],
)  # fmt: skip
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
