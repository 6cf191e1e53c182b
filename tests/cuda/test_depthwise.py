"""Convolutions with a group for each channel."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from convolution_checks import check
from kernel_checks import FLOATS

from gpulayers.cuda import depthwise as kernels
from gpulayers.ops.activation import silu
from gpulayers.ops.rectifier import leaky_relu


@pytest.fixture(autouse=True)
def only_these(monkeypatch):
    from gpulayers.cuda import convolution

    monkeypatch.setattr(convolution, "_launch", None)


def by_channel(cupy, sizes, windows, channels, multiplier=1, **options):
    kernel = (*windows, 1, channels * multiplier)
    check(cupy, (2, *sizes, channels), kernel, groups=channels, **options)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("channels", [8, 3])
@pytest.mark.parametrize("strides", [1, 2, (1, 3)])
def test_strides(cupy, strides, channels, dtype):
    by_channel(cupy, (7, 9), (3, 3), channels, strides=strides, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("multiplier", [2, 3])
@pytest.mark.parametrize("strides", [1, 2])
def test_more_filters_of_a_channel(cupy, strides, multiplier, dtype):
    by_channel(cupy, (5, 6), (3, 2), 5, multiplier, strides=strides, dtype=dtype)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize(("strides", "dilations"), [(1, 1), (2, 1), (1, 2), (2, 3)])
def test_windows(cupy, rank, padding, strides, dilations):
    sizes, windows = ((9,), (8, 9), (4, 7, 8))[rank - 1], ((3,), (2, 3), (1, 3, 2))[rank - 1]
    options = {"strides": strides, "dilations": dilations, "padding": padding}
    by_channel(cupy, sizes, windows, 4, **options)


@pytest.mark.parametrize("window", [1, 2, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("channels", [4, 2])
def test_lengths_of_windows(cupy, window, channels):
    by_channel(cupy, (11,), (window,), channels)


@pytest.mark.parametrize("padding", [((0, 3),), ((-1, 0),), ((2, -2),), ((5, 4),)])
@pytest.mark.parametrize("strides", [1, 2])
def test_any_margins(cupy, padding, strides):
    by_channel(cupy, (9,), (3,), 4, strides=strides, padding=padding)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_bias_and_activation(cupy, activation):
    by_channel(cupy, (5,), (3,), 6, activation=activation)
    by_channel(cupy, (5,), (3,), 6, activation=activation, bias=False)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("activation", [silu, partial(leaky_relu, negative_slope=0.3)])
def test_activations_whose_gradient_needs_what_they_are_given(cupy, activation, dtype):
    by_channel(cupy, (5,), (3,), 6, activation=activation, dtype=dtype)
    by_channel(cupy, (5, 6), (9, 1), 4, activation=activation, bias=False, dtype=dtype)


@pytest.mark.parametrize("channels", [130, 133])
def test_sums_of_many_places(cupy, order, channels):
    by_channel(cupy, (2, 70), (1, 3), channels)


def test_slabs(cupy, monkeypatch):
    monkeypatch.setattr(kernels, "PLACES", 1)
    monkeypatch.setattr(kernels, "multiprocessors", lambda: 132)
    by_channel(cupy, (20, 31), (3, 3), 6)


def test_nothing_to_compute(cupy):
    by_channel(cupy, (2,), (3,), 4, padding=((0, 0),))
    check(cupy, (0, 5, 4), (3, 1, 4), groups=4)


def test_views(cupy):
    by_channel(cupy, (5, 6), (3, 3), 8, order="view")


def test_one_channel_is_no_group(cupy):
    from gpulayers.cuda.geometry import geometry

    geo = geometry(1, 1, 8, (5,), (5,), (3,), (1,), ((1, 1),), (1,), 1)
    assert not kernels.serves(geo)
    assert np.prod(geo.windows) == 3
