"""What people paste from overviews of Keras's preprocessing layers, with only the name changed."""

import numpy as np
import pytest

from gpulayers import layers
from gpulayers.layers import LSTM, Conv2D, Dense, Embedding, MaxPooling2D
from gpulayers.models import Sequential, load_model

RANDOM = np.random.default_rng(0)
TEXTS = ["The cat sat on the mat.", "A dog — ein Hund!", "", "猫 🐈"]
IMAGES = RANDOM.integers(0, 256, (2, 150, 200, 3)).astype("uint8")


def test_text_vectorization(tmp_path):
    text_vectorizer = layers.TextVectorization(max_tokens=10000, output_sequence_length=100)
    text_vectorizer.adapt(TEXTS)
    model = Sequential([text_vectorizer, Embedding(input_dim=10000, output_dim=64), LSTM(50)])
    found = model(TEXTS)
    assert found.shape == (4, 50)
    np.testing.assert_allclose(model.predict(np.array(TEXTS), verbose=0), found, rtol=1e-5)
    model.save(tmp_path / "texts.keras")
    again = load_model(tmp_path / "texts.keras")
    np.testing.assert_allclose(again(TEXTS), found, rtol=1e-6)


def test_normalization():
    X_train = RANDOM.normal(5, 3, (200, 4)).astype("float32")
    normalizer = layers.Normalization()
    normalizer.adapt(X_train)
    model = Sequential([normalizer, Dense(64, activation="relu"), Dense(1)])
    assert model(X_train).shape == (200, 1)
    np.testing.assert_allclose(normalizer(X_train).mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normalizer(X_train).std(0), 1, rtol=1e-5)


def test_spectral_normalization():
    model = Sequential([layers.SpectralNormalization(Dense(64, activation="relu")), Dense(1)])
    x = RANDOM.normal(size=(8, 5)).astype("float32")
    for _ in range(30):  # Each step of training brings the vector nearer.
        assert model(x, training=True).shape == (8, 1)
    kernel = model.layers[0].layer.kernel.numpy()
    np.testing.assert_allclose(np.linalg.svd(kernel, compute_uv=False)[0], 1, rtol=1e-3)


NUMBERS = RANDOM.normal(size=(50, 3)).astype("float32")


@pytest.mark.parametrize(
    ("first", "x"),
    [
        (lambda: layers.Discretization(num_bins=10), NUMBERS),
        (lambda: layers.CategoryEncoding(num_tokens=10), np.array([[1, 2], [9, 0]])),
        (lambda: layers.Hashing(num_bins=10), [["a", "b"], ["猫", ""]]),
        (lambda: layers.IntegerLookup(vocabulary=[1, 2, 3]), np.array([[1, 3], [7, 2]])),
    ],
    ids=["Discretization", "CategoryEncoding", "Hashing", "IntegerLookup"],
)
def test_features_into_dense_layers(first, x):
    layer = first()
    if isinstance(layer, layers.Discretization):
        layer.adapt(x)
    model = Sequential([layer, Dense(64, activation="relu"), Dense(1)])
    assert model(x).shape == (len(x), 1)


def test_hashed_crossing():
    crossing = layers.HashedCrossing(num_bins=10)
    model = Sequential([crossing, Dense(64, activation="relu"), Dense(1)])
    assert len(model.layers) == 3
    crossed = crossing((np.array([["a"], ["b"]]), np.array([[1], [2]])))
    assert crossed.shape == (2, 1) and ((crossed >= 0) & (crossed < 10)).all()
    assert Dense(1)(crossed).shape == (2, 1)


def test_string_lookup():
    lookup = layers.StringLookup(vocabulary=["cat", "dog"])
    model = Sequential([lookup, Embedding(input_dim=10, output_dim=64), Dense(1)])
    assert lookup(["dog", "cow", "cat"]).tolist() == [2, 0, 1]
    assert model(np.array([["cat", "dog"], ["cow", ""]])).shape == (2, 2, 1)


@pytest.mark.parametrize(
    ("first", "size"),
    [
        (lambda: layers.Resizing(128, 128), (128, 128)),
        (lambda: layers.Rescaling(1.0 / 255), (150, 200)),
        (lambda: layers.CenterCrop(128, 128), (128, 128)),
        (lambda: layers.RandomCrop(height=128, width=128), (128, 128)),
        (lambda: layers.RandomFlip("horizontal"), (150, 200)),
        (lambda: layers.RandomTranslation(height_factor=0.1, width_factor=0.1), (150, 200)),
        (lambda: layers.RandomRotation(factor=0.2), (150, 200)),
        (lambda: layers.RandomZoom(height_factor=0.2, width_factor=0.2), (150, 200)),
        (lambda: layers.RandomContrast(factor=0.2), (150, 200)),
        (lambda: layers.RandomBrightness(factor=0.2), (150, 200)),
    ],
    ids=["Resizing", "Rescaling", "CenterCrop", "RandomCrop", "RandomFlip", "RandomTranslation",
         "RandomRotation", "RandomZoom", "RandomContrast", "RandomBrightness"],
)  # fmt: skip
def test_images_into_convolutions(first, size):
    layer = first()
    model = Sequential([layer, Conv2D(32, (3, 3), activation="relu"), MaxPooling2D()])
    expected = (2, (size[0] - 2) // 2, (size[1] - 2) // 2, 32)
    assert model(IMAGES, training=True).shape == expected
    assert layer(IMAGES[0]).shape == (*size, 3)
