"""Models in ONNX files, run by onnxruntime: the same outputs as here."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from frameworks.onnx_files import IMAGE, RNG, agrees, kinds, numbers, outputs_of

from gpulayers import layers
from gpulayers.models import Model, Sequential


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [5, None])
def test_attention(path, causal, length, window):
    x, memory = layers.Input((length, 8)), layers.Input((length, 8))
    options = {"use_causal_mask": causal}
    multi = layers.MultiHeadAttention(2, 3, value_dim=4, use_gate=True, sliding_window=window)
    grouped = layers.GroupQueryAttention(3, 4, 2, sliding_window=window)
    scored, scores = multi(x, memory, return_attention_scores=True, **options)
    shared, few = grouped(x, memory, return_attention_scores=True, **options)
    outputs = [
        scored, scores, shared, few,
        layers.Attention(use_scale=True)([x, memory], **options),
        layers.Attention(score_mode="concat")([x, memory], **options),
        layers.AdditiveAttention()([x, memory, x], **options),
    ]  # fmt: skip
    agrees(Model([x, memory], outputs), path, numbers(5, 8), numbers(5, 8))


def test_a_line_of_convolutions_is_turned_once_in_and_once_out(path):
    model = Sequential([layers.Input(IMAGE)])
    for filters in (4, 6, 8):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU(6.0))
        model.add(layers.MaxPooling2D(2, padding="same"))
        model.add(layers.Dropout(0.2))
    agrees(model, path, numbers(*IMAGE))
    assert kinds(path).count("Transpose") == 2


def test_blocks_as_in_mobile_networks(path):
    x = inputs = layers.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="hard_silu")(x)
    for strides in (1, 2):
        y = layers.Conv2D(16, 1, use_bias=False)(x)
        y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
        y = layers.ZeroPadding2D(((0, 1), (0, 1)))(y) if strides == 2 else y
        padding = "valid" if strides == 2 else "same"
        y = layers.DepthwiseConv2D(3, strides, padding, use_bias=False)(y)
        gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
        gate = layers.Conv2D(16, 1, activation="hard_sigmoid")(gate)
        y = layers.Multiply()([y, gate])
        y = layers.BatchNormalization()(layers.Conv2D(8, 1)(y))
        x = layers.Add()([x, y]) if strides == 1 else y
    x = layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    agrees(Model(inputs, x), path, 100 * numbers(16, 16, 3))
    assert kinds(path).count("Transpose") == 1


def test_a_u_net(path):
    x = inputs = layers.Input((16, 16, 2))
    kept = []
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        kept.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(16, 3, padding="same", activation="silu")(x)
    for filters in (8, 4):
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        x = layers.Concatenate()([x, kept.pop()])
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    agrees(Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x)), path, numbers(16, 16, 2))
    assert kinds(path).count("Transpose") == 2


def test_a_transformer(path):
    tokens = layers.Input((None,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    x = x + layers.PositionEmbedding(12)(x)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)
        y = layers.Dense(16, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dropout(0.1)(layers.Dense(8)(y))])
    model = Model(tokens, layers.Dense(20)(layers.RMSNormalization()(x)))
    agrees(model, path, RNG.integers(0, 20, (3, 9)).astype("int32"))


def test_a_text_model(path):
    model = Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(20, 6),
            layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
            layers.LSTM(4),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    agrees(model, path, RNG.integers(0, 20, (3, 9)).astype("int32"))


def test_inner_models_and_shared_layers(path):
    inner = Sequential([layers.Input((6,)), layers.Dense(64, activation="relu"), layers.Dense(6)])
    a = layers.Input((6,))
    pair = Model(a, {"one": inner(a), "two": a * 2}, name="pair")
    x, y = layers.Input((6,), name="left"), layers.Input((6,), name="right")
    found = pair(x)
    model = Model({"x": x, "y": y}, [found["one"] + inner(y), found["two"]])
    model.export(path)
    given = {"x": numbers(6), "y": numbers(6)}
    wanted = model.predict(given, verbose=0)
    for one, other in zip(outputs_of(path, *given.values()), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    sizes = [list(t.dims) for t in onnx.load(path).graph.initializer]
    assert sizes.count([6, 64]) == 1
    session = onnxruntime.InferenceSession(path)
    assert [i.name for i in session.get_inputs()] == ["left", "right"]
    assert [o.name for o in session.get_outputs()] == model.output_names
