"""Ctrl-C during training: it waits until the step that runs is complete."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable


class Interruption:
    """Within it, Ctrl-C does not cut a training step in two.

    What updates weights runs through `whole`: KeyboardInterrupt is raised after it; at any other
    moment at once, as always. A second Ctrl-C does not wait. Where Python's own handler is not in
    charge, and in threads other than the main one, nothing changes.
    """

    def __init__(self):
        self._inside = self._asked = False
        self._previous = None

    def __enter__(self):
        handler = signal.getsignal(signal.SIGINT)
        ours = isinstance(getattr(handler, "__self__", None), Interruption)  # A fit around us.
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and (ours or handler is signal.default_int_handler):
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _note(self, number, frame):
        if not self._inside or self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def whole(self, step: Callable, data):
        """`step(data)`, and then KeyboardInterrupt if Ctrl-C was pressed meanwhile."""
        self._inside = True
        try:
            result = step(data)
        finally:
            self._inside = False
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt
        return result
