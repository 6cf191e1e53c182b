"""BatchNormalization: its moments, moving statistics, masks and renormalization."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from checks import check_gradient

import gpulayers as gl
from gpulayers import config, layers
from gpulayers.arrays import Tape, dtypes, plain, set_mask
from gpulayers.ops.batch_normalization import normalized_in_batch

RNG = np.random.default_rng(0)
X = RNG.normal(2, 3, size=(8, 5, 4)).astype("f4")


def moments(x, axes=(0, 1)):
    return x.astype("f8").mean(axes), x.astype("f8").var(axes)


def statistics(layer):
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def test_training_uses_and_learns_the_batch():
    layer = layers.BatchNormalization(momentum=0.9, beta_initializer="uniform")
    mean, variance = moments(X)
    y = layer(X, training=True)
    expected = (X - mean) / np.sqrt(variance + 1e-3) + layer.beta.numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * variance, rtol=1e-5)
    moving = statistics(layer)
    expected = (X - moving[0]) / np.sqrt(moving[1] + 1e-3) + layer.beta.numpy()
    for training in (False, None):
        np.testing.assert_allclose(layer(X, training=training), expected, rtol=1e-5, atol=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(statistics(layer), moving, strict=True))
    assert [w.name for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert len(layer.trainable_weights) == 2


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", None])
@pytest.mark.parametrize("options", [{}, {"trainable": False}, {"renorm": True}], ids=str)
def test_what_follows(activation, options):
    """The same as a layer of its own: outputs, gradients, training, and what is saved."""
    one = gl.Sequential([layers.BatchNormalization(activation=activation, **options)])
    two = gl.Sequential([layers.BatchNormalization(**options), layers.Activation(activation)])
    for training in (True, False):
        found = []
        for model in (one, two):
            with Tape() as tape:
                x = tape.watch(X)
                y = model(x, training=training)
            found.append((plain(y), tape.gradient(y, x, np.cos(X))))
        np.testing.assert_allclose(*(y for y, _ in found), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(*(dx for _, dx in found), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.predict(X, verbose=0), two.predict(X, verbose=0), rtol=1e-5)
    config = one.layers[0].get_config()
    assert config.get("activation") == activation
    again = layers.BatchNormalization.from_config(config)
    assert again.activation is one.layers[0].activation


def test_frozen_layers_are_in_inference_mode():
    layer = layers.BatchNormalization(trainable=False)
    np.testing.assert_allclose(layer(X, training=True), X / np.sqrt(1.001), rtol=1e-5)
    assert np.array_equal(statistics(layer), [[0] * 4, [1] * 4])
    layer.trainable = True
    layer(X, training=True)
    assert layer.moving_mean.numpy().all()
    layer.trainable = False
    before = statistics(layer)
    layer(X, training=True)
    assert np.array_equal(statistics(layer), before)


@pytest.mark.parametrize("axis", [1, -1])
def test_axes(axis):
    layer, others = layers.BatchNormalization(axis, scale=False, center=False), (0, 3 - axis % 3)
    mean, variance = (np.expand_dims(m, others) for m in moments(X, others))
    y = layer(X, training=True)
    np.testing.assert_allclose(y, (X - mean) / np.sqrt(variance + 1e-3), rtol=1e-5, atol=1e-5)
    assert layer.moving_mean.shape == (X.shape[axis],)


@pytest.mark.parametrize("kind", ["bool", "float32"])
def test_masks(kind):
    mask = RNG.random((8, 5)) < 0.6
    layer = layers.BatchNormalization(momentum=0.0)
    y = layer(X, training=True, mask=mask.astype(kind))
    mean, variance = X[mask].astype("f8").mean(0), X[mask].astype("f8").var(0)
    np.testing.assert_allclose(y, (X - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)
    carried = X.copy()
    set_mask(carried, mask)
    again = layers.BatchNormalization()(carried, training=True)
    np.testing.assert_allclose(again, y, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match=r"one axis less than the inputs, got masks of shape \(8,"):
        layer(X, mask=mask[:, 0])


def test_a_step_that_raises_leaves_the_statistics_as_they_were():
    model = gl.Sequential([gl.Input((5, 4)), layers.BatchNormalization(), layers.Dense(1)])
    model.compile("sgd", lambda y, p: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(X, X[..., :1], verbose=0)
    assert np.array_equal(statistics(model.layers[0]), [[0] * 4, [1] * 4])


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_statistics_of_short_floats_are_those_of_float32(policy):
    layer = layers.BatchNormalization(momentum=0.0, dtype=policy)
    large = (X * 1000).astype("f2").astype("f4")  # Squares are beyond float16.
    y = layer(large, training=True)
    assert dtypes.name(y.dtype) == layer.compute_dtype
    mean, variance = moments(large)
    expected = (large - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(y.astype("f4"), expected, rtol=2e-2, atol=2e-2)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=2e-2)


def test_short_floats_on_a_gpu(cupy):
    layer = layers.BatchNormalization(momentum=0.0, dtype="mixed_float16")
    y = layer(cupy.asarray(X), training=True)
    assert y.dtype == np.float16
    assert layer.moving_mean.dtype == np.float32
    mean, _ = moments(X.astype("f2"))
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_empty_batches_teach_nothing(training):
    layer = layers.BatchNormalization()
    assert layer(np.zeros((0, 5, 4), "f4"), training=training).shape == (0, 5, 4)
    assert np.array_equal(statistics(layer), [[0] * 4, [1] * 4])


def model_of(**options):
    gl.utils.set_random_seed(3)
    first = layers.BatchNormalization(**options)
    return gl.Sequential(
        [gl.Input((5, 4)), first, layers.Dense(3, "tanh"), layers.BatchNormalization(axis=1),
         layers.Flatten(), layers.Dense(1)]
    )  # fmt: skip


@pytest.mark.parametrize(
    "options", [{}, {"trainable": False}, {"center": False}, {"scale": False, "axis": 1}], ids=str
)
def test_planned_training_is_recorded_training(options):
    planned, recorded = model_of(**options), model_of(**options)
    target = X.sum((1, 2))[:, None]
    for model in (planned, recorded):
        model.compile("sgd", "mse")
    planned.fit(X, target, batch_size=4, epochs=2, verbose=0, shuffle=False)
    assert planned._compiled.planned_step.exists
    recorded._planned = lambda *_: None
    recorded.fit(X, target, batch_size=4, epochs=2, verbose=0, shuffle=False)
    for a, b in zip(planned.get_weights(), recorded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    y = planned.predict(X, verbose=0)
    z = X
    for layer in planned.layers:
        z = layer(np.array(z), training=False)
    np.testing.assert_allclose(y, z, rtol=1e-4, atol=1e-5)


def test_it_learns_and_is_saved(tmp_path):
    model = model_of()
    model.compile(gl.optimizers.Adam(0.05), "mse")
    target = np.tanh(X.sum((1, 2)))[:, None]
    losses = model.fit(X, target, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    model.save(tmp_path / "model.keras")
    same = gl.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(same.predict(X, verbose=0), model.predict(X, verbose=0))


# Renormalization.


def test_renormalization_by_hand():
    limits = {"rmin": 0.5, "rmax": 1.5, "dmax": 0.4}
    layer = layers.BatchNormalization(
        momentum=0.9, renorm=True, renorm_clipping=limits, renorm_momentum=0.8,
        gamma_initializer="uniform", moving_variance_initializer=gl.initializers.Constant(4.0),
    )  # fmt: skip
    slow_mean, slow_deviation = np.zeros(4), np.full(4, 2.0)
    moving_mean, moving_deviation = np.zeros(4), np.full(4, 2.0)
    for step in range(3):
        x = (X + step).astype("f4")
        mean, variance = moments(x)
        deviation = np.sqrt(variance + 1e-3)
        r = np.clip(deviation / slow_deviation, 0.5, 1.5)
        d = np.clip((mean - slow_mean) / slow_deviation, -0.4, 0.4)
        y = layer(x, training=True)
        expected = ((x - mean) / deviation * r + d) * layer.gamma.numpy() + layer.beta.numpy()
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
        slow_mean, slow_deviation = (
            0.8 * a + 0.2 * b for a, b in ((slow_mean, mean), (slow_deviation, deviation))
        )
        moving_mean = 0.9 * moving_mean + 0.1 * mean
        moving_deviation = 0.9 * moving_deviation + 0.1 * deviation
    found = [w.numpy() for w in layer.non_trainable_weights]
    variance = moving_deviation**2 - 1e-3
    expected = [moving_mean, variance, moving_deviation, slow_mean, slow_deviation]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_corrections_of_renormalization_are_constants(xp):
    """So the gradient is that of the plain layer, r times."""
    x = X[:2, :, :2].astype("f8")
    layer = layers.BatchNormalization(renorm=True, dtype="float64")
    layer(xp.asarray(x))
    layer.renorm_stddev.assign([2.0, 0.5])
    r = np.sqrt(moments(x)[1] + 1e-3) / [2.0, 0.5]
    with Tape() as tape:
        watched = tape.watch(xp.asarray(x))
        out = layer(watched, training=True)
    weights = np.cos(np.arange(x.size)).reshape(x.shape)
    found = xp.to_numpy(tape.gradient(out, watched, xp.asarray(weights)))
    with Tape() as tape:
        watched = tape.watch(x)
        out, *_ = normalized_in_batch(watched, axis=-1, epsilon=1e-3)
    np.testing.assert_allclose(found, tape.gradient(out, watched, weights * r), rtol=1e-9)
    check_gradient(lambda a: normalized_in_batch(a, axis=-1, epsilon=1e-3)[0], x)


def clipping(**limits):
    return {"renorm": True, "renorm_clipping": limits}


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"axis": "1"}, TypeError, "axis must be an integer"),
        ({"momentum": None}, TypeError, "momentum must be a number"),
        ({"epsilon": -1.0}, ValueError, "epsilon must be at least 0"),
        (clipping(rmid=1), ValueError, "the keys rmax, rmin, dmax"),
        (clipping(rmin=2, rmax=1), ValueError, "rmin at most rmax"),
        (clipping(dmax=-1), ValueError, "dmax of at least 0"),
        ({"gamma_initializer": "unknown"}, ValueError, "gamma_initializer"),
    ],
)  # fmt: skip
def test_errors(options, kind, message):
    with pytest.raises(kind, match=message):
        layers.BatchNormalization(**options)


def test_errors_in_use():
    with pytest.raises(ValueError, match="axis 3 is out of bounds for inputs of shape"):
        layers.BatchNormalization(3)(X)
    layer = layers.BatchNormalization()
    layer(X)
    with pytest.raises(ValueError, match="expected axis -1 of size 4, got 5"):
        layer(np.zeros((2, 3, 5), "f4"))


def test_synchronized_is_accepted():
    layer = layers.BatchNormalization(synchronized=True)
    assert layer.get_config()["synchronized"] is True
    np.testing.assert_array_equal(
        layer(X, training=True), layers.BatchNormalization()(X, training=True)
    )


# Processes that train together: here threads, which add up what each of them brings.


def together(work, parts):
    """What work(part) gives in each of several threads that `config.set_all_reduce` knows of."""
    barrier, own, brought = threading.Barrier(len(parts), timeout=30), threading.local(), {}

    def all_reduce(x):
        brought[own.rank] = x
        barrier.wait()
        total = sum(brought[rank] for rank in sorted(brought))
        barrier.wait()
        return total

    def run(rank):
        own.rank = rank
        return work(parts[rank])

    config.set_all_reduce(all_reduce)
    try:
        with ThreadPoolExecutor(len(parts)) as pool:
            return list(pool.map(run, range(len(parts))))
    finally:
        config.set_all_reduce(None)


@pytest.mark.parametrize("renorm", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_synchronized(masked, renorm):
    """Two parts of a batch as if they were one: outputs, gradients and moving statistics."""
    mask = RNG.random((8, 5)) < 0.6 if masked else None
    g = RNG.normal(size=X.shape).astype("f4")

    def work(part):
        layer = layers.BatchNormalization(synchronized=True, renorm=renorm, epsilon=0.1)
        layer.build(X.shape)
        with Tape() as tape:
            x = tape.watch(X[part])
            y = layer(x, training=True, mask=mask[part] if masked else None)
            total = gl.namespace(y).sum(y * g[part])
        return [plain(y), *tape.gradient(total, [x, *layer.trainable_weights]), *statistics(layer)]

    one, two = together(work, [slice(0, 3), slice(3, 8)])
    y, dx, d_gamma, d_beta, mean, variance = work(slice(0, 8))
    close = {"rtol": 1e-4, "atol": 1e-5}
    for i, expected in enumerate((y, dx)):
        np.testing.assert_allclose(np.concatenate([one[i], two[i]]), expected, **close)
    np.testing.assert_allclose(one[2] + two[2], d_gamma, **close)
    np.testing.assert_allclose(one[3] + two[3], d_beta, **close)
    for part in (one, two):
        np.testing.assert_allclose(part[4], mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(part[5], variance, rtol=1e-5)


def test_synchronized_in_training_of_a_model():
    """A compiled model asks for the sums, in inference it does not."""
    calls = []

    def all_reduce(x):
        calls.append(x.shape)
        return x + x

    normalization = layers.BatchNormalization(synchronized=True)
    model = gl.Sequential([layers.Dense(4), normalization, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    config.set_all_reduce(all_reduce)
    try:
        for _ in range(3):
            model.train_on_batch(X, np.zeros((8, 1), "f4"))
        assert len(calls) == 12
        model.predict(X, verbose=0)
        assert len(calls) == 12
    finally:
        config.set_all_reduce(None)


def test_sums_that_are_no_arrays():
    with pytest.raises(TypeError, match="set_all_reduce: expected a function or None, got 3"):
        config.set_all_reduce(3)
    config.set_all_reduce(lambda x: float(x.sum()))
    try:
        with pytest.raises(ValueError, match=r"expected sums like the arrays, of shape \(5,\)"):
            layers.BatchNormalization(synchronized=True)(X, training=True)
    finally:
        config.set_all_reduce(None)
