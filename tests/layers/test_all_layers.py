"""Every layer over every array library, in every way that a layer can run.

A layer without an entry in `CASES` fails a test.  `--libraries torch,jax,dask` (or `all`) adds
libraries that are not installed by default.
"""

import inspect
from copy import deepcopy

import numpy as np
import pytest
from backends import Backend
from checks import called, check_layer, check_library
from stand_in_cupy import host_copies

from gpulayers import layers, ops, registry, tree, utils
from gpulayers.arrays import dtypes
from gpulayers.arrays.devices import to_numpy

NOT_CALLED = {
    **dict.fromkeys(
        ("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"),
        "another framework computes it: tests/frameworks",
    ),
    "HashedCrossing": "it hashes on the host: test_hashing.py",
    "Hashing": "it hashes on the host: test_hashing.py",
    "InputLayer": "it is where a graph begins, and takes no arrays",
    "IntegerLookup": "it looks up on the host: test_lookup.py",
    "StringLookup": "it looks up on the host: test_lookup.py",
    "Layer": "the base of all others",
    "Pipeline": "dtypes are its layers': test_pipeline.py",
    "TextVectorization": "it takes text: test_text_vectorization.py",
    "Wrapper": "the base of layers around a layer",
}
random = np.random.default_rng(3)


def floats(*shape):
    """Numbers without ties, away from 0, where many functions have no derivative."""
    x = random.permutation(np.prod(shape)) / np.prod(shape) * 2 - 0.97
    return x.reshape(shape)


def whole(limit, *shape):
    return random.integers(0, limit, shape).astype("int32")


@registry.register_keras_serializable("all_layers")
def squared(x):
    return ops.tanh(x) * x


STATE, CARRY = floats(3, 2), -floats(3, 2)
FILMS = floats(2, 3, 4, 3, 2)
VECTORS, SERIES, IMAGES, VOLUMES = (floats(*s) for s in [(3, 4), (2, 5, 3), (2, 4, 5, 2)]
                                    + [(1, 2, 4, 3, 2)])  # fmt: skip
SOUNDS = floats(2, 24, 2)
PHOTOS = floats(3, 5, 4, 3) * 120 + 125
MASK = np.array([[True] * 5, [True, True, False, True, False]])
PAIR = (floats(2, 3, 4), floats(2, 3, 4))


def case(name, *inputs, options=None, **how):
    """A layer by its class's name, its arguments in `options`, and what `check_layer` takes."""
    given = options or {}
    return name, given, inputs, how


def made(name, options, dtype=None):
    """A new layer; layers among its arguments are new, too."""
    options = deepcopy(options)
    for value in tree.flatten(list(options.values())):
        if isinstance(value, layers.Layer):
            value.dtype_policy = dtype
    return getattr(layers, name)(**options, dtype=dtype)


def trained(layer, *xs, **options):
    return called(layer, *xs, **{"training": True, **options})


def idle(layer, *xs, **options):
    """For layers that change images at random unless told otherwise."""
    return called(layer, *xs, **{"training": False, **options})


def alike(layer, *xs, **options):
    """For layers that draw: in training, with the same draws in each call."""
    layer.generator.state.assign([5, 0])
    return called(layer, *xs, **{"training": True, **options})


def separately(layer, *xs, **options):
    """For layers whose inputs are arguments of their own."""
    return layer(*xs, **options)


def stepped(layer, x, *states, **options):
    """A cell at one step."""
    return layer(x, list(states), **options)


def continued(layer, x, *states, **options):
    """A recurrent layer from states that are given."""
    return layer(x, initial_state=list(states), **options)


CASES = [
    case("Activation", SERIES, options={"activation": "gelu"}, mask=MASK),
    case("ActivityRegularization", VECTORS, options={"l1": 0.1, "l2": 0.2}),
    case("AdaptiveAveragePooling1D", SERIES, options={"output_size": 2}, unknown=(0,)),
    case("AdaptiveAveragePooling2D", IMAGES, options={"output_size": (2, 3)}),
    case("AdaptiveAveragePooling3D", VOLUMES, options={"output_size": (1, 3, 2)}),
    case("AdaptiveMaxPooling1D", SERIES, options={"output_size": 3}),
    case("AdaptiveMaxPooling2D", IMAGES, options={"output_size": (2, 1)}),
    case("AdaptiveMaxPooling3D", VOLUMES, options={"output_size": 2}),
    case("Add", *PAIR),
    case("AdditiveAttention", *PAIR, unknown=(0, 1)),
    case("AdditiveAttention", *PAIR, options={"use_scale": False, "dropout": 0.3, "seed": 5}),
    case("AugMix", PHOTOS, call=alike, gradient=False, rtol=1e-3),
    case("AutoContrast", PHOTOS),
    case("ContrastLimitedAdaptiveHistogramEqualization", PHOTOS, gradient=False,
         options={"tile_grid_size": (2, 3)}),
    case("CutMix", PHOTOS, call=alike),
    case("Equalization", PHOTOS, call=trained),
    case("MixUp", PHOTOS, call=alike),
    case("RandAugment", PHOTOS, call=alike, gradient=False, rtol=1e-3),
    case("RandomBrightness", PHOTOS, options={"factor": 0.4}, call=alike),
    case("RandomColorDegeneration", PHOTOS, options={"factor": 0.4}, call=alike),
    case("RandomColorJitter", PHOTOS, call=alike, rtol=1e-3, options={"brightness_factor": 0.3,
         "contrast_factor": 0.2, "saturation_factor": 0.6, "hue_factor": 0.4}),
    case("RandomContrast", PHOTOS, options={"factor": 0.4}, call=alike),
    case("RandomErasing", PHOTOS, options={"scale": (0.1, 0.7), "fill_value": (3, 4, 5)},
         call=alike),
    case("RandomErasing", PHOTOS, call=alike),
    case("RandomGaussianBlur", PHOTOS, options={"kernel_size": (3, 5)}, call=alike),
    case("RandomGrayscale", PHOTOS, call=alike),
    case("RandomHue", PHOTOS, options={"factor": 0.8}, call=alike, rtol=1e-3),
    case("RandomInvert", PHOTOS, call=alike),
    case("RandomPosterization", PHOTOS, options={"factor": 4}, call=alike),
    case("RandomSaturation", PHOTOS, options={"factor": 0.8}, call=alike, rtol=1e-3),
    case("RandomSharpness", PHOTOS, options={"factor": 0.8}, call=alike),
    case("Solarization", PHOTOS, options={"addition_factor": 0.2, "threshold_factor": 0.7},
         call=alike),
    case("MelSpectrogram", SOUNDS[..., 0], options={"fft_length": 16, "sequence_stride": 4,
         "num_mel_bins": 3, "sampling_rate": 4000, "top_db": 200.0}, rtol=1e-3),
    case("STFTSpectrogram", SOUNDS, options={"frame_length": 8, "mode": "psd"}, unknown=(0, 1)),
    case("STFTSpectrogram", SOUNDS, options={"frame_length": 8, "mode": "log", "padding": "same",
         "expand_dims": True, "window": "hamming"}, rtol=1e-3),
    case("AlphaDropout", SERIES, options={"rate": 0.4, "seed": 5}),
    case("Attention", *PAIR, unknown=(0, 1)),
    case("Attention", *PAIR, options={"use_scale": True, "score_mode": "concat", "dropout": 0.3,
         "seed": 5}),
    case("Average", *PAIR),
    case("AveragePooling1D", SERIES, options={"pool_size": 2, "padding": "same"}, unknown=(0, 1)),
    case("AveragePooling2D", IMAGES, options={"pool_size": (2, 3), "strides": 1}, unknown=(0, 1)),
    case("AveragePooling3D", VOLUMES, options={"pool_size": (1, 2, 1)}),
    case("BatchNormalization", IMAGES, options={"epsilon": 0.1}, unknown=(0, 1)),
    case("BatchNormalization", IMAGES, options={"axis": 1, "epsilon": 0.1}, call=trained),
    case("BatchNormalization", SERIES, options={"scale": False}, call=trained, mask=MASK),
    case("CategoryEncoding", whole(4, 3, 5), options={"num_tokens": 4}, unknown=(0, 1)),
    case("CategoryEncoding", whole(4, 3, 1), options={"num_tokens": 4, "output_mode": "one_hot"}),
    case("CategoryEncoding", whole(4, 3, 5), options={"num_tokens": 4, "output_mode": "count"}),
    case("Bidirectional", SERIES, options={"layer": layers.LSTM(2), "merge_mode": "ave"}),
    case("Bidirectional", SERIES, mask=MASK, unknown=(0, 1),
         options={"layer": layers.GRU(2, return_sequences=True, return_state=True)}),
    case("Concatenate", *PAIR, options={"axis": 1}),
    case("Conv1D", SERIES, unknown=(0, 1),
         options={"filters": 2, "kernel_size": 2, "padding": "causal", "dilation_rate": 2}),
    case("Conv1DTranspose", SERIES, options={"filters": 2, "kernel_size": 3, "strides": 2,
         "output_padding": 1}, unknown=(0, 1)),
    case("Conv2D", IMAGES, options={"filters": 4, "kernel_size": (3, 2), "strides": 2, "groups": 2,
         "padding": "same", "activation": "tanh"}, unknown=(0, 1)),
    case("Conv2D", IMAGES, options={"filters": 3, "kernel_size": 2, "lora_rank": 2}),
    case("Conv2DTranspose", IMAGES, unknown=(0, 2),
         options={"filters": 3, "kernel_size": 2, "strides": (1, 2), "padding": "same"}),
    case("Conv3D", VOLUMES, options={"filters": 2, "kernel_size": (2, 2, 1), "use_bias": False}),
    case("Conv3DTranspose", VOLUMES, options={"filters": 2, "kernel_size": 2, "activation": "elu"}),
    case("ConvLSTM1D", VOLUMES[:, :, :, 0], options={"filters": 2, "kernel_size": 2}, unknown=(1,)),
    case("ConvLSTM2D", FILMS, unknown=(0, 1), mask=np.array([[True, False, True], [True] * 3]),
         options={"filters": 2, "kernel_size": (2, 3), "padding": "same", "strides": (1, 2),
                  "return_sequences": True, "return_state": True}),
    case("ConvLSTM3D", floats(1, 2, 3, 2, 2, 2), options={"filters": 1, "kernel_size": 2,
         "data_format": "channels_first", "padding": "same", "go_backwards": True}),
    case("Cropping1D", SERIES, options={"cropping": (1, 2)}, unknown=(0, 1)),
    case("Cropping2D", IMAGES, options={"cropping": ((1, 0), (2, 1))}, unknown=(0, 1, 2)),
    case("Cropping3D", VOLUMES, options={"cropping": (0, 1, 1)}, unknown=(0, 2)),
    case("Dense", VECTORS, options={"units": 2, "activation": "tanh"}),
    case("Dense", SERIES, options={"units": 2, "use_bias": False}, unknown=(0, 1), mask=MASK),
    case("DepthwiseConv1D", SERIES, options={"kernel_size": 2, "depth_multiplier": 2}),
    case("DepthwiseConv2D", IMAGES, options={"kernel_size": (2, 3), "strides": 2,
         "padding": "same", "activation": "sigmoid"}, unknown=(0, 1)),
    case("Discretization", SERIES, options={"bin_boundaries": [-0.5, 0.0, 0.3]}, gradient=False),
    case("Discretization", VECTORS, options={"bin_boundaries": [0.1], "output_mode": "count"},
         gradient=False),
    case("Dot", *PAIR, options={"axes": 2, "normalize": True}),
    case("Dropout", SERIES, options={"rate": 0.4, "seed": 5}, unknown=(0, 1)),
    case("ELU", VECTORS, options={"alpha": 0.7}),
    case("EinsumDense", SERIES, unknown=(0, 1),
         options={"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de"}),
    case("Embedding", whole(6, 2, 5), options={"input_dim": 6, "output_dim": 3}, unknown=(0, 1)),
    case("Embedding", whole(3, 2, 5),
         options={"input_dim": 3, "output_dim": 2, "mask_zero": True}),
    case("Flatten", IMAGES),
    case("Flatten", VOLUMES, options={"data_format": "channels_first"}),
    case("GRU", SERIES, options={"units": 2, "return_sequences": True}, unknown=(0, 1), mask=MASK),
    case("GRU", SERIES, options={"units": 2, "reset_after": False, "return_state": True}),
    case("GRUCell", VECTORS, STATE, options={"units": 2}, call=stepped),
    case("GRUCell", VECTORS, STATE, options={"units": 2, "reset_after": False}, call=stepped),
    case("GaussianDropout", VECTORS, options={"rate": 0.4, "seed": 5}),
    case("GaussianNoise", VECTORS, options={"stddev": 0.4, "seed": 5}),
    case("GlobalAveragePooling1D", SERIES, mask=MASK),
    case("GlobalAveragePooling2D", IMAGES, options={"keepdims": True}, unknown=(0, 1)),
    case("GlobalAveragePooling3D", VOLUMES, options={"data_format": "channels_first"}),
    case("GlobalMaxPooling1D", SERIES, unknown=(0, 1)),
    case("GlobalMaxPooling2D", IMAGES, options={"data_format": "channels_first"}),
    case("GlobalMaxPooling3D", VOLUMES, options={"keepdims": True}),
    case("GroupNormalization", IMAGES, options={"groups": 2}, unknown=(0, 1)),
    case("GroupNormalization", SERIES, options={"groups": -1, "axis": 1}, mask=MASK),
    case("GroupedQueryAttention", SERIES, SERIES[:, :4], call=separately, unknown=(0, 1),
         mask=MASK, options={"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2,
         "use_gate": True}),
    case("GroupedQueryAttention", SERIES, SERIES[:, :4], call=separately,
         options={"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1, "dropout": 0.3,
         "seed": 5, "sliding_window": 2, "use_bias": False}),
    case("Identity", SERIES, mask=MASK),
    case("LSTM", SERIES, options={"units": 2, "return_sequences": True, "return_state": True},
         unknown=(0, 1), mask=MASK),
    case("LSTM", SERIES, STATE[:2], CARRY[:2], call=continued,
         options={"units": 2, "activation": "softsign", "go_backwards": True}),
    case("LSTMCell", VECTORS, STATE, CARRY, options={"units": 2}, call=stepped),
    case("Lambda", SERIES, options={"function": squared}),
    case("LayerNormalization", SERIES, unknown=(0, 1), mask=MASK),
    case("LayerNormalization", IMAGES, options={"axis": (1, -1), "center": False}),
    case("LeakyReLU", VECTORS, options={"negative_slope": 0.2}),
    case("Masking", SERIES, options={"mask_value": 0.25}),
    case("MaxPooling1D", SERIES, options={"pool_size": 3, "strides": 2, "padding": "same"}),
    case("MaxPooling2D", IMAGES, options={"pool_size": (2, 3), "strides": 1}, unknown=(0, 1, 2)),
    case("MaxPooling3D", VOLUMES, options={"pool_size": (1, 2, 2),
         "data_format": "channels_first", "padding": "same"}),
    case("Maximum", *PAIR),
    case("Minimum", *PAIR),
    case("MultiHeadAttention", SERIES, SERIES[:, :4], call=separately, unknown=(0, 1), mask=MASK,
         options={"num_heads": 2, "key_dim": 3, "value_dim": 2, "output_shape": 4}),
    case("MultiHeadAttention", IMAGES, IMAGES[:, :3], call=separately,
         options={"num_heads": 2, "key_dim": 2, "dropout": 0.3, "seed": 5, "use_gate": True}),
    case("MultiHeadAttention", IMAGES, IMAGES[:, :, :4], call=separately,
         options={"num_heads": 2, "key_dim": 2, "attention_axes": 2, "sliding_window": 2}),
    case("Multiply", *PAIR, unknown=(0, 1)),
    case("Normalization", IMAGES, options={"axis": (1, -1)}, unknown=(0, 2)),
    case("Normalization", SERIES, mask=MASK, options={"mean": [0.1, 0.2, -0.3],
         "variance": [0.5, 1.5, 2.5], "invert": True}),
    case("PReLU", SERIES, options={"shared_axes": [1], "alpha_initializer": "glorot_normal"}),
    case("Permute", IMAGES, options={"dims": (3, 1, 2)}, unknown=(0, 1)),
    case("PositionEmbedding", SERIES, options={"sequence_length": 7}, unknown=(0, 1), mask=MASK),
    case("RMSNormalization", SERIES, options={"axis": 1}),
    case("RNN", SERIES, options={"cell": layers.LSTMCell(2, "elu")}, mask=MASK, unknown=(0, 1)),
    case("RNN", SERIES, options={"cell": [layers.GRUCell(2), layers.LSTMCell(3)],
         "return_sequences": True, "return_state": True}, mask=MASK),
    case("CenterCrop", IMAGES, options={"height": 2, "width": 3}),
    case("CenterCrop", IMAGES, options={"height": 6, "width": 3}),
    case("MaxNumBoundingBoxes", IMAGES, options={"max_number": 3}),
    case("RandomCrop", IMAGES, options={"height": 2, "width": 3, "seed": 5}, call=alike),
    case("RandomCrop", IMAGES, options={"height": 6, "width": 3, "seed": 5}, call=trained),
    case("RandomElasticTransform", IMAGES, options={"seed": 5}, call=idle),
    case("RandomFlip", IMAGES, options={"seed": 5}, call=idle),
    case("RandomPerspective", IMAGES, options={"scale": 0.3, "seed": 5}, call=idle),
    case("RandomRotation", IMAGES, options={"factor": (0.1, 0.1)}, call=trained, rtol=1e-3),
    case("RandomShear", IMAGES, options={"x_factor": 0.4, "seed": 5}, call=idle),
    case("RandomTranslation", IMAGES, call=trained, rtol=1e-3,
         options={"height_factor": (0.3, 0.3), "width_factor": (-0.2, -0.2), "seed": 5}),
    case("RandomZoom", IMAGES, options={"height_factor": (0.3, 0.3)}, call=trained, rtol=1e-3),
    case("Resizing", IMAGES, options={"height": 6, "width": 3}),
    case("Resizing", IMAGES, options={"height": 3, "width": 3, "interpolation": "bicubic",
         "antialias": True, "crop_to_aspect_ratio": True}),
    case("ReLU", VECTORS, options={"max_value": 0.5, "negative_slope": 0.2, "threshold": 0.1}),
    case("RepeatVector", VECTORS, options={"n": 3}),
    case("Reshape", SERIES, options={"target_shape": (3, -1)}),
    case("Rescaling", IMAGES, options={"scale": 0.5, "offset": [-1.0, 0.25]}, unknown=(0, 1)),
    case("ReversibleEmbedding", whole(6, 2, 5), options={"input_dim": 6, "output_dim": 3}),
    case("SeparableConv1D", SERIES,
         options={"filters": 2, "kernel_size": 2, "depth_multiplier": 2, "activation": "relu"}),
    case("SeparableConv2D", IMAGES, unknown=(0, 1),
         options={"filters": 3, "kernel_size": 3, "padding": "same", "use_bias": False}),
    case("SimpleRNN", SERIES, options={"units": 2, "activation": "relu"}, unknown=(0, 1)),
    case("SimpleRNNCell", VECTORS, STATE, options={"units": 2}, call=stepped),
    case("Softmax", SERIES, options={"axis": (1, 2)}, unknown=(0, 1)),
    case("SpatialDropout1D", SERIES, options={"rate": 0.4, "seed": 5}),
    case("SpatialDropout2D", IMAGES, options={"rate": 0.4, "seed": 5}),
    case("SpatialDropout3D", VOLUMES, options={"rate": 0.4, "seed": 5}),
    case("SpectralNormalization", VECTORS,
         options={"layer": layers.Dense(3), "power_iterations": 2}),
    case("StackedRNNCells", VECTORS, STATE, CARRY, call=stepped,
         options={"cells": [layers.GRUCell(2), layers.SimpleRNNCell(2)]}),
    case("Subtract", *PAIR),
    case("TimeDistributed", SERIES, options={"layer": layers.Dense(2)}, unknown=(0, 1), mask=MASK),
    case("UnitNormalization", SERIES, options={"axis": [1, 2]}, mask=MASK),
    case("UpSampling1D", SERIES, options={"size": 2}, unknown=(0, 1)),
    case("UpSampling2D", IMAGES, options={"size": (2, 3)}, unknown=(0, 1)),
    case("UpSampling2D", IMAGES, options={"size": (2, 1), "interpolation": "bicubic"}),
    case("UpSampling3D", VOLUMES, options={"size": (2, 1, 2)}),
    case("ZeroPadding1D", SERIES, options={"padding": (1, 2)}, unknown=(0, 1)),
    case("ZeroPadding2D", IMAGES, options={"padding": ((1, 0), (2, 1))}, unknown=(0, 2)),
    case("ZeroPadding3D", VOLUMES, options={"padding": (0, 1, 2)}),
]  # fmt: skip
EVERY = pytest.mark.parametrize(
    ("name", "options", "inputs", "how"),
    CASES,
    ids=[f"{one[0]}-{i}" for i, one in enumerate(CASES)],
)


def public_classes():
    found = {name: getattr(layers, name) for name in layers.__all__}
    classes = {c for c in found.values() if inspect.isclass(c) and issubclass(c, layers.Layer)}
    return [c.__name__ for c in classes]  # Some have several names.


def test_every_layer_has_a_case():
    covered = {name for name, *_ in CASES} | set(NOT_CALLED)
    assert sorted(set(public_classes()) - covered) == []


@EVERY
def test_every_way(name, options, inputs, how, xp):
    """Results, shapes, gradients, configs, masks and 16-bit policies: see `check_layer`."""

    def make(dtype):
        return made(name, options, dtype)

    check_layer(make, *inputs, xp=xp, **{"gradient": xp.name == "numpy", **how})


@EVERY
def test_a_seed_repeats_everything(name, options, inputs, how, xp):
    """Weights and dropout masks: the same for the same seed, in every library."""

    def run(asarray):
        utils.set_random_seed(11)
        layer = made(name, options)
        arrays = [asarray(_single(a)) for a in inputs]
        call = how.get("call", called)
        return [call(layer, *arrays, training=True) for _ in range(2)]

    one, two, elsewhere = run(np.asarray), run(np.asarray), run(xp.asarray)
    for a, b, c in zip(*map(tree.flatten, (one, two, elsewhere)), strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))
        assert isinstance(c, xp.kind)
        np.testing.assert_allclose(xp.to_numpy(c), a, rtol=2e-5, atol=2e-6)


def _single(a):
    return a.astype(np.float32) if dtypes.is_floating(a) else a


@EVERY
def test_on_a_gpu(name, options, inputs, how, cupy):
    """As CuPy's arrays let it, and without a copy to the host."""
    gpu = Backend("cupy", cupy.asarray, lambda x: x._host, cupy.ndarray)

    def make(dtype):
        return made(name, options, dtype)

    check_library(make, how.get("call", called), inputs, gpu, how.get("mask"))
    assert host_copies == []


@EVERY
def test_on_another_device(name, options, inputs, how):
    """Nothing is made on the default device and then meets arrays that are elsewhere."""
    import array_api_strict

    device = array_api_strict.Device("device1")

    def to_numpy(x):
        assert x.device == device
        return np.asarray(x._array)

    def asarray(x):
        return array_api_strict.asarray(np.asarray(x), device=device)

    elsewhere = Backend("strict", asarray, to_numpy, type(array_api_strict.asarray(0)))

    def make(dtype):
        return made(name, options, dtype)

    check_library(make, how.get("call", called), inputs, elsewhere, how.get("mask"))
