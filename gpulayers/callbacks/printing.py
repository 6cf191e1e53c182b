"""Messages to the user: to the screen, or to the log where interactive logging is off."""

from __future__ import annotations

import sys

_settings = {"interactive": True}


def enable_interactive_logging() -> None:
    """Let progress and messages of training be written to the standard output (the default)."""
    _settings["interactive"] = True


def disable_interactive_logging() -> None:
    """Let progress and messages of training go to the logger named "gpulayers" instead."""
    _settings["interactive"] = False


def is_interactive_logging_enabled() -> bool:
    """Whether progress and messages of training are written to the standard output."""
    return _settings["interactive"]


def say(message: str, end: str = "\n") -> None:
    """Write `message` to the standard output at once, or log it."""
    if not _settings["interactive"]:
        import logging

        logging.getLogger("gpulayers").info("%s", message.strip())
    elif sys.stdout is not None:
        sys.stdout.write(message + end)
        sys.stdout.flush()
