"""Records what layers of real Keras 3.15 give, and their gradients, into tests/parity/golden.

    pip install keras==3.15.1 torch
    PYTHONPATH=tests python -m parity.make_layers

Each case has random weights and inputs (seeded), the outputs with their masks, the losses, and the
gradients of sum(output_i * cotangent_i) + sum(losses).
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from parity.layer_cases import cotangent
from parity.packing import Pack

GOLDEN = Path(__file__).parent / "golden"
ACTIVATIONS = """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign
    sparse_plus sparse_sigmoid sparsemax squareplus tanh tanh_shrink
""".split()


class Input:
    """Random values of a shape, with a mask of some of the leading axes, or random indices."""

    def __init__(self, *shape, mask_axes=0, below=None):
        self.shape, self.mask_axes, self.below = shape, mask_axes, below

    def values(self, rng) -> np.ndarray:
        if self.below is not None:
            return rng.integers(0, self.below, self.shape).astype("int32")
        return rng.normal(size=self.shape).astype("float32")

    def mask(self, rng):
        return rng.random(self.shape[: self.mask_axes]) < 0.7 if self.mask_axes else None


def core_cases():
    layers, x = keras.layers, Input(3, 4, 6)
    penalties = {
        "kernel_regularizer": keras.regularizers.L1L2(0.01, 0.02),
        "bias_regularizer": "l2",
        "activity_regularizer": keras.regularizers.L2(0.1),
    }
    yield layers.Dense(5), Input(4, 6)
    yield layers.Dense(5, "gelu", use_bias=False), x
    yield layers.Dense(5, "tanh", **penalties), Input(4, 6)
    yield layers.Dense(5, lora_rank=2, lora_alpha=3), Input(4, 6)
    yield layers.Dense(5, "relu"), Input(3, 4, 6, mask_axes=2)
    for equation, shape, bias, source in (
        ("ab,bc->ac", 5, "c", Input(4, 6)),
        ("abc,cd->abd", (None, 5), "d", x),
        ("...x,xy->...y", 5, "y", x),
        ("abc,cde->abde", (None, 2, 3), "de", x),
        ("abc,bde->acde", (None, 2, 3), "e", x),
        ("ab...,bc->ac...", 5, "c", x),
        ("abc,abd->acd", (6, 5), "cd", x),
        ("abcd,cde->abe", (4, 5), None, Input(3, 4, 2, 6)),
    ):
        yield layers.EinsumDense(equation, shape, "sigmoid", bias), source
    yield layers.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d", lora_rank=2), x
    yield layers.Embedding(7, 4), Input(3, 5, below=7)
    yield layers.Embedding(7, 4, mask_zero=True, embeddings_regularizer="l2"), Input(3, 5, below=7)
    yield layers.ReversibleEmbedding(7, 4, mask_zero=True), Input(3, 5, below=7)
    for settings in ({}, {"tie_weights": False}, {"logit_soft_cap": 0.5}):
        yield layers.ReversibleEmbedding(7, 4, **settings), Input(3, 5, 4), {"reverse": True}
    yield layers.Masking(), Input(3, 4, 2)
    yield layers.Identity(), Input(3, 4, 2, mask_axes=2)
    yield layers.ActivityRegularization(0.1, 0.2), Input(3, 4)
    for layer in (layers.Dropout(0.4), layers.GaussianNoise(0.4), layers.AlphaDropout(0.4)):
        yield layer, Input(3, 4, mask_axes=1)


def activation_cases():
    layers = keras.layers
    for name in ACTIVATIONS:
        yield layers.Activation(name), Input(3, 4, 6)
    yield layers.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2), Input(3, 4)
    yield layers.LeakyReLU(0.2), Input(3, 4)
    yield layers.PReLU("glorot_uniform", shared_axes=[1]), Input(3, 4, 5)
    yield layers.ELU(0.7), Input(3, 4)
    for axis in (-1, 1, (1, 2)):
        yield layers.Softmax(axis), Input(3, 4, 5)
    yield layers.Softmax(), Input(3, 4, 5, mask_axes=3)


def reshaping_cases():
    layers = keras.layers
    yield layers.Reshape((-1, 3)), Input(2, 4, 6)
    yield layers.Flatten(), Input(2, 4, 6)
    yield layers.Flatten("channels_first"), Input(2, 3, 4, 5)
    yield layers.Permute((3, 1, 2)), Input(2, 3, 4, 5)
    yield layers.RepeatVector(3), Input(2, 5)
    yield layers.Cropping1D((1, 2)), Input(2, 6, 3)
    yield layers.ZeroPadding1D((1, 2)), Input(2, 4, 3)
    yield layers.UpSampling1D(3), Input(2, 4, 3)
    yield layers.Cropping3D(((1, 0), (0, 1), (1, 1))), Input(2, 3, 4, 4, 2)
    yield layers.ZeroPadding3D(((1, 0), (0, 1), (1, 1))), Input(2, 2, 3, 2, 2)
    yield layers.UpSampling3D((2, 1, 3)), Input(2, 2, 3, 2, 2)
    for layout in ("channels_last", "channels_first"):
        yield layers.Cropping2D(((1, 0), (2, 1)), data_format=layout), Input(2, 5, 6, 4)
        yield layers.ZeroPadding2D(((1, 0), (2, 1)), data_format=layout), Input(2, 3, 4, 2)
        yield layers.UpSampling2D((2, 3), data_format=layout), Input(2, 3, 4, 2)
    yield layers.UpSampling2D((2, 3), interpolation="bilinear"), Input(2, 3, 4, 2)


def merging_cases():
    layers, pair = keras.layers, [Input(3, 4, 5), Input(3, 4, 5)]
    masked = [Input(3, 4, 5, mask_axes=2), Input(3, 4, 5, mask_axes=2)]
    for cls in (layers.Add, layers.Average, layers.Maximum, layers.Minimum, layers.Multiply):
        yield cls(), [*pair, Input(3, 1, 5)]
        yield cls(), masked
    yield layers.Subtract(), pair
    for axis in (-1, 1):
        yield layers.Concatenate(axis), masked
    yield layers.Dot((2, 2)), [Input(3, 4, 5), Input(3, 2, 5)]
    yield layers.Dot(1, normalize=True), [Input(3, 5), Input(3, 5)]


def normalization_cases():
    layers, images = keras.layers, Input(3, 4, 4, 6)
    for training in ({}, {"training": True}):
        yield layers.BatchNormalization(), images, training
        yield layers.BatchNormalization(1, epsilon=0.1, scale=False), images, training
        yield layers.BatchNormalization(center=False), Input(3, 4, 5, mask_axes=2), training
        yield layers.BatchNormalization(trainable=False), Input(5, 6), training
    limits = {"rmin": 0.5, "rmax": 2.0, "dmax": 1.0}
    yield layers.BatchNormalization(renorm=True, renorm_clipping=limits), images, {"training": True}
    for axis in (-1, [-1, -2]):
        yield layers.LayerNormalization(axis), Input(3, 4, 6, mask_axes=2)
    yield layers.LayerNormalization(center=False, epsilon=0.1), Input(3, 4)
    for groups in (-1, 1, 3):
        yield layers.GroupNormalization(groups), images
    yield layers.GroupNormalization(2, axis=1, scale=False), Input(3, 4, 5)
    yield layers.RMSNormalization(), Input(3, 4, 6)
    for axis in (-1, 1, [1, 2]):
        yield layers.UnitNormalization(axis), Input(3, 4, 5)


def record(pack: Pack, number: int, layer, source, kwargs=None) -> dict:
    """The case of one layer called on random inputs."""
    rng, kwargs = np.random.default_rng(number), kwargs or {}
    sources = source if isinstance(source, list) else [source]
    inputs = [(s.values(rng), s.mask(rng)) for s in sources]
    tensors = [_tensor(values, mask) for values, mask in inputs]
    layer(tensors if isinstance(source, list) else tensors[0], **kwargs)
    for weight in layer.weights:
        values = rng.normal(0, 0.5, weight.shape).astype(weight.dtype)
        positive = weight.name.endswith(("variance", "stddev"))
        weight.assign(abs(values) + 0.5 if positive else values)
    values = [np.array(_numpy(weight)) for weight in layer.weights]
    for tensor in tensors:
        if tensor.is_floating_point():
            tensor.requires_grad_()
    out = layer(tensors if isinstance(source, list) else tensors[0], **kwargs)
    losses = list(layer.losses)
    loss = sum(losses) + (out * torch.as_tensor(cotangent(tuple(out.shape), 0))).sum()
    wanted = [t for t in tensors if t.requires_grad]
    gradients = torch.autograd.grad(
        loss, [*wanted, *(v.value for v in layer.trainable_weights)], allow_unused=True
    )
    keys = [None if g is None else pack.add(g.numpy()) for g in gradients]
    encoded = [pack.encode(values, mask) for values, mask in inputs]
    mask = keras.src.backend.get_keras_mask(out)
    config = keras.saving.serialize_keras_object(layer)
    case = {
        "class_name": config["class_name"],
        "module": config["module"],
        "registered_name": config["registered_name"],
        "config": config["config"],
        "build_config": config.get("build_config"),
        "args": {"__tuple__": [encoded if isinstance(source, list) else encoded[0]]},
        "kwargs": pack.encode(kwargs),
        "out": pack.encode(_numpy(out), None if mask is None else _numpy(mask)),
        "vars": [
            {
                "path": weight.path,
                "name": weight.name,
                "trainable": bool(weight.trainable),
                "value": pack.encode(value),
                "after": pack.encode(_numpy(weight)),
            }
            for weight, value in zip(layer.weights, values, strict=True)
        ],
        "losses": [pack.encode(_numpy(term)) for term in losses],
        "grad": {"inputs": keys[: len(wanted)], "weights": keys[len(wanted) :]},
        "agree": {},
        "source": "gen",
        "test": f"make_layers::{type(layer).__name__}::{number}",
    }
    text = json.dumps(case, sort_keys=True, default=str)
    return {"id": hashlib.sha256(text.encode()).hexdigest()[:12], **case}


def _tensor(values, mask):
    tensor = torch.as_tensor(values)
    if mask is not None:
        keras.src.backend.set_keras_mask(tensor, mask=torch.as_tensor(mask))
    return tensor


def _numpy(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def main() -> None:
    keras.utils.clear_session()
    makers = (core_cases, activation_cases, reshaping_cases, merging_cases)
    makers += (normalization_cases,)
    pack = Pack()
    calls = [call for maker in makers for call in maker()]
    cases = [record(pack, number, *call) for number, call in enumerate(calls)]
    content = {"keras_version": keras.__version__, "cases": cases}
    pack.write(GOLDEN, "keras_golden", content)
    size = sum(path.stat().st_size for path in GOLDEN.glob("keras_golden*"))
    print(f"{len(cases)} cases, {size / 1024:.0f} KiB in {GOLDEN}")


if __name__ == "__main__":
    main()
