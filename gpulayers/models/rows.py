"""Boxes laid out in rows, as SVG and as PNG: pictures of models without Graphviz."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

FONT, LINE, PADDING, GAP, BETWEEN = 12, 17, 10, 24, 34  # Points.
FILL, STROKE, INK = "#eef3fa", "#7089ab", "#20303f"


class Placed(NamedTuple):
    """A box with its upper left corner and its size."""

    lines: list[str]
    x: float
    y: float
    width: float
    height: float


def laid_out(boxes, rankdir: str = "TB"):
    """Places of boxes by their keys, lines between places, and the size of the whole.

    Each box stands in the row behind the last of those that it takes arrays from; in a row they
    stand in the order of what they take.
    """
    rows: dict[str, int] = {}
    for box in boxes:
        rows[box.key] = max((rows[key] + 1 for key in box.sources if key in rows), default=0)
    sizes = {box.key: _size(box.lines) for box in boxes}
    along = 1 if rankdir == "TB" else 0  # The axis on which rows follow each other.
    of_row: dict[int, list] = {}
    for box in boxes:
        of_row.setdefault(rows[box.key], []).append(box)
    middles: dict[str, float] = {}
    corners: dict[str, list[float]] = {}
    start = PADDING
    for row in sorted(of_row):
        wanted = {box.key: _mean([middles[k] for k in box.sources if k in middles])
                  for box in of_row[row]}  # fmt: skip
        ordered = sorted(of_row[row], key=lambda box: wanted[box.key])
        length = sum(sizes[box.key][1 - along] + GAP for box in ordered) - GAP
        place = -length / 2
        for box in ordered:
            size = sizes[box.key][1 - along]
            corner = [0.0, 0.0]
            corner[along], corner[1 - along] = start, place
            corners[box.key], middles[box.key] = corner, place + size / 2
            place += size + GAP
        start += max(sizes[box.key][along] for box in ordered) + BETWEEN
    shift = PADDING - min((corner[1 - along] for corner in corners.values()), default=0)
    for corner in corners.values():
        corner[1 - along] += shift
    placed = {box.key: Placed(box.lines, *corners[box.key], *sizes[box.key]) for box in boxes}
    edges = [(placed[key], placed[box.key]) for box in boxes for key in box.sources]
    width = max((p.x + p.width for p in placed.values()), default=0) + PADDING
    height = max((p.y + p.height for p in placed.values()), default=0) + PADDING
    return list(placed.values()), edges, (width, height)


def _size(lines) -> tuple[float, float]:
    width = max(len(line) for line in lines) * FONT * 0.6
    return width + 2 * PADDING, len(lines) * LINE + PADDING


def _mean(numbers) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _ends(before: Placed, after: Placed, rankdir):
    """Where a line leaves a box, and where it comes to the next."""
    if rankdir == "TB":
        return (
            (before.x + before.width / 2, before.y + before.height),
            (after.x + after.width / 2, after.y),
        )
    return (
        (before.x + before.width, before.y + before.height / 2),
        (after.x, after.y + after.height / 2),
    )


def boxes_as_svg(boxes, rankdir: str = "TB") -> str:
    """A picture of boxes in SVG."""
    placed, edges, (width, height) = laid_out(boxes, rankdir)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'font-family="Menlo, Consolas, monospace" font-size="{FONT}">',
        '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
        f'<path d="M0,0 L7,3 L0,6 z" fill="{STROKE}"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for before, after in edges:
        (x, y), (u, v) = _ends(before, after, rankdir)
        parts.append(
            f'<path d="M{x:.1f},{y:.1f} L{u:.1f},{v:.1f}" stroke="{STROKE}" fill="none" '
            'marker-end="url(#head)"/>'
        )
    for box in placed:
        parts.append(
            f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
            f'height="{box.height:.1f}" rx="5" fill="{FILL}" stroke="{STROKE}"/>'
        )
        for i, line in enumerate(box.lines):
            x, y = box.x + box.width / 2, box.y + PADDING / 2 + (i + 0.75) * LINE
            parts.append(
                f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{INK}">'
                f"{escape(line)}</text>"
            )
    return "\n".join([*parts, "</svg>", ""])


def draw_as_png(boxes, rankdir: str, dpi: int, file) -> None:
    """A picture of boxes as PNG, drawn by Matplotlib.  Raises ImportError if that is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import FancyBboxPatch
    except ImportError as error:
        raise ImportError(
            "a .png needs Graphviz (its program dot) or Matplotlib: pip install matplotlib. "
            "A .svg needs neither."
        ) from error
    placed, edges, (width, height) = laid_out(boxes, rankdir)
    figure = Figure(figsize=(width / 72, height / 72), dpi=dpi)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for before, after in edges:
        start, end = _ends(before, after, rankdir)
        arrow = {"arrowstyle": "-|>", "color": STROKE, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", end, start, arrowprops=arrow)
    for box in placed:
        style = {"boxstyle": "round,pad=0,rounding_size=5", "fc": FILL, "ec": STROKE}
        axes.add_patch(FancyBboxPatch((box.x, box.y), box.width, box.height, **style))
        x, y = box.x + box.width / 2, box.y + box.height / 2
        options = {"size": FONT * 0.9, "color": INK, "family": "monospace"}
        axes.text(x, y, "\n".join(box.lines), ha="center", va="center", **options)
    figure.savefig(file, format="png", dpi=dpi)
