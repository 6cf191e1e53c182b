"""Blocks, windows and named axes."""

import numpy as np
import pytest
from checks import check_gradient
from function_checks import check_function, real

from gpulayers import ops
from gpulayers.arrays import KerasTensor

x = real(2, 4, 6, 3)


@pytest.mark.parametrize(
    ("pattern", "sizes", "expected"),
    [
        ("b h w c -> b c h w", {}, x.transpose(0, 3, 1, 2)),
        ("b h w c -> (b h) w c", {}, x.reshape(8, 6, 3)),
        ("b h w c->b (c h w)", {}, x.transpose(0, 3, 1, 2).reshape(2, -1)),
        ("b (h p) w c -> b h p (w c)", {"p": 2}, x.reshape(2, 2, 2, 18)),
        ("b (p h) w c -> (p b) h w c", {"p": 2},
         x.reshape(2, 2, 2, 6, 3).transpose(1, 0, 2, 3, 4).reshape(4, 2, 6, 3)),
    ],
)  # fmt: skip
def test_named_axes(pattern, sizes, expected):
    check_function(lambda a: ops.rearrange(a, pattern, **sizes), [x], expected)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("b h w -> h w b", "names 3 axes"),
        ("b h w c -> b h w", "same names"),
        ("b h w w -> b h w w", "same names"),
        ("b (h p q) w c -> b h p q w c", "does not fit"),
        ("b h w c", "same names"),
    ],
)
def test_patterns_that_do_not_fit(pattern, message):
    with pytest.raises(ValueError, match=message):
        ops.rearrange(x, pattern)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_blocks(data_format):
    a = x if data_format == "channels_last" else x.transpose(0, 3, 1, 2)
    call = lambda a: ops.space_to_depth(a, 2, data_format)
    deep = call(a)
    if data_format == "channels_last":
        assert deep.shape == (2, 2, 3, 12)
        np.testing.assert_array_equal(deep[0, 0, 0], x[0, :2, :2].ravel())
    else:
        assert deep.shape == (2, 12, 2, 3)
        np.testing.assert_array_equal(deep[0, :, 0, 0], a[0, :, :2, :2].ravel())
    check_function(call, [a], deep)
    check_function(lambda b: ops.depth_to_space(b, 2, data_format), [deep], a)
    with pytest.raises(ValueError, match="does not fit"):
        ops.space_to_depth(a, 4, data_format)


WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": (2, 3), "stride": (1, 2)},
    {"kernel_size": 2, "dilation": 2, "padding": 1},
    {"kernel_size": (3, 1), "padding": (1, 0), "stride": 2},
]


def windows_of(a, kernel_size, dilation=1, padding=0, stride=1):
    """By loops."""
    kh, kw, dh, dw, ph, pw, sh, sw = (
        n for v in (kernel_size, dilation, padding, stride)
        for n in (v if isinstance(v, tuple) else (v, v))
    )  # fmt: skip
    a = np.pad(a, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    return np.stack(
        [
            a[:, :, i : i + (kh - 1) * dh + 1 : dh, j : j + (kw - 1) * dw + 1 : dw].reshape(
                len(a), -1
            )
            for i in range(0, a.shape[2] - (kh - 1) * dh, sh)
            for j in range(0, a.shape[3] - (kw - 1) * dw, sw)
        ],
        axis=-1,
    )


@pytest.mark.parametrize("options", WINDOWS)
def test_windows(options):
    a = real(2, 2, 4, 5)
    columns = windows_of(a, **options)
    check_function(lambda b: ops.unfold(b, **options), [a], columns)
    # `fold` is the transpose of `unfold`.
    b = real(*columns.shape)
    fold = lambda b: ops.fold(b, (4, 5), **options)
    np.testing.assert_allclose(np.sum(fold(b) * a), np.sum(b * columns))
    check_function(fold, [b], fold(b), strict=False)


def test_windows_that_do_not_fit():
    with pytest.raises(ValueError, match="windows do not make images"):
        ops.fold(real(1, 4, 5), (4, 4), 2)


def test_sequences():
    a = real(2, 9)
    expected = np.stack([a[:, i : i + 4] for i in (0, 2, 4)], axis=1)
    check_function(lambda b: ops.extract_sequences(b, 4, 2), [a], expected)
    assert ops.extract_sequences(KerasTensor((None, 9)), 4, 2).shape == (None, 3, 4)
    check_gradient(lambda b: ops.extract_sequences(b, 3, 1), a)
