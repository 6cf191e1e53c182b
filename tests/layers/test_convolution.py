"""Convolution layers: configs, weights, sizes, LoRA, plans, refusals."""

import inspect

import numpy as np
import pytest

import gpulayers as gl
from gpulayers import layers
from gpulayers.arrays import plain
from gpulayers.models.planned_step import PlannedStep

pytestmark = pytest.mark.usefixtures("loops")

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(4, 6, 5, 4)).astype("float32")


def keys(layer):
    return [k for k in layer.get_config() if k not in ("name", "trainable", "dtype")]


def test_configs_are_keras_own():
    """The keys in Keras's order, and its forms of values."""
    window = ["kernel_size", "strides", "padding", "data_format", "dilation_rate"]
    ending = [
        "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
        "activity_regularizer", "kernel_constraint", "bias_constraint",
    ]  # fmt: skip
    middle = ["activation", "use_bias"]
    conv = layers.Conv2D(3, 2, padding="SAME", activation="relu")
    assert keys(conv) == ["filters", *window, "groups", *middle, *ending]
    config = conv.get_config()
    assert [config[k] for k in ("kernel_size", "strides", "padding", "activation")] == [
        (2, 2), (1, 1), "same", "relu",
    ]  # fmt: skip
    turned = layers.Conv1DTranspose(3, 2, 3, output_padding=1)
    around = [*window[:3], "output_padding", *window[3:]]
    assert keys(turned) == ["filters", *around, *middle, *ending]
    assert turned.get_config()["output_padding"] == (1,)
    by_channel = layers.DepthwiseConv2D(2)
    own = [key.replace("kernel_", "depthwise_") for key in ending]
    assert keys(by_channel) == ["depth_multiplier", *window, *middle, *own]
    both = layers.SeparableConv1D(3, 2)
    assert keys(both)[:4] == ["depth_multiplier", "filters", "kernel_size", "strides"]
    assert keys(both)[-4:] == [
        "activity_regularizer", "depthwise_constraint", "pointwise_constraint", "bias_constraint",
    ]  # fmt: skip
    penalized = layers.Conv3D(2, 1, activity_regularizer="l2").get_config()
    again = layers.Conv3D.from_config(penalized)
    assert again.get_config() == penalized
    assert again.activity_regularizer.l2 == 0.01


@pytest.mark.parametrize(
    ("layer", "names", "shapes"),
    [
        (layers.Conv2D(6, (3, 2), groups=2), ["kernel", "bias"], [(3, 2, 2, 6), (6,)]),
        (layers.Conv2DTranspose(6, 2), ["kernel", "bias"], [(2, 2, 6, 4), (6,)]),
        (layers.DepthwiseConv2D(2, depth_multiplier=3), ["kernel", "bias"], [(2, 2, 4, 3), (12,)]),
        (layers.SeparableConv2D(5, 2, depth_multiplier=2),
         ["depthwise_kernel", "pointwise_kernel", "bias"], [(2, 2, 4, 2), (1, 1, 8, 5), (5,)]),
        (layers.Conv2D(6, 3, lora_rank=2), ["kernel", "bias", "lora_kernel_a", "lora_kernel_b"],
         [(3, 3, 4, 6), (6,), (3, 3, 4, 2), (2, 6)]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_weights(layer, names, shapes):
    layer(IMAGES)
    assert [w.name for w in layer.weights] == names
    assert [tuple(w.shape) for w in layer.weights] == shapes


@pytest.mark.parametrize(
    "name", ["Conv2D", "Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D"]
)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_layouts_and_sizes(name, padding):
    """Both layouts give the same numbers, and the shapes that are said before."""
    options = {"kernel_size": (3, 2), "strides": (2, 1), "padding": padding, "activation": "tanh"}
    options |= {} if name.startswith("Depthwise") else {"filters": 6}
    last = getattr(layers, name)(**options, bias_initializer="glorot_uniform")
    first = getattr(layers, name)(**options, data_format="channels_first")
    expected, turned = last(IMAGES), np.moveaxis(IMAGES, -1, 1)
    first.build(turned.shape)
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(np.moveaxis(first(turned), 1, -1), expected, rtol=1e-5, atol=1e-6)
    assert last.compute_output_shape(IMAGES.shape) == expected.shape
    assert first.compute_output_shape(turned.shape) == first(turned).shape
    partly = last.compute_output_shape((None, None, 5, 4))
    assert partly == (None, None, *expected.shape[2:])
    assert last(IMAGES[:0]).shape == (0, *expected.shape[1:])


@pytest.mark.parametrize("name", ["DepthwiseConv2D", "SeparableConv2D"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_strides_and_dilation_of_each_channel(name, padding):
    """Both at once, as in Keras: every second output of the windows that move by 1."""
    options = {"kernel_size": 2, "dilation_rate": 2, "padding": padding}
    options |= {"filters": 3} if name.startswith("Separable") else {}
    dense, sparse = (getattr(layers, name)(strides=s, **options) for s in (1, 2))
    x = IMAGES[:, :, :3]  # Where "same" begins at the same place for both.
    expected = dense(x)
    sparse.build(x.shape)
    sparse.set_weights(dense.get_weights())
    found = sparse(x)
    assert sparse.compute_output_shape(x.shape) == found.shape
    start = (1, 0) if padding == "same" else (0, 0)
    np.testing.assert_allclose(
        found, expected[:, start[0] :: 2, start[1] :: 2], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("layer", "fans"),
    [
        (layers.Conv1D(64, 5), {"kernel": (5 * 32, 5 * 64)}),
        (layers.Conv2D(64, (3, 2), groups=4), {"kernel": (6 * 8, 6 * 64)}),
        (layers.Conv3D(16, 2), {"kernel": (8 * 32, 8 * 16)}),
        (layers.Conv2DTranspose(64, 3), {"kernel": (9 * 64, 9 * 32)}),
        (layers.DepthwiseConv2D(5, depth_multiplier=4), {"kernel": (25 * 32, 25 * 4)}),
        (layers.SeparableConv1D(64, 5, depth_multiplier=4),
         {"depthwise_kernel": (5 * 32, 5 * 4), "pointwise_kernel": (128, 64)}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_fans(layer, fans):
    """Kernels are as large as Glorot and Bengio have it, with Keras's count of units."""
    layer.build((1, *(6,) * layer.rank, 32))
    for name, (ins, outs) in fans.items():
        values, limit = getattr(layer, name).numpy(), np.sqrt(6 / (ins + outs))
        assert 0.98 * limit < np.abs(values).max() <= limit * (1 + 1e-6)


ALL_RANKS = [
    (f"{kind}{rank}D{tail}", rank)
    for kind, tail, most in [("Conv", "", 3), ("Conv", "Transpose", 3), ("DepthwiseConv", "", 2),
                             ("SeparableConv", "", 2)]
    for rank in range(1, most + 1)
]  # fmt: skip


@pytest.mark.parametrize(("name", "rank"), ALL_RANKS)
def test_regularizers_and_constraints(name, rank):
    """Each weight has its own; losses of weights and of outputs; constraints after each step."""
    make = getattr(layers, name)
    has = inspect.signature(make).parameters
    kinds = ("depthwise", "pointwise", "kernel", "bias")
    weights = [kind for kind in kinds if f"{kind}_regularizer" in make(2, 2).get_config()]
    options = {f"{kind}_regularizer": f"l{1 + i % 2}" for i, kind in enumerate(weights)}
    options |= {f"{kind}_constraint": "non_neg" for kind in weights}
    layer = make(
        **({"filters": 2} if "filters" in has else {}), kernel_size=2, bias_initializer="ones",
        activity_regularizer="l2", **options,
    )  # fmt: skip
    model = gl.Sequential([gl.Input((4,) * rank + (2,)), layer, layers.Flatten(), layers.Dense(1)])
    x = RNG.normal(size=(3, *(4,) * rank, 2)).astype("float32")
    y = layer(x)
    sums = [np.abs(w.numpy()).sum() if i % 2 == 0 else (w.numpy() ** 2).sum()
            for i, w in enumerate(layer.weights)]  # fmt: skip
    expected = [0.01 * total for total in [*sums, (y**2).sum() / len(x)]]
    np.testing.assert_allclose(sorted(map(float, layer.losses)), sorted(expected), rtol=1e-4)
    model.compile("sgd", "mse")
    model.train_on_batch(x, np.zeros((3, 1), "float32"))
    assert all((w.numpy() >= 0).all() for w in layer.weights)
    assert any((w.numpy() == 0).any() for w in layer.weights)


def test_an_empty_batch_has_gradients_of_zero():
    conv = layers.Conv2D(3, 2)
    with gl.Tape() as tape:
        y = conv(IMAGES[:0])
        total = gl.namespace(y).sum(y)
    for gradient, weight in zip(
        tape.gradient(total, conv.trainable_weights), conv.weights, strict=True
    ):
        np.testing.assert_array_equal(gradient, np.zeros(weight.shape))


def test_lora():
    """A frozen kernel, its correction, and files that hold both as one."""
    conv = layers.Conv2D(6, 3, groups=2)
    before = conv(IMAGES)
    conv.enable_lora(2, lora_alpha=4)
    np.testing.assert_array_equal(conv(IMAGES), before)
    assert [w.name for w in conv.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]
    conv.lora_kernel_b.assign(np.ones((2, 6), "float32"))
    corrected = conv(IMAGES)
    assert np.abs(corrected - before).max() > 0.1
    for _ in range(3):  # Whatever has been planned.
        np.testing.assert_allclose(conv(IMAGES), corrected, rtol=1e-6)
    store = {}
    conv.save_own_variables(store)
    plainly = layers.Conv2D(6, 3, groups=2)
    plainly.build(IMAGES.shape)
    plainly.load_own_variables(store)
    np.testing.assert_allclose(plainly(IMAGES), corrected, rtol=1e-4, atol=1e-5)
    config = conv.get_config()
    assert (config["lora_rank"], config["lora_alpha"]) == (2, 4)


REFUSED = [
    (lambda: layers.Conv2D(0, 3), ValueError, "Conv2D: filters must be a positive integer, got 0"),
    (lambda: layers.Conv2D(2.0, 3), TypeError, "filters must be an integer, got float"),
    (lambda: layers.Conv2D(2, (3, 0)), ValueError, "kernel_size must be"),
    (lambda: layers.Conv2D(2, (3, 3, 3)), ValueError, "kernel_size must be"),
    (lambda: layers.Conv1D(2, 3, strides=0), ValueError, "strides must be"),
    (lambda: layers.Conv1D(2, 3, dilation_rate=-1), ValueError, "dilation_rate must be"),
    (lambda: layers.Conv2D(2, 3, strides=2, dilation_rate=2), ValueError, "strides above 1"),
    (lambda: layers.Conv2D(2, 3, padding="causal"), ValueError, "padding must be"),
    (lambda: layers.Conv2D(3, 3, groups=2), ValueError, "filters=3 and groups=2"),
    (lambda: layers.Conv2D(6, 3, groups=3)(IMAGES), ValueError, "groups=3, got 4"),
    (lambda: layers.Conv2D(6, 7)(IMAGES), ValueError, r"sizes \(6, 5\) are smaller"),
    (lambda: layers.Conv2D(6, 3)(IMAGES[0]), ValueError, "min_ndim"),
    (lambda: layers.Conv1D(6, 3)(IMAGES), ValueError, "expected inputs with 3 axes"),
    (lambda: layers.Conv2D(6, 3).build((None, 5, 5, None)), ValueError, "must be known"),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0), ValueError, "depth_multiplier must"),
    (lambda: layers.Conv2DTranspose(2, 3, 2, output_padding=2), ValueError, "less than the st"),
    (lambda: layers.Conv2D(2, 3, kernel_constraint="max_norm", lora_rank=2).build((1, 5, 5, 2)),
     ValueError, "LoRA cannot keep kernel_constraint"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=[m for *_, m in REFUSED])
def test_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Plans.

PLANNED = {
    "fused": [layers.Conv2D(6, 3, padding="same", activation="relu")],
    "strides, groups": [layers.Conv2D(6, 3, strides=2, groups=2, activation="softplus")],
    "no bias": [layers.Conv2D(6, 3, use_bias=False), layers.MaxPooling2D()],
    "transposed": [layers.Conv2DTranspose(6, 3, 2, padding="same", activation="relu"),
                   layers.Conv2DTranspose(3, 2, use_bias=False)],
    "depthwise": [layers.DepthwiseConv2D(3, depth_multiplier=2, activation="tanh"),
                  layers.DepthwiseConv2D(2, use_bias=False, activation="elu")],
    "separable": [layers.SeparableConv2D(6, 3, depth_multiplier=2, activation="relu"),
                  layers.SeparableConv2D(3, 2, use_bias=False, activation="silu")],
    "pooling": [layers.AveragePooling2D(2, padding="same"), layers.MaxPooling2D(2, 1)],
    "global": [layers.Conv2D(3, 2), layers.GlobalMaxPooling2D(keepdims=True)],
    "series": [layers.Reshape((30, 4)), layers.Conv1D(5, 3, padding="causal"),
               layers.MaxPooling1D(), layers.GlobalAveragePooling1D()],
    "volumes": [layers.Reshape((6, 5, 2, 2)), layers.Conv3D(5, 2), layers.AveragePooling3D(1)],
}  # fmt: skip


@pytest.mark.parametrize("name", PLANNED)
def test_plans(name):
    """A step without a tape, and inference without full calls: the same results."""
    parts = [type(layer).from_config(layer.get_config()) for layer in PLANNED[name]]
    tail = [layers.Flatten()] if name == "series" else [layers.GlobalAveragePooling2D()]
    tail = [layers.Flatten()] if name == "volumes" else tail
    reshape = parts.pop(0) if isinstance(parts[0], layers.Reshape) else None
    x = IMAGES if reshape is None else reshape(IMAGES)
    model = gl.Sequential([gl.Input(x.shape[1:]), *parts, *tail, layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    y = np.array([0, 1, 2, 1], "int32")
    expected = plain(model._call((x,), {}))
    for _ in range(3):
        np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-7)
    assert model._plan_for(x) is not None
    model.train_on_batch(x, y)
    made = PlannedStep(model, x)(x, y, None, model.trainable_variables)
    assert made is not None
    wanted = model._recorded(x, y, None)
    np.testing.assert_allclose(made[1], plain(wanted[1]), rtol=1e-6)
    for got, gradient in zip(made[2], wanted[2], strict=True):
        np.testing.assert_allclose(got, gradient, rtol=1e-4, atol=1e-6)


def test_plans_refuse_what_calls_refuse():
    """After calls that fit, inputs that are too small or have other channels."""
    model = gl.Sequential([layers.Conv2D(2, 3, name="first"), layers.GlobalAveragePooling2D()])
    for _ in range(3):
        model(IMAGES)
    with pytest.raises(ValueError, match=r"'first'.* sizes \(2, 5\) are smaller"):
        model(IMAGES[:, :2])
    with pytest.raises(ValueError, match="expected axis -1 of size 4, got 3"):
        model(IMAGES[..., :3])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"'first'.* sizes \(2, 5\) are smaller"):
        model.train_on_batch(IMAGES[:, :2], np.zeros((4, 2), "float32"))
