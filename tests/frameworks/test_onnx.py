"""Models as ONNX files, run by onnxruntime: the same outputs as here."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

import gpulayers as gl
from gpulayers import activations, layers, ops, tree
from gpulayers.models import Model, Sequential
from gpulayers.saving.onnx import shaping

RNG = np.random.default_rng(5)
IMAGE, VOLUME, STEPS = (9, 8, 4), (5, 6, 4, 3), (7, 5)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "model.onnx")


def outputs_of(path, *xs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [x.name for x in session.get_inputs()]
    return session.run(None, dict(zip(names, xs, strict=True)))


def agrees(model, path, *xs, **options):
    """Export, and compare what onnxruntime gives with `predict`, for two sizes of batches."""
    for variable in model.weights:
        if variable.dtype == "float32":
            spread = RNG.uniform(0.3, 1.2) if "variance" in variable.name else 0.0
            values = RNG.normal(0.0, 0.4, variable.shape)
            variable.assign((np.abs(values) + spread if spread else values).astype("float32"))
    model.export(path, format="onnx", **options)
    for count in (len(xs[0]), 1):
        given = [x[:count] for x in xs]
        wanted = tree.flatten(model.predict(given if len(given) > 1 else given[0], verbose=0))
        found = outputs_of(path, *given)
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


def numbers(*shape):
    return RNG.normal(size=(3, *shape)).astype("float32")


def kinds(path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


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


@pytest.mark.parametrize("version", [18, 19, 20, 21])
def test_versions(path, version):
    model = Sequential([layers.Input(IMAGE), layers.Conv2D(3, 3), layers.UpSampling2D(2)])
    agrees(model, path, numbers(*IMAGE), opset_version=version)
    assert onnx.load(path).opset_import[0].version == version


def masked(reader):
    x = layers.Input((4,))
    return Model(x, reader(layers.Embedding(9, 3, mask_zero=True)(x)))


def attending():
    x = layers.Input((4,))
    y = layers.Embedding(9, 3, mask_zero=True)(x)
    return Model(x, layers.MultiHeadAttention(1, 2, name="sees")(y, y))


class Own(layers.Layer):
    def call(self, x):
        return x


def inside():
    inner = Sequential([layers.Input((4,)), layers.Lambda(lambda x: x, name="mine")], name="inner")
    return Sequential([layers.Input((4,)), inner], name="outer")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: masked(layers.LSTM(3, name="reader")), ["LSTM 'reader'", "mask"]),
        (
            lambda: masked(Sequential([layers.Input((4, 3)), layers.GRU(2)], name="inner")),
            ["Sequential 'inner'", "mask"],
        ),
        (attending, ["MultiHeadAttention 'sees'", "mask"]),
        (inside, ["Lambda 'mine'", "inner/mine", "function of your own"]),
        (lambda: Sequential([layers.Input((4,)), Own(name="odd")]), ["Own 'odd'", "of your own"]),
        (lambda: Sequential([layers.Dense(2)], name="new"), ["Sequential 'new'", "no graph"]),
        (
            lambda: Sequential(
                [layers.Input(batch_shape=(1, 3, 2)), layers.LSTM(2, stateful=True, name="keeps")]
            ),
            ["LSTM 'keeps'", "stateful"],
        ),
        (
            lambda: Sequential([layers.Input((8,)), layers.Dense(2, dtype="float16", name="few")]),
            ["Dense 'few'", "float16"],
        ),
        (
            lambda: Sequential([layers.Input((6, 6, 6, 2)), layers.ConvLSTM2D(2, 3, name="film")]),
            ["ConvLSTM2D 'film'", "ONNX"],
        ),
        (
            lambda: Sequential([layers.Input((6,)), layers.Dense(2, activation="sparsemax")]),
            ["Dense", "sparsemax"],
        ),
    ],
)
def test_what_is_not_covered_is_named_and_nothing_is_written(path, tmp_path, make, words):
    with pytest.raises(ValueError) as caught:
        make().export(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_masks_that_nobody_uses(path):
    model = masked(layers.Dense(3))
    agrees(model, path, RNG.integers(0, 9, (3, 4)).astype("float32"))


def test_inputs_of_other_kinds(path):
    x, counts = layers.Input((5, 5, 2), dtype="float64"), layers.Input((5, 5, 2), dtype="int32")
    outputs = [layers.Conv2D(3, 2)(x), layers.Conv2D(3, 2)(counts), x, counts, counts + 1]
    outputs += [ops.sigmoid(counts), layers.Activation("tanh")(counts), ops.relu(counts)]
    outputs += [layers.LayerNormalization()(counts), ops.mean(counts, axis=1), counts * 0.5]
    agrees(Model([x, counts], outputs), path, numbers(5, 5, 2).astype("float64"),
           RNG.integers(0, 9, (3, 5, 5, 2)).astype("int32"))  # fmt: skip


def test_weights_beyond_what_a_file_holds(path, tmp_path, monkeypatch):
    monkeypatch.setattr("gpulayers.saving.onnx.MOST_WEIGHTS", 1000)
    model = Sequential([layers.Input((100,)), layers.Dense(100, use_bias=False)], name="huge")
    with pytest.raises(ValueError, match="at most 2 GB; the weights of 'huge' take 40000"):
        model.export(path)
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_stays_after_an_error(path):
    with open(path, "w") as file:
        file.write("old")
    with pytest.raises(ValueError, match="reader"):
        masked(layers.LSTM(3, name="reader")).export(path)
    with open(path) as file:
        assert file.read() == "old"


def test_convert_writes_onnx(path, tmp_path):
    from gpulayers.commands import main

    model = Sequential([layers.Input((6,)), layers.Dense(3)])
    model.save(tmp_path / "model.keras")
    assert not main(["convert", str(tmp_path / "model.keras"), path])
    x = numbers(6)
    np.testing.assert_allclose(outputs_of(path, x)[0], model.predict(x, verbose=0), rtol=1e-5)


def test_layers_of_quantized_weights_are_refused(path):
    model = Sequential([layers.Input((8,)), layers.Dense(4, name="few")])
    model.quantize("int8")
    with pytest.raises(ValueError, match="'few'.*few bits"):
        model.export(path)


def test_weights_are_those_with_their_low_rank_corrections(path):
    dense = layers.Dense(4, lora_rank=2)
    model = Sequential([layers.Input((8,)), dense])
    agrees(model, path, numbers(8))
    assert gl.config.floatx() == "float32"
