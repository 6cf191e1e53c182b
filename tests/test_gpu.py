"""What a user of a GPU meets: where models live, what moves, what is refused.

CuPy is a stand-in (see `stand_in_cupy`), so this runs everywhere.
"""

import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from stand_in_cupy import host_copies, installed

import gpulayers as gl
from gpulayers import config, layers, losses, models, optimizers, registry, saving, tree, utils
from gpulayers.arrays import Tape, Variable, devices, dtypes

X = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")
Y = np.argmax(X[:, :3], axis=1)


def classifier(**options):
    return models.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(8, activation="relu", **options),
            layers.Dropout(0.3, **options),
            layers.Dense(3, **options),
        ]
    )


def compiled(model, optimizer=None, **options):
    optimizer = optimizers.Adam(0.02) if optimizer is None else optimizer
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"], **options)
    return model


def places(variables):
    return {devices.name(v.home) for v in variables}


def test_the_default_device(cupy):
    assert config.device() == "gpu:0"
    config.set_device("gpu:1")
    assert config.device() == "gpu:1"
    assert places(layers.Dense(2).build((None, 3)) or classifier().weights) == {"gpu:1"}
    config.set_device("cpu")
    assert places(classifier().weights) == {"cpu"}
    config.set_device(None)
    assert places(classifier().weights) == {"gpu:0"}


def test_a_device_for_a_while(cupy):
    with gl.device("cpu"):
        assert places([gl.Variable([1.0]), *classifier().weights]) == {"cpu"}
    with gl.device("cuda:1"):
        assert places([gl.Variable([1.0])]) == {"gpu:1"}
    assert places([gl.Variable([1.0])]) == {"gpu:0"}
    with pytest.raises(RuntimeError, match=r"this machine has 2 GPU\(s\)"):
        gl.device("gpu:2")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("gpu:2", RuntimeError, r"'gpu:2': this machine has 2 GPU\(s\), numbered from 0"),
        ("tpu", ValueError, 'expected "cpu", "gpu" or "gpu:1", got \'tpu\''),
        ("gpu:x", ValueError, "got 'gpu:x'"),
    ],
)
def test_no_such_device(cupy, name, error, message):
    with pytest.raises(error, match=message):
        config.set_device(name)
    with pytest.raises(error, match=message):
        layers.Dense(2).to(name)


def test_a_layer_lives_where_its_first_input_does(cupy):
    x = cupy.asarray(X)
    config.set_device("cpu")
    layer = layers.Dense(2)
    assert type(layer(x)) is cupy.ndarray
    assert type(layer.kernel.value) is cupy.ndarray
    config.set_device("gpu")
    layer = layers.Dense(2)
    assert type(layer(X)) is np.ndarray
    assert type(layer.kernel.value) is np.ndarray
    with cupy.cuda.Device(1):
        layer, x = layers.Dense(2), cupy.asarray(X)
    assert layer(x).device.id == 1  # Whatever the current device is.
    assert places(layer.weights) == {"gpu:1"}


def test_moving(cupy):
    layer = layers.Dense(2)
    expected = layer(X)
    for name, there in [("gpu:1", "gpu:1"), ("gpu", "gpu:0"), ("cpu", "cpu"), ("cuda:1", "gpu:1")]:
        assert layer.to(name) is layer
        assert places(layer.weights) == {there}
        np.testing.assert_array_equal(layer.get_weights()[1], [0, 0])
        with devices.parse(name).device if there != "cpu" else warnings.catch_warnings():
            x = X if there == "cpu" else cupy.asarray(X)
        np.testing.assert_allclose(devices.to_numpy(layer(x)), expected, rtol=1e-6)


def test_mixing_is_refused_with_both_remedies(cupy):
    here, there = layers.Dense(2), layers.Dense(2)
    here(X), there(cupy.asarray(X))
    for layer, x in [(here, cupy.asarray(X)), (there, X)]:
        with pytest.raises(TypeError, match=r"cupy.asarray\(x\).*model.to\(\"gpu\"\)"):
            layer(x)
    both = layers.Add()
    with pytest.raises(TypeError, match=r"arrays of (numpy|cupy) and of (numpy|cupy) meet"):
        both([X, cupy.asarray(X)])
    model = classifier()  # Of symbolic inputs: on the default device, a GPU.
    with pytest.raises(TypeError, match="meet in one call"):
        model(X)
    with Tape(), pytest.raises(TypeError, match=r"meet in one call|Unsupported type"):
        there.kernel * np.ones((6, 2), "float32")


@pytest.mark.parametrize("device", ["gpu", "gpu:1"])
def test_fit_evaluate_and_predict_with_data_of_the_host(cupy, device):
    config.set_device(device)
    where = config.device()
    model = compiled(classifier())
    history = model.fit(X, Y, batch_size=16, epochs=5, verbose=0, validation_data=(X, Y))
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert all(type(value) is float for value in history.history["val_loss"])
    assert places(model.weights) == {where}
    assert places(v for v in model.optimizer.variables if v.shape) == {where}
    assert places(model.metrics_variables) == {where}
    model.evaluate(X, Y, verbose=0)
    for predicted in (model.predict(X, verbose=0), model.predict_on_batch(X)):
        assert type(predicted) is np.ndarray and predicted.shape == (40, 3)
    model.train_on_batch(X, Y)


def test_data_of_the_gpu_stays_there(cupy):
    model = compiled(classifier())
    x, y = cupy.asarray(X), cupy.asarray(Y)
    model.fit(x, y, batch_size=16, verbose=0)
    host_copies.clear()
    predicted = model.predict(x, batch_size=16, verbose=0)
    assert type(predicted) is cupy.ndarray and predicted.shape == (40, 3)
    assert host_copies == []
    with cupy.cuda.Device(1):  # Where neither the model nor the current device is.
        elsewhere = [cupy.asarray(X.astype("float64")), cupy.asarray(Y)]
    again = model.predict(elsewhere[0], batch_size=16, verbose=0)
    assert again.device.id == 1
    np.testing.assert_array_equal(again.get(), predicted.get())
    model.fit(*elsewhere, batch_size=16, verbose=0)
    assert places(model.weights) == {"gpu:0"}
    predicted = model.predict(x, verbose=0)
    model.to("cpu")
    assert type(model.predict(x, verbose=0)) is cupy.ndarray
    np.testing.assert_allclose(model.predict(X, verbose=0), predicted.get(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop", "lamb", "adafactor", "muon"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_no_host_copy_inside_a_step(cupy, optimizer, policy):
    model = compiled(classifier(dtype=policy), optimizer)
    batch = (cupy.asarray(X), cupy.asarray(Y))
    model.fit(*batch, verbose=0)
    host_copies.clear()
    for _ in range(3):
        model.train_step(batch)
        model.test_step(batch)
        model.predict_step(batch)
    assert host_copies == []


def test_the_same_numbers_on_both_devices(cupy):
    results = []
    for device in ("cpu", "gpu", "gpu:1"):
        config.set_device(device)
        utils.set_random_seed(5)
        model = compiled(classifier())
        before = model.get_weights()
        dropped = layers.Dropout(0.5, seed=3)
        ones = np.ones((4, 50), "float32")
        with devices.scope(devices.default()):
            mask = devices.to_numpy(dropped(devices.put(ones, devices.default()), training=True))
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
        results.append((before, mask, model.get_weights()))
    for before, mask, after in results[1:]:
        tree.map_structure(np.testing.assert_array_equal, before, results[0][0])
        np.testing.assert_array_equal(mask, results[0][1])
        for a, b in zip(after, results[0][2], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_16_bit_layers_compute_in_16_bits_on_a_gpu(cupy, half):
    seen = []

    class Seen(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight((), "ones")

        def call(self, x):
            seen.append((dtypes.name(x.dtype), dtypes.name(self.scale.value.dtype)))
            return x * self.scale

    layer = Seen(dtype=f"mixed_{half}")
    y = layer(cupy.asarray(X))
    assert seen == [(half, half)]
    assert dtypes.name(y.dtype) == half
    assert dtypes.name(layer.scale.dtype) == "float32"
    with Tape() as tape:
        y = layer(cupy.asarray(X))
        loss = gl.namespace(y).sum(y)
    assert dtypes.name(tape.gradient(loss, layer.scale).dtype) == "float32"
    config.set_dtype_policy(f"mixed_{half}")
    model = compiled(classifier())
    assert isinstance(model.optimizer, optimizers.LossScaleOptimizer) == (half == "float16")
    losses_seen = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert losses_seen[-1] < losses_seen[0]
    assert {dtypes.name(v.dtype) for v in model.trainable_weights} == {"float32"}


def test_overflow_halves_the_loss_scale_without_a_host_copy(cupy):
    model = classifier(dtype="mixed_float16")
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=2.0**15)
    compiled(model, optimizer)
    batch = (cupy.asarray(X * 1e4), cupy.asarray(Y))
    model.fit(*batch, verbose=0)
    before, scale = model.get_weights(), float(optimizer.dynamic_scale)
    overflowing = (cupy.asarray(np.full_like(X, np.inf)), cupy.asarray(Y))
    host_copies.clear()
    model.train_step(overflowing)
    assert host_copies == []
    assert float(optimizer.dynamic_scale) == scale / 2
    tree.map_structure(np.testing.assert_array_equal, model.get_weights(), before)


def test_files_do_not_know_devices(cupy, tmp_path):
    model = compiled(classifier())
    model.fit(X, Y, verbose=0)
    path = tmp_path / "model.keras"
    model.save(path)
    expected = model.predict(X, verbose=0)
    for device in ("cpu", "gpu:1"):
        config.set_device(device)
        again = saving.load_model(path)
        assert places(again.weights) == {device}
        np.testing.assert_allclose(again.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
        again.fit(X, Y, verbose=0)
        again.load_weights(path)
        assert places([*again.weights, *again.optimizer.variables[2:]]) == {device}


def test_values_are_assigned_from_either_side(cupy):
    variable = Variable(cupy.asarray(X))
    variable.assign(X + 1)
    variable.assign_add(cupy.asarray(X))
    assert type(variable.value) is cupy.ndarray
    np.testing.assert_allclose(variable.numpy(), X + 1 + X, rtol=1e-6)
    with devices.scope(devices.CPU):
        on_host = Variable(X)
    on_host.assign(cupy.asarray(X * 2))
    assert type(on_host.value) is np.ndarray
    for mixed in (lambda: on_host + cupy.asarray(X), lambda: X - variable):
        with pytest.raises(TypeError, match="Unsupported type <class 'numpy.ndarray'>"):
            mixed()


def test_cupy_without_a_gpu_is_said_once():
    with installed(usable=False):
        config.set_device(None)
        with pytest.warns(UserWarning, match="runs on the CPU: CuPy finds no usable GPU"):
            model = compiled(classifier())
        model.fit(X, Y, verbose=0)  # Another warning would be an error.
        assert type(layers.Dense(2)(X)) is np.ndarray
        assert config.device() == "cpu"
        with pytest.raises(RuntimeError, match=r"device 'gpu': CuPy finds no usable GPU"):
            config.set_device("gpu")


def run(code, **environment):
    import os

    code = textwrap.dedent(code)
    paths = os.pathsep.join([str(Path(gl.__file__).parents[1]), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_import_leaves_cupy_alone_and_a_fork_works():
    code = """
        import os, sys
        import gpulayers
        from gpulayers import layers, models
        assert "cupy" not in sys.modules
        import numpy as np
        if os.fork():
            assert os.wait()[1] == 0
        else:
            layers.Dense(2)(np.ones((3, 4), "float32"))
            assert "cupy" not in sys.modules
            os._exit(0)
        print("done")
    """
    assert run(code, GPULAYERS_DEVICE="cpu") == ["done"]


@pytest.mark.parametrize("device", ["cpu", "gpu", "gpu:1"])
def test_the_environment_chooses_the_device(device):
    code = """
        import gpulayers as gl
        from stand_in_cupy import installed
        with installed():
            model = gl.Sequential([gl.Input((3,)), gl.layers.Dense(2)])
            print(gl.config.device(), gl.arrays.devices.name(model.weights[0].home))
    """
    named = "gpu:0" if device == "gpu" else device
    assert run(code, GPULAYERS_DEVICE=device) == [named, named]


def test_a_layer_of_ones_own_that_makes_arrays(cupy):
    @registry.register_keras_serializable("gpu")
    class Ramp(layers.Layer):
        def call(self, x):
            xp = gl.namespace(x)
            return x + xp.arange(x.shape[-1], dtype=x.dtype)

    with cupy.cuda.Device(1):
        x = cupy.asarray(X)
    assert Ramp()(x).device.id == 1
