"""Layers, activations and functions in ONNX files, run by onnxruntime: the same outputs as here."""

from __future__ import annotations

import pytest
from frameworks.onnx_files import IMAGE, RNG, STEPS, VOLUME, agrees, numbers, outputs_of

from gpulayers import activations, layers, ops
from gpulayers.models import Model, Sequential
from gpulayers.saving.onnx import shaping


def cases():
    """(class, arguments, options, shape of a sample) of layers with one input."""
    L = layers
    for rank, shape in ((1, STEPS), (2, IMAGE), (3, VOLUME)):
        conv, turned = getattr(L, f"Conv{rank}D"), getattr(L, f"Conv{rank}DTranspose")
        for padding in ("valid", "same"):
            for strides, size in ((1, 2), (2, 3), (3, 2)):
                options = {"padding": padding, "strides": strides}
                yield conv, (6, size), options, shape
                yield turned, (3, size), options, shape
                for kind in ("MaxPooling", "AveragePooling"):
                    pool = getattr(L, f"{kind}{rank}D")
                    yield pool, (size,), options, shape
        yield conv, (4, 2), {"padding": "same", "dilation_rate": 2, "activation": "gelu"}, shape
        yield turned, (4, 3), {"padding": "same", "strides": 2, "output_padding": 1}, shape
        yield turned, (4, 2), {"dilation_rate": 2, "use_bias": False}, shape
        for kind in ("GlobalMaxPooling", "GlobalAveragePooling"):
            for keepdims in (False, True):
                yield getattr(L, f"{kind}{rank}D"), (), {"keepdims": keepdims}, shape
        yield getattr(L, f"ZeroPadding{rank}D"), (2,), {}, shape
        yield getattr(L, f"Cropping{rank}D"), (1,), {}, shape
        yield getattr(L, f"UpSampling{rank}D"), (2,), {}, shape
    first = {"data_format": "channels_first"}
    yield L.Conv2D, (4, 3), {**first, "groups": 2, "strides": 2, "padding": "same"}, (4, 9, 8)
    yield L.MaxPooling2D, (2,), first, (4, 9, 8)
    yield L.GlobalAveragePooling2D, (), first, (4, 9, 8)
    yield L.Conv2D, (8, (3, 2)), {"groups": 4, "strides": (2, 1), "padding": "same"}, IMAGE
    yield L.Conv1D, (4, 3), {"padding": "causal", "dilation_rate": 2}, STEPS
    for rank, shape in ((1, STEPS), (2, IMAGE)):
        for strides, padding in ((1, "same"), (2, "same"), (2, "valid")):
            options = {"strides": strides, "padding": padding, "depth_multiplier": 2}
            yield getattr(L, f"DepthwiseConv{rank}D"), (3,), options, shape
            yield getattr(L, f"SeparableConv{rank}D"), (5, 3), options, shape
    for way in ("nearest", "bilinear", "bicubic"):
        yield L.UpSampling2D, ((2, 3),), {"interpolation": way}, IMAGE
        yield L.Resizing, (13, 5), {"interpolation": way}, IMAGE
    yield L.Resizing, (4, 11), {"antialias": True}, IMAGE
    yield L.UpSampling2D, (2,), {"interpolation": "lanczos3"}, IMAGE
    for axis in (-1, 1):
        yield L.BatchNormalization, (), {"axis": axis}, IMAGE
        yield L.GroupNormalization, (), {"groups": 1 if axis == 1 else 2, "axis": axis}, IMAGE
        yield L.LayerNormalization, (), {"axis": axis}, IMAGE
        yield L.RMSNormalization, (), {"axis": axis}, IMAGE
        yield L.UnitNormalization, (), {"axis": axis}, IMAGE
        yield L.Softmax, (), {"axis": axis}, IMAGE
    yield L.BatchNormalization, (), {"axis": 2, "center": False, "scale": False}, IMAGE
    yield L.BatchNormalization, (), {"activation": "relu"}, IMAGE
    yield L.LayerNormalization, (), {"axis": [1, 2, 3], "center": False}, IMAGE
    yield L.Softmax, (), {"axis": [1, 2]}, IMAGE
    yield L.Dense, (5,), {"activation": "softmax"}, (6,)
    yield L.Dense, (5,), {"use_bias": False}, IMAGE
    yield L.EinsumDense, ("abc,cde->abde", (None, 3, 2)), {"bias_axes": "de"}, STEPS
    yield L.EinsumDense, ("...x,xy->...y", 3), {"activation": "relu"}, STEPS
    yield L.ReLU, (), {"max_value": 0.8, "negative_slope": 0.1, "threshold": 0.2}, (6,)
    yield L.ReLU, (6.0,), {}, (6,)
    yield L.Dense, (5,), {"activation": L.LeakyReLU(0.2)}, (6,)
    yield L.LeakyReLU, (), {}, (6,)
    yield L.ELU, (0.7,), {}, (6,)
    yield L.PReLU, (), {"shared_axes": [1, 2]}, IMAGE
    yield L.PReLU, (), {}, STEPS
    yield L.Flatten, (), {}, IMAGE
    yield L.Flatten, (), first, IMAGE
    yield L.Reshape, ((8, -1),), {}, IMAGE
    yield L.Permute, ((3, 1, 2),), {}, IMAGE
    yield L.RepeatVector, (4,), {}, (6,)
    yield L.Masking, (), {}, STEPS
    yield L.Rescaling, (0.5, -1.0), {}, IMAGE
    yield L.Normalization, (), {"mean": [1.0, 2, 3, 4], "variance": [1.0, 2, 3, 0]}, IMAGE
    yield L.Discretization, ([-1.0, 0.0, 0.5],), {}, STEPS
    yield L.Discretization, ([-1.0, 0.0, 0.5],), {"output_mode": "one_hot"}, (1,)
    yield L.PositionEmbedding, (9,), {}, STEPS
    for noise in ("Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout"):
        yield getattr(L, noise), (0.3,), {}, (6,)
    yield L.SpatialDropout2D, (0.3,), {}, IMAGE
    yield L.Identity, (), {}, (6,)
    yield L.TimeDistributed, (L.Dense(3, activation="tanh"),), {}, STEPS
    yield L.TimeDistributed, (L.Conv2D(3, 2),), {}, (2, *IMAGE)
    yield L.SpectralNormalization, (L.Conv2D(3, 2),), {}, IMAGE
    yield L.Pipeline, ([L.RandomRotation(0.1), L.Rescaling(0.1)],), {}, IMAGE
    yield L.LayerScale, (0.1, 4), {}, IMAGE
    cells = [L.LSTMCell(3), L.GRUCell(4)]
    yield L.RNN, (cells,), {"return_sequences": True}, STEPS
    yield L.RNN, (L.SimpleRNNCell(3),), {}, STEPS
    for cls in (L.LSTM, L.GRU, L.SimpleRNN):
        for sequences in (False, True):
            for backwards in (False, True):
                options = {"return_sequences": sequences, "go_backwards": backwards}
                yield cls, (4,), options, STEPS
            for mode in ("concat", "sum", "ave", "mul", None):
                layer = cls(3, return_sequences=sequences)
                yield L.Bidirectional, (layer,), {"merge_mode": mode}, STEPS
        yield cls, (4,), {"activation": "relu", "use_bias": False, "return_state": True}, STEPS
    yield L.LSTM, (4,), {"activation": "linear", "recurrent_activation": "hard_sigmoid"}, STEPS
    yield L.GRU, (4,), {"recurrent_activation": "hard_sigmoid"}, STEPS
    yield L.GRU, (4,), {"reset_after": False}, STEPS
    yield L.GRU, (4,), {"reset_after": False, "return_sequences": True}, STEPS


CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__name__)
def test_layers_give_what_they_give_here(path, case):
    cls, args, options, shape = case
    x = layers.Input(shape)
    agrees(Model(x, cls(*args, **options)(x)), path, numbers(*shape))


OTHERS = {"get", "serialize", "deserialize", "sparsemax", "threshold"}


@pytest.mark.parametrize("name", sorted(set(activations.__all__) - OTHERS))
def test_activations(path, name):
    x = layers.Input((6, 8))
    agrees(Model(x, layers.Activation(name)(x)), path, 3 * numbers(6, 8))


def test_images_of_unknown_sizes(path):
    model = Sequential(
        [
            layers.Input((None, None, 3)),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.MaxPooling2D(3, strides=2, padding="same"),
            layers.Conv2D(4, 3, padding="same", dilation_rate=2),
            layers.UpSampling2D(2),
            layers.GroupNormalization(2),
        ]
    )
    agrees(model, path, numbers(11, 14, 3))
    found = outputs_of(path, numbers(16, 9, 3))[0]
    assert found.shape == (3, 8, 6, 4)


def test_merging(path):
    a, b, c = (layers.Input(s) for s in ((4, 6), (4, 6), (6,)))
    outputs = [
        layers.Add()([a, b, c]), layers.Subtract()([a, b]), layers.Multiply()([a, b]),
        layers.Average()([a, b, c]), layers.Maximum()([a, b]), layers.Minimum()([a, b]),
        layers.Concatenate()([a, b]), layers.Concatenate(1)([a, b]), layers.Dot(2)([a, b]),
        layers.Dot((1, 1), normalize=True)([a, b]), layers.Dot((2, 1))([a, c]),
        layers.Dot(1)([c, c]), layers.CustomScaleLayer(0.3)([a, b]),
    ]  # fmt: skip
    agrees(Model([a, b, c], outputs), path, numbers(4, 6), numbers(4, 6), numbers(6))


def test_functions(path):
    x, y = layers.Input((4, 6)), layers.Input((4, 6))
    outputs = [
        x + y, x * 2, 1 - x, x / y, x**2, -x, abs(x), 3.5 + x * y, x[:, 0], x[:, 1:3, ::2],
        x[..., -1], x[:, None, ::-1], ops.relu(x), ops.gelu(x), ops.softmax(x, axis=1),
        ops.mean(x, axis=1), ops.sum(x, axis=(1, 2)), ops.max(x, axis=-1, keepdims=True),
        ops.reshape(x, (-1, 24)), ops.transpose(x, (0, 2, 1)), ops.concatenate([x, y], axis=1),
        ops.stack([x, y], axis=2), ops.expand_dims(x, 1), ops.squeeze(x[:, :1], 1),
        ops.matmul(x, ops.transpose(y, (0, 2, 1))), ops.where(x > y, x, 0.0),
        ops.clip(x, -0.5, 0.5), ops.exp(x), ops.sqrt(ops.square(x) + 1), ops.maximum(x, y),
        ops.argmax(x, axis=1), ops.argmin(x, axis=-1), ops.std(x, axis=1), ops.var(x, axis=-1),
        ops.logsumexp(x, axis=2), ops.swapaxes(x, 1, 2), ops.moveaxis(x, 1, -1),
        ops.repeat(x, 2, axis=1), ops.cast(x > 0, "float32"), ops.sigmoid(x), ops.tanh(x),
    ]  # fmt: skip
    agrees(Model([x, y], outputs), path, numbers(4, 6), numbers(4, 6))


@pytest.mark.parametrize("name", shaping.AUGMENTING.split())
def test_augmentation_is_for_training_only(path, name):
    options = {"RandAugment": {}, "AugMix": {}, "CutMix": {}, "MixUp": {}, "RandomErasing": {}}
    options |= {"RandomFlip": {}, "RandomColorJitter": {}, "RandomElasticTransform": {}}
    options |= {"RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2}}
    options |= {"RandomZoom": {"height_factor": 0.2}, "RandomShear": {"x_factor": 0.2}}
    options |= {"RandomGaussianBlur": {}, "RandomGrayscale": {}, "RandomInvert": {}}
    options |= {"RandomPerspective": {}}
    options = options.get(name, {"factor": 0.3 if name != "RandomPosterization" else 4})
    x = layers.Input((6, 7, 3))
    agrees(Model(x, getattr(layers, name)(**options)(x)), path, 100 * abs(numbers(6, 7, 3)))


def test_states_go_in_and_out(path):
    x, steps = layers.Input(STEPS), layers.Input((None, 5))
    _, *states = layers.LSTM(4, return_state=True)(x)
    y, *last = layers.LSTM(4, return_sequences=True, return_state=True)(steps, initial_state=states)
    both, *ends = layers.Bidirectional(layers.GRU(3, return_state=True))(steps)
    model = Model([x, steps], [y, *last, both, *ends])
    agrees(model, path, numbers(*STEPS), numbers(6, 5))


def test_numbers_of_categories(path):
    x = layers.Input((4,), dtype="int32")
    table = layers.ReversibleEmbedding(10, 6)
    outputs = [
        layers.Embedding(10, 3)(x), table(table(x), reverse=True),
        layers.CategoryEncoding(10, output_mode="multi_hot")(x),
        layers.CategoryEncoding(10, output_mode="count")(x), x / 2,
    ]  # fmt: skip
    agrees(Model(x, outputs), path, RNG.integers(0, 10, (3, 4)).astype("int32"))
