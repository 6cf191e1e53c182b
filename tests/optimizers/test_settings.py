"""Settings: where they stand, what they may be, how they are described."""

import inspect

import pytest
from optimizers.samples import KINDS

from gpulayers import optimizers


def test_signatures_have_the_shared_settings_where_keras_has_them():
    names = list(inspect.signature(optimizers.Adam).parameters)
    assert names == [
        "learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay", "clipnorm",
        "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency",
        "loss_scale_factor", "gradient_accumulation_steps", "name", "kwargs",
    ]  # fmt: skip
    assert list(inspect.signature(optimizers.AdamW).parameters)[:3] == [
        "learning_rate", "weight_decay", "beta_1",
    ]  # fmt: skip
    muon = list(inspect.signature(optimizers.Muon).parameters)
    assert muon.index("name") < muon.index("exclude_layers") < muon.index("rms_rate")


def test_settings_may_be_given_by_position():
    adam = optimizers.Adam(0.1, 0.8, 0.99, 1e-5, True, 0.01, 2.0)
    assert (adam.beta_1, adam.amsgrad, adam.weight_decay, adam.clipnorm) == (0.8, True, 0.01, 2.0)
    assert optimizers.SGD(0.1, 0.9, True, name="mine").name == "mine"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"learning_rate": -0.1}, ValueError, "learning_rate must be 0 or more, got -0.1"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate"),
        ({"learning_rate": float("inf")}, ValueError, "finite"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number"),
        ({"learning_rate": None}, TypeError, "NoneType"),
        ({"learning_rate": True}, TypeError, "bool"),
        ({"learning_rate": optimizers.schedules.CosineDecay}, TypeError, "type"),
        ({"clipnorm": 1.0, "clipvalue": 2.0}, ValueError, "clipnorm=1.0, clipvalue=2.0"),
        ({"clipnorm": -1.0}, ValueError, "clipnorm must be 0 or more"),
        ({"weight_decay": "much"}, TypeError, "weight_decay must be a number"),
        ({"gradient_accumulation_steps": 1}, ValueError, "2 or more"),
        ({"use_ema": True, "ema_momentum": 1.5}, ValueError, "between 0 and 1"),
        ({"use_ema": True, "ema_overwrite_frequency": 0.5}, ValueError, "positive integer"),
        ({"lr": 0.1}, ValueError, "unknown arguments lr"),
        ({"beta_1": 1.5}, ValueError, "Adam: beta_1 must be between 0 and 1, got 1.5"),
    ],
)
def test_settings_that_mean_nothing(settings, error, message):
    with pytest.raises(error, match=message):
        optimizers.Adam(**settings)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("AdamW", {"weight_decay": None}, "weight_decay must be a number"),
        ("SGD", {"momentum": 1.5}, "momentum must be between 0 and 1"),
        ("Lion", {"beta_1": 0.0}, "beta_1 must be above 0"),
        ("Ftrl", {"learning_rate_power": 0.5}, "learning_rate_power"),
        ("Ftrl", {"l1_regularization_strength": -1.0}, "l1_regularization_strength"),
        ("ScheduleFreeAdamW", {"beta_1": 0.0}, "beta_1 must be above 0"),
        ("Adafactor", {"beta_2_decay": 0.5}, "beta_2_decay"),
    ],
)
def test_own_settings_that_mean_nothing(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        getattr(optimizers, kind)(**settings)


def test_decay_is_ignored_with_a_warning():
    with pytest.warns(UserWarning, match="decay"):
        optimizers.SGD(decay=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_config_round_trip(kind):
    schedule = optimizers.schedules.PiecewiseConstantDecay([2], [0.1, 0.01])
    optimizer = getattr(optimizers, kind)(schedule, clipvalue=0.5, name="mine")
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.learning_rate == pytest.approx(0.1)


def test_get():
    for name in ("adam", "Adam", "ADAM"):
        assert type(optimizers.get(name)) is optimizers.Adam
    assert type(optimizers.get("rmsprop")) is optimizers.RMSprop
    assert type(optimizers.get("rm_sprop")) is optimizers.RMSprop
    assert optimizers.get(None) is None
    adam = optimizers.Adam()
    assert optimizers.get(adam) is adam
    torch_file = {
        "module": "keras.src.backend.torch.optimizers.torch_adam",
        "class_name": "Adam",
        "config": {"learning_rate": 0.5},
        "registered_name": "Adam",
    }
    assert float(optimizers.get(torch_file).learning_rate) == 0.5
    with pytest.raises(ValueError, match="adamax"):
        optimizers.get("adamaxx")
    with pytest.raises(TypeError, match="int"):
        optimizers.get(3)
