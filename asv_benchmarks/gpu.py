"""gpulayers' kernels on a GPU beside what the GPU can do, and beside PyTorch.

    python asv_benchmarks/gpu.py                       print tables
    python asv_benchmarks/gpu.py --only softmax        of some families
    python asv_benchmarks/gpu.py --dry-run             tiny arrays; without a GPU, on the tests' rig
    python asv_benchmarks/gpu.py --readme FILE.json    put a measurement into README.md

First it measures how fast the GPU copies and multiplies: the floor is the time for the fewest bytes
and operations at these speeds.  PyTorch (eager) is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import warnings
from datetime import date
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpu_cases import Case, operations
from gpu_fused import fused
from gpu_images import images
from gpu_networks import between_products, networks
from gpu_steps import steps
from gpu_table import HEADER, cells, fill_readme, floor, markdown, short_table, verdicts, who
from gpu_timing import Clock, launches

from gpulayers import config

ROOT = Path(__file__).resolve().parent.parent
STEPS, SECONDS = 100, 0.3  # Whole steps in a row, at most, and for about so long.
TINY_COPIES, TINY_PRODUCTS = (2**12,), {"bfloat16": 16, "float16": 16, "float32": 16}


def cases(only: list[str], tiny: bool) -> list[Case]:
    """All cases of the families: the first one of each, training of networks and single rows,
    then the others."""
    timed_operations = [*operations(), *images(), *between_products(), *fused()]
    whole = list(networks(tiny))
    found = [case for case in whole if "inference" not in case.what] + list(steps(tiny))
    found += [case for op in timed_operations for case in op.cases(tiny)]
    found += [case for case in whole if "inference" in case.what]
    found = [case for case in found if not only or case.family in only]
    first = {case.family: i for i, case in reversed([*enumerate(found)])}
    order = sorted(range(len(found)), key=lambda i: i not in first.values())
    return [found[i] for i in order]


def measure(case: Case, clock: Clock, torch, ceilings: dict) -> dict:
    """A row of the table: times, or in `state` why there are none.  Never raises."""
    row = {
        "family": case.family, "what": case.what, "shape": case.shape, "dtype": case.dtype,
        "nbytes": case.nbytes, "flops": case.flops, "passes": case.passes, "seconds": None,
        "share": None, "peer": None, "peer_state": "", "state": "measured", "kernels": [],
        "error": "",
    }  # fmt: skip
    if case.nbytes * 2 > free_memory(clock.cupy):
        return row | {"state": "too large for this GPU"}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*cannot be captured")
            work = case.ours(clock.cupy)
            with launches() as row["kernels"]:
                work()
            if not row["kernels"] and not case.whole_step:
                return row | {"state": "absent"}
            row["seconds"] = timed(case, clock, work)
    except ImportError:
        return row | {"state": "absent"}
    except Exception as error:
        return row | {"state": "failed", "error": f"{type(error).__name__}: {error}"}
    if case.nbytes:
        row["share"] = floor(case.nbytes, case.flops, case.products, ceilings) / row["seconds"]
    del work
    clock.release()
    if torch is not None:
        try:
            row["peer"] = timed(case, clock, case.peer(torch))
        except Exception as error:
            row["peer_state"] = f"{type(error).__name__}: {error}".partition("\n")[0]
    return row


def timed(case: Case, clock: Clock, work) -> float:
    """Seconds."""
    if not case.whole_step:
        return clock.seconds(work)
    once, _ = clock.calls(work, 3 if clock.flush else 1)
    if not clock.flush:
        return once
    number = max(3, min(STEPS, int(SECONDS / once)))
    return min(clock.calls(work, number)[0] for _ in range(3))


def free_memory(cupy) -> int:
    """Bytes of the GPU that nobody has."""
    return cupy.cuda.Device().mem_info[0]


def measure_all(chosen: list[Case], clock: Clock, torch, ceilings, seconds: float) -> list[dict]:
    """The rows; cases that would begin after so many seconds are not begun."""
    rows, begun = [], perf_counter()
    for i, case in enumerate(chosen):
        if perf_counter() - begun > seconds:
            print(f"{len(chosen) - i} cases left out: {seconds:.0f} s are over", file=sys.stderr)
            break
        row = measure(case, clock, torch, ceilings)
        print(f"{i + 1}/{len(chosen)} {case.label}: {row['state']}", file=sys.stderr, flush=True)
        rows.append(row)
        clock.release()
        if torch is not None:
            torch.cuda.empty_cache()
    order = {case: i for i, case in enumerate(dict.fromkeys(case.family for case in chosen))}
    return sorted(rows, key=lambda row: order[row["family"]])


def machine(cupy, torch) -> dict[str, str]:
    """What was measured on, and when."""
    runtime = cupy.cuda.runtime
    found = runtime.getDeviceProperties(runtime.getDevice())
    versions = [f"CuPy {cupy.__version__}", f"CUDA {number(runtime.runtimeGetVersion())}"]
    versions += [f"driver of CUDA {number(runtime.driverGetVersion())}"]
    versions += [f"PyTorch {torch.__version__}"] if torch is not None else []
    return {
        "name": found["name"].decode(),
        "date": str(date.today()),
        "versions": ", ".join(versions),
    }


def number(version: int) -> str:
    """CUDA's way to write 13.0: 13000."""
    return f"{version // 1000}.{version % 1000 // 10}"


def find_torch():
    """PyTorch, if it is there and sees the GPU."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def report(result: dict) -> str:
    """All tables in Markdown, the short one last."""
    ceilings = result["ceilings"]
    copies = ", ".join(
        f"{n / 1e12:.2f} TB/s ({int(size) / 1e6:.0f} MB)" for size, n in ceilings["bytes"].items()
    )
    products = ", ".join(f"{n / 1e12:.0f} ({dtype})" for dtype, n in ceilings["flops"].items())
    return "\n\n".join(
        part
        for part in [
            "{name}, {date}; {versions}".format(**result["machine"]),
            f"Copies, bytes read and written: {copies}. Matrix products, TFLOP/s: {products}.",
            markdown(HEADER, [cells(row) for row in result["rows"]]),
            "\n".join(f"    {who(row)}: {row['error']}" for row in result["rows"] if row["error"]),
            "\n".join(f"    {line}" for line in verdicts(result["rows"])),
            short_table(result["rows"]),
        ]
        if part
    )


def options(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="FAMILY", help="these families")
    parser.add_argument("--seconds", type=float, default=600, help="begin no case later")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--dry-run", action="store_true", help="tiny arrays, whatever the times")
    parser.add_argument("--readme", type=Path, metavar="JSON", help="put figures into README.md")
    return parser.parse_args(arguments)


def run(given) -> dict:
    """Measure, on CuPy as it is."""
    import cupy

    tiny = given.dry_run
    clock, torch = Clock(cupy, *((2, False) if tiny else ())), find_torch()
    ceilings = {
        "bytes": clock.bandwidths(TINY_COPIES) if tiny else clock.bandwidths(),
        "flops": clock.rates(TINY_PRODUCTS) if tiny else clock.rates(),
    }
    rows = measure_all(cases(given.only, tiny), clock, torch, ceilings, given.seconds)
    return {"machine": machine(cupy, torch), "ceilings": ceilings, "rows": rows}


def with_a_gpu(dry_run: bool):
    """The context in which `import cupy` gives something to run on.  Raises RuntimeError."""
    from gpulayers.arrays.devices import why_no_gpu

    reason = why_no_gpu()
    if reason is None:
        return contextlib.nullcontext()
    if not dry_run:
        raise RuntimeError(reason)
    sys.path.insert(0, str(ROOT / "tests"))
    from stand_in_cupy import installed

    return installed(kernels=True)


def main(arguments=None) -> int:
    """Measure and print; 1 if a case failed, 2 if there is nothing to measure on."""
    given = options(arguments)
    if given.readme:
        page = ROOT / "README.md"
        result = json.loads(given.readme.read_text())
        page.write_text(fill_readme(page.read_text(encoding="utf-8"), result), encoding="utf-8")
        return 0
    try:
        context = with_a_gpu(given.dry_run)
    except RuntimeError as error:
        print(f"No benchmarks: {error}")
        return 2
    with context:
        config.set_device("gpu")
        result = run(given)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))
    text = report(result)
    if given.markdown:
        given.markdown.write_text(text + "\n", encoding="utf-8")
    print(text)
    return int(any(row["state"] == "failed" for row in result["rows"]))


if __name__ == "__main__":
    sys.exit(main())
