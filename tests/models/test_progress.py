"""The progress bar in a terminal, a notebook and a log file."""

import io
import re
import time
from types import SimpleNamespace

import pytest

from gpulayers import config
from gpulayers.callbacks import CallbackList, printing
from gpulayers.models import progress
from gpulayers.models.progress import Progbar


class Terminal(io.StringIO):
    """A terminal that remembers what was written to it."""

    encoding = "utf-8"

    def isatty(self):
        return True


class Log(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return False


@pytest.fixture
def clock(monkeypatch):
    """The time, which passes only when a test says so."""

    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(time, "perf_counter", found)
    return found


@pytest.fixture
def system(monkeypatch):
    """What the modules take for `sys`: pytest sets the real one's output anew for each test."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("PYCHARM_HOSTED", raising=False)
    found = SimpleNamespace(stdout=None, modules={})
    monkeypatch.setattr(progress, "sys", found)
    monkeypatch.setattr(printing, "sys", found)
    return found


@pytest.fixture
def terminal(system):
    system.stdout = Terminal()
    return system.stdout


@pytest.fixture
def log(system):
    system.stdout = Log()
    return system.stdout


def drawings(screen):
    """What stood in the line, one text for each time that it was drawn, without colours."""
    plain = re.sub(r"\x1b\[\d+m", "", screen.getvalue())
    return [text.rstrip() for text in plain.split("\r")[1:]]


def test_the_line_looks_as_in_keras(terminal, clock):
    bar = Progbar(45)
    clock.now += 1.0
    bar.update(1, [("loss", 2.0)])
    clock.now += 0.088
    bar.update(45, [("accuracy", 0.91), ("loss", 0.31)])
    first, last = drawings(terminal)
    assert first == " 1/45 ━━━━━━━━━━━━━━━━━━━━ 44s 1s/step - loss: 2.0000"
    assert last == "45/45 ━━━━━━━━━━━━━━━━━━━━ 1s 2ms/step - loss: 0.3100 - accuracy: 0.9100"
    assert terminal.getvalue().endswith("\n")


def test_the_done_part_is_green(terminal, clock):
    Progbar(4, width=8).update(1)
    assert "\x1b[32m━━\x1b[0m\x1b[37m━━━━━━\x1b[0m" in terminal.getvalue()


def test_without_colours(terminal, clock, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    Progbar(4, width=8).update(1)
    assert "\x1b" not in terminal.getvalue()
    assert drawings(terminal)[0].startswith("1/4 ━━       0s")


def test_redrawn_at_most_every_interval(terminal, clock):
    bar = Progbar(1000, interval=0.1)
    for step in range(1, 1000):
        clock.now += 0.001
        assert bar.is_due() == (step % 100 == 1)
        bar.update(step)
    assert len(drawings(terminal)) == 10


def test_a_shorter_line_covers_a_longer_one(terminal, clock):
    bar = Progbar(9, interval=0, stateful_metrics=["note"])
    bar.update(1, [("note", "a long text")])
    bar.update(2, [("note", "short")])
    plain = re.sub(r"\x1b\[\d+m", "", terminal.getvalue())
    first, second = plain.split("\r")[1:]
    assert len(second) >= len(first)
    assert second.endswith("short      ")


@pytest.mark.parametrize("columns", [20, 40, 60])
def test_the_line_fits_a_narrow_terminal(terminal, clock, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    bar = Progbar(45, interval=0)
    bar.update(3, [("loss", 1.0), ("accuracy", 0.5), ("precision", 0.25)])
    (line,) = drawings(terminal)
    assert len(line) < columns
    assert line.startswith(" 3/45 ━━━━━")
    assert line.endswith("...")


def test_unknown_totals(terminal, clock):
    bar = Progbar(None)
    clock.now += 3.0
    bar.update(7, [("loss", 1e-5)])
    assert drawings(terminal) == ["      7/Unknown  3s 429ms/step - loss: 1.0000e-05"]


def test_a_log_file_gets_one_line(log, clock):
    bar = Progbar(45)
    for step in range(1, 45):
        clock.now += 0.2
        assert not bar.is_due()
        bar.update(step, [("loss", 2.0)])
    assert log.getvalue() == ""
    bar.update(45, [("loss", 0.5)])
    assert log.getvalue() == "45/45 ━━━━━━━━━━━━━━━━━━━━ 9s 195ms/step - loss: 0.5000\n"


def test_verbose_2_is_one_line_without_a_bar(terminal, clock):
    bar = Progbar(45, verbose=2)
    bar.update(10, [("loss", 2.0)])
    clock.now += 90
    bar.update(45, [("accuracy", 0.91), ("loss", 0.31)])
    assert terminal.getvalue() == "45/45 - 1:30 - 2s/step - loss: 0.3100 - accuracy: 0.9100\n"


def test_verbose_0_is_silent(terminal, clock):
    Progbar(2, verbose=0).update(2, [("loss", 2.0)])
    assert terminal.getvalue() == ""


def test_averages_over_steps(terminal, clock):
    bar = Progbar(10, interval=0, stateful_metrics=["rate"])
    bar.update(1, [("loss", 1.0), ("rate", 1.0)])
    bar.add(3, [("loss", 5.0), ("rate", 5.0)])
    assert "loss: 4.0000 - rate: 5.0000" in drawings(terminal)[-1]
    with pytest.raises(ValueError, match="not both"):
        Progbar(1, stateful_metrics=[], stateless_metrics=[])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59, "59s"), (61, "1:01"), (3723, "1:02:03")]
)
def test_times(seconds, text):
    assert progress._clock(seconds) == text


def test_a_plain_encoding_gets_plain_characters(log, clock, monkeypatch):
    monkeypatch.setattr(Log, "encoding", "ascii")
    Progbar(2).update(2)
    assert log.getvalue().isascii()


def test_notebooks_are_drawn_in(log, clock, system):
    system.modules["ipykernel"] = object()
    Progbar(2).update(1)
    assert log.getvalue().startswith("\r")


def test_no_output_at_all(system, clock):
    bar = Progbar(2)
    bar.update(2, [("loss", 1.0)])
    assert not bar.is_due()


def test_messages_go_to_the_log_without_interactive_logging(terminal, clock, caplog):
    config.disable_interactive_logging()
    try:
        with caplog.at_level("INFO", "gpulayers"):
            bar = Progbar(2)
            bar.update(1)
            bar.update(2, [("loss", 1.0)])
    finally:
        config.enable_interactive_logging()
    assert terminal.getvalue() == ""
    assert [record.message for record in caplog.records] == [
        "2/2 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step - loss: 1.0000"
    ]


def run(logs, verbose, steps, batches=4, epochs=2):
    calls = CallbackList(None, add_progbar=True, verbose=verbose, epochs=epochs, steps=steps)
    calls.on_train_begin()
    for epoch in range(epochs):
        calls.on_epoch_begin(epoch)
        for batch in range(batches):
            calls.on_train_batch_begin(batch)
            calls.on_train_batch_end(batch, logs)
            time.perf_counter.now += 1 / 16  # Exact, so that sums are.
        calls.on_test_begin()
        calls.on_test_batch_end(0, logs)
        calls.on_test_end(logs)
        calls.on_epoch_end(epoch, {**logs, "val_loss": 0.25})
    calls.on_train_end()


@pytest.mark.parametrize("steps", [4, None])
def test_fit_in_a_log_file(log, clock, steps):
    run({"loss": 0.5}, "auto", steps)
    assert log.getvalue().splitlines() == [
        "Epoch 1/2",
        "4/4 ━━━━━━━━━━━━━━━━━━━━ 0s 83ms/step - loss: 0.5000 - val_loss: 0.2500",
        "Epoch 2/2",
        "4/4 ━━━━━━━━━━━━━━━━━━━━ 0s 83ms/step - loss: 0.5000 - val_loss: 0.2500",
    ]


def test_fit_in_a_terminal_reads_metrics_only_to_draw_them(terminal, clock):
    class Value:
        shape = ()
        reads = 0

        def __float__(self):
            Value.reads += 1
            return 0.5

    value = Value()
    run({"loss": value}, 1, 40, batches=40, epochs=1)
    assert Value.reads == 21  # At every second batch, 0.125 s apart, and at the end.
    assert drawings(terminal)[-1].endswith("loss: 0.5000 - val_loss: 0.2500")


def test_predict_shows_steps_alone(log, clock):
    calls = CallbackList(None, add_progbar=True, verbose=2, epochs=1, steps=3)
    calls.on_predict_begin()
    for batch in range(3):
        calls.on_predict_batch_end(batch, {"outputs": [1.0]})
    calls.on_predict_end()
    assert log.getvalue() == "3/3 - 0s - 0s/step\n"
