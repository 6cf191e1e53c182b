"""Callbacks called together: the order of hooks, and logs that are read only when needed."""

import json

import numpy as np
import pytest
from callbacks.fakes import FakeModel, fit, number

from gpulayers import callbacks
from gpulayers.callbacks.callback import HOOKS
from gpulayers.callbacks.logs import Logs


class Recorder(callbacks.Callback):
    """Notes every hook that is called."""

    def __init__(self):
        super().__init__()
        self.calls = []


def _note(hook):
    def note(self, *args, **kwargs):
        self.calls.append(hook)

    return note


for _hook in HOOKS:
    if _hook not in ("on_batch_begin", "on_batch_end"):
        setattr(Recorder, _hook, _note(_hook))


class Array:
    """A number on a device: counts how often somebody waited for it."""

    shape = ()
    waits = 0

    def __init__(self, value):
        self.value = value

    def __float__(self):
        Array.waits += 1
        return self.value


@pytest.fixture
def waits(monkeypatch):
    monkeypatch.setattr(Array, "waits", 0)
    return lambda: Array.waits


def test_hooks_of_fit_come_in_keras_order():
    recorder = Recorder()
    fit(FakeModel(), [recorder], [{"loss": 1.0}], batches=2)
    assert recorder.calls == [
        "on_train_begin",
        "on_epoch_begin",
        *["on_train_batch_begin", "on_train_batch_end"] * 2,
        "on_epoch_end",
        "on_train_end",
    ]


def test_the_old_batch_hooks_are_called_in_training():
    seen = []

    class Old(callbacks.Callback):
        def on_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"]))

    fit(FakeModel(), Old(), [{"loss": 2.0}], batches=2)
    assert seen == [(0, 2.0), (1, 2.0)]


def test_history_and_progress_bar_come_last():
    own = callbacks.LambdaCallback()
    found = callbacks.CallbackList([[own]], add_history=True, add_progbar=True, model=FakeModel())
    kinds = [type(c).__name__ for c in found.callbacks]
    assert kinds == ["LambdaCallback", "History", "ProgbarLogger"]
    own_history = callbacks.History()
    assert callbacks.CallbackList(own_history, add_history=True).callbacks == [own_history]


def test_the_model_gets_its_history():
    model = FakeModel()
    found = callbacks.CallbackList(None, add_history=True, model=model)
    assert model.history is found.callbacks[0]


def test_has_tells_which_hooks_anybody_needs():
    found = callbacks.CallbackList([callbacks.History()])
    assert found.has("on_epoch_end")
    assert not found.has("on_train_batch_end")
    found.append(callbacks.LambdaCallback(on_train_batch_end=print))
    assert found.has("on_train_batch_end")


@pytest.mark.parametrize("bad", [print, callbacks.History, "csv"])
def test_what_is_no_callback_is_refused(bad):
    with pytest.raises(TypeError, match="expected Callback objects"):
        callbacks.CallbackList([bad])


def test_batches_wait_for_no_value_that_nobody_reads(waits):
    class Blind(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert "loss" in logs

    fit(FakeModel(), [Blind()], [{"loss": Array(1.0)}] * 3, batches=5)
    assert waits() == 0


def test_values_are_read_once_for_all_callbacks(waits):
    class Reader(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert logs["loss"] == 1.0

    fit(FakeModel(), [Reader(), Reader()], [{"loss": Array(1.0)}], batches=4)
    assert waits() == 4


def test_callbacks_see_what_others_wrote():
    history = callbacks.History()
    writer = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(extra=7.0))
    fit(FakeModel(), [writer, history], [{"loss": 1.0}])
    assert history.history == {"loss": [1.0], "extra": [7.0]}


def test_logs_behave_as_a_dict_of_floats():
    def logs():
        return Logs({"b": number(2), "a": {"inner": np.float32(1)}, "c": np.ones(2), "d": "text"})

    expected = ["b", "c", "d", "inner"]
    assert list(logs()) == list(dict(logs())) == list({**logs()}) == expected
    assert type(dict(logs())["b"]) is float
    assert type(logs().get("inner")) is float
    assert "{b:.1f}".format(**logs()) == "2.0"
    assert json.loads(json.dumps(Logs({"x": number(3)}))) == {"x": 3.0}
    assert [type(v).__name__ for v in logs().values()] == ["float", "ndarray", "str", "float"]
    assert Logs({"x": number(3)}) == {"x": 3.0}
    assert len(logs()) == 4
    assert not Logs(None)
    assert (logs() | {"e": 1})["inner"] == 1.0


def test_logs_may_be_a_function_that_is_called_when_needed():
    calls = []

    def source():
        calls.append(1)
        return {"loss": number(1)}

    logs = Logs(source)
    assert calls == []
    logs["more"] = 2.0
    assert logs["loss"] == 1.0
    assert dict(logs) == {"loss": 1.0, "more": 2.0}
    assert calls == [1]


def test_lambda_callback():
    seen = []
    fit(
        FakeModel(),
        callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: seen.append(("epoch", epoch)),
            on_train_batch_end=lambda batch, logs: seen.append(("batch", logs["loss"])),
            on_train_end=lambda logs: seen.append(("end", logs["loss"])),
        ),
        [{"loss": 3.0}],
    )
    assert seen == [("epoch", 0), ("batch", 3.0), ("end", 3.0)]
    with pytest.raises(TypeError, match="there is no hook on_epoch_finish, but"):
        callbacks.LambdaCallback(on_epoch_finish=print)
    assert callbacks.LambdaCallback(extra=3).extra == 3


def test_history_keeps_epochs_of_the_last_fit():
    history, model = callbacks.History(), FakeModel()
    fit(model, [history], [{"loss": 2.0}, {"loss": 1.0, "val_loss": 3.0}])
    assert history.epoch == [0, 1]
    assert history.history == {"loss": [2.0, 1.0], "val_loss": [3.0]}
    fit(model, [history], [{"loss": 0.5}])
    assert history.epoch == [0]
    assert history.history["loss"] == [2.0, 1.0, 0.5]


def test_terminate_on_nan(capsys):
    model, callback = FakeModel(), callbacks.TerminateOnNaN()
    assert fit(model, [callback], [{"loss": 1.0}, {"loss": float("nan")}, {"loss": 1.0}]) == 2
    assert "Batch 0: the loss is nan" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="loss is inf at batch 0"):
        fit(model, [callbacks.TerminateOnNaN(raise_error=True)], [{"loss": float("inf")}])
