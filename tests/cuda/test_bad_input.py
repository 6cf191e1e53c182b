"""What a user of a GPU does wrong, or lacks: it is said by layers and models, and nothing changes.

Over the stand-in, also where there is a GPU.
"""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import rig
import stand_in_arrays
from stand_in_cupy import installed, memory_limit

from gpulayers import Input, Sequential, config, layers, ops
from gpulayers.arrays import devices
from gpulayers.cuda import module
from gpulayers.ops.dropout import dropout
from gpulayers.ops.embedding import gather

X = np.sin(np.arange(240.0)).reshape(40, 6).astype("float32")
LABELS = np.arange(40) % 3


@pytest.fixture
def stand_in():
    if rig.why_not():
        pytest.skip(rig.why_not())
    with installed(kernels=True) as cupy:
        config.set_device("gpu")
        yield cupy


def classifier(dtype="float32"):
    model = Sequential(
        [
            Input((6,)),
            layers.Dense(8, activation="gelu", dtype=dtype),
            layers.Dropout(0.3, seed=1, dtype=dtype),
            layers.Dense(3, activation="softmax", dtype=dtype),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def state(model):
    return [v.numpy() for v in (*model.weights, *model.optimizer.variables)]


def refuses(model, act, error, message):
    """`act` raises, and leaves the model as it was and able to learn."""
    before = state(model)
    with pytest.raises(error, match=message) as caught:
        act()
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)
    model.fit(X, LABELS, verbose=0)
    return str(caught.value)


def trained():
    model = classifier()
    model.fit(X, LABELS, verbose=0)
    return model


# Arrays.


def test_arrays_of_another_gpu(stand_in):
    model = trained()
    with stand_in.cuda.Device(1):
        x = stand_in.asarray(X)
    layer = model.layers[0]
    with pytest.raises((TypeError, ValueError), match="GPU 1|device"):
        layer(x)
    assert model.predict(x, verbose=0).device.id == 1  # A model moves its batches.


@pytest.mark.parametrize("view", ["transposed", "strided", "reversed", "broadcast"])
def test_views_are_never_misread(stand_in, view):
    x = stand_in.asarray(X)
    views = {
        "transposed": stand_in.asarray(np.ascontiguousarray(X.T)).T,
        "strided": stand_in.asarray(np.repeat(X, 2, axis=1))[:, ::2],
        "reversed": stand_in.asarray(np.ascontiguousarray(X[::-1]))[::-1],
        "broadcast": stand_in.broadcast_to(x[:1], X.shape),
    }
    there, expected = views[view], X[:1].repeat(40, axis=0) if view == "broadcast" else X
    assert np.array_equal(there.get(), expected)
    model = classifier()
    wanted = model.predict(stand_in.asarray(np.ascontiguousarray(expected)), verbose=0).get()
    np.testing.assert_array_equal(model.predict(there, verbose=0).get(), wanted)
    for act in (ops.softmax, ops.gelu, ops.log_softmax, ops.relu):
        np.testing.assert_array_equal(
            act(there).get(), act(stand_in.asarray(np.ascontiguousarray(expected))).get()
        )


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "float64", "float16"])
def test_other_dtypes_are_computed_as_on_the_cpu(stand_in, dtype):
    x = (X * 3).astype(dtype)
    model = classifier()
    found = model.predict(stand_in.asarray(x), verbose=0).get()
    model.to("cpu")
    np.testing.assert_allclose(found, model.predict(x, verbose=0), rtol=2e-5, atol=1e-6)
    for act in (ops.relu, ops.sigmoid, ops.softmax):
        there = act(stand_in.asarray(x))
        here = act(x)
        close = 2e-3 if dtype == "float16" else 1e-5
        assert there.dtype == here.dtype
        np.testing.assert_allclose(there.get(), here, rtol=close, atol=close)


@pytest.mark.parametrize("value", [X.astype("complex64"), np.array([["a"] * 6])])
def test_what_is_no_real_number_is_refused(stand_in, value):
    model = trained()
    refuses(model, lambda: model.fit(value, LABELS[: len(value)], verbose=0), TypeError, "numbers")


# Sizes past 2^31: the arrays have no memory, and the kernels do not run.

SIZE = 2**31 + 8
LARGE = {
    "activation": (lambda cupy, x: ops.gelu(x), (SIZE,)),
    "dropout": (lambda cupy, x: dropout(x, rate=0.5, seed=(1, 2)), (SIZE,)),
    "softmax": (lambda cupy, x: ops.softmax(x), (SIZE // 8, 8)),
    "layer_normalization": (lambda cupy, x: ops.layer_normalization(x), (SIZE // 8, 8)),
    "log_softmax, a long row": (lambda cupy, x: ops.log_softmax(x), (8, SIZE // 8)),
    "gather": (lambda cupy, x: gather(x, cupy.asarray([0, 1])), (SIZE // 8, 8)),
}


@pytest.mark.parametrize("name", LARGE)
def test_more_elements_than_an_int_can_count(stand_in, monkeypatch, name):
    """They are counted in 64 bits, and the grids that they need are possible."""
    act, shape = LARGE[name]
    seen = []

    def compiled(label, text, options, cooperative=False):
        return Recorder(seen)

    def unwritten(shape, dtype=float):
        return stand_in_arrays.made(np.empty(shape, dtype))

    monkeypatch.setitem(stand_in_arrays.MEMORY, "guarded", None)
    monkeypatch.setattr(stand_in, "empty", unwritten)
    monkeypatch.setattr(module, "_compile", compiled)
    monkeypatch.setattr(module.Module, "kernel", fresh_kernel)
    act(stand_in, unwritten(shape, "float16"))
    assert seen, "no kernel was launched"
    for grid, block, _ in seen:
        assert 0 < prod(grid) < 2**31 and prod(block) <= 1024
    numbers = {int(a) for _, _, args in seen for a in args if isinstance(a, np.integer)}
    assert numbers & {SIZE, *shape}
    assert SIZE in {a.size for _, _, args in seen for a in args if hasattr(a, "flags")}


def fresh_kernel(self, name, **constants):
    """A kernel that nobody keeps."""
    key = (name, 0, *constants.items())
    self = module.Module(self.stem, *self.options[len(module.OPTIONS) :])
    return module.Module._load(self, key, name, constants)


class Recorder:
    """A module whose kernels only note their launches."""

    def __init__(self, seen):
        self.seen = seen

    def get_function(self, name):
        return lambda grid, block, args, shared_mem=0: self.seen.append((grid, block, args))


# What is missing on the machine.


def test_a_full_gpu(stand_in):
    """The error says who wanted how much; the model is as it was, and goes on with less."""
    model = trained()
    x = np.tile(X, (50, 1))

    def act():
        with memory_limit(60_000):
            model.fit(x, np.tile(LABELS, 50), batch_size=2000, verbose=0)

    error = stand_in.cuda.memory.OutOfMemoryError
    message = refuses(model, act, error, "no GPU memory for 64,000 bytes")
    assert "shape (2000, 8), float32" in message
    assert "Use a smaller batch, or free arrays." in message


@pytest.mark.parametrize("name", module.TOO_OLD)
def test_a_driver_that_is_too_old(stand_in, monkeypatch, name):
    model = trained()

    def raising(label, text, options, cooperative=False):
        raise stand_in.cuda.driver.CUDADriverError(f"CUDA_ERROR_{name}: ...")

    def act():
        with monkeypatch.context() as patch:
            patch.setattr(module, "_compile", raising)
            patch.setattr(module.Module, "kernel", fresh_kernel)
            model.fit(X, LABELS, verbose=0)

    message = refuses(model, act, RuntimeError, "driver is older than CUDA's compiler")
    assert "Update the driver" in message and "cupy-cuda12x" in message


def test_no_compiler(stand_in, monkeypatch):
    """A user who asks for nothing gets the CPU and a warning; one who asks for the GPU an error."""

    def missing():
        raise ImportError("libnvrtc.so.13: cannot open shared object file")

    monkeypatch.setattr(stand_in.cuda.nvrtc, "getVersion", missing)
    devices._found_gpu.clear()
    with pytest.raises(RuntimeError, match=r"device 'gpu': CUDA's compiler NVRTC is missing"):
        config.set_device("gpu")
    config.set_device(None)
    with pytest.warns(UserWarning, match=r"runs on the CPU: CUDA's compiler NVRTC is missing"):
        model = classifier()
    model.fit(X, LABELS, verbose=0)
    assert {devices.name(v.home) for v in model.weights} == {"cpu"}
