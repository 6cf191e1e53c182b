"""Files written as a whole or not at all, and errors that name the file they are about."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

LONGEST = 20_000  # Letters of a message; hundreds of layers may be listed.


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A new file for what `path` is to hold: it takes that name once all is written.

    Until then, and after any error or a crash, an old file of that name stays as it was.
    """
    path = os.path.realpath(path)  # A link stays one, and what it points to is replaced.
    folder, name = os.path.split(path)
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder.")
    written = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.part")
    try:
        with open(written, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            shutil.copymode(path, written)
        os.replace(written, path)
    except BaseException:
        if os.path.exists(written):
            os.unlink(written)
        raise
    _sync_folder(folder)


def _sync_folder(folder):
    if os.name == "posix":  # So that the new name outlasts a loss of power too.
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """Let every error become a ValueError or OSError whose message begins with `name`.

    Long messages are cut: what a file holds may be quoted in them.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or _blames(error, name):
            raise
        raise OSError(f"{name}: {error!s:.{LONGEST}}") from error
    except ValueError as error:
        if type(error) is ValueError and _blames(error, name):
            raise
        raise ValueError(f"{name}: {error!s:.{LONGEST}}") from error
    except MemoryError as error:
        raise ValueError(f"{name}: what it describes does not fit into memory.") from error
    except RecursionError as error:
        raise ValueError(f"{name}: it is nested too deeply.") from error
    except Exception as error:
        raise ValueError(f"{name}: {type(error).__name__}: {error!s:.{LONGEST}}") from error


def _blames(error, name):
    return str(error).startswith(name)
