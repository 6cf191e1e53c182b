"""Messages to the user: to the screen, or to the log where interactive logging is off."""

from __future__ import annotations

import sys

from ..config import is_interactive_logging_enabled


def say(message: str, end: str = "\n") -> None:
    """Write `message` to the standard output at once, or log it."""
    if not is_interactive_logging_enabled():
        import logging

        logging.getLogger("gpulayers").info("%s", message.strip())
    elif sys.stdout is not None:
        sys.stdout.write(message + end)
        sys.stdout.flush()
