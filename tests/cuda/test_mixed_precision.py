"""16-bit policies on CuPy arrays, from end to end: nothing on the way is wide that need not be."""

from __future__ import annotations

import numpy as np
import pytest
import stand_in_arrays
from kernel_checks import kind

import gpulayers as gl
from gpulayers import layers as L
from gpulayers.arrays import Tape, Variable, dtypes
from gpulayers.cuda.module import Kernel
from gpulayers.ops.casting import cast_all

POLICIES = ["mixed_float16", "mixed_bfloat16"]
EPSILON = {"mixed_float16": 2**-11, "mixed_bfloat16": 2**-8}
SMALL = 512  # Elements of what may be float32: statistics, sums, losses. Activations have more.
# These take weights and their gradients, which are float32.
OF_WEIGHTS = {"cast_arrays", "optimizer_step", "optimizer_measure", "gather_rows", "scatter_runs"}


def convolutions(x):
    y = L.Conv2D(8, 3, padding="same", use_bias=False)(x)
    y = L.Activation("relu")(L.BatchNormalization()(y))
    y = L.Add()([L.DepthwiseConv2D(3, padding="same")(y), L.Conv2D(8, 1)(x), y])
    return L.GlobalAveragePooling2D()(L.MaxPooling2D(2)(y))


def attention(x):
    x = L.Dense(8)(L.Reshape((64, 4))(x))
    x = L.Add()([x, L.MultiHeadAttention(2, 4)(x, x)])
    x = L.LayerNormalization()(x)
    x = L.Add()([x, L.Dense(8)(L.Dense(16, "gelu")(x))])
    return L.GlobalAveragePooling1D()(L.Dropout(0.1)(L.RMSNormalization()(x)))


def recurrent(x):
    x = L.LSTM(8, return_sequences=True)(L.Reshape((64, 4))(x))
    return L.GRU(8)(L.GroupNormalization(2)(x))


MODELS = {"convolutions": convolutions, "attention": attention, "recurrent": recurrent}


def model_of(build, policy, shape=(8, 8, 4), dtype="float32", optimizer="adam", **options):
    gl.utils.set_random_seed(1)
    gl.config.set_device("gpu")
    before = gl.config.dtype_policy()
    gl.config.set_dtype_policy(policy)
    try:
        x = gl.Input(shape, dtype=dtype)
        model = gl.Model(x, L.Dense(3, dtype="float32")(build(x)))
    finally:
        gl.config.set_dtype_policy(before)
    loss = gl.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **options)
    return model


def batch(cupy, size=4):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size, 8, 8, 4)).astype("f4")
    return cupy.asarray(x), cupy.asarray(rng.integers(0, 3, size).astype("i4"))


@pytest.fixture
def wide(cupy, monkeypatch):
    """The float32 arrays that kernels and CuPy's functions were given: by whom, and their sizes."""
    found, launch = [], Kernel.__call__

    def note(who, arrays):
        if who not in OF_WEIGHTS:
            found.extend(
                (who, tuple(x.shape))
                for x in arrays
                if isinstance(x, cupy.ndarray) and x.dtype == np.float32 and x.size > SMALL
            )

    def launched(kernel, grid, block, *args, **options):
        note(kernel.name, args)
        return launch(kernel, grid, block, *args, **options)

    monkeypatch.setattr(Kernel, "__call__", launched)
    for way in ("called", "raw"):  # Of the stand-in, by which its functions go.
        usual = getattr(stand_in_arrays, way)

        def noted(function, *args, usual=usual, **options):
            note(getattr(function, "__name__", "function"), args)
            return usual(function, *args, **options)

        monkeypatch.setattr(stand_in_arrays, way, noted)
    return found


@pytest.mark.usefixtures("same_products")
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", MODELS)
def test_a_step_has_no_wide_arrays_on_the_way(cupy, wide, name, policy):
    model, (x, y) = model_of(MODELS[name], policy), batch(cupy)
    model.train_on_batch(x, y)
    wide.clear()
    model.train_on_batch(x, y)
    assert set(wide) == {("<lambda>", x.shape)}  # The batch, on its way to 16 bits.
    wide.clear()
    model.predict_on_batch(x)
    assert set(wide) <= {("<lambda>", x.shape)}
    assert all(dtypes.name(w.dtype) == "float32" for w in model.weights if w.dtype.kind == "f")


@pytest.mark.usefixtures("same_products")
@pytest.mark.parametrize("policy", POLICIES)
def test_rows_of_a_table_are_cast_and_not_the_table(cupy, wide, policy):
    def build(x):
        return L.Flatten()(L.Embedding(100, 8)(x))

    model = model_of(build, policy, (6,), "int32")
    x, y = (
        cupy.asarray(np.arange(180, dtype="i4").reshape(30, 6) % 100),
        cupy.asarray(np.zeros(30, "i4")),
    )
    model.train_on_batch(x, y)
    wide.clear()
    model.train_on_batch(x, y)
    assert (100, 8) not in {shape for _, shape in wide}


@pytest.mark.parametrize("policy", POLICIES)
def test_weights_are_cast_by_one_launch_and_so_are_their_gradients(cupy, monkeypatch, policy):
    model, (x, y) = model_of(attention, policy), batch(cupy)
    model.train_on_batch(x, y)
    names, launch = [], Kernel.__call__
    monkeypatch.setattr(
        Kernel, "__call__", lambda k, *a, **o: (names.append(k.name), launch(k, *a, **o))[1]
    )
    model.train_on_batch(x, y)
    assert names.count("cast_arrays") == 2
    assert names.index("cast_arrays") == 0


@pytest.mark.usefixtures("same_products")
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", MODELS)
def test_it_learns_as_in_float32(cupy, name, policy):
    histories = []
    for one in ("float32", policy):
        model, (x, y) = model_of(MODELS[name], one, optimizer=gl.optimizers.SGD(0.1)), batch(cupy)
        start = [w.numpy() for w in model.trainable_weights]
        losses = [float(model.train_on_batch(x, y)) for _ in range(3)]
        moved = [w.numpy() - s for w, s in zip(model.trainable_weights, start, strict=True)]
        histories.append((losses, moved))
    (expected, far), (found, near) = histories
    np.testing.assert_allclose(found, expected, rtol=8 * EPSILON[policy])
    for a, b in zip(near, far, strict=True):
        assert np.abs(a - b).max() <= 40 * EPSILON[policy] * max(np.abs(b).max(), 2e-3)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_layer_of_float32_inside_keeps_its_weights(cupy, policy):
    """Its product is one of float32 numbers, of which only the inputs were rounded."""
    model, (x, _) = model_of(lambda x: L.Flatten()(x), policy), batch(cupy)
    head = model.layers[-1]
    head.bias.assign([1.0 + 2**-20, 2.0, 3.0])
    short = x.get().reshape(4, -1).astype(kind(policy.removeprefix("mixed_"))).astype("f8")
    expected = short @ head.kernel.numpy().astype("f8") + head.bias.numpy().astype("f8")
    for _ in range(2):
        found = model(x)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.get(), expected, rtol=1e-5, atol=1e-5)
    with Tape() as tape:
        loss = gl.ops.sum(model(x, training=True) * 2**-30)
    (gradient,) = tape.gradient(loss, [head.kernel])
    assert np.all(gradient.get() != 0)  # In float16 it would vanish.


def test_losses_are_float32(cupy):
    before = gl.config.dtype_policy()
    gl.config.set_dtype_policy("mixed_float16")
    try:
        model = gl.Sequential([L.Input((4,)), L.Dense(3)])
    finally:
        gl.config.set_dtype_policy(before)
    x, y = cupy.asarray(np.full((2, 4), 100, "f4")), cupy.asarray(np.full((2, 3), 6e4, "f4"))
    model.compile("sgd", "mse")
    assert model(x).dtype == np.float16
    loss = model.compute_loss(x, y, model(x))
    assert loss.dtype == np.float32
    assert np.isfinite(float(loss))  # The square is not a float16.


# What casts all at once.


@pytest.mark.parametrize(("dtype", "to"), [("float32", "bfloat16"), ("float16", "float32")])
@pytest.mark.parametrize("count", [1, 121])
def test_cast_all(cupy, dtype, to, count):
    rng = np.random.default_rng(0)
    sizes = [(0,), (1,), (3, 5), (4097,), (2, 2048)] * (count // 5 + 1)
    arrays = [rng.normal(size=size).astype(kind(dtype)) for size in sizes[:count]]
    there = [cupy.asarray(a) for a in arrays]
    there.append(cupy.asarray(arrays[0].astype(kind(to))))
    made = cast_all(*there, dtype=to)
    assert made[-1] is there[-1]
    for a, b in zip(arrays, made, strict=False):
        assert (b.shape, b.dtype) == (a.shape, kind(to))
        assert np.array_equal(b.get(), a.astype(kind(to)))


def test_views_are_cast(cupy):
    x = np.arange(40, dtype="f4").reshape(4, 10)
    (made,) = cast_all(cupy.asarray(x)[:, 1::2], dtype="float16")
    assert np.array_equal(made.get(), x[:, 1::2])


# The record of what was read in another dtype.


class Twice(L.Layer):
    """Reads its weight twice, and once after it was assigned."""

    def __init__(self, assigns=False, **options):
        super().__init__(**options)
        self.weight = self.add_weight((3,), "ones")
        self.assigns = assigns

    def call(self, x):
        y = x * self.weight.value + self.weight.value
        if self.assigns:
            self.weight.assign(np.full(3, 2.0, "f4"))
        return y * self.weight.value


@pytest.mark.parametrize("assigns", [False, True])
def test_several_readings_are_added(cupy, assigns):
    layer = Twice(assigns, dtype="mixed_float16")
    x = cupy.asarray(np.array([1.0, 2.0, 3.0], "f4"))
    with Tape() as tape:
        y = layer(x)
    assert np.array_equal(y.value.get(), [4, 6, 8] if assigns else [2, 3, 4])
    gradient = tape.gradient(y, layer.weight)
    assert gradient.dtype == np.float32
    # By the last reading alone, for the earlier ones are of another value.
    assert np.array_equal(gradient.get(), [2, 3, 4] if assigns else [4, 6, 8])


def test_a_persistent_record_and_gradients_of_gradients(cupy):
    layer = Twice(dtype="mixed_float16")
    x = cupy.asarray(np.array([1.0, 2.0, 3.0], "f4"))
    with Tape(persistent=True) as tape:
        y = layer(x)
    for _ in range(2):
        assert np.array_equal(tape.gradient(y, layer.weight).get(), [4, 6, 8])
    with Tape() as outer:
        with Tape() as inner:
            y = layer(x)
        first = inner.gradient(y, layer.weight)
    assert np.array_equal(outer.gradient(first, layer.weight).get(), [4, 6, 8])


def test_a_record_that_is_used_up_reads_anew(cupy):
    layer = Twice(dtype="mixed_float16")
    x, other = cupy.asarray(np.ones(3, "f4")), Variable(cupy.asarray(np.ones(3, "f4")))
    with Tape() as tape:
        first = layer(x)
        assert np.array_equal(tape.gradient(first, layer.weight).get(), [4, 4, 4])
        second = gl.ops.sum(layer(x) * other)
    assert np.array_equal(tape.gradient(second, layer.weight).get(), [4, 4, 4])
