"""Masks in ONNX files: steps and samples that do not count do not count there either."""

from __future__ import annotations

import numpy as np
import pytest
from frameworks.onnx_files import RNG, agrees, numbers, outputs_of

from gpulayers import layers
from gpulayers.models import Model, Sequential

STEPS = 7
# Padded after, before and in the middle; nothing, all and only one that counts.
TEXTS = np.array(
    [
        [3, 1, 4, 1, 5, 0, 0],
        [0, 0, 2, 6, 5, 3, 5],
        [8, 0, 9, 7, 0, 9, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [3, 2, 3, 8, 4, 6, 2],
        [0, 0, 0, 6, 0, 0, 0],
    ],
    np.int32,
)


def embedded(length=STEPS, size=4):
    x = layers.Input((length,), dtype="int32")
    return x, layers.Embedding(10, size, mask_zero=True)(x)


@pytest.mark.parametrize("cls", [layers.LSTM, layers.GRU, layers.SimpleRNN])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("length", [STEPS, None])
def test_recurrent_layers(path, cls, backwards, length):
    x, y = embedded(length)
    options = {"go_backwards": backwards}
    outputs = [
        cls(3, **options)(y),
        *cls(3, return_sequences=True, return_state=True, **options)(y),
        cls(3, return_sequences=True, zero_output_for_mask=True, **options)(y),
        cls(3, zero_output_for_mask=True, **options)(y),
        cls(2)(cls(3, return_sequences=True, **options)(y)),
    ]
    agrees(Model(x, outputs), path, TEXTS)


def test_states_that_are_given(path):
    """Beside them only a mask that is given counts, as in Keras."""
    x, y = embedded()
    state = layers.Input((3,))
    options = {"return_sequences": True, "return_state": True}
    gru, lstm = layers.GRU(3, **options), layers.LSTM(3, go_backwards=True, **options)
    outputs = [
        *gru(y, initial_state=state), *gru(y, initial_state=state, mask=x != 0),
        *lstm(y, initial_state=[state, state], mask=x != 0),
    ]  # fmt: skip
    agrees(Model([x, state], outputs), path, TEXTS, np.resize(numbers(3), (6, 3)))


def test_stacked_cells(path):
    x, y = embedded()
    cells = [layers.LSTMCell(3), layers.GRUCell(4)]
    agrees(Model(x, layers.RNN(cells, return_sequences=True)(y)), path, TEXTS)


@pytest.mark.parametrize("cls", [layers.LSTM, layers.GRU])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("mode", ["concat", "sum", None])
def test_both_directions(path, cls, sequences, mode):
    x, y = embedded()
    y = layers.Bidirectional(cls(3, return_sequences=sequences), merge_mode=mode)(y)
    agrees(Model(x, y), path, TEXTS)


def test_masking(path):
    x = layers.Input((None, 3))
    y = layers.Masking(-1.0)(x)
    model = Model(x, [layers.LSTM(4)(y), layers.GlobalAveragePooling1D()(y)])
    data = numbers(STEPS, 3)
    data[0, 2:4], data[1, 5:], data[2, 0], data[2, 3, 0] = -1, -1, -1, -1
    agrees(model, path, data)


def test_a_classifier_of_texts(path):
    model = Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(10, 4, mask_zero=True),
            layers.SpatialDropout1D(0.2),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(5, activation="relu")),
            layers.LayerNormalization(),
            layers.GRU(4),
            layers.Dense(2, activation="softmax"),
        ]
    )
    agrees(model, path, TEXTS)
    padded = np.pad(TEXTS, ((0, 0), (0, 5)))
    model.export(path, format="onnx")
    np.testing.assert_allclose(outputs_of(path, padded)[0], outputs_of(path, TEXTS)[0], atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_with_heads(path, dropout, causal):
    x, y = embedded()
    memory = layers.Input((5, 4))
    kept = layers.Masking()(memory)
    options = {"use_causal_mask": causal}
    one = layers.MultiHeadAttention(2, 3, dropout=dropout)
    two = layers.GroupQueryAttention(3, 4, 2, dropout=dropout, sliding_window=4)
    outputs = [
        one(y, y, **options), one(y, kept, kept, **options), two(y, y, **options),
        *one(y, kept, return_attention_scores=True, **options), two(y, kept, **options),
        layers.GRU(3)(one(y, y)),
    ]  # fmt: skip
    data = np.concatenate([numbers(5, 4), numbers(5, 4)])
    data[0, 3:], data[1, :2], data[2, 1:4] = 0, 0, 0
    agrees(Model([x, memory], outputs), path, TEXTS, data)


def test_masks_that_are_given(path):
    x, pairs, kept = layers.Input((5, 4)), layers.Input((5, 5)), layers.Input((5,))
    heads = layers.Input((2, 5, 5))
    seen, steps = pairs > 0, kept > 0
    many = layers.MultiHeadAttention(2, 3)
    outputs = [
        many(x, x, attention_mask=seen), many(x, x, value_mask=steps, key_mask=steps),
        many(x, x, attention_mask=heads > 0), layers.LSTM(3)(x, mask=steps),
        layers.Attention()([x, x], mask=[steps, steps]), layers.Softmax()(pairs, mask=seen),
        layers.GlobalAveragePooling1D()(x, mask=steps),
    ]  # fmt: skip
    given = [numbers(5, 4), numbers(5, 5), numbers(5), numbers(2, 5, 5)]
    given[2][:, 0] = 1
    agrees(Model([x, pairs, kept, heads], outputs), path, *given)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_without_heads(path, causal):
    x, y = embedded()
    z = layers.Embedding(10, 4)(x)
    options = {"use_causal_mask": causal}
    outputs = [
        layers.Attention()([y, y], **options), layers.AdditiveAttention()([y, y], **options),
        layers.Attention(score_mode="concat")([z, y], **options),
        layers.Attention()([y, z], **options), layers.LSTM(3)(layers.Attention()([y, z])),
    ]  # fmt: skip
    agrees(Model(x, outputs), path, TEXTS)


def test_merging(path):
    x, y = embedded()
    other = layers.Input((STEPS,), dtype="int32")
    z, plain = layers.Embedding(10, 4, mask_zero=True)(other), layers.Embedding(10, 4)(other)
    found = [
        layers.Add()([y, z]), layers.Multiply()([y, z]), layers.Multiply()([y, plain]),
        layers.Maximum()([y, z]), layers.Minimum()([y, z, plain]), layers.Average()([y, z]),
        layers.Concatenate()([y, z]), layers.Concatenate(1)([y, z]), layers.Add()([y, plain]),
    ]  # fmt: skip
    outputs = [*found, *(layers.GRU(2)(one) for one in found)]
    agrees(Model([x, other], outputs), path, TEXTS, TEXTS[::-1].copy())


def test_inner_models(path):
    inside = Sequential([layers.Input((None, 4)), layers.Dense(3), layers.LSTM(3)])
    x, y = embedded()
    first = Sequential([layers.Input((None,)), layers.Embedding(10, 4, mask_zero=True)])
    agrees(Model(x, [inside(y), layers.GRU(2)(first(x))]), path, TEXTS)


class Doubling(layers.Layer):
    supports_masking = True

    def call(self, inputs, mask=None):
        return inputs * 2


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.TimeDistributed(Doubling(), name="t"), "TimeDistributed 't' uses"),
        (layers.LSTM(3, stateful=True, name="kept"), "LSTM 'kept' is stateful"),
        (Doubling(name="own"), "Doubling 'own' uses the mask"),
        (layers.Concatenate(name="both"), "Concatenate 'both' joins arrays with and without"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_masks_cannot_be_written_for(path, layer, message):
    x = layers.Input(batch_shape=(2, STEPS), dtype="int32")
    y = layers.Embedding(10, 4, mask_zero=True)(x)
    y = layer([y, layers.Embedding(10, 4)(x)]) if layer.name == "both" else layer(y)
    with pytest.raises(ValueError, match=message):
        Model(x, y).export(path, format="onnx")


def test_text_of_random_lengths(path):
    x, y = embedded(None)
    model = Model(x, layers.Bidirectional(layers.GRU(3, return_sequences=True))(y))
    for length in (1, 2, 20):
        agrees(model, path, RNG.integers(0, 3, (9, length)).astype("int32"))
