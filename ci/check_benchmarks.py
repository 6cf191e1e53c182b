"""Whether every benchmark of asv_benchmarks/ loads and runs once: `python ci/check_benchmarks.py`.

Runs each on the CPU a single time, in this environment, and keeps no results.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "asv_benchmarks"


def asv(*arguments: str) -> None:
    """Run asv in the folder of the benchmarks; raises CalledProcessError if it fails."""
    subprocess.run([sys.executable, "-m", "asv", *arguments], cwd=FOLDER, check=True)


if __name__ == "__main__":
    asv("machine", "--yes")
    asv("check", "--python=same")
    asv("run", "--quick", "--python=same", "--show-stderr", "--dry-run")
