"""Launches in a process of their own, under g++'s address or thread sanitizer.

The arrays among the arguments travel there and back; addresses inside of arrays do not.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from . import launching, memory

OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
    "TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0:history_size=7",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def run(kernel, sanitizer: str, launch, arguments) -> None:
    """Launch a kernel.  Raises RigError with the sanitizer's report."""
    buffers: dict[int, tuple[int, int]] = {}  # Address: (number, size).
    packed = []
    for value, host in arguments:
        place = None if host is None else memory.owner(host)
        if place is None:
            packed.append(struct.pack("<q", -value.nbytes) + value.tobytes())
            continue
        number, _ = buffers.setdefault(place.address, (len(buffers), place.nbytes))
        packed.append(struct.pack("<qq", number, int(value) - place.address))
    launch.seconds = 0
    name = kernel.name.encode()
    content = [struct.pack("<I", len(name)), name, bytes(launch), struct.pack("<I", len(buffers))]
    for address, (_, size) in buffers.items():
        content += [struct.pack("<Q", size), ctypes.string_at(address, size)]
    content += [struct.pack("<I", len(packed)), *packed]
    after = _run_program(kernel.module.binary(sanitizer), sanitizer, b"".join(content), kernel.name)
    at = 0
    for address, (_, size) in buffers.items():
        ctypes.memmove(address, after[at : at + size], size)
        at += size


def _run_program(program: Path, sanitizer: str, content: bytes, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given", Path(folder) / "made"
        given.write_bytes(content)
        command = [str(program), str(given), str(made)]
        if sanitizer == "thread" and shutil.which("setarch"):  # It wants addresses in their places.
            command = ["setarch", os.uname().machine, "-R", *command]
        done = subprocess.run(
            command, env={**os.environ, **OPTIONS}, capture_output=True, text=True,
            errors="replace", timeout=launching.SECONDS,
        )  # fmt: skip
        if done.returncode:
            report = done.stderr[-8000:] or f"the program ended with {done.returncode}"
            raise launching.RigError(f"{name}: {report}")
        return made.read_bytes()
