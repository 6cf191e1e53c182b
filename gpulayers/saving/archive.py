"""The `.keras` archive: a zip of stored members, or a folder of the same files.

    metadata.json       which version wrote it, and when
    config.json         the model: what `registry.serialize` gives
    model.weights.h5    its weights and the optimizer's: see `weights`
    assets/             files of layers: see `assets`

Archives come from strangers: sizes and counts are checked before memory is taken, and only members
of these names are looked at, so that no path in one is ever used as a path.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import struct
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import numpy as np

from .files import replacing

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
KERAS_VERSION = "3.15.1"  # Whose format this is.

MOST_TEXT = 64 << 20  # Bytes of config.json.
MOST_TOKENS = 1_000_000  # Values in it: each takes up to a hundred bytes of memory.
DEEPEST = 200  # Lists and dictionaries inside each other.
LARGEST_DIRECTORY = 4 << 20  # Bytes that list the members of an archive.
LARGEST_RATIO = 100  # Of what a deflated member is to what is stored of it, ...
UNSUSPICIOUS = 64 << 20  # ... from this many bytes on, in all members.


# Reading.


@contextmanager
def reading(source) -> Iterator[Archive | Folder]:
    """What is at `source`: a path of an archive or a folder, or an open binary file."""
    with ExitStack() as opened:
        if hasattr(source, "read"):
            yield Archive(source)
        elif os.path.isdir(source):
            yield Folder(source, opened)
        else:
            yield Archive(opened.enter_context(open(source, "rb")))


class Archive:
    """A zip file that holds a model.

    Args:
        file: a binary file open for reading, that can seek.

    Raises ValueError if it is none, or lists more members than a model has.
    """

    def __init__(self, file: BinaryIO):
        self._file = file
        self.size = _check_directory(file)
        self._asked: dict[str, Any] = {}
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, struct.error) as error:
            raise ValueError(f"it is no .keras archive, or is damaged: {error}") from error

    def config(self) -> dict:
        """What config.json holds."""
        return self._parsed(CONFIG)

    def version(self) -> str:
        """The version of Keras that wrote it; "" if it does not say."""
        if METADATA not in self._zip.NameToInfo:
            return ""
        return self._parsed(METADATA).get("keras_version", "")

    def weights(self) -> Contents:
        """model.weights.h5, which is read meanwhile.  Raises ValueError if it is damaged."""
        info = self._member(WEIGHTS)
        if info.compress_type != zipfile.ZIP_STORED:
            return Contents(lambda: bytearray(self._content(info)))  # Bytes cannot be changed.
        self._file.seek(info.header_offset)
        header = self._file.read(30)
        start = info.header_offset + 30 + sum(struct.unpack("<26xHH", header.ljust(30, b"\0")))
        if start + info.file_size > self._file.seek(0, os.SEEK_END):
            raise ValueError(f"{WEIGHTS} is damaged: its end is missing.")

        def read():
            view = np.empty(info.file_size, np.uint8)  # In huge pages, where there are any.
            self._file.seek(start)
            if self._file.readinto(view) != len(view):
                raise ValueError(f"{WEIGHTS} is damaged: its end is missing.")
            if zlib.crc32(view) != info.CRC:
                raise ValueError(f"{WEIGHTS} is damaged: its checksum is wrong.")
            return view

        return Contents(read)

    def has_assets(self) -> bool:
        """Whether any layer has files of its own."""
        return any(name.startswith("assets/") for name in self._zip.namelist())

    def assets(self, folder: str) -> dict[str, bytes]:
        """The contents of the files in a folder of the archive, by their names."""
        start = f"{folder}/"
        inside = [name for name in self._zip.namelist() if name.startswith(start)]
        names = [name.removeprefix(start) for name in inside]
        plain = [name for name in names if name and "/" not in name]
        return {name: self._content(self._member(start + name)) for name in plain}

    def _parsed(self, name) -> dict:
        info = self._member(name)
        _check_size(name, info.file_size, MOST_TEXT)
        return parsed(self._content(info), name)

    def _member(self, name):
        info = self._zip.NameToInfo.get(name)
        if info is None:
            raise ValueError(f"it has no member {name}: it is no .keras archive.")
        least = most = info.compress_size
        if info.compress_type == zipfile.ZIP_DEFLATED:
            least, most = 0, max(LARGEST_RATIO * most, UNSUSPICIOUS)
        elif info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{name} is compressed in a way that no .keras archive is.")
        if not least <= info.file_size <= most:
            raise ValueError(
                f"{name} claims to have {info.file_size} bytes, but {info.compress_size} are "
                "stored."
            )
        self._asked[name] = info
        stored = sum(one.compress_size for one in self._asked.values())
        if stored > self.size:
            raise ValueError("its members overlap, or claim to have more bytes than it has.")
        larger = sum(one.file_size - one.compress_size for one in self._asked.values())
        if larger > max(LARGEST_RATIO * stored, UNSUSPICIOUS):
            raise ValueError(f"its members claim to have {larger} bytes more than are stored.")
        return info

    def _content(self, info) -> bytes:
        with self._open(info) as member:
            data = member.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise ValueError(f"{info.filename} has another size than the archive says.")
        return data

    @contextmanager
    def _open(self, info):
        try:
            with self._zip.open(info) as member:
                yield member
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise ValueError(f"{info.filename} is damaged: {error}") from error


class Folder:
    """A folder with the files of an archive.

    Args:
        path: of the folder.
        opened: closes the files that are opened.
    """

    def __init__(self, path, opened: ExitStack):
        self._path, self._opened = path, opened

    def config(self) -> dict:
        """What config.json holds."""
        return self._parsed(CONFIG)

    def version(self) -> str:
        """The version of Keras that wrote it; "" if it does not say."""
        if not os.path.isfile(os.path.join(self._path, METADATA)):
            return ""
        return self._parsed(METADATA).get("keras_version", "")

    @property
    def size(self) -> int:
        """How many bytes the weights have."""
        return os.path.getsize(os.path.join(self._path, WEIGHTS))

    def weights(self) -> BinaryIO:
        """model.weights.h5 as a binary file."""
        return self._open(WEIGHTS)

    def has_assets(self) -> bool:
        """Whether any layer has files of its own."""
        return os.path.isdir(os.path.join(self._path, "assets"))

    def assets(self, folder: str) -> dict[str, bytes]:
        """The contents of the files in a folder inside this one, by their names."""
        where = os.path.join(self._path, *folder.split("/"))
        names = os.listdir(where) if os.path.isdir(where) else []
        files = [name for name in names if os.path.isfile(os.path.join(where, name))]
        return {name: self._open(os.path.join(where, name)).read() for name in files}

    def _parsed(self, name) -> dict:
        file = self._open(name)
        _check_size(name, os.fstat(file.fileno()).st_size, MOST_TEXT)
        return parsed(file.read(), name)

    def _open(self, name):
        path, inside = os.path.join(self._path, name), os.path.realpath(self._path)
        if os.path.commonpath([inside, os.path.realpath(path)]) != inside:
            raise ValueError(f"{os.path.basename(name)} is a link that leads out of the folder.")
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError(f"{os.path.basename(name)} is no file.")
        if name == CONFIG and os.path.isfile(os.path.join(self._path, "saved_model.pb")):
            raise ValueError(
                "it is a SavedModel of TensorFlow, no model of Keras 3: gpulayers.layers.TFSMLayer "
                "is a layer that runs one."
            )
        return self._opened.enter_context(open(path, "rb"))


class Contents(io.RawIOBase):
    """What a function reads, as a file in memory.  A thread calls it at once; whoever reads waits.

    Attributes:
        data: all bytes, as an array.
    """

    def __init__(self, read: Callable[[], Any]):
        self._place, self._found = 0, None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(read,), daemon=True)
        self._thread.start()

    def _run(self, read):
        try:
            self._found = np.frombuffer(read(), np.uint8)
        except BaseException as error:
            self._error = error

    @property
    def data(self) -> np.ndarray:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place}.get(whence)
        self._place = (len(self.data) if origin is None else origin) + offset
        return self._place

    def readinto(self, buffer) -> int:
        piece = self.data[self._place : self._place + len(buffer)]
        memoryview(buffer)[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)


def parsed(text: bytes, name: str = CONFIG) -> dict:
    """The JSON object that `text` is; `name` says where it stands.

    Raises ValueError if it is none, or so large or deep that it could only do harm.
    """
    if text.count(b",") + text.count(b"[") + text.count(b"{") > MOST_TOKENS:
        raise ValueError(f"{name} holds more than {MOST_TOKENS} values.")
    try:
        found = json.loads(text.decode())  # Else it guesses encodings, and imports them.
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"{name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} must hold an object, got {type(found).__name__}.")
    level, depth = [found], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"{name} is nested more than {DEEPEST} levels deep.")
        parts = [p for v in level for p in (v.values() if isinstance(v, dict) else v)]
        level = [part for part in parts if isinstance(part, (dict, list))]
    return found


def _check_size(name, size, most):
    if size > most:
        raise ValueError(f"{name} has {size} bytes, more than the {most} that are read.")


def _check_directory(file):
    """The size of an archive, whose list of members zipfile reads as a whole.

    Raises ValueError if that would fill the memory.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - (1 << 16) - 200)
    file.seek(start)
    end = file.read(size - start)
    for mark, form, at in ((b"PK\5\6", "<I", 12), (b"PK\6\6", "<Q", 40)):
        for found in re.finditer(re.escape(mark), end):
            field = end[found.start() + at :][: struct.calcsize(form)]
            if len(field) < struct.calcsize(form):
                continue
            (listed,) = struct.unpack(form, field)
            if LARGEST_DIRECTORY < listed != 0xFFFFFFFF:  # That stands for the other field.
                raise ValueError(f"the list of its members claims to have {listed} bytes.")
    return size


# Writing.


def write_archive(
    target, config: dict, write_weights: Callable[[BinaryIO], Any], assets: dict[str, bytes]
) -> None:
    """Write an archive.

    Args:
        target: a path, whose file is replaced when all is written; or an open binary file.
        config: for config.json.
        write_weights: writes model.weights.h5 into a binary file.
        assets: the files of layers, by the names of members.
    """
    texts = {METADATA: _text(_metadata()), CONFIG: _text(config), **assets}
    if hasattr(target, "write"):
        _write_zip(target, texts, write_weights, None)
        return
    with replacing(target) as file:
        _write_zip(file, texts, write_weights, os.path.dirname(os.path.realpath(target)))


def write_folder(
    path, config: dict, write_weights: Callable[[BinaryIO], Any], assets: dict[str, bytes]
) -> None:
    """Write the files of an archive into a folder, each replaced when it is complete."""
    texts = {METADATA: _text(_metadata()), CONFIG: _text(config), **assets}
    os.makedirs(path, exist_ok=True)
    with replacing(os.path.join(path, WEIGHTS)) as file:
        write_weights(file)
    for name, text in texts.items():
        place = os.path.join(path, *name.split("/"))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with replacing(place) as file:
            file.write(text)


def _write_zip(file, texts, write_weights, folder):
    now = time.localtime()[:6]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, now), text)
        with tempfile.TemporaryFile(dir=folder) as weights:  # HDF5 is not written in one go.
            write_weights(weights)
            size = weights.seek(0, os.SEEK_END)
            weights.seek(0)
            info = zipfile.ZipInfo(WEIGHTS, now)
            with archive.open(info, "w", force_zip64=size >= zipfile.ZIP64_LIMIT) as member:
                shutil.copyfileobj(weights, member, 1 << 20)


def _metadata() -> dict:
    from ..version import __version__

    saved = time.strftime("%Y-%m-%d@%H:%M:%S")
    return {"keras_version": KERAS_VERSION, "date_saved": saved, "gpulayers_version": __version__}


def _text(value) -> bytes:
    return json.dumps(value).encode()
