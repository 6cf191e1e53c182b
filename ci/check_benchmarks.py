"""Whether every benchmark of asv_benchmarks/ loads, and runs once: `python ci/check_benchmarks.py`.

They run in this environment, which must have gpulayers and asv, some files of them on each core.
No results are kept.  So that it takes a minute or two, networks and inputs are small (see
asv_benchmarks/benchmarks/libraries.py), and processes are forked from one that has imported all.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

FOLDER = Path(__file__).parent.parent / "asv_benchmarks"
RUN = ("run", "--quick", "--python=same", "--show-stderr", "--dry-run")
LAUNCH = ("--launch-method", "forkserver") if hasattr(os, "fork") else ()
FILES = sorted(path.stem for path in (FOLDER / "benchmarks").glob("[!_]*.py"))
PARTS = 2 * (os.cpu_count() or 1)


def asv(home: str, *step: str) -> subprocess.CompletedProcess:
    """What asv does; its description of the machine is in its home directory: not in yours."""
    return subprocess.run(
        [sys.executable, "-m", "asv", *step],
        cwd=FOLDER,
        env={
            **os.environ,
            "HOME": home,
            "USERPROFILE": home,
            "QUICK_BENCHMARKS": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def number(text: str) -> int:
    """How many benchmarks asv says that it runs."""
    found = re.search(r"(\d+) total benchmarks", text)
    return int(found[1]) if found else 0


def main() -> int:
    """Run each step; says what a failing one printed, and gives its status."""
    with TemporaryDirectory() as home, ThreadPoolExecutor(os.cpu_count()) as pool:
        steps = [("machine", "--yes"), ("check", "--python=same")]
        done = [asv(home, *step) for step in steps]
        names = ["|".join(FILES[part::PARTS]) for part in range(PARTS)]
        done += pool.map(lambda some: asv(home, *RUN, *LAUNCH, "--bench", rf"^({some})\."), names)
    for each in done:
        # asv ends with 0 if a benchmark fails in an environment that it knows.
        if each.returncode or re.search(r"\bfailed$", each.stdout, re.MULTILINE):
            print(f"{' '.join(each.args[1:])} failed:\n{each.stdout}")
            return each.returncode or 1
    print(sum(number(each.stdout) for each in done), "benchmarks ran.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
