"""MixUp and CutMix: images, and what belongs to them, with others of the batch."""

import numpy as np
import pytest
from parity.color_cases import photographs

from gpulayers import layers

IMAGES = photographs()
ONE_HOT = np.eye(3, dtype=np.float32)
ORDER = np.array([2, 0, 1])
WEIGHT = np.array([0.25, 1.0, 0.5], np.float32)
DRAWN = {"permutation_order": ORDER, "mix_weight": WEIGHT}


def test_mixed_labels_boxes_and_masks():
    layer = layers.MixUp(bounding_box_format="xyxy")
    np.testing.assert_allclose(
        layer.transform_labels(ONE_HOT, DRAWN), [[0.25, 0, 0.75], [0, 1, 0], [0, 0.5, 0.5]]
    )
    np.testing.assert_allclose(layer.transform_labels(np.array([4, 8, 0]), DRAWN), [1, 8, 4])
    masks = np.tile(ONE_HOT[:, None, None], (1, 9, 12, 1))
    mixed = layer.transform_segmentation_masks(masks, DRAWN)
    np.testing.assert_allclose(mixed[:, 0, 0], layer.transform_labels(ONE_HOT, DRAWN))
    boxes = {"boxes": np.arange(24.0).reshape(3, 2, 4), "labels": np.arange(6).reshape(3, 2)}
    both = layer.transform_bounding_boxes(boxes, DRAWN)
    assert both["labels"].tolist() == [[0, 1, 4, 5], [2, 3, 0, 1], [4, 5, 2, 3]]
    np.testing.assert_array_equal(both["boxes"][:, 2:], boxes["boxes"][ORDER])
    assert layer.transform_labels(ONE_HOT, DRAWN, training=False) is ONE_HOT


def test_labels_are_mixed_as_far_as_images():
    """Images of one number, which is that of their label."""
    x = np.ones((6, 8, 10, 1), np.float32) * np.arange(6, dtype="float32").reshape(-1, 1, 1, 1)
    labels = np.eye(6, dtype=np.float32)
    for layer in (layers.MixUp(alpha=1.0, seed=3), layers.CutMix(seed=3)):
        seen = 0
        for _ in range(5):
            out = layer({"images": x, "labels": labels})
            np.testing.assert_allclose(out["labels"].sum(axis=1), 1, rtol=1e-5)
            means = out["labels"] @ np.arange(6, dtype="float32")
            # Pixels are whole, areas are not.
            close = 1e-4 if isinstance(layer, layers.MixUp) else 1.3
            np.testing.assert_allclose(out["images"].mean(axis=(1, 2, 3)), means, atol=close)
            seen += (out["labels"].max(axis=1) < 0.99).sum()
        assert seen > 5
        out = layer({"images": x, "labels": labels}, training=False)
        np.testing.assert_array_equal(out["images"], x)
        np.testing.assert_array_equal(out["labels"], labels)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_are_of_the_beta_distribution(alpha):
    layer = layers.MixUp(alpha=alpha, seed=1)
    found = layer.get_random_transformation(np.zeros((20000, 1, 1, 1)))
    weights = found["mix_weight"]
    np.testing.assert_allclose(weights.mean(), 0.5, atol=0.01)
    np.testing.assert_allclose(weights.var(), 0.25 / (2 * alpha + 1), rtol=0.04)
    order = found["permutation_order"]
    np.testing.assert_array_equal(np.sort(order), np.arange(20000))
    assert np.mean(order == np.arange(20000)) < 0.01


def test_rectangles_have_the_shape_of_the_image_and_the_labels_part():
    layer = layers.CutMix(factor=(1, 1), seed=1)
    found = layer.get_random_transformation(np.zeros((5000, 40, 80, 3)))
    x0, x1, y0, y1 = found["boxes"]
    np.testing.assert_allclose(x1 - x0, 2 * (y1 - y0), atol=1e-3)
    left = 1 - (x1 - x0) * (y1 - y0) / 3200
    np.testing.assert_allclose(found["mix_weight"], left, atol=1e-5)
    np.testing.assert_allclose([left.mean(), left.var()], [0.5, 1 / 12], atol=0.01)  # Uniform.
    assert min(x0.min(), y0.min()) >= 0 and x1.max() <= 80.001 and y1.max() <= 40.001


def test_cut_out_of_masks_as_out_of_images():
    layer = layers.CutMix(seed=6)
    images = photographs(dtype="uint8", size=(30, 40), count=8)
    masks = images[..., :1] // 50
    out = layer({"images": images, "segmentation_masks": masks})
    np.testing.assert_array_equal(out["segmentation_masks"], out["images"][..., :1] // 50)
    assert np.any(out["images"] != images)


def test_single_images_and_boxes():
    one = IMAGES[0]
    np.testing.assert_array_equal(layers.CutMix()(one), one)
    np.testing.assert_allclose(layers.MixUp()(one), one, atol=1e-4)
    layer = layers.CutMix(bounding_box_format="xyxy")
    boxes = {"boxes": np.zeros((3, 1, 4)), "labels": np.zeros((3, 1))}
    with pytest.raises(NotImplementedError, match="cannot say what becomes of bounding boxes"):
        layer({"images": IMAGES, "bounding_boxes": boxes})


@pytest.mark.parametrize("name", ["MixUp", "CutMix", "AugMix", "RandAugment"])
def test_no_images(name):
    assert getattr(layers, name)()(np.zeros((0, 6, 6, 3), "float32")).shape == (0, 6, 6, 3)
