"""Runs calls recorded from real Keras 3.15 on gpulayers: `python tests/parity/recorded.py FOLDER`.

FOLDER holds keras_golden (layers) and function_cases (functions), as `decoding` describes them.
Prints how many cases of each class or function pass, fail, or are absent (need something that
gpulayers does not have); exits with 1 if any fails.
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
import traceback
import warnings
from pathlib import Path

sys.path[:0] = [str(parent) for parent in Path(__file__).parents[1:3]]

from parity.decoding import Cases, Opaque  # noqa: E402
from parity.function_cases import FunctionCase  # noqa: E402
from parity.layer_cases import LayerCase  # noqa: E402
from parity.presence import Absent  # noqa: E402

TOLERANCE, GRADIENTS = 2e-5, 2e-4  # On max |a - b| / max(1, |b|).
LAYERS, FUNCTIONS = "keras_golden", "function_cases"


class Table:
    """Counts of passed, failed and absent cases by kind and name."""

    def __init__(self):
        self.rows = collections.defaultdict(collections.Counter)
        self.failures: list[tuple[str, str, str]] = []
        self.missing = collections.Counter()

    def add(self, kind: str, name: str, case: dict, run, trace: bool = False) -> None:
        """Run one case and count how it went."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                problem = run()
        except (Absent, Opaque) as reason:
            self.rows[kind, name]["absent"] += 1
            self.missing[str(reason)] += 1
            return
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error).strip()[:300]}"
            if trace:
                traceback.print_exc()
        self.rows[kind, name]["fail" if problem else "pass"] += 1
        if problem:
            label = f"{case.get('id', '')} {case['test'].split('::', 1)[-1]}".strip()
            self.failures.append((f"{kind} {name}", label, problem))

    def total(self) -> collections.Counter:
        return sum(self.rows.values(), collections.Counter())

    def show(self, verbose: bool = False) -> None:
        print(f"{'':44}{'pass':>7}{'fail':>7}{'absent':>8}")
        for (kind, name), row in sorted(self.rows.items()):
            counts = "".join(f"{row[c] or '':>{w}}" for c, w in COLUMNS)
            print(f"{kind + ' ' + name:44}{counts}")
        total = self.total()
        print(f"{'total':44}" + "".join(f"{total[c]:>{w}}" for c, w in COLUMNS))
        if verbose:
            for where, label, problem in self.failures:
                print(f"{where}: {label}\n    {problem}")
            names = ", ".join(f"{name} ({n})" for name, n in self.missing.most_common())
            print(f"absent: {names or 'nothing'}")


COLUMNS = (("pass", 7), ("fail", 7), ("absent", 8))


def run_folder(folder, only=(), kinds=(), gradients=True, suspect=False, trace=False) -> Table:
    """Run the cases of a folder.

    Args:
        folder: a path; holds one or both of the two files of cases.
        only: names of classes or functions (all by default).
        kinds: "layer", "op", "loss", "metric", ... (all by default).
        gradients: whether gradients of layers are compared too.
        suspect: also run the cases that only one backend of Keras reproduces, or that the one
            which recorded them did not reproduce (random numbers).
        trace: print where exceptions come from.

    Raises FileNotFoundError if the folder holds no cases.
    """
    folder, table = Path(folder), Table()
    found = [stem for stem in (LAYERS, FUNCTIONS) if Cases.exist(folder, stem)]
    if not found:
        raise FileNotFoundError(f"{folder}: neither {LAYERS} nor {FUNCTIONS} is there.")
    for stem in found:
        cases = Cases(folder, stem)
        groups = {"layer": cases.cases} if stem == LAYERS else cases.cases
        for kind, members in groups.items():
            if kinds and kind not in kinds:
                continue
            for case in members:
                if _doubtful(case) and not suspect:
                    continue
                if stem == LAYERS:
                    name, item = case["class_name"], _layer_case(cases, case, gradients)
                else:
                    item = FunctionCase(cases, kind, case, TOLERANCE)
                    name = item.name()
                if not only or name in only or case.get("id") in only:
                    table.add(kind, name, case, item.run, trace)
    return table


def _doubtful(case) -> bool:
    again = case.get("agree", {}).get(case.get("recorded_with"))
    return bool(case.get("suspect")) or (isinstance(again, float) and again > 0.01)


def _layer_case(cases, case, gradients) -> LayerCase:
    return LayerCase(cases, case, TOLERANCE, GRADIENTS if gradients else None)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="names or ids of cases, with commas between")
    parser.add_argument("--kind", default="", help="layer, op, loss, metric, ..., with commas")
    parser.add_argument("--grads", action="store_true", help="compare gradients of layers too")
    parser.add_argument("--suspect", action="store_true", help="run doubtful cases too")
    parser.add_argument("--trace", action="store_true", help="print the stacks of exceptions")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what failed, and how")
    chosen = parser.parse_args(arguments)
    start = time.perf_counter()
    table = run_folder(
        chosen.folder,
        set(filter(None, chosen.only.split(","))),
        set(filter(None, chosen.kind.split(","))),
        chosen.grads,
        chosen.suspect,
        chosen.trace,
    )
    table.show(chosen.verbose)
    print(f"{time.perf_counter() - start:.1f} s")
    return 1 if table.failures else 0


if __name__ == "__main__":
    sys.exit(main())
