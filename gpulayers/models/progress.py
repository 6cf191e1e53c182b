"""The progress bar of training: in a terminal, in a notebook, and as plain lines in a log file."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable

from ..callbacks.printing import say
from ..config import is_interactive_logging_enabled

_BOLD, _GREEN, _GREY, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m"
_SHORTEST_BAR = 5


class Progbar:
    """Shows how far a loop is, with its metrics.

    In a terminal or a notebook one line is drawn anew again and again. Elsewhere, as in a log file,
    it is written once, when the loop has ended.

    Args:
        target: number of steps; None if unknown.
        width: length of the bar, in characters; shorter in a narrow terminal.
        verbose: 0 for silence, 1 for a bar, 2 for one line at the end.
        interval: least time between two drawings, in seconds.
        stateful_metrics: names of metrics that are shown as given; the others are averaged over
            the steps.
        stateless_metrics: names of metrics that are averaged; the others are shown as given.
        unit_name: what a step is called.

    Raises ValueError if both lists of names are given.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ):
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Progbar: pass stateful_metrics or stateless_metrics, not both.")
        self.target, self.width, self.verbose = target, width, verbose
        self.interval, self.unit_name = interval, unit_name
        self._averaged = None if stateless_metrics is None else set(stateless_metrics)
        self._as_given = set(stateful_metrics or ())
        self._is_live = verbose == 1 and _can_redraw()
        self._values = {}  # Name -> (sum, number of steps).
        self._seen = 0
        self._start = time.perf_counter()
        self._after_first = None
        self._drawn = -float("inf")
        self._drawn_width = 0

    def is_due(self) -> bool:
        """Whether `update` would draw now: if not, it need not be given metrics that are costly."""
        return self._is_live and time.perf_counter() - self._drawn >= self.interval

    def update(
        self, current: int, values: Iterable[tuple] | None = None, finalize: bool | None = None
    ) -> None:
        """Show that `current` steps are done.

        Args:
            current: number of steps done.
            values: pairs of a metric's name and its value.
            finalize: whether the loop has ended; by default, if `current` has reached the target.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._note(name, value, max(current - self._seen, 1), finalize)
        self._seen = current
        now = time.perf_counter()
        if current == 1 and self._after_first is None:
            self._after_first = now
        if self.verbose == 0:
            return
        if finalize:
            self._end(current, now)
        elif self._is_live and now - self._drawn >= self.interval:
            self._draw(*self._parts(current, now, finalize=False))
            self._drawn = now

    def add(self, n: int, values: Iterable[tuple] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self._seen + n, values)

    def _note(self, name, value, steps, finalize):
        averaged = name in self._averaged if self._averaged is not None else (
            name not in self._as_given
        )  # fmt: skip
        if not averaged or finalize:
            self._values[name] = (value, 1)
        else:
            total, count = self._values.get(name, (0.0, 0))
            self._values[name] = (total + value * steps, count + steps)

    def _end(self, current, now):
        count, info = self._parts(current, now, finalize=True)
        if self._is_live:
            self._draw(count, info)
            say("")
        elif self.verbose == 1:
            say(f"{count} {_bar_character() * self.width}{info}")
        else:
            say(f"{count} - {info.strip()}")

    def _parts(self, current, now, finalize):
        """The count of steps, and what stands behind the bar: times and metrics."""
        per_step = self._seconds_per_step(current, now)
        if self.target:
            count = f"{current:>{len(str(self.target))}}/{self.target}"
        else:
            count = f"{current:>7}/Unknown"
        if self.target and not finalize:
            total = _clock(per_step * (self.target - current))
        else:
            total = _clock(now - self._start)
        separator = " - " if self.verbose == 2 else " "
        metrics = "".join(f" - {name}: {_shown(*pair)}" for name, pair in self._values.items())
        return count, f" {total}{separator}{_duration(per_step)}/{self.unit_name}{metrics}"

    def _seconds_per_step(self, current, now):
        if not current:
            return 0.0
        if self._after_first is not None and current > 1:  # The first one prepares things.
            return (now - self._after_first) / (current - 1)
        return (now - self._start) / current

    def _draw(self, count, info):
        columns = shutil.get_terminal_size().columns - 1
        width = 0
        if self.target:
            spare = columns - len(count) - 1 - len(info)
            width = max(min(self.width, spare), min(self.width, _SHORTEST_BAR))
        info = _shortened(info, columns - len(count) - 1 - width)
        blanks = " " * max(0, self._drawn_width - (len(count) + 1 + width + len(info)))
        self._drawn_width = len(count) + 1 + width + len(info)
        say(f"\r{self._colored(count, width, info)}{blanks}", end="")

    def _colored(self, count, width, info):
        done = int(width * min(self._seen / self.target, 1.0)) if self.target else 0
        bar = _bar_character()
        if not _has_colors():
            return f"{count} {bar * done}{' ' * (width - done)}{info}"
        line = f"{_BOLD}{count}{_PLAIN} "
        if width:
            line += f"{_GREEN}{bar * done}{_PLAIN}{_GREY}{bar * (width - done)}{_PLAIN}"
        head, _, tail = info[1:].partition(" ")
        return f"{line} {_BOLD}{head}{_PLAIN} {tail}"


def _can_redraw() -> bool:
    """Whether a line on the standard output can be written over."""
    if not is_interactive_logging_enabled() or sys.stdout is None:
        return False
    if "ipykernel" in sys.modules or "PYCHARM_HOSTED" in os.environ:
        return True
    return hasattr(sys.stdout, "isatty") and sys.stdout.isatty()


def _has_colors() -> bool:
    return "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _bar_character() -> str:
    try:
        "━".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return "="
    return "━"


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(room - 3, 0)] + "..."


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, seconds = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{seconds:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _duration(seconds: float) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f}ms"
    return f"{seconds * 1e6:.0f}us"


def _shown(total, count) -> str:
    if hasattr(total, "mean"):
        total = float(total.mean())
    if not isinstance(total, (int, float)):
        return str(total)
    value = total / count
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"
