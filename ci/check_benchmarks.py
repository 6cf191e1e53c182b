"""Whether every benchmark of asv_benchmarks/ loads, and runs once: `python ci/check_benchmarks.py`.

They run in this environment, which must have gpulayers and asv.  No results are kept.  Networks are
small, and CuPy is left out where it is not installed: see asv_benchmarks/benchmarks/libraries.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parent.parent / "asv_benchmarks"
STEPS = (
    ("machine", "--yes"),
    ("check", "--python=same"),
    ("run", "--quick", "--python=same", "--show-stderr", "--dry-run"),
)


def main() -> int:
    """Run each step; says what a failing one printed, and gives its status."""
    # asv keeps its description of the machine in the home directory: not in yours.
    with TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home, "USERPROFILE": home, "QUICK_BENCHMARKS": "1"}
        for step in STEPS:
            done = subprocess.run(
                [sys.executable, "-m", "asv", *step],
                cwd=FOLDER,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if done.returncode:
                print(f"asv {' '.join(step)} failed:\n{done.stdout}")
                return done.returncode
    print(re.search(r"(\d+) total benchmarks", done.stdout)[1], "benchmarks ran.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
