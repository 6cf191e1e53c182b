"""What is written as ONNX files, and what cannot be: errors that name the layer."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from frameworks.onnx_files import IMAGE, RNG, agrees, numbers, outputs_of

import gpulayers as gl
from gpulayers import layers, ops
from gpulayers.models import Model, Sequential


@pytest.mark.parametrize("version", [18, 19, 20, 21])
def test_versions(path, version):
    model = Sequential([layers.Input(IMAGE), layers.Conv2D(3, 3), layers.UpSampling2D(2)])
    agrees(model, path, numbers(*IMAGE), opset_version=version)
    assert onnx.load(path).opset_import[0].version == version


def masked(reader):
    x = layers.Input((4,))
    return Model(x, reader(layers.Embedding(9, 3, mask_zero=True)(x)))


class Own(layers.Layer):
    def call(self, x):
        return x


def inside():
    inner = Sequential([layers.Input((4,)), layers.Lambda(lambda x: x, name="mine")], name="inner")
    return Sequential([layers.Input((4,)), inner], name="outer")


@pytest.mark.parametrize(
    ("make", "words"),
    [
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
    with pytest.raises(ValueError, match="mine"):
        inside().export(path)
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
