"""Several image layers in one pass, against one after the other."""

import numpy as np
import pytest

from gpulayers import config, layers, registry
from gpulayers.layers.image_layer import ImageLayer
from gpulayers.layers.image_passes import through
from gpulayers.ops import warping
from gpulayers.ops.warping import Colour, warp

random = np.random.default_rng(6)
IMAGES = random.integers(0, 256, (5, 20, 20, 3), np.uint8)


class Dimmer(ImageLayer):
    """Multiplies by a number drawn for each image; adds a part of the mean."""

    factor_bounds = (0, 1)

    def __init__(self, factor=1.0, part=0.0, **kwargs):
        super().__init__(factor=factor, **kwargs)
        self.part = part

    def get_random_transformation(self, data, training=True, seed=None):
        return self._uniform((self._count(data),), *self.factor, seed) if training else None

    def colour(self, transformation, channels):
        matrix = np.zeros((len(transformation), channels, channels + 1), np.float32)
        matrix[:, range(channels), range(channels)] = transformation[:, None]
        part = np.full(len(matrix), self.part, np.float32) if self.part else None
        return Colour(matrix, 10.0, 200.0, part)

    def augment_images(self, images, transformation):
        return warp(images, None, [self.colour(transformation, 3)], data_format=self.data_format)

    def get_config(self):
        return {**super().get_config(), "part": self.part}


registry.register_keras_serializable("image_passes")(Dimmer)


def fresh(chosen):
    return [registry.deserialize(registry.serialize(layer)) for layer in chosen]


def apart(chosen, data):
    config.set_fused_augmentation(False)
    try:
        return through(fresh(chosen), data)
    finally:
        config.set_fused_augmentation(True)


@pytest.fixture
def passes(monkeypatch):
    """Counts how often images are read and written."""
    counted, real = [], warping.warped
    real.version("numpy")  # It registers itself with the real one.

    def count(images, *args, **options):
        counted.append(1)
        return real(images, *args, **options)

    monkeypatch.setattr(warping, "warped", count)
    return counted


FLIP, CROP = layers.RandomFlip("horizontal", seed=1), layers.RandomCrop(12, 15, seed=2)
DIM, MEAN = Dimmer(0.9, seed=3), Dimmer(0.8, 0.3, seed=4)
TURN = layers.RandomRotation(0.2, seed=5)
ZOOM = layers.RandomZoom((-0.3, 0.3), seed=6)
FILLED = layers.RandomTranslation(0.2, 0.3, "constant", fill_value=7.0, seed=7)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ([FLIP, CROP, DIM], 1),
        ([FLIP, DIM, MEAN, FLIP], 1),
        ([DIM, CROP], 1),
        ([MEAN, CROP], 2),
        ([FLIP, TURN, DIM, MEAN], 1),
        ([FLIP, FLIP, FILLED, CROP, MEAN, DIM], 1),
        ([FILLED, TURN], 2),
        ([CROP, TURN, FLIP], 2),
        ([DIM, TURN], 2),
        ([TURN, CROP, FLIP, DIM, FILLED], 2),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_the_same_as_one_after_the_other(chosen, expected, first, passes):
    """As long as no more than one layer of a pass interpolates."""
    images = IMAGES
    if first:
        images = np.ascontiguousarray(np.moveaxis(IMAGES, 3, 1))
        chosen = [registry.deserialize(registry.serialize(layer)) for layer in chosen]
        for layer in chosen:
            layer.data_format = "channels_first"
    got = through(fresh(chosen), images)
    assert len(passes) == expected
    wanted = apart(chosen, images)
    assert got.dtype == wanted.dtype == np.float32
    np.testing.assert_allclose(got, wanted, atol=2e-2)
    assert np.mean(np.abs(got - wanted) > 1e-3) < 0.01


def test_matrices_of_several_layers_are_multiplied(passes):
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32)[:, None] * 3, (4, 64, 64, 3))
    small = [layers.RandomRotation(0.03, seed=1), layers.RandomZoom(0.1, seed=2),
             layers.RandomShear(0.05, seed=3)]  # fmt: skip
    got = through(fresh(small), ramp)
    assert len(passes) == 1
    wanted = apart(small, ramp)
    np.testing.assert_allclose(got[:, 20:-20, 20:-20], wanted[:, 20:-20, 20:-20], atol=0.05)


def test_what_belongs_to_the_images(passes):
    chosen = [FLIP, TURN, CROP]
    for layer in chosen:
        layer.bounding_box_format = "xyxy"
    data = {"images": IMAGES, "labels": np.arange(5), "segmentation_masks": IMAGES[..., :1],
            "bounding_boxes": {"boxes": [[[2, 3, 9, 9]]] * 5, "labels": [[4]] * 5},
            "name": "kept"}  # fmt: skip
    got, wanted = through(fresh(chosen), data), apart(chosen, data)
    assert got["name"] == "kept" and got["labels"].tolist() == list(range(5))
    np.testing.assert_allclose(got["images"], wanted["images"], atol=2e-2)
    for part in ("boxes", "labels"):
        np.testing.assert_allclose(
            got["bounding_boxes"][part], wanted["bounding_boxes"][part], atol=1e-3
        )
    assert got["segmentation_masks"].dtype == wanted["segmentation_masks"].dtype
    np.testing.assert_array_equal(got["segmentation_masks"], wanted["segmentation_masks"])
    one = {key: value[0] for key, value in data.items() if key in ("images", "labels")}
    alone = through(fresh(chosen), one)
    assert alone["images"].shape == (12, 15, 3) and alone["labels"] == 0
    np.testing.assert_allclose(through(fresh(chosen), IMAGES[0]), alone["images"])


def test_inference_other_layers_and_other_dtypes(passes):
    np.testing.assert_array_equal(through(fresh([FLIP, TURN, DIM]), IMAGES, training=False), IMAGES)
    assert passes == []
    mixed = [FLIP, layers.Rescaling(1 / 255), TURN, DIM]
    np.testing.assert_allclose(through(fresh(mixed), IMAGES), apart(mixed, IMAGES), atol=1e-3)
    for end in (layers.Rescaling(1 / 127.5, -1), layers.Rescaling([0.1, 0.2, 0.3])):
        scaled = [layers.Rescaling(0.5), FLIP, TURN, end]
        np.testing.assert_allclose(through(fresh(scaled), IMAGES), apart(scaled, IMAGES), atol=1e-3)
    passes.clear()
    through(fresh([FLIP, TURN, layers.Rescaling(1 / 127.5, -1)]), IMAGES)
    assert len(passes) == 1
    double = [
        layers.RandomFlip(seed=1, dtype="float64"),
        layers.RandomZoom(0.2, seed=2, dtype="float64"),
    ]
    for given in (IMAGES.astype(float), {"images": IMAGES.astype(float)}):
        got, wanted = through(fresh(double), given), apart(double, given)
        if isinstance(given, dict):
            got, wanted = got["images"], wanted["images"]
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, wanted, atol=1e-3)
    whole = [
        layers.RandomFlip(seed=1, dtype="uint8"),
        layers.RandomZoom(0.2, seed=2, dtype="uint8"),
    ]
    got = through(fresh(whole), IMAGES)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, apart(whole, IMAGES))


def test_the_switch():
    with pytest.raises(TypeError, match="True or False"):
        config.set_fused_augmentation(1)
    assert config.fused_augmentation() is True
