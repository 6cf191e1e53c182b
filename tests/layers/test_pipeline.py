"""Layers one after another, as one layer."""

import numpy as np
import pytest
from checks import check_layer
from parity.color_cases import photographs

import gpulayers as gl
from gpulayers import layers

IMAGES = photographs(dtype="uint8")


def made(dtype="float32"):
    return layers.Pipeline(
        [
            layers.AutoContrast(dtype=dtype),
            layers.CenterCrop(3, 2, dtype=dtype),
            layers.Rescaling(1 / 255, dtype=dtype),
        ]
    )


def test_every_way(xp):
    check_layer(made, photographs(dtype="float64"), xp=xp, gradient=xp.name == "numpy")


def test_layers_run_one_after_another():
    layer = layers.Pipeline([layers.AutoContrast(), layers.CenterCrop(8, 9)])
    expected = layers.CenterCrop(8, 9)(layers.AutoContrast()(IMAGES))
    np.testing.assert_array_equal(layer(IMAGES), expected)
    assert layer.compute_output_shape((None, 9, 12, 3)) == (None, 8, 9, 3)
    assert [type(part).__name__ for part in layer.layers] == ["AutoContrast", "CenterCrop"]


def test_training_goes_to_all_layers_and_seeds_repeat():
    def pipeline():
        return layers.Pipeline(
            [
                layers.RandomFlip(seed=1),
                layers.RandomRotation(0.1, seed=2),
                layers.RandomContrast(0.4, seed=3),
                layers.RandomHue(0.3, seed=4),
                layers.Dropout(0.5, seed=5),
            ]
        )

    one, two = pipeline(), pipeline()
    np.testing.assert_array_equal(one(IMAGES, training=False), IMAGES)
    for _ in range(2):
        y = one(IMAGES)
        np.testing.assert_array_equal(y, two(IMAGES, training=True))
    assert 0.4 < np.mean(y == 0) < 0.6


def test_what_belongs_to_images_goes_along():
    layer = layers.Pipeline(
        [
            layers.RandomFlip("horizontal", seed=1, bounding_box_format="xyxy"),
            layers.RandomBrightness((0.1, 0.1), bounding_box_format="xyxy"),
            layers.MixUp(seed=2, bounding_box_format="xyxy"),
        ]
    )
    boxes = {
        "boxes": [[[1, 0, 3, 4]], [[0, 0, 2, 2], [2, 2, 6, 5]], []],
        "labels": [[7], [8, 9], []],
    }
    labels = np.eye(3, dtype=np.float32)
    out = layer({"images": IMAGES, "labels": labels, "bounding_boxes": boxes})
    assert out["images"].shape == IMAGES.shape
    np.testing.assert_allclose(out["labels"].sum(axis=1), 1, rtol=1e-5)
    assert out["bounding_boxes"]["boxes"].shape == (3, 4, 4)
    assert out["bounding_boxes"]["labels"].shape == (3, 4)


def test_a_pipeline_in_a_model_is_saved_with_it(tmp_path):
    inputs = gl.Input((9, 12, 3))
    y = layers.Flatten()(made()(inputs))
    model = gl.Model(inputs, layers.Dense(2)(y))
    x = photographs()
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    again = gl.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-6)


def test_texts_go_through_too():
    lookup = layers.StringLookup(vocabulary=["a", "b"])
    layer = layers.Pipeline([lookup, layers.CategoryEncoding(3, output_mode="one_hot")])
    assert layer(np.array(["b", "c"])).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_what_it_refuses():
    with pytest.raises(TypeError, match="expected a list of layers, got 'flip'"):
        layers.Pipeline(["flip"])
    with pytest.raises(ValueError, match="needs a list of layers, got None"):
        layers.Pipeline.from_config({"name": "pipeline"})
