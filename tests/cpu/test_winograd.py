"""Minimal filtering: its matrices, and the transforms of kernels that it keeps."""

import gc
import weakref

import numpy as np
import pytest

from gpulayers import config
from gpulayers.cpu import winograd
from gpulayers.ops.convolution import convolution

OPTIONS = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilations": (1, 1)}


@pytest.fixture(autouse=True)
def _nothing_kept():
    """Without loops, which keep nothing."""
    before = config.jit()
    config.set_jit(False)
    winograd._kept.clear()
    yield
    config.set_jit(before)


def arrays():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 20, 20, 32)).astype("f4")
    return x, rng.normal(size=(3, 3, 32, 32)).astype("f4")


@pytest.mark.parametrize("form", [winograd.FOUR, winograd.TWO, winograd.FIVE])
def test_a_tile_is_a_convolution(form):
    a, b, g = form.matrices(np.dtype("f8"))
    rng = np.random.default_rng(1)
    d, w = rng.normal(size=form.edge), rng.normal(size=form.r)
    expected = [d[i : i + form.r] @ w for i in range(form.m)]
    np.testing.assert_allclose(a.T @ ((g @ w) * (b @ d)), expected, rtol=1e-12)


def kept(kernel):
    one = winograd._kept.get(id(kernel))
    return None if one is None else one.factor


def test_a_transform_is_kept_from_the_second_time_on():
    x, kernel = arrays()
    first = convolution(x, kernel, **OPTIONS)
    assert kept(kernel) is None
    second = convolution(x, kernel, **OPTIONS)
    factor = kept(kernel)
    assert factor is not None
    third = convolution(x, kernel, **OPTIONS)
    assert kept(kernel) is factor
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)


def test_a_kernel_that_was_written_to_is_transformed_anew():
    x, kernel = arrays()
    for _ in range(3):
        convolution(x, kernel, **OPTIONS)
    kernel[...] = kernel[::-1]
    np.testing.assert_array_equal(
        convolution(x, kernel, **OPTIONS), convolution(x, kernel.copy(), **OPTIONS)
    )


def test_nothing_is_kept_alive():
    x, kernel = arrays()
    for _ in range(3):
        convolution(x, kernel, **OPTIONS)
    factor = weakref.ref(kept(kernel))
    assert factor() is not None
    del kernel
    gc.collect()
    assert factor() is None
    assert not winograd._kept


def test_little_is_kept(monkeypatch):
    x, kernel = arrays()
    other = kernel.copy()
    monkeypatch.setattr(winograd, "KEPT", 45 * kernel.nbytes // 9)
    for array in (kernel, other):
        for _ in range(3):
            convolution(x, array, **OPTIONS)
    assert kept(kernel) is not None
    assert kept(other) is None
