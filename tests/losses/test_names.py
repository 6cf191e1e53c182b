"""Names, configs, what compile makes of its arguments."""

import numpy as np
import pytest

from gpulayers import losses, registry

FUNCTIONS = {
    "mse": "mean_squared_error",
    "MSE": "mean_squared_error",
    "mae": "mean_absolute_error",
    "MAPE": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "BCE": "binary_crossentropy",
    "kld": "kl_divergence",
    "KLD": "kl_divergence",
    "logcosh": "log_cosh",
    "huber": "huber",
    "dice": "dice",
    "ctc": "ctc",
}


@pytest.mark.parametrize(("alias", "name"), FUNCTIONS.items())
def test_lower_names_give_functions(alias, name):
    assert losses.get(alias) is getattr(losses, name)


CLASSES = [
    name
    for name in losses.__all__
    if isinstance(getattr(losses, name), type) and name != "LossFunctionWrapper"
]


def test_all_of_keras_is_there():
    assert len(CLASSES) == 23


@pytest.mark.parametrize("name", CLASSES)
def test_class_names_give_instances_that_survive_a_file(name):
    loss = losses.get(name)
    assert type(loss).__name__ == name
    saved = losses.serialize(loss)
    module = "keras" if name == "Loss" else "keras.losses"
    assert (saved["module"], saved["class_name"], saved["registered_name"]) == (module, name, None)
    assert losses.get(saved).get_config() == loss.get_config()
    assert losses.deserialize(saved).get_config() == loss.get_config()


def test_configs_have_what_keras_saves():
    config = losses.BinaryFocalCrossentropy(alpha=0.5).get_config()
    assert config == {
        "name": "binary_focal_crossentropy",
        "reduction": "sum_over_batch_size",
        "from_logits": False,
        "label_smoothing": 0.0,
        "axis": -1,
        "apply_class_balancing": False,
        "alpha": 0.5,
        "gamma": 2.0,
    }
    assert set(losses.Huber(2.0).get_config()) == {"name", "reduction"}
    assert set(losses.SparseCategoricalCrossentropy().get_config()) == {
        "name",
        "reduction",
        "from_logits",
        "ignore_class",
    }


def test_a_wrapped_function_survives_a_file():
    loss = losses.LossFunctionWrapper(losses.huber, name="mine", delta=2.0)
    again = registry.deserialize(registry.serialize(loss))
    assert again.fn is losses.huber
    assert again.get_config() == loss.get_config()
    y = np.array([[5.0]])
    assert float(again(0 * y, y)) == float(loss(0 * y, y)) == 8


@pytest.mark.parametrize(
    ("true", "pred", "function"),
    [
        ((None,), (None, 1), losses.binary_crossentropy),
        ((None, 1), (None, 1), losses.binary_crossentropy),
        ((None,), (None, 3), losses.sparse_categorical_crossentropy),
        ((None, 1), (None, 3), losses.sparse_categorical_crossentropy),
        ((None, 3), (None, 3), losses.categorical_crossentropy),
        ((None, 7), (None, 7, 3), losses.sparse_categorical_crossentropy),
    ],
)
@pytest.mark.parametrize("name", ["crossentropy", "ce"])
def test_crossentropy_is_chosen_by_shapes(name, true, pred, function):
    loss = losses.resolve(name, true, pred)
    assert (loss.fn, loss.name) == (function, name)


def test_resolving_other_things():
    def mine(y_true, y_pred):
        return y_pred[..., 0]

    huber = losses.Huber()
    assert losses.resolve(huber, (1,), (1,)) is huber
    assert losses.resolve(None, (1,), (1,)) is None
    assert losses.resolve(mine, (1,), (1,)).name == "mine"
    assert losses.resolve("mse", (1,), (1,)).name == "mse"
    assert losses.resolve("Huber", (1,), (1,)).name == "huber_loss"
