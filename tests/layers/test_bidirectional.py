"""Recurrent layers from both ends."""

import numpy as np
import pytest
from recurrent_layers import MASK, X, masked, outputs_and_gradients

from gpulayers import layers

RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_both_directions(merge_mode, return_sequences):
    both = layers.Bidirectional(
        layers.LSTM(3, return_sequences=return_sequences), merge_mode=merge_mode
    )
    found = both(masked(X, MASK))
    names = both.forward_layer.name, both.backward_layer.name
    assert names == tuple(f"{way}_lstm" for way in ("forward", "backward"))
    one = both.forward_layer(X, mask=MASK)
    two = both.backward_layer(X, mask=MASK)
    two = two[:, ::-1] if return_sequences else two
    if return_sequences:
        assert not one[~MASK].any()
    wanted = {
        "concat": np.concatenate([one, two], axis=-1), "sum": one + two, "mul": one * two,
        "ave": (one + two) / 2, None: (one, two),
    }[merge_mode]  # fmt: skip
    for a, b in zip(*((x if merge_mode is None else [x]) for x in (found, wanted)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_both_directions_with_states():
    both = layers.Bidirectional(layers.GRU(2, return_state=True))
    states = [RANDOM.normal(size=(3, 2)).astype("float32") for _ in range(2)]
    out, forward, backward = both(X, initial_state=states)
    np.testing.assert_allclose(out, np.concatenate([forward, backward], axis=-1))
    np.testing.assert_allclose(both.backward_layer(X, initial_state=states[1])[1], backward)
    with pytest.raises(ValueError, match="as many states for each direction, got 3"):
        both(X, initial_state=[*states, states[0]])


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize(
    ("layer", "options"),
    [
        (layers.SimpleRNN, {"dropout": 0.4}),
        (layers.LSTM, {}),
        (layers.GRU, {"reset_after": False, "stateful": True}),
        (layers.GRU, {"dropout": 0.4}),
    ],
)
def test_both_directions_at_once_are_one_after_the_other(
    monkeypatch, layer, options, mask, return_sequences
):
    inner = layer(3, return_sequences=return_sequences, return_state=True, seed=5, **options)
    both = layers.Bidirectional(inner, merge_mode=None)
    both(X)
    found = []
    for at_once in (True, False):
        both.stateful and both.reset_state()
        drawn = [one.cell.seed_generator for one in (both.forward_layer, both.backward_layer)]
        states = [np.array(one.state.value) for one in drawn]
        if not at_once:
            monkeypatch.setattr(layers.Bidirectional, "_at_once", lambda *given: None)
        else:
            assert both._operation(mask)[0] is not None
        for _ in range(2):
            found.append(outputs_and_gradients(both, X, mask, training=True))
        for one, state in zip(drawn, states, strict=True):
            one.state.assign(state)
    for one, other in ((0, 2), (1, 3)):
        for a, b in zip(found[one], found[other], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "other"),
    [
        (layers.LSTM(3, recurrent_dropout=0.3), None),
        (layers.LSTM(3, activation="elu"), None),
        (layers.LSTM(3, activity_regularizer="l2"), None),
        (layers.LSTM(3), layers.GRU(3, go_backwards=True)),
        (layers.LSTM(3), layers.LSTM(3, "relu", go_backwards=True)),
        (layers.RNN(layers.LSTMCell(3)), None),
        (layers.LSTM(3, dtype="float64"), None),
    ],
)
def test_both_directions_one_after_the_other(layer, other):
    both = layers.Bidirectional(layer, merge_mode="concat", backward_layer=other)
    x = X.astype(layer.dtype)
    out = both(X, training=True)
    assert out.shape == (3, 6)
    assert len(both.losses) == (2 if layer.activity_regularizer else 0)
    two = both.backward_layer(x)
    np.testing.assert_allclose(both(X)[:, 3:], two, rtol=1e-6)


def test_first_weights_of_both_directions():
    one = layers.Bidirectional(layers.GRU(2))
    one(X)
    two = layers.Bidirectional(layers.GRU(2), weights=one.get_weights())
    np.testing.assert_array_equal(one(X), two(X))


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "layer must be a Layer", (3,)),
        (ValueError, "merge_mode must be one of", (layers.GRU(2), "max")),
        (ValueError, "different directions", (layers.GRU(2), "sum", None, layers.GRU(2))),
        (ValueError, "return_state must be the same",
         (layers.GRU(2), "sum", None, layers.GRU(2, go_backwards=True, return_state=True))),
        (ValueError, "needs the attribute go_backwards", (layers.Dense(2),)),
    ],
)  # fmt: skip
def test_wrong_directions(error, message, arguments):
    with pytest.raises(error, match=message):
        layers.Bidirectional(*arguments)
