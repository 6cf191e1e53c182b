"""Settings of the whole process, and the modules that name them as Keras does."""

import logging
import warnings

import numpy as np
import pytest

import gpulayers
from gpulayers import backend, config, mixed_precision, utils
from gpulayers.layers import Dense, Input
from gpulayers.models import Sequential


@pytest.fixture(autouse=True)
def _unlimited():
    yield
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)
    config.enable_interactive_logging()


def _model():
    model = Sequential([Input((3,)), Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_messages_go_to_the_screen_or_to_the_log(capsys, caplog):
    model, x = _model(), np.ones((4, 3), "float32")
    assert config.is_interactive_logging_enabled()
    model.fit(x, x[:, :1], verbose=2)
    assert "loss" in capsys.readouterr().out
    utils.disable_interactive_logging()
    assert not utils.is_interactive_logging_enabled()
    with caplog.at_level(logging.INFO, logger="gpulayers"):
        model.fit(x, x[:, :1], verbose=2)
        model.summary()
    assert capsys.readouterr().out == ""
    assert "loss" in caplog.text
    assert "Total params" in caplog.text


def test_long_scripts_can_be_cut_short():
    model, x = _model(), np.ones((12, 3), "float32")
    config.set_max_epochs(2)
    config.set_max_steps_per_epoch(3)
    assert (config.max_epochs(), config.max_steps_per_epoch()) == (2, 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(x, x[:, :1], batch_size=2, epochs=5, verbose=0)
    assert [str(w.message).partition(": ")[2] for w in caught] == [
        "epochs is limited to 2.",
        "steps_per_epoch is limited to 3.",
    ]
    assert history.epoch == [0, 1]
    assert model.optimizer.iterations.value == 6
    with pytest.warns(UserWarning, match="steps_per_epoch is limited to 3"):
        assert model.predict(x, batch_size=1, verbose=0, callbacks=[]).shape == (3, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # What is short enough stays as it is.
        model.fit(x, x[:, :1], batch_size=4, epochs=2, verbose=0)
        assert model.predict(x, verbose=0).shape == (12, 1)


@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_limits_are_positive_integers(value):
    with pytest.raises(ValueError, match="set_max_epochs: expected a positive integer or None"):
        config.set_max_epochs(value)


def test_batches_are_packed_and_unpacked():
    for batch in [(1,), (1, 2), (1, 2, 3), ([1],), ((1, 2), 3)]:
        made = utils.pack_x_y_sample_weight(*batch)
        assert utils.unpack_x_y_sample_weight(made) == (*batch, None, None)[:3]


def test_symbolic_tensors_and_dtypes():
    assert utils.is_keras_tensor(Input((3,)))
    assert not backend.is_keras_tensor(np.ones(3))
    assert utils.standardize_dtype(np.float16) == "float16"
    assert backend.standardize_dtype(None) == "float32"
    assert backend.is_float_dtype("bfloat16")
    assert not backend.is_float_dtype("complex64")
    assert backend.is_int_dtype(np.dtype("uint8"))
    assert not backend.is_int_dtype("bool")
    assert backend.result_type("float16", "int32", int) == "float16"
    assert [backend.get_uid("a"), backend.get_uid("b"), backend.get_uid("a")] == [1, 1, 2]
    config.set_device("cpu")
    assert backend.backend() == "numpy"


def test_the_default_policy_by_its_other_names():
    mixed_precision.set_global_policy("mixed_float16")
    assert mixed_precision.global_policy() == config.dtype_policy()
    assert Dense(1).compute_dtype == "float16"
    assert isinstance(config.dtype_policy(), mixed_precision.Policy)
    assert gpulayers.FloatDTypePolicy("float16").compute_dtype == "float16"


def test_flash_attention_is_a_setting_without_effect():
    from gpulayers import layers

    x = np.ones((1, 3, 4), "float32")
    attention = layers.MultiHeadAttention(2, 3)
    expected = attention(x, x)
    assert config.is_flash_attention_enabled() is None
    config.disable_flash_attention()
    try:
        assert config.is_flash_attention_enabled() is False
        np.testing.assert_array_equal(attention(x, x), expected)
    finally:
        config.enable_flash_attention()
    assert config.is_flash_attention_enabled() is None
