"""What all layers of images have in common, and RandomFlip."""

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers
from gpulayers.layers.image_layer import ImageLayer, in_range, per_image

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 5, 6, 3), np.uint8)
MASKS = IMAGES[..., :1] % 4
BOXES = np.array([[[1, 0, 3, 4], [2, 2, 6, 5]]] * 8, np.float32)
CLASSES = np.array([[7, 9]] * 8)


class Brighter(ImageLayer):
    """Adds a number drawn for each image."""

    factor_bounds = (-1, 1)

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        return self._uniform((self._count(data),), *self.factor, seed)

    def augment_images(self, images, transformation):
        return images + per_image(transformation, images)

    def transform_labels(self, labels, transformation, training=True):
        return labels * 10


def test_images_come_out_as_floats_and_unchanged_in_inference():
    layer = layers.RandomFlip(seed=1)
    for images in (IMAGES, IMAGES[0], IMAGES.astype(np.float64)):
        out = layer(images, training=False)
        assert out.dtype == np.float32
        np.testing.assert_array_equal(out, images)
    assert layers.RandomFlip(seed=1, dtype="uint8")(IMAGES).dtype == np.uint8


def test_each_image_gets_a_draw_of_its_own_that_a_seed_repeats():
    first, again = (layers.RandomFlip("horizontal", seed=3) for _ in range(2))
    out = [first(IMAGES) for _ in range(3)]
    for y in out:
        np.testing.assert_array_equal(y, again(IMAGES))
    turned = np.array([[np.array_equal(a, b[:, ::-1]) for a, b in zip(y, IMAGES, strict=True)]
                       for y in out])  # fmt: skip
    kept = np.array([[np.array_equal(a, b) for a, b in zip(y, IMAGES, strict=True)] for y in out])
    np.testing.assert_array_equal(turned, ~kept)
    assert 0 < turned.sum() < turned.size
    assert len({row.tobytes() for row in turned}) == 3


def test_half_of_many_images_are_turned():
    layer = layers.RandomFlip(seed=11)
    flips = layer.get_random_transformation(np.zeros((20000, 1, 1, 1)))["flips"]
    assert abs(flips.mean() - 0.5) < 0.015


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_flips_in_both_layouts(mode, data_format):
    layer = layers.RandomFlip(mode, data_format=data_format)
    first = data_format == "channels_first"
    x = np.moveaxis(IMAGES, -1, 1) if first else IMAGES
    flips = np.array([True, False] * 4).reshape(-1, 1, 1, 1)
    y = layer.transform_images(x, {"flips": flips, "input_shape": x.shape})
    y = np.moveaxis(y, 1, -1) if first else y
    step = tuple(slice(None, None, -1 if part in mode else 1) for part in ("vertical", "horizont"))
    np.testing.assert_array_equal(y[::2], IMAGES[::2][(slice(None), *step)])
    np.testing.assert_array_equal(y[1::2], IMAGES[1::2])


def test_what_belongs_to_images_turns_with_them():
    layer = layers.RandomFlip("horizontal", seed=3, bounding_box_format="xywh")
    xywh = np.concatenate([BOXES[..., :2], BOXES[..., 2:] - BOXES[..., :2]], -1)
    data = {"images": IMAGES, "labels": np.arange(8), "segmentation_masks": MASKS,
            "bounding_boxes": {"boxes": xywh, "labels": CLASSES}}  # fmt: skip
    out = layer(data)
    assert data["images"] is IMAGES
    np.testing.assert_array_equal(out["labels"], np.arange(8))
    np.testing.assert_array_equal(out["segmentation_masks"], out["images"][..., :1] % 4)
    turned = np.array([not np.array_equal(a, b) for a, b in
                       zip(out["images"], IMAGES, strict=True)])  # fmt: skip
    assert 0 < turned.sum() < 8
    boxes = out["bounding_boxes"]["boxes"]
    np.testing.assert_allclose(boxes[~turned], xywh[~turned], atol=1e-5)
    for box in boxes[turned]:
        np.testing.assert_allclose(box, [[3, 0, 2, 4], [0, 2, 4, 3]], atol=1e-5)
    np.testing.assert_array_equal(out["bounding_boxes"]["labels"], CLASSES)


def test_one_image_with_what_belongs_to_it():
    layer = layers.RandomFlip("vertical", seed=2, bounding_box_format="xyxy")
    data = {"images": IMAGES[0], "labels": np.array([4]), "segmentation_masks": MASKS[0],
            "bounding_boxes": {"boxes": BOXES[0], "labels": CLASSES[0]}}  # fmt: skip
    out = layer(data, training=False)
    np.testing.assert_array_equal(out["bounding_boxes"]["boxes"], BOXES[0])
    for _ in range(8):
        out = layer(data)
        assert out["images"].shape == (5, 6, 3)
        assert out["bounding_boxes"]["boxes"].shape == (2, 4)
        np.testing.assert_array_equal(out["segmentation_masks"], out["images"][..., :1] % 4)


def test_lists_of_boxes_of_different_lengths():
    layer = layers.RandomFlip("horizontal", seed=3, bounding_box_format="xyxy")
    boxes = {"boxes": [[[1, 0, 3, 4]], [[0, 0, 2, 2], [2, 2, 6, 5]]], "labels": [[7], [8, 9]]}
    out = layer({"images": IMAGES[:2], "bounding_boxes": boxes}, training=True)
    assert out["bounding_boxes"]["boxes"].shape == (2, 2, 4)
    assert out["bounding_boxes"]["labels"].tolist() == [[7, -1], [8, 9]]


def test_boxes_beyond_the_image_are_cut_off():
    layer = layers.RandomFlip("horizontal", bounding_box_format="xyxy")
    boxes = {"boxes": np.array([[[4.0, -1, 9, 4], [7, 0, 9, 4]]]), "labels": np.array([[1, 2]])}
    drawn = {"flips": np.ones((1, 1, 1, 1), bool), "input_shape": (1, 5, 6, 3)}
    out = layer.transform_bounding_boxes(boxes, drawn)
    np.testing.assert_allclose(out["boxes"], [[[0, 0, 2, 4], [0, 0, 0, 4]]], atol=1e-6)
    assert out["labels"].tolist() == [[1, -1]]


def test_the_base_takes_factors_and_hands_each_part_to_its_method():
    assert Brighter(0.3).factor == (-0.3, 0.3)
    assert Brighter((0.5, 0.1)).factor == (0.1, 0.5)
    layer = Brighter((0.25, 0.25))
    out = layer({"images": IMAGES, "labels": np.arange(8), "other": 5})
    np.testing.assert_array_equal(out["images"], IMAGES + np.float32(0.25))
    assert out["labels"].tolist() == list(range(0, 80, 10)) and out["other"] == 5
    assert layer.get_config()["factor"] == (0.25, 0.25)
    for wrong in (1.5, (2, 3), (0.1,), "a"):
        with pytest.raises(ValueError, match="factor must be"):
            Brighter(wrong)
    with pytest.raises(ValueError, match="takes no factor"):
        layers.RandomFlip(factor=0.2)


def test_ranges_of_values():
    x = np.array([0, 51, 255], np.uint8)
    np.testing.assert_allclose(in_range(x, (0, 255), (-1, 1)), [-1, -0.6, 1], atol=1e-6)
    assert in_range(x, (0, 255), [0, 255]) is x


def test_image_layers_stand_in_models_and_in_pipelines():
    inputs = gl.Input((5, 6, 3), dtype="uint8")
    model = gl.Model(inputs, layers.Rescaling(1 / 255)(layers.RandomFlip(seed=1)(inputs)))
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), IMAGES / 255, atol=1e-6)
    y = model(IMAGES, training=True)
    assert 0 < np.sum([not np.allclose(a, b / 255) for a, b in zip(y, IMAGES, strict=True)]) < 8
    named = {"images": gl.Input((5, 6, 3)), "labels": gl.Input(())}
    out = layers.RandomFlip()(named)
    assert out["images"].shape == (None, 5, 6, 3) and out["labels"].shape == (None,)
    stream = map(layers.RandomFlip(seed=2), iter([IMAGES, IMAGES[:3]]))
    assert [y.shape[0] for y in stream] == [8, 3]


def test_bad_input():
    layer = layers.RandomFlip()
    with pytest.raises(ValueError, match="rank 3 .* or 4"):
        layer(np.zeros((5, 6)))
    with pytest.raises(ValueError, match="bounding_box_format"):
        layer({"images": IMAGES, "bounding_boxes": {"boxes": BOXES, "labels": CLASSES}})
    layer = layers.RandomFlip(bounding_box_format="xyxy")
    with pytest.raises(ValueError, match="'boxes' and 'labels'"):
        layer({"images": IMAGES, "bounding_boxes": {"boxes": BOXES}})
    with pytest.raises(ValueError, match="labels one for each"):
        layer({"images": IMAGES, "bounding_boxes": {"boxes": BOXES, "labels": np.arange(3)}})
    with pytest.raises(ValueError, match="mode must be"):
        layers.RandomFlip("both")
