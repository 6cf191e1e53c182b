"""How much memory training steps need: `memory NAME FOLDER NETWORK`, a process for each.

Prints the most bytes that the process holds in its first three steps of training, above what it
held before them.  The state of the optimizer is among them, the weights and the data are not; what
a library loads when it is first used is not either: a small network has been trained before.
Linux counts them (`VmHWM` in /proc/self/status).
"""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

from .contestants import CONTESTANTS, STEP


def status(name: str) -> int:
    """Bytes that /proc tells of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {name}")


def settled() -> int:
    """Bytes held now, once what is free has gone back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return status("VmRSS")


def measured(name: str, folder: Path, network: str, warm: str = "digits") -> int:
    """The bytes of three steps."""
    contestant = CONTESTANTS[name](folder)
    contestant.exporting = False
    works = contestant.works(warm)
    works[STEP]()
    works.clear()
    step = contestant.works(network)[STEP]
    before = settled()
    Path("/proc/self/clear_refs").write_text("5")  # The peak is counted from here.
    for _ in range(3):
        step()
    return status("VmHWM") - before


if __name__ == "__main__":
    print(measured(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
