"""What was measured on a GPU as tables: one line for a case, or one for a family."""

from __future__ import annotations

import re
from math import exp, log
from statistics import median

from gpu_networks import goals

LARGE = 64e6  # Bytes, from which on the goals hold.
# What the goals ask of tensors that are large: a share of the floor, and how fast PyTorch may be.
GOALS = {
    "bias + gelu": (0.9, 1.0),
    "softmax": (0.9, 1.0),
    "layer normalization": (0.9, 1.0),
    "RMS normalization": (0.9, 1.0),
    "dropout": (0.9, 1.0),
    "Adam": (0.9, 1.0),
    "8 layers, captured": (None, 3.0),
    **goals(),
}
README_COLUMNS = 6  # Of its table of kernels.
HEADER = (
    "kernels", "case", "shape", "dtype",
    "µs", "TB/s", "of the floor", "PyTorch µs", "times as fast",
)  # fmt: skip


def floor(nbytes: int, flops: int, dtype: str, ceilings: dict) -> float:
    """Seconds that this GPU needs at least: for the bytes at the speed of its copies, for the
    operations at that of its products."""
    moved = nbytes / max(ceilings["bytes"].values())
    return max(moved, flops / ceilings["flops"][dtype] if flops else 0.0)


def cells(row: dict) -> list[str]:
    """A row of HEADER."""
    shape = " x ".join(map(str, row["shape"]))
    first = [row["family"], row["what"], shape, row["dtype"]]
    if row["state"] != "measured":
        return [*first, row["state"], "", "", "", ""]
    rate = row["nbytes"] / row["seconds"] / 1e12
    return [
        *first,
        f"{row['seconds'] * 1e6:.1f}",
        f"{rate:.2f}" if row["nbytes"] else "",
        f"{row['share']:.2f}" if row["share"] else "",
        f"{row['peer'] * 1e6:.1f}" if row["peer"] else row["peer_state"],
        f"{row['peer'] / row['seconds']:.2f}" if row["peer"] else "",
    ]


def markdown(header, rows) -> str:
    """A table, its columns of equal width."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = [header, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |"
        for line in lines
    )


def families(rows: list[dict]) -> dict[str, dict]:
    """By family: its state, the least, median and best share of the floor and speed-up."""
    found = {}
    for name in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == name]
        measured = [row for row in own if row["state"] == "measured"]
        states = [row["state"] for row in own]
        state = "failed" if "failed" in states else states[0]
        shares = [row["share"] for row in measured if row["share"]]
        ratios = [row["peer"] / row["seconds"] for row in measured if row["peer"]]
        found[name] = {
            "state": "measured" if measured and state != "failed" else state,
            "cases": f"{len(measured)} of {len(own)}",
            "share": spread(shares, median),
            "ratio": spread(ratios, geometric_mean),
        }
    return found


def geometric_mean(numbers) -> float:
    """The mean of ratios."""
    return exp(sum(map(log, numbers)) / len(numbers))


def spread(numbers: list[float], middle) -> str:
    """The middle, and in brackets the least and the most."""
    if not numbers:
        return ""
    return f"{middle(numbers):.2f} ({min(numbers):.2f} to {max(numbers):.2f})"


def short_table(rows: list[dict]) -> str:
    """One line for each family."""
    header = ("kernels", "state", "cases", "of the floor", "times as fast as PyTorch")
    lines = [
        (name, f["state"], f["cases"], f["share"], f["ratio"]) for name, f in families(rows).items()
    ]
    return markdown(header, lines)


def verdicts(rows: list[dict]) -> list[str]:
    """Each goal, and the case that comes farthest from it."""
    lines = []
    for what, (share, ratio) in GOALS.items():
        own = [row for row in rows if row["state"] == "measured" and row["what"].startswith(what)]
        own = [row for row in own if share is None or _tensor(row) >= LARGE]
        if not own:
            lines.append(f"unknown  {what}: not measured")
            continue
        if share is not None:
            worst = min(own, key=lambda row: row["share"])
            met = "met    " if worst["share"] >= share else "MISSED "
            lines.append(f"{met}  {who(worst)}: {worst['share']:.2f} of the floor, goal {share}")
        compared = [row for row in own if row["peer"]]
        if compared:
            worst = min(compared, key=lambda row: row["peer"] / row["seconds"])
            reached = worst["peer"] / worst["seconds"]
            met = "met    " if reached >= ratio else "MISSED "
            lines.append(f"{met}  {who(worst)}: {reached:.2f} times PyTorch, goal {ratio}")
    return lines


def _tensor(row) -> int:
    """The bytes of one of the arrays."""
    return row["nbytes"] // row["passes"]


def who(row) -> str:
    """What was measured, in a line."""
    return f"{row['what']} {' x '.join(map(str, row['shape']))} {row['dtype']}"


def fill_readme(text: str, result: dict) -> str:
    """README.md with the last three columns of its table of kernels from a measurement.

    A row's first cell names families; where one of them failed, or none was measured, it stays.
    """
    known = families(result["rows"])
    where = "{name}, {date}".format(**result["machine"])
    lines = text.split("\n")
    for i, line in enumerate(lines):
        columns = line.split("|")
        names = re.findall(r"`(\w+)`", columns[1]) if len(columns) == README_COLUMNS + 2 else ()
        own = [known[name] for name in names if name in known]
        if own and all(f["state"] == "measured" for f in own):
            shares, ratios = (", ".join(f[k] for f in own if f[k]) for k in ("share", "ratio"))
            columns[-4:-1] = (f" {cell} " for cell in (where, shares, ratios))
            lines[i] = "|".join(columns)
    return "\n".join(lines)
