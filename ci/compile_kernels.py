"""Compiles every kernel for every architecture, with NVRTC: no GPU and no driver are needed.

    python ci/compile_kernels.py            compile all, and compare with the table
    python ci/compile_kernels.py --update   write the table anew, after a change that is wanted
    python ci/compile_kernels.py softmax    these sources only

The table gpulayers/cuda/registers.csv has, for two architectures, what each kernel takes of a
multiprocessor.  A kernel that spills registers to memory, needs more of them than the table says,
or is not in it, fails the check: each makes a kernel slower without any message.  INSTANCES of a
launcher are compiled for all architectures, HOPPER_INSTANCES for sm_90a only.

NVRTC comes with the wheel nvidia-cuda-nvrtc, or with a CUDA toolkit.
"""

from __future__ import annotations

import argparse
import csv
import ctypes as C
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gpulayers.cuda import module  # noqa: E402

TABLE = ROOT / "gpulayers" / "cuda" / "registers.csv"
ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_120")
MEASURED = ("sm_80", "sm_90a")
COLUMNS = ("kernel", "constants", "architecture", "registers", "shared", "spills")
FLAGS = ("-ftz=true", "--device-as-default-execution-space", "--ptxas-options=-v")  # As CuPy has.
_ENTRY = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)'"
    r".*?(?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads"
    r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


class Compiler:
    """NVRTC, through ctypes."""

    def __init__(self):
        path = _library()
        for builtins in sorted(path.parent.glob("libnvrtc-builtins.so.*")):
            C.CDLL(str(builtins), C.RTLD_GLOBAL)  # Else it is looked for in the system's folders.
        self._nvrtc = C.CDLL(str(path))
        major, minor = C.c_int(), C.c_int()
        self._nvrtc.nvrtcVersion(C.byref(major), C.byref(minor))
        self.version = f"{major.value}.{minor.value}"

    def compile(self, text: str, name: str, options: tuple[str, ...]) -> tuple[bool, str]:
        """Whether a source compiles, and the compiler's log."""
        program, size = C.c_void_p(), C.c_size_t()
        self._nvrtc.nvrtcCreateProgram(
            C.byref(program), text.encode(), name.encode(), 0, None, None
        )
        given = (C.c_char_p * len(options))(*[option.encode() for option in options])
        failed = self._nvrtc.nvrtcCompileProgram(program, len(options), given)
        self._nvrtc.nvrtcGetProgramLogSize(program, C.byref(size))
        log = C.create_string_buffer(size.value)
        self._nvrtc.nvrtcGetProgramLog(program, log)
        self._nvrtc.nvrtcDestroyProgram(C.byref(program))
        return not failed, log.value.decode()


def _library() -> Path:
    folders = []
    try:
        spec = find_spec("nvidia")
        for package in spec.submodule_search_locations if spec else ():
            folders += [*Path(package).glob("cu*/lib"), *Path(package).glob("cuda_nvrtc/lib")]
    except ImportError:
        pass
    toolkit = Path(os.environ.get("CUDA_PATH", "/usr/local/cuda"))
    for folder in [*folders, toolkit / "lib64", toolkit / "lib"]:
        found = [p for p in folder.glob("libnvrtc.so.*") if p.suffix[1:].isdigit()]
        if found:
            return max(found, key=lambda p: len(p.name))
    sys.exit("NVRTC is missing: pip install nvidia-cuda-nvrtc")


def jobs(stems: list[str]) -> list[tuple[str, dict, str]]:
    """(stem, constants, architecture) for all that is to be compiled."""
    launchers = [(stem, import_module(f"gpulayers.cuda.{stem}")) for stem in stems]
    return [
        (stem, constants, architecture)
        for stem, launcher in launchers
        for constants in launcher.INSTANCES
        for architecture in ARCHITECTURES
    ] + [
        (stem, constants, "sm_90a")
        for stem, launcher in launchers
        for constants in getattr(launcher, "HOPPER_INSTANCES", ())
    ]


def resources(log: str, constants: str, architecture: str) -> list[dict[str, str]]:
    """What the kernels of one compilation take: rows of the table."""
    rows = []
    for entry in _ENTRY.finditer(log):
        shared = re.search(r"(\d+) bytes smem", entry["rest"])
        rows.append(
            {
                "kernel": entry["kernel"],
                "constants": constants,
                "architecture": architecture,
                "registers": entry["registers"],
                "shared": shared[1] if shared else "0",
                "spills": str(int(entry["stores"]) + int(entry["loads"])),
            }
        )
    return rows


@cache
def compiler() -> Compiler:
    return Compiler()


def run(job: tuple[str, dict, str]) -> tuple[list[dict[str, str]], list[str]]:
    """The rows of the table for one compilation, and what is wrong with it."""
    stem, constants, architecture = job
    source = import_module(f"gpulayers.cuda.{stem}")._source
    label = " ".join(f"{name}={value}" for name, value in constants.items())
    options = (*source.options, *FLAGS, f"-arch={architecture}")
    if architecture == "sm_90a":
        options += ("-arch=sm_90",)  # CuPy adds it, and it must not win.
    fine, log = compiler().compile(source.text(constants), f"{stem}.cu", options)
    if not fine:
        return [], [f"{stem} ({label}) does not compile for {architecture}:\n{log}"]
    if architecture not in MEASURED:
        return [], []
    rows = resources(log, label, architecture)
    return rows, [] if rows else [f"{stem} ({label}): no registers in NVRTC's log"]


def compile_all(stems: list[str]) -> tuple[list[dict], list[str]]:
    """The rows of the table, and what is wrong."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:  # In threads NVRTC does one at a time.
        done = list(pool.map(run, jobs(stems), chunksize=4))
    rows = [row for some, _ in done for row in some]
    return sorted(rows, key=_key), [line for _, some in done for line in some]


def _key(row) -> tuple[str, ...]:
    return row["kernel"], row["constants"], row["architecture"]


def read_table() -> dict[tuple, dict[str, str]]:
    if not TABLE.exists():
        return {}
    with TABLE.open(newline="") as file:
        return {_key(row): row for row in csv.DictReader(file)}


def write_table(rows: list[dict[str, str]]) -> None:
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def compare(rows: list[dict[str, str]]) -> list[str]:
    """What is worse than the table says, or not in it."""
    table, complaints = read_table(), []
    for row in rows:
        known, who = table.get(_key(row)), " ".join(_key(row))
        if known is None:
            complaints.append(f"{who}: not in the table; run ci/compile_kernels.py --update")
            continue
        for what in ("registers", "shared"):
            if int(row[what]) > int(known[what]):
                complaints.append(f"{who}: {row[what]} {what}, {known[what]} in the table")
    return complaints


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("stems", nargs="*", help="sources (all by default)")
    parser.add_argument("--update", action="store_true", help="write the table anew")
    given = parser.parse_args()
    start, stems = time.perf_counter(), given.stems or module.available()
    rows, complaints = compile_all(stems)
    spills = [
        " ".join(_key(row)) + f": {row['spills']} bytes" for row in rows if row["spills"] != "0"
    ]
    complaints += [f"{line} of registers are spilled" for line in spills]
    if given.update:
        kernels = {row["kernel"] for row in rows}
        others = [row for row in read_table().values() if row["kernel"] not in kernels]
        write_table(sorted([*rows, *(others if given.stems else [])], key=_key))
    else:
        complaints += compare(rows)
    print("\n".join(complaints), end="\n" if complaints else "")
    print(
        f"NVRTC {compiler().version}: {len(jobs(stems))} compilations of {len(stems)} sources, "
        f"{len(complaints)} complaints, {time.perf_counter() - start:.0f} s"
    )
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
