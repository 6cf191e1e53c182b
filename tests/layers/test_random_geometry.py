"""Layers that move, turn, distort, cut and resize images: what they draw, and what they refuse."""

import numpy as np
import pytest
from stand_in_cupy import installed

import gpulayers as gl
from gpulayers import layers, registry

random = np.random.default_rng(5)
MANY = np.zeros((20000, 8, 10, 1), np.uint8)
IMAGES = random.integers(0, 256, (6, 20, 24, 3), np.uint8)
GEOMETRIC = [
    layers.RandomTranslation((-0.1, 0.4), 0.3, seed=3),
    layers.RandomRotation((-0.1, 0.2), "wrap", seed=3),
    layers.RandomZoom((-0.5, 0.2), fill_mode="nearest", seed=3),
    layers.RandomZoom(0.3, (-0.2, 0.1), "constant", "nearest", fill_value=4.0, seed=3),
    layers.RandomShear(0.2, (0.1, 0.3), seed=3),
    layers.RandomPerspective(0.8, 0.4, fill_value=9.0, seed=3),
    layers.RandomElasticTransform(0.9, (0.4, 0.8), seed=3),
    layers.RandomCrop(12, 15, seed=3),
    layers.RandomFlip(seed=3),
]


def named(layer):
    return type(layer).__name__


def again(layer):
    """A new layer of the same config."""
    return registry.deserialize(registry.serialize(layer))


def spread_evenly(x, low, high):
    assert low <= x.min() and x.max() <= high
    part = (np.sort(np.ravel(x)) - low) / (high - low)
    assert np.abs(part - (np.arange(part.size) + 0.5) / part.size).max() < 0.015


def test_what_is_drawn():
    translation, rotation, zoom, other, shear, perspective = GEOMETRIC[:6]
    moves = again(translation).get_random_transformation(MANY)["translations"]
    spread_evenly(moves[:, 0], -3, 3)
    spread_evenly(moves[:, 1], -0.8, 3.2)
    spread_evenly(again(rotation).get_random_transformation(MANY)["angle"], -36, 72)
    drawn = again(zoom).get_random_transformation(MANY)
    spread_evenly(drawn["height_zoom"], 0.5, 1.2)
    np.testing.assert_array_equal(drawn["height_zoom"], drawn["width_zoom"])
    drawn = again(other).get_random_transformation(MANY)
    spread_evenly(drawn["width_zoom"], 0.8, 1.1)
    assert abs(np.corrcoef(drawn["width_zoom"][:, 0], drawn["height_zoom"][:, 0])[0, 1]) < 0.03
    sheared = again(shear).get_random_transformation(MANY)["shear_factor"]
    spread_evenly(sheared[:, 0], -0.2, 0.2)
    spread_evenly(np.abs(sheared[:, 1]), 0.1, 0.3)
    assert abs(np.mean(sheared[:, 1] > 0) - 0.5) < 0.015
    drawn = again(perspective).get_random_transformation(MANY)
    assert abs(drawn["apply_perspective"].mean() - 0.4) < 0.015  # 0 ... 0.8 on average.
    moved = drawn["end_points"][:, 3] / drawn["start_points"][:, 3] - 1
    spread_evenly(moved, -0.2, 0.2)


def test_every_part_is_cut_as_often():
    crop = layers.RandomCrop(6, 7, seed=1)
    cut = crop.get_random_transformation(MANY)
    for starts, count in ((cut.top, 3), (cut.left, 4)):
        often = np.bincount(starts, minlength=count) / len(starts)
        np.testing.assert_allclose(often, 1 / count, atol=0.015)
    out = crop(IMAGES)
    assert out.shape == (6, 6, 7, 3)
    windows = np.lib.stride_tricks.sliding_window_view(IMAGES, (6, 7), (1, 2))
    for image, all_of_it in zip(out, windows, strict=True):
        same = (all_of_it == image.transpose(2, 0, 1)).all(axis=(2, 3, 4))
        assert same.any()


@pytest.mark.parametrize("layer", GEOMETRIC, ids=named)
def test_seeds_layouts_libraries_and_inference(layer):
    out = again(layer)(IMAGES)
    assert out.dtype == np.float32 and not np.array_equal(out, IMAGES)
    np.testing.assert_array_equal(again(layer)(IMAGES), out)
    first = registry.deserialize(registry.serialize(layer))
    first.data_format = "channels_first"
    turned = first(np.moveaxis(IMAGES, 3, 1))
    np.testing.assert_allclose(np.moveaxis(turned, 1, 3), out, atol=1e-4)
    with installed() as cupy:
        there = again(layer)(cupy.asarray(IMAGES))
        assert isinstance(there, cupy.ndarray)
        np.testing.assert_allclose(there._host, out, atol=2e-3)
    one = again(layer)(IMAGES[0])
    np.testing.assert_allclose(one, again(layer)(IMAGES[:1])[0], atol=1e-4)
    if not isinstance(layer, layers.RandomCrop):
        np.testing.assert_array_equal(again(layer)(IMAGES, training=False), IMAGES)


@pytest.mark.parametrize("layer", GEOMETRIC, ids=named)
def test_masks_move_as_images_do(layer):
    """A mask that holds the image's own column numbers shows from where each pixel came."""
    columns = np.broadcast_to(np.arange(24, dtype=np.int32)[:, None], (6, 20, 24, 1)).copy()
    layer = again(layer)
    out = layer({"images": columns.astype(np.uint8), "segmentation_masks": columns})
    images, masks = out["images"], out["segmentation_masks"]
    assert images.shape == masks.shape
    exact = isinstance(layer, (layers.RandomFlip, layers.RandomCrop))
    assert masks.dtype == (np.float32 if exact else np.int32)
    near = np.abs(images - masks) <= 0.51
    assert near.mean() > 0.9


@pytest.mark.parametrize("layer", GEOMETRIC[:6] + GEOMETRIC[7:], ids=named)
@pytest.mark.parametrize("box_format", ["xyxy", "rel_center_xywh"])
def test_boxes_move_as_images_do(layer, box_format):
    """A bright rectangle stays within its box, in whichever format."""
    images, boxes = np.zeros((6, 40, 60, 1), np.float32), np.zeros((6, 1, 4), np.float32)
    for i in range(6):
        x, y = 8 + 5 * i, 10 + 2 * i
        images[i, y : y + 9, x : x + 12], boxes[i, 0] = 1, (x, y, x + 12, y + 9)
    sizes = {"height": 40, "width": 60}
    given = gl.utils.bounding_boxes.convert_format(boxes, "xyxy", box_format, **sizes)
    config = registry.serialize(layer)
    config["config"] |= {"bounding_box_format": box_format, "fill_mode": "constant"}
    if isinstance(layer, layers.RandomCrop):
        sizes = {"height": 30, "width": 40}
        config["config"] |= sizes
    if not hasattr(layer, "fill_mode") or isinstance(layer, layers.RandomPerspective):
        del config["config"]["fill_mode"]
    if hasattr(layer, "fill_value"):
        config["config"]["fill_value"] = 0.0
    labels = np.full((6, 1), 5)
    data = {"images": images, "bounding_boxes": {"boxes": given, "labels": labels}}
    out = registry.deserialize(config)(data)
    found = gl.utils.bounding_boxes.convert_format(
        out["bounding_boxes"]["boxes"], box_format, "xyxy", **sizes
    )
    for image, (box,), label in zip(
        out["images"], found, out["bounding_boxes"]["labels"], strict=True
    ):
        ys, xs = np.nonzero(image[..., 0] > 0.5)
        if label[0] == -1:
            assert ys.size == 0
            continue
        assert label[0] == 5
        left, top, right, bottom = box
        assert xs.min() >= left - 1.01 and xs.max() + 1 <= right + 1.01
        assert ys.min() >= top - 1.01 and ys.max() + 1 <= bottom + 1.01


def test_rotation_by_quarters_is_exact():
    square = random.integers(0, 256, (1, 9, 9, 3), np.uint8)
    for quarters in range(4):
        turned = layers.RandomRotation((quarters / 4, quarters / 4))(square)
        np.testing.assert_allclose(turned[0], np.rot90(square[0], quarters), atol=1e-2)


def test_translations_by_whole_pixels_are_exact():
    layer = layers.RandomTranslation((0.1, 0.1), (-0.25, -0.25), "wrap")
    np.testing.assert_allclose(layer(IMAGES), np.roll(IMAGES, (2, -6), (1, 2)), atol=1e-2)


def test_elastic_transforms_bend_a_little():
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32)[:, None], (4, 64, 64, 1))
    bent = layers.RandomElasticTransform(1.0, (1.0, 1.0), seed=1)(ramp)
    moved = np.abs(bent - ramp)[:, 16:-16, 16:-16]
    assert 0.05 < moved.mean() < 6.4
    kept = layers.RandomElasticTransform(0.0, 1.0)(ramp)
    np.testing.assert_array_equal(kept, ramp)


def test_resizing_keeps_dtypes_and_crops_boxes():
    y = layers.Resizing(10, 12)(IMAGES)
    assert y.dtype == np.uint8
    inputs = gl.Input((20, 24, 3), dtype="uint8")
    assert layers.Resizing(10, 12)(inputs).dtype == "uint8"
    whole = layers.Resizing(10, 12, dtype="uint8")  # Keras's casts floats to its integer dtype.
    np.testing.assert_array_equal(whole(IMAGES.astype("float32")), y)
    assert whole(gl.Input((20, 24, 3))).dtype == whole(IMAGES).dtype == "uint8"
    assert layers.Resizing(10, 12)(inputs).shape == (None, 10, 12, 3)
    model = gl.Sequential([gl.Input((20, 24, 3)), layers.Resizing(8, 8), layers.CenterCrop(4, 6),
                           layers.RandomCrop(3, 3)])  # fmt: skip
    assert model.output_shape == (None, 3, 3, 3)
    assert model.predict(IMAGES, verbose=0).shape == (6, 4, 6, 3)  # As in Keras 3.15.
    assert model(IMAGES, training=True).shape == (6, 3, 3, 3)
    none = {"boxes": np.array([[[0, 0, 0, 0], [-1, -1, -1, -1], [2, 2, 12, 10]]], np.float32),
            "labels": np.array([[-1, -1, 3]])}  # fmt: skip
    layer = layers.Resizing(40, 48, bounding_box_format="xyxy")
    out = layer({"images": IMAGES[:1], "bounding_boxes": none})["bounding_boxes"]
    np.testing.assert_allclose(out["boxes"], [[[0] * 4, [0] * 4, [4, 4, 24, 20]]])
    assert out["labels"].tolist() == [[-1, -1, 3]]


def test_bad_input():
    with pytest.raises(ValueError, match="RandomTranslation: height_factor must be"):
        layers.RandomTranslation(1.2, 0.1)
    with pytest.raises(ValueError, match="width_factor must be"):
        layers.RandomTranslation(0.2, (-2, 0.1))
    with pytest.raises(ValueError, match="RandomZoom: height_factor must be above -1"):
        layers.RandomZoom((-1, 0.2))
    with pytest.raises(ValueError, match="RandomShear: x_factor must be"):
        layers.RandomShear(-0.2)
    with pytest.raises(ValueError, match="y_factor must be"):
        layers.RandomShear(0.2, (0.1, 1.3))
    with pytest.raises(ValueError, match="RandomRotation: factor must be"):
        layers.RandomRotation("a lot")
    with pytest.raises(ValueError, match="RandomPerspective: scale must be"):
        layers.RandomPerspective(1.0, 1.4)
    with pytest.raises(ValueError, match="RandomElasticTransform: scale must be"):
        layers.RandomElasticTransform(1.0, -0.4)
    for make in (layers.RandomRotation, layers.RandomZoom):
        with pytest.raises(NotImplementedError, match="fill_mode must be"):
            make(0.1, fill_mode="mirror")
        with pytest.raises(NotImplementedError, match="interpolation must be"):
            make(0.1, interpolation="bicubic")
    with pytest.raises(NotImplementedError, match="interpolation must be"):
        layers.RandomElasticTransform(interpolation="bicubic")
    with pytest.raises(ValueError, match="height must be a positive"):
        layers.RandomCrop(0, 4)
    with pytest.raises(TypeError, match="width must be an integer"):
        layers.CenterCrop(4, 2.5)
    with pytest.raises(ValueError, match="interpolation must be one of"):
        layers.Resizing(4, 4, "cubic")
    with pytest.raises(ValueError, match="not both"):
        layers.Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)
    with pytest.raises(ValueError, match="num_chains must be a positive integer, got 0"):
        layers.AugMix(num_chains=0)
    with pytest.raises(ValueError, match="rank 3"):
        layers.RandomCrop(2, 2)(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="positive"):
        layers.MaxNumBoundingBoxes(0)


@pytest.mark.parametrize("size", [(5, 6), (20, 24), (30, 6), (40, 50)])
@pytest.mark.parametrize("fused", [False, True])
def test_random_crop_does_nothing_in_inference(size, fused):
    """As in Keras 3.15: images of any dtype, masks and boxes stay; shapes say what training gives.

    Keras's own, called with training=False on 8 x 8 images, gives 8 x 8 for crops of 4 x 4, 8 x 8,
    4 x 12 and 12 x 12.
    """
    layer = layers.RandomCrop(*size, seed=1, bounding_box_format="xyxy")
    assert layer(gl.Input((20, 24, 3)), training=False).shape == (None, *size, 3)
    layer = (
        layers.Pipeline([layer, layers.RandomFlip(bounding_box_format="xyxy")]) if fused else layer
    )
    for images in (IMAGES, IMAGES[0], IMAGES.astype(np.float32)):
        y = layer(images, training=False)
        assert y.dtype == images.dtype or fused  # A flip gives floats.
        np.testing.assert_array_equal(y, images)
    boxes = {"boxes": np.array([[[1, 2, 9, 10]]] * 6, np.float32), "labels": np.full((6, 1), 3)}
    data = {"images": IMAGES, "bounding_boxes": boxes, "segmentation_masks": IMAGES[..., :1]}
    made = layer(data, training=False)
    np.testing.assert_array_equal(made["images"], IMAGES)
    np.testing.assert_array_equal(made["segmentation_masks"], IMAGES[..., :1])
    np.testing.assert_allclose(made["bounding_boxes"]["boxes"], boxes["boxes"])
    np.testing.assert_array_equal(made["bounding_boxes"]["labels"], boxes["labels"])


@pytest.mark.parametrize("policy", ["float32", "float16", "float64"])
@pytest.mark.parametrize("given", ["float16", "float32", "float64", "int32"])
def test_dtypes_of_random_crop(policy, given):
    """As Keras's on NumPy: the policy's in training; in inference the images' own, but float64."""
    layer, x = layers.RandomCrop(12, 15, dtype=policy), IMAGES.astype(given)
    kept = "float32" if given == "float64" and policy != "float64" else given
    for _ in range(2):
        assert layer(x).dtype == layer(x[0]).dtype == policy
        assert layer(x, training=False).dtype == layer(x[0], training=False).dtype == kept
    made = layer({"images": x, "labels": np.zeros(6)}, training=False)
    assert made["images"].dtype == kept and made["labels"].dtype in ("float32", policy)


def test_images_that_need_no_cast_are_cut_as_views():
    images = IMAGES.astype("float32")
    assert np.shares_memory(layers.CenterCrop(12, 15)(images), images)
    assert not np.shares_memory(layers.RandomCrop(12, 15)(images), images)


def test_images_smaller_than_the_crop_are_made_larger():
    small = random.uniform(0, 1, (2, 5, 9, 1)).astype(np.float32)
    for layer in (layers.CenterCrop(8, 6), layers.RandomCrop(8, 6)):
        y = layer(small, training=True)
        assert y.shape == (2, 8, 6, 1)
        assert small.min() - 1e-6 <= y.min() and y.max() <= small.max() + 1e-6


@pytest.mark.parametrize(
    "first",
    [
        lambda: layers.Resizing(128, 128),
        lambda: layers.CenterCrop(128, 128),
        lambda: layers.RandomCrop(height=128, width=128),
        lambda: layers.RandomFlip("horizontal"),
        lambda: layers.RandomTranslation(height_factor=0.1, width_factor=0.1),
        lambda: layers.RandomRotation(factor=0.2),
        lambda: layers.RandomZoom(height_factor=0.2, width_factor=0.2),
        lambda: layers.RandomContrast(factor=0.2),
        lambda: layers.RandomBrightness(factor=0.2),
    ],
    ids=lambda make: type(make()).__name__,
)
def test_they_begin_models(first):
    """As an overview of Keras's layers shows them; trained, saved and loaded besides."""
    model = gl.Sequential(
        [
            first(),
            layers.Conv2D(4, (3, 3), activation="relu"),
            layers.MaxPooling2D(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1),
        ]
    )
    images = random.integers(0, 256, (3, 136, 140, 3)).astype(np.float32)
    assert model(images).shape == (3, 1)
    model.compile("sgd", "mse")
    history = model.fit(images / 255, np.ones((3, 1)), batch_size=2, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    again = registry.deserialize(registry.serialize(model))
    again.build((None, 136, 140, 3))
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again(images, training=False), model(images, training=False))
