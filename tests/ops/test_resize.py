"""Resizing: against weights written out by hand, Keras's numbers, and known identities."""

import numpy as np
import pytest
from checks import check_gradient, check_primitive, check_shape

from gpulayers.arrays import KerasTensor
from gpulayers.ops.resize import (
    REACH,
    WAYS,
    interpolation_weights,
    repeat_blocks,
    resampled,
    resize,
    resized,
)


def images(*shape, dtype="float32"):
    return np.random.default_rng(5).normal(size=shape).astype(dtype)


# From jax.image.resize of [0, 1, 4, 9, 16] (float64), which Keras calls.
EXPECTED = {
    ("nearest", 3, False): [0, 4, 16],
    ("nearest", 7, False): [0, 1, 1, 4, 9, 9, 16],
    ("bilinear", 7, False): [0, 0.57142857142857, 1.85714285714286, 4, 7.57142857142857, 12, 16],
    ("bilinear", 3, True): [0.42857142857143, 4.44444444444444, 13],
    ("bicubic", 3, True): [0.16923076923077, 4.1953488372093, 13.33846153846153],
    ("lanczos3", 4, False): [
        0.01390917055035, 1.88172070955279, 6.39212767628663, 15.5256556461038,
    ],
    ("lanczos5", 6, False): [
        -0.00100476517578, 0.37023889015402, 3.14428627426081, 4.86749287963702, 11.3956314759993,
        16.2840998397203,
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", EXPECTED)
def test_against_keras(xp, case):
    interpolation, size, antialias = case
    x = xp.asarray(np.array([0.0, 1, 4, 9, 16]).reshape(1, 5, 1))
    y = resize(x, (1, size), interpolation, antialias)
    np.testing.assert_allclose(xp.to_numpy(y)[0, :, 0], EXPECTED[case], atol=1e-12)


@pytest.mark.parametrize("interpolation", REACH)
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("old", "new"), [(5, 5), (5, 10), (7, 3), (1, 4), (90, 200), (4, 1)])
def test_weights(interpolation, antialias, old, new):
    weights = interpolation_weights(old, new, interpolation, antialias, "float64")
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-12)  # Left is as right.
    if old == new:
        np.testing.assert_allclose(weights, np.eye(old), atol=1e-12)
    if old > 1 and new == 2 * old and interpolation == "bicubic":  # Keys's kernel at 3/4 and 1/4.
        wanted = [-0.0234375, 0.2265625, 0.8671875, -0.0703125]
        np.testing.assert_allclose(weights[4, :4], wanted, atol=1e-12)


@pytest.mark.parametrize("interpolation", WAYS)
def test_layouts_and_ranks_agree(xp, interpolation):
    x = images(2, 5, 6, 3)
    y = resize(x, (7, 4), interpolation)
    assert y.shape == (2, 7, 4, 3)
    assert y.dtype == "float32"
    np.testing.assert_allclose(
        xp.to_numpy(resize(xp.asarray(x), (7, 4), interpolation)), y, atol=1e-6
    )
    first = resize(x.transpose(0, 3, 1, 2), (7, 4), interpolation, data_format="channels_first")
    np.testing.assert_allclose(first.transpose(0, 2, 3, 1), y, atol=1e-6)
    np.testing.assert_allclose(resize(x[1], (7, 4), interpolation), y[1], atol=1e-6)


@pytest.mark.parametrize("interpolation", REACH)
@pytest.mark.parametrize(
    ("shape", "axis", "size"),
    [
        ((2, 5, 3), 1, 9),
        ((2, 40, 1), 1, 70),
        ((1, 70, 5), 1, 33),
        ((5,), 0, 3),
        ((2, 3, 4, 2), 2, 7),
    ],
)
def test_versions_and_gradients(interpolation, shape, axis, size):
    options = {"axis": axis, "size": size, "interpolation": interpolation, "antialias": size < 5}
    check_primitive(resampled, images(*shape, dtype="float64"), **options)


@pytest.mark.parametrize("interpolation", WAYS)
def test_gradient_of_all(interpolation):
    check_gradient(lambda x: resize(x, (5, 6), interpolation), images(2, 3, 4, 2))
    check_gradient(lambda x: resize(x, (6, 8), interpolation), images(3, 4, 1))


def test_integers_are_rounded_and_kept_in_range():
    x = np.array([0, 255, 255, 0], "uint8").reshape(1, 4, 1)
    y = resize(x, (1, 8), "bicubic")
    exact = resize(x.astype("float64"), (1, 8), "bicubic")
    assert y.dtype == "uint8"
    assert exact.max() > 255
    assert exact.min() < 0
    np.testing.assert_array_equal(y, np.clip(np.round(exact), 0, 255))
    assert resize(x.astype("int64"), (1, 8)).dtype == "int64"


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("interpolation", WAYS)
@pytest.mark.parametrize("size", [(5, 4), (30, 20), (4, 31), (9, 14), (9, 3)])
def test_images_one_after_the_other(dtype, interpolation, size):
    """The version that keeps what is in between in cache, of pixels of 1 number, 3 and 6."""
    for channels in (1, 3, 6):
        x = (50 * images(3, 9, 14, channels)).clip(-250, 250).astype(dtype)
        x.flags.writeable = False
        for first, given in ((1, x), (2, np.moveaxis(x, 3, 1))):
            how = {"size": size, "first": first, "interpolation": interpolation, "antialias": True}
            expected, found = resized.reference(given, **how), resized(given, **how)
            assert found.dtype == expected.dtype == dtype
            off = 1 if found.dtype.kind in "iu" else 1e-4  # In the middle between two numbers.
            np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=off)
            assert np.mean(found == expected) > 0.99 or found.dtype.kind == "f"
            check_shape(lambda a, how=how: resized(a, **how), given)


def test_half_precision_computes_in_float32():
    x = images(1, 4, 4, 2)
    y = resize(x.astype("float16"), (7, 7))
    assert y.dtype == "float16"
    np.testing.assert_allclose(y, resize(x, (7, 7)), atol=2e-3)


def test_crop_to_aspect_ratio():
    x = images(1, 6, 10, 2)
    np.testing.assert_allclose(
        resize(x, (3, 3), crop_to_aspect_ratio=True), resize(x[:, :, 2:8], (3, 3))
    )


def test_pad_to_aspect_ratio():
    x = images(6, 10, 2)
    wide = np.pad(x, ((2, 2), (0, 0), (0, 0)), constant_values=3)
    y = resize(x, (5, 5), pad_to_aspect_ratio=True, fill_value=3.0)
    np.testing.assert_allclose(y, resize(wide, (5, 5)))


def test_unknown_batch():
    assert resize(KerasTensor((None, 5, 6, 3)), (7, 8), "bicubic").shape == (None, 7, 8, 3)
    assert resize(KerasTensor((None, None, 6, 3)), (7, 8), "nearest").shape == (None, 7, 8, 3)


@pytest.mark.parametrize(
    ("shape", "size", "options", "message"),
    [
        ((4, 4, 1), (2, 2), {"interpolation": "cubic"}, "interpolation must be one of"),
        ((4, 4, 1), (2,), {}, "size must be"),
        ((4, 4), (2, 2), {}, "rank 3"),
        ((4, 4, 1), (2, 2), {"fill_mode": "edge"}, "fill_mode must be"),
        (
            (4, 4, 1),
            (2, 2),
            {"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True},
            "not both",
        ),
    ],
)
def test_errors(shape, size, options, message):
    with pytest.raises(ValueError, match=message):
        resize(np.ones(shape, "float32"), size, **options)


@pytest.mark.parametrize("factors", [(1, 2, 3), (1, 1, 1), (3, 1, 2)])
def test_repeat_blocks(xp, factors):
    x = images(2, 3, 4)
    expected = np.kron(x, np.ones(factors, "float32"))
    y = repeat_blocks(xp.asarray(x), factors=factors)
    np.testing.assert_array_equal(xp.to_numpy(y), expected)
    check_primitive(repeat_blocks, images(2, 3, 4, dtype="float64"), factors=factors)


def test_area_takes_the_mean_of_what_a_pixel_covers():
    x = images(2, 12, 20, 3, dtype="float64")
    y = resize(x, (4, 5), "area")
    np.testing.assert_allclose(y, x.reshape(2, 4, 3, 5, 4, 3).mean(axis=(2, 4)), rtol=1e-12)
    row = np.arange(5.0).reshape(1, 5, 1)
    np.testing.assert_allclose(resize(row, (1, 2), "area")[0, :, 0], [0.8, 3.2])
    np.testing.assert_allclose(resize(row, (1, 7), "area").mean(), row.mean())
    np.testing.assert_allclose(resize(row, (1, 10), "area")[0, :, 0], np.repeat(np.arange(5.0), 2))
