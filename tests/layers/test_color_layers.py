"""Layers of colours: what is drawn, what stays as it is, and what is refused."""

import numpy as np
import pytest
from parity.color_cases import photographs

import gpulayers as gl
from gpulayers import layers, ops

IMAGES = photographs(dtype="uint8")
DRAWING = {  # All that draw, with arguments.
    "RandomBrightness": {"factor": 0.4},
    "RandomColorDegeneration": {"factor": 0.6},
    "RandomColorJitter": {"brightness_factor": 0.4, "hue_factor": 0.5},
    "RandomContrast": {"factor": 0.6},
    "RandomErasing": {"factor": (1, 1)},
    "RandomGaussianBlur": {"factor": (1, 1)},
    "RandomGrayscale": {"factor": 1.0},
    "RandomHue": {"factor": (0.3, 0.9)},
    "RandomInvert": {"factor": (1, 1)},
    "RandomPosterization": {"factor": (1, 5)},
    "RandomSaturation": {"factor": 0.8},
    "RandomSharpness": {"factor": 0.4},
    "Solarization": {"threshold_factor": 0.4},
    "AugMix": {"factor": 0.8},
    "CutMix": {},
    "MixUp": {"alpha": 1.0},
}


def drawn(name, images=20000, size=1, **options):
    layer = getattr(layers, name)(seed=3, **options)
    return layer.get_random_transformation(np.zeros((images, size, size, 3), np.float32))


@pytest.mark.parametrize("name", DRAWING)
def test_a_seed_repeats_and_nothing_happens_in_inference(name):
    first, again, other = (getattr(layers, name)(seed=s, **DRAWING[name]) for s in (7, 7, 8))
    y, same, others = (
        np.stack([layer(IMAGES) for _ in range(4)]) for layer in (first, again, other)
    )
    np.testing.assert_array_equal(y, same)
    keeps = name in ("RandomBrightness", "RandomGrayscale")
    assert y.dtype == (IMAGES.dtype if keeps else np.float32) and y.shape == (4, *IMAGES.shape)
    y, others = y.astype(np.float32), others.astype(np.float32)
    assert np.abs(y - IMAGES).max() > 1
    assert name in ("RandomGrayscale", "RandomInvert") or np.abs(y - others).max() > 0
    np.testing.assert_array_equal(first(IMAGES, training=False), IMAGES)
    assert first(IMAGES[0]).shape == IMAGES[0].shape


@pytest.mark.parametrize("name", DRAWING)
def test_what_belongs_to_images_stays(name):
    if name in ("CutMix", "MixUp"):
        pytest.skip("they mix it: test_mixing.py")
    boxes = {"boxes": np.array([[[1.0, 1, 4, 5]]] * 3), "labels": np.array([[2]] * 3)}
    data = {"images": IMAGES, "labels": np.arange(3), "bounding_boxes": boxes}
    layer = getattr(layers, name)(seed=7, bounding_box_format="xyxy", **DRAWING[name])
    out = layer(data)
    np.testing.assert_array_equal(out["labels"], data["labels"])
    np.testing.assert_array_equal(out["bounding_boxes"]["boxes"], boxes["boxes"])
    masks = IMAGES[..., :1] // 100
    if name != "AugMix":
        out = layer({"images": IMAGES, "segmentation_masks": masks})
        np.testing.assert_array_equal(out["segmentation_masks"], masks)


@pytest.mark.parametrize(
    ("name", "options", "key", "low", "high"),
    [
        ("RandomBrightness", {"factor": 0.2}, "rgb_delta", -51, 51),
        ("RandomBrightness", {"factor": (0.1, 0.5), "value_range": (0, 1)}, "rgb_delta", 0.1, 0.5),
        ("RandomContrast", {"factor": 0.4}, "contrast_factor", 1, 1.4),
        ("RandomContrast", {"factor": (0.2, 0.6)}, "contrast_factor", 0.8, 1.6),
        ("RandomColorDegeneration", {"factor": 0.5}, "factor", -0.5, 0.5),
        ("RandomSharpness", {"factor": 0.5}, "factor", 0, 0.5),
        ("Solarization", {"addition_factor": 0.2}, "additions", 0, 51),
        ("Solarization", {"threshold_factor": (0.2, 0.4)}, "thresholds", 0.2, 102),
    ],
)
def test_factors_are_spread_evenly(name, options, key, low, high):
    values = drawn(name, **options)[key].ravel()
    assert len(values) == 20000
    assert low <= values.min() and values.max() <= high
    room = high - low
    np.testing.assert_allclose(values.mean(), (low + high) / 2, atol=0.01 * room)
    np.testing.assert_allclose(values.std(), room / 12**0.5, rtol=0.02)


@pytest.mark.parametrize(
    ("name", "options", "part"),
    [
        ("RandomInvert", {}, 0.5),
        ("RandomInvert", {"factor": 0.4}, 0.2),
        ("RandomInvert", {"factor": (0.6, 0.8)}, 0.7),
        ("RandomGaussianBlur", {}, 0.5),
        ("RandomErasing", {"factor": (0.2, 0.4)}, 0.3),
        ("RandomGrayscale", {"factor": 0.3}, 0.3),
    ],
)
def test_so_many_images_are_chosen(name, options, part):
    found = drawn(name, **options)
    chosen = found if name == "RandomGrayscale" else next(iter(found.values()))
    np.testing.assert_allclose(np.mean(chosen), part, atol=0.012)


def test_other_draws():
    hue = drawn("RandomHue", factor=(0.2, 0.6))["factor"]
    assert np.abs(hue).min() >= 0.1 and np.abs(hue).max() <= 0.3
    np.testing.assert_allclose([hue.mean(), np.abs(hue).mean()], [0, 0.2], atol=0.005)
    saturation = drawn("RandomSaturation", factor=(0.1, 0.9))["factor"]
    f = saturation / (1 + saturation)
    np.testing.assert_allclose([f.min(), f.mean(), f.max()], [0.1, 0.5, 0.9], atol=0.01)
    shifts = drawn("RandomPosterization", factor=(3, 6))["shift_factor"]
    values, counts = np.unique(shifts, return_counts=True)
    assert values.tolist() == [3, 4, 5]  # 6 itself is left out, as in Keras.
    np.testing.assert_allclose(counts / 20000, 1 / 3, atol=0.015)
    assert set(drawn("RandomPosterization", factor=(4, 4))["shift_factor"]) == {4}
    widths = [drawn("RandomGaussianBlur", images=1, sigma=(0.2, 0.2))["blur_factor"]]
    np.testing.assert_allclose(widths, [[0.2, 0.2]], rtol=1e-4)


def test_rectangles_are_inside_and_of_the_drawn_sizes():
    found = drawn("RandomErasing", size=100, images=3000, scale=(0.04, 0.25), fill_value=0)
    x0, x1, y0, y1 = found["boxes"]
    for low, high in ((x0, x1), (y0, y1)):
        assert low.min() >= 0 and high.max() <= 100.001
        squares = ((high - low) / 100) ** 2
        assert squares.min() > 0.0399 and squares.max() < 0.2501
        np.testing.assert_allclose(squares.mean(), 0.145, atol=0.005)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("fill", "expected"), [(7, [7, 7, 7]), ((1, 2, 300), [1, 2, 255])])
def test_erased_pixels(first, fill, expected):
    form = "channels_first" if first else "channels_last"
    layer = layers.RandomErasing(fill_value=fill, data_format=form)
    x = photographs(first=first)
    boxes = np.array([[1.5, 0, 3], [7, 12, 3.5], [0, 2.2, 4], [3, 8.9, 9]], np.float32)
    how = {"apply_erasing": np.array([True, True, False]), "boxes": list(boxes)}
    fill_value = layer._filling(x, how["apply_erasing"], how["boxes"], None)
    y = layer.transform_images(x, {**how, "fill_value": fill_value})
    x, y = (np.moveaxis(a, 1, -1) if first else a for a in (x, y))
    changed = np.any(x != y, axis=-1)
    assert changed.sum(axis=(1, 2)).tolist() == [5 * 3, 12 * 6, 0]
    assert changed[0, :3, 2:7].all()
    np.testing.assert_array_equal(np.unique(y[changed], axis=0), [expected])


def test_noise_fills_what_is_erased():
    layer = layers.RandomErasing(factor=(1, 1), scale=(1, 1), seed=4)
    y = layer(np.full((2, 50, 60, 3), 9.0, np.float32))
    # Half of a normal distribution is below 0, a sixth above the upper bound.
    parts = [np.mean(y == 0), np.mean(y == 255)]
    np.testing.assert_allclose(parts, [0.5, 0.1587], atol=0.02)
    inside = y[(y > 0) & (y < 255)] / 255
    np.testing.assert_allclose(inside.mean(), 0.4598, atol=0.02)


@pytest.mark.parametrize("first", [False, True])
def test_noise_is_drawn_for_each_pixel_and_image(first):
    """Less is drawn than images have pixels, but no number is in a rectangle twice."""
    form = "channels_first" if first else "channels_last"
    layer = layers.RandomErasing(factor=(0.4, 1), seed=6, value_range=(-9, 9), data_format=form)
    x = np.full((12, 3, 40, 31) if first else (12, 40, 31, 3), 50.0, np.float32)
    drawn = layer.get_random_transformation(x)
    fill = drawn["fill_value"]
    assert fill.shape == x.shape and len(np.unique(fill)) < fill.size / 2
    y = layer.transform_images(x, drawn)
    changed = [image[image != 50] for image in y]
    assert [part.size > 0 for part in changed] == drawn["apply_erasing"].tolist()
    noise = np.concat(changed)
    noise = noise[np.abs(noise) < 9]
    assert len(np.unique(noise)) > 0.999 * noise.size


def test_jitter_is_its_parts_one_after_the_other():
    x = photographs()
    layer = layers.RandomColorJitter((0, 255), 0.3, 0.2, 0.6, 0.4, seed=5)
    drawn = layer.get_random_transformation(x)
    y = x
    for part, values in zip(layer._parts, drawn, strict=True):
        y = part.transform_images(y, values)
    np.testing.assert_array_equal(layer.transform_images(x, drawn), y)
    assert [type(part).__name__[6:] for part in layer._parts] == [
        "Brightness", "Contrast", "Saturation", "Hue",
    ]  # fmt: skip
    nothing = layers.RandomColorJitter(seed=1)
    np.testing.assert_array_equal(nothing(IMAGES), IMAGES)


def test_half_a_turn_of_the_hue_gives_the_opposite_colour():
    layer = layers.RandomHue(factor=(1, 1), seed=1)
    red = np.tile(np.array([200.0, 20, 20], np.float32), (2, 3, 3, 1))
    np.testing.assert_allclose(layer(red)[0, 0, 0], [20, 200, 200], atol=1e-3)


def test_contrast_stretched_with_channels_first_as_with_channels_last():
    x = photographs()
    y = layers.AutoContrast()(x)
    first = layers.AutoContrast(data_format="channels_first")(np.moveaxis(x, -1, 1))
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), y)
    np.testing.assert_allclose(y.min(axis=(1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(y.max(axis=(1, 2)), 255, rtol=1e-5)
    np.testing.assert_array_equal(layers.AutoContrast()(x, training=False), y)


def test_equalization_only_in_training():
    layer = layers.Equalization()
    x = np.repeat(np.arange(20, 60, dtype="float32"), 10).reshape(1, 20, 20, 1)
    np.testing.assert_array_equal(layer(x, training=False), x)
    y = layer(x, training=True)
    np.testing.assert_array_equal(np.unique(y), np.round(np.arange(40) * 255 / 39))


def test_layers_of_colours_stand_in_models():
    inputs = gl.Input((9, 12, 3), dtype="uint8")
    y = layers.RandomContrast(0.5, seed=1)(layers.AutoContrast()(inputs))
    model = gl.Model(inputs, layers.GlobalAveragePooling2D()(y))
    expected = layers.AutoContrast()(IMAGES).mean(axis=(1, 2))
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected, rtol=1e-4)
    assert np.abs(model(IMAGES, training=True) - expected).max() > 0.01
    again = gl.Model.from_config(model.get_config())
    np.testing.assert_allclose(again.predict(IMAGES, verbose=0), expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_other_dtypes(dtype):
    for name in ("RandomHue", "RandomSharpness", "RandomPosterization", "RandomBrightness"):
        made = [getattr(layers, name)(seed=2, dtype=d, **DRAWING[name]) for d in (dtype, "float32")]
        y, expected = (layer(IMAGES.astype("float32")) for layer in made)
        assert y.dtype.name == dtype.removeprefix("mixed_")
        atol = 2.0 if dtype == "mixed_bfloat16" else 0.2
        np.testing.assert_allclose(y.astype("float64"), expected, atol=atol)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("RandomBrightness", {"factor": 1.2}, "factor must be"),
        ("RandomBrightness", {"factor": 0.2, "value_range": (0, 1, 2)}, "value_range must be two"),
        ("RandomContrast", {"factor": -0.2}, "factor must be"),
        ("RandomContrast", {"factor": (0.1, 0.2, 0.3)}, "factor must be"),
        ("RandomHue", {"factor": "a"}, "factor must be"),
        ("RandomHue", {"factor": 0.2, "value_range": (1, 1)}, "two different numbers"),
        ("RandomGrayscale", {"factor": 1.5}, "from 0 to 1"),
        ("RandomPosterization", {"factor": 9}, "from 1 to 8"),
        ("Solarization", {"addition_factor": 2}, "addition_factor must be"),
        ("Solarization", {"threshold_factor": (0, 1, 1)}, "threshold_factor must be"),
        ("RandomErasing", {"scale": (2, 3)}, "scale must be"),
        ("RandomErasing", {"fill_value": "red"}, "fill_value must be"),
        ("RandomErasing", {"fill_value": (1, 2)}, "fill_value must be"),
        ("RandomGaussianBlur", {"kernel_size": 4}, "odd"),
        ("RandomGaussianBlur", {"kernel_size": (3, 5, 7)}, "odd"),
        ("RandomGaussianBlur", {"sigma": 3}, "sigma must be"),
        ("Equalization", {"bins": 0}, "bins must be"),
        ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": 8}, "tile_grid_size"),
        ("MixUp", {"alpha": 0}, "alpha must be"),
        ("CutMix", {"factor": 2}, "factor must be"),
    ],
)
def test_what_it_refuses(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**options)


@pytest.mark.parametrize("name", DRAWING)
def test_images_of_another_rank_are_refused(name):
    with pytest.raises(ValueError, match="rank 3"):
        getattr(layers, name)(**DRAWING[name])(np.zeros((4, 4), np.float32))


@pytest.mark.parametrize("name", ["RandomGrayscale", "RandomHue", "RandomColorDegeneration"])
def test_two_channels_have_no_colour(name):
    with pytest.raises(ValueError, match="channels"):
        getattr(layers, name)(**DRAWING[name])(np.zeros((2, 4, 4, 2), np.float32))


def test_grey_images_stay_grey():
    grey = ops.image.rgb_to_grayscale(photographs())
    y = layers.RandomColorDegeneration(0.5, seed=1).transform_images(grey, {"factor": np.ones(3)})
    np.testing.assert_array_equal(y, grey)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_images_of_integers_stay_such(dtype):
    """As in Keras: brightened by a whole number, where bytes end at 255; grey rounded down."""
    x = np.arange(0, 240, 5).reshape(1, 4, 4, 3).astype(dtype)
    layer = layers.RandomBrightness((0.3, 0.3))  # By 76.5.
    bright = layer(x, training=True)
    assert bright.dtype == x.dtype
    np.testing.assert_array_equal(bright, np.minimum(x.astype(int) + 76, 255))
    grey = layers.RandomGrayscale(1.0)(x, training=True)
    assert grey.dtype == x.dtype
    wide = (x.astype(np.float32) @ np.array([0.2989, 0.587, 0.114], np.float32))[..., None]
    np.testing.assert_array_equal(grey, np.repeat(wide, 3, 3).astype(dtype))
    one, other = layers.RandomBrightness((0.3, 0.3)), layers.RandomContrast((0.5, 0.5), seed=1)
    both = layers.Pipeline([one, other])(x, training=True)
    again = layers.RandomContrast((0.5, 0.5), seed=1)(bright, training=True)
    np.testing.assert_allclose(both, again, rtol=1e-6)
