"""What cannot be right is refused: who, what was expected, what came; and nothing has changed."""

import array_api_strict
import numpy as np
import pytest

from gpulayers import Input, callbacks, layers, losses, optimizers, utils
from gpulayers.models import Model, Sequential

X = np.sin(np.arange(160.0)).reshape(40, 4).astype("float32")
Y = np.cos(np.arange(80.0)).reshape(40, 2).astype("float32")
LABELS = np.arange(40) % 3


def compiled(units=2, loss="mse", **kwargs):
    model = Sequential([Input((4,)), layers.Dense(units)])
    model.compile("adam", loss, **kwargs)
    return model


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [model.predict(X, verbose=0), *(v.numpy() for v in variables)]


def refuses(model, act, error, message):
    """`act` raises, and afterwards the model predicts and trains as before."""
    model.fit(X, np.resize(Y, (40, model.output_shape[-1])), verbose=0)
    before = state(model)
    with pytest.raises(error, match=message):
        act(model)
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)


# Arrays of wrong kinds and shapes.

ODD = {
    "text": (np.array([["a"] * 4] * 40), "expected an array of numbers, got text"),
    "objects": (X.astype(object), "got Python objects"),
    "dates": (np.zeros((40, 4), "datetime64[s]"), "got dates"),
    "complex": (X.astype(complex), "real numbers.*got complex128"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("method", ["fit", "predict", "__call__"])
def test_inputs_that_are_no_numbers(kind, method):
    x, message = ODD[kind]
    acts = {
        "fit": lambda m: m.fit(x, Y, verbose=0),
        "predict": lambda m: m.predict(x, verbose=0),
        "__call__": lambda m: m(x),
    }
    refuses(compiled(), acts[method], TypeError, f"input.*{message}")


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (None, TypeError, "Dense 'd': inputs must be an array, got None"),
        ("abc", TypeError, "Dense 'd': inputs must be an array, got 'abc'"),
        (np.float32(3), ValueError, "Dense 'd': .*at least 2 axes"),
        ([X, X], ValueError, "Dense 'd': expected 1 inputs, got 2"),
        (X[:, :3], ValueError, "Dense 'd': .*expected axis -1 of size 4, got 3"),
        (array_api_strict.asarray(X), TypeError, "arrays of numpy and of array_api_strict meet"),
    ],
)
def test_inputs_of_a_layer(inputs, error, message):
    layer = layers.Dense(2, name="d")
    expected = layer(X)
    for _ in range(2):
        with pytest.raises(error, match=message):
            layer(inputs)
        np.testing.assert_array_equal(layer(X), expected)


def test_two_arrays_for_one():
    with pytest.raises(TypeError, match="Dense.*training must be True or False, got an array"):
        layers.Dense(2)(X, X)


def test_functional_models_know_their_inputs():
    a, b = Input((4,), name="a"), Input((3,), name="b")
    model = Model([a, b], [layers.Lambda(lambda x: x * 2)(a), layers.Dense(1)(b)], name="two")
    for inputs, message in (
        (X, "'two' takes 2 inputs"),
        ([X, X], r"input 'b': expected the shape \(None, 3\), got \(40, 4\)"),
        ([X[:, :3], X[:, :3]], r"input 'a': expected the shape \(None, 4\)"),
        ({"a": X}, "inputs b are missing"),
    ):
        with pytest.raises(ValueError, match=message):
            model(inputs)
    single = Model(a, layers.Lambda(lambda x: x * 2)(a))
    for way in (single, lambda x: single.predict(x, verbose=0)):
        with pytest.raises(ValueError, match="expected the shape"):
            way(X[:, :3])


def test_targets_by_names_that_do_not_exist():
    a = Input((4,))
    model = Model(a, [layers.Dense(2, name="p")(a), layers.Dense(2, name="q")(a)])
    model.compile("sgd", {"p": "mse", "q": "mse"})
    with pytest.raises(ValueError, match=r"y has the key 'r'.*\['p', 'q'\]"):
        model.fit(X, {"p": Y, "r": Y}, verbose=0)


ALIKE = (
    "mse mae mape msle huber log_cosh binary_crossentropy categorical_crossentropy kl_divergence "
    "binary_focal_crossentropy categorical_focal_crossentropy hinge squared_hinge dice tversky "
    "categorical_hinge poisson cosine_similarity"
).split()


@pytest.mark.parametrize("loss", ALIKE)
def test_targets_of_other_shapes(loss):
    model = compiled(2, loss)
    for y in (Y[:, 0], np.ones((40, 3)), np.ones((40, 2, 2))):
        name = losses.get(loss).__name__
        with pytest.raises(ValueError, match=rf"{name}: y_true of shape \(32.*y_pred of shape"):
            model.fit(X, y, verbose=0)


@pytest.mark.parametrize("y", [np.array(["a"] * 40), np.full(40, None), Y.astype(complex)])
def test_targets_that_are_no_numbers(y):
    refuses(compiled(), lambda m: m.fit(X, y, verbose=0), TypeError, "mse|mean_squared.*real numb")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 1, "from 0 to 2 .*got numbers from"),
        (LABELS - 1, "from 0 to 2 .*got numbers from"),
        (LABELS + 0.5, "whole numbers, got [012].5"),
        (LABELS * np.nan, "whole numbers, got nan"),
        (np.eye(3)[LABELS], "For one-hot targets use 'categorical_crossentropy'"),
    ],
)
def test_labels(labels, message):
    model = compiled(3, "sparse_categorical_crossentropy")
    before = state(model)[0]
    with pytest.raises(ValueError, match=message):
        model.fit(X, labels, verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


def test_embedding_checks_its_indices():
    layer = layers.Embedding(5, 2, name="e")
    for index in (5, -6):
        with pytest.raises(ValueError, match=rf"Embedding 'e': indices must be in 0..4.*{index}"):
            layer(np.array([[index]]))


# Arguments of fit and compile.


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": "3"}, ValueError, "epochs must be a whole number from 0, got '3'"),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"initial_epoch": 1.5}, ValueError, "initial_epoch"),
        ({"batch_size": 1.5}, TypeError, "batch_size: expected a whole number"),
        ({"shuffle": "bach"}, ValueError, "shuffle must be True, False or 'batch'"),
        ({"verbose": "loud"}, ValueError, "verbose must be 0, 1, 2 or 'auto'"),
        ({"validation_split": "half"}, ValueError, "validation_split: expected 0 < split < 1"),
        ({"validation_data": 3}, TypeError, "x: expected arrays.*got int"),
        ({"class_weight": {"a": 2.0}}, TypeError, "class_weight: expected whole class numbers"),
        ({"sample_weight": "heavy"}, TypeError, "sample_weight: expected an array, got str"),
        ({"sample_weight": np.ones((40, 5))}, ValueError, r"sample_weight.*\(32, 5\)"),
        ({"callbacks": ["stop"]}, TypeError, "callbacks: expected Callback objects, got 'stop'"),
    ],
)
def test_options_of_fit(options, error, message):
    refuses(compiled(), lambda m: m.fit(X, Y, **{"verbose": 0, **options}), error, message)


def test_no_data():
    refuses(compiled(), lambda m: m.fit(None, Y, verbose=0), ValueError, "x=None")
    refuses(compiled(), lambda m: m.fit(X[:0], Y[:0], verbose=0), ValueError, "no samples")
    refuses(compiled(), lambda m: m.predict(X[:0], verbose=0), ValueError, "no samples")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((losses.MeanSquaredError(), "mse"), TypeError, "optimizer must be .*MeanSquaredError"),
        ((3, "mse"), TypeError, "compile: optimizer"),
        (("adam", optimizers.Adam()), TypeError, "compile: loss: .*got Adam"),
        (("adam", 3), TypeError, "compile: loss"),
        (("adam", "mse", None, ["nope"]), ValueError, "compile: metrics: .*'nope'"),
    ],
)
def test_arguments_of_compile(arguments, error, message):
    refuses(compiled(), lambda m: m.compile(*arguments), error, message)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda y_true, y_pred: None, TypeError, "expected an array of losses.*None"),
        (lambda y_true, y_pred: 3.0, ValueError, "no gradient for any variable"),
        (lambda y_true, y_pred: np.mean(y_pred), TypeError, "gpulayers.ops"),
    ],
)
def test_losses_that_are_none(loss, error, message):
    with pytest.raises(error, match=message):
        compiled(loss=loss).fit(X, Y, verbose=0)


# Weights.


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([np.ones((3, 2)), np.ones(2)], ValueError, r"d/kernel: \(4, 2\)"),
        ([np.ones((4, 2))], ValueError, "expected 2 arrays"),
        ([np.full((4, 2), "a"), np.ones(2)], TypeError, "expected numbers"),
        (None, TypeError, "expected a list of arrays, got a NoneType"),
    ],
)
def test_set_weights(weights, error, message):
    layer = layers.Dense(2, name="d")
    expected = layer(X)
    with pytest.raises(error, match=message):
        layer.set_weights(weights)
    np.testing.assert_array_equal(layer(X), expected)


def test_assigning_what_is_no_number():
    layer = layers.Dense(2, name="d")
    layer.build((None, 4))
    with pytest.raises(TypeError, match="d/kernel: expected numbers"):
        layer.kernel.assign("much")


def test_layers_that_are_not_built():
    with pytest.raises(ValueError, match="Dense 'd' has no weights to set yet"):
        layers.Dense(2, name="d").set_weights([np.ones((4, 2))])
    with pytest.raises(ValueError, match="Dense 'd' has no weights to count yet"):
        layers.Dense(2, name="d").count_params()


# Constructors.


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.Dense(-3), ValueError, "Dense: units must be a positive integer, got -3"),
        (lambda: layers.Dense(2, "rleu"), ValueError, "Dense: activation: .*'rleu'.*relu"),
        (lambda: layers.Dense(2, kernel_initializer=3), TypeError, "Dense: kernel_initializer"),
        (lambda: layers.Dense(2, bias_regularizer="l3"), ValueError, "Dense: bias_regularizer"),
        (lambda: layers.Dense(2, use_bias="no"), TypeError, "Dense: use_bias must be True or"),
        (lambda: layers.Dense(2, trainable="no"), TypeError, "Dense: trainable must be True or"),
        (lambda: layers.Dense(2, lora_rank=-1), ValueError, "Dense: lora_rank"),
        (lambda: layers.Permute("ab"), ValueError, "Permute: dims must be a permutation"),
        (lambda: layers.Concatenate("last"), TypeError, "Concatenate: axis"),
        (lambda: layers.InputSpec(ndim="2"), TypeError, "InputSpec: ndim must be a whole number"),
        (lambda: layers.InputSpec(shape=3), TypeError, "InputSpec: shape must be a tuple"),
        (lambda: optimizers.Adam(epsilon="small"), TypeError, "Adam: epsilon must be a number"),
        (lambda: optimizers.Adam(amsgrad="yes"), TypeError, "Adam: amsgrad must be True or False"),
        (lambda: optimizers.SGD(momentum=float("nan")), ValueError, "SGD: momentum"),
        (lambda: optimizers.Adam(ema_momentum=2), ValueError, "Adam: ema_momentum"),
        (
            lambda: optimizers.schedules.CosineDecay("fast", 3),
            TypeError,
            "CosineDecay: initial_learning_rate must be a number",
        ),
        (
            lambda: optimizers.LossScaleOptimizer(optimizers.Adam(), initial_scale=-1),
            ValueError,
            "LossScaleOptimizer: initial_scale",
        ),
    ],
)
def test_constructors(make, error, message):
    with pytest.raises(error, match=message):
        make()


# What goes wrong on the way.


class Broken(utils.PyDataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 5:
            raise OSError("the disk is gone")
        return X[:8], Y[:8]


@pytest.mark.parametrize("workers", [1, 3])
def test_datasets_that_raise(workers):
    model = compiled()
    with pytest.raises(OSError, match="the disk is gone") as caught:
        model.fit(Broken(workers=workers), shuffle=False, verbose=0)
    assert "batch 5" in caught.value.__notes__[0]
    model.fit(X, Y, verbose=0)


def test_generators_that_run_dry():
    model = compiled()
    data = ((X[:8], Y[:8]) for _ in range(3))
    with (
        pytest.warns(UserWarning, match="epoch 2 has 1 of the 2 asked for"),
        pytest.raises(ValueError, match="the generator ran dry: epoch 3"),
    ):
        model.fit(data, epochs=4, steps_per_epoch=2, verbose=0)
    assert int(model.optimizer.iterations) == 3


@pytest.mark.parametrize(
    "hook",
    "on_train_begin on_epoch_begin on_train_batch_begin on_train_batch_end on_test_begin "
    "on_epoch_end on_train_end".split(),
)
def test_callbacks_that_raise(hook):
    def boom(*_, **__):
        raise RuntimeError("boom")

    model = compiled(metrics=["mae"])
    broken = callbacks.Callback()
    setattr(broken, hook, boom)
    with pytest.raises(RuntimeError, match="boom"):
        model.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=[broken])
    np.testing.assert_allclose(model.predict(X, verbose=0), model(X), rtol=1e-5, atol=1e-6)
    assert list(model.fit(X, Y, verbose=0).history) == ["loss", "mae"]


def test_a_loss_that_is_not_a_number_ends_training():
    model = compiled()
    history = model.fit(X, Y * np.nan, epochs=5, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert len(history.history["loss"]) == 1


def test_a_build_that_fails_is_undone():
    class Four(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight((input_shape[-1],), "ones")
            if input_shape[-1] != 4:
                raise ValueError("four")

        def call(self, inputs):
            return inputs * self.scale

    layer = Four()
    model = Sequential([layers.Dense(4), layers.Reshape((4,)), layer])
    with pytest.raises(ValueError, match="four"):
        layer(X[:, :3])
    assert not layer.built and not layer.weights
    with pytest.raises(ValueError, match="Reshape"):
        model(np.ones((2, 3, 5), "float32"))
    assert not model.built and not model.layers[0].built
    assert model(X).shape == (40, 4) and len(layer.weights) == 1
