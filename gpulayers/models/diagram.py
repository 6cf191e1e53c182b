"""Pictures of models: a box for each layer, lines for the arrays between them.

Graphviz lays them out if its program `dot` is there; else rows of boxes do, one row for each step
from the inputs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from html import escape

from .. import tree
from ..layers.layer import Layer
from ..saving.files import replacing
from .graph import operation_of
from .rows import boxes_as_svg, draw_as_png
from .summary import Rows

ENDINGS = (".svg", ".png")


@dataclass
class Box:
    """One layer: what stands in it, and the keys of the boxes whose outputs it takes."""

    key: str
    lines: list[str]
    sources: list[str] = field(default_factory=list)


def plot_model(
    model,
    to_file="model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> None:
    """Draw the layers of a model into a file.

    Args:
        model: a model that is built.
        to_file: ends in ".svg" or ".png". Without Graphviz, ".png" needs Matplotlib.
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable: what
            stands in a box beside the class.
        rankdir: "TB" from top to bottom, "LR" from left to right.
        expand_nested: whether the layers of inner models are shown instead of one box.
        dpi: dots per inch of a ".png".

    Raises ValueError for another ending or direction, and for a model that is not built;
    ImportError if nothing can draw a ".png".
    """
    path = os.fspath(to_file)
    if not path.endswith(ENDINGS):
        raise ValueError(f"plot_model: to_file must end in .svg or .png, got {path!r}.")
    if rankdir not in ("TB", "LR"):
        raise ValueError(f"plot_model: rankdir must be 'TB' or 'LR', got {rankdir!r}.")
    shown = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    found = boxes_of(model, shown, expand_nested)
    with replacing(path) as file:
        if shutil.which("dot"):
            text = _dot(found, rankdir, dpi)
            command = ["dot", f"-T{path[-3:]}"]
            file.write(subprocess.run(command, input=text.encode(), capture_output=True).stdout)
        elif path.endswith(".svg"):
            file.write(boxes_as_svg(found, rankdir).encode())
        else:
            draw_as_png(found, rankdir, dpi, file)


def model_to_dot(
    model,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> str:
    """The layers of a model in Graphviz's language, as a text (Keras: an object of pydot).

    The arguments are those of `plot_model`; `subgraph` is accepted, and changes nothing.
    """
    shown = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    return _dot(boxes_of(model, shown, expand_nested), rankdir, dpi)


@dataclass
class Shown:
    """What stands in a box beside the class of its layer."""

    shapes: bool = False
    dtype: bool = False
    names: bool = False
    activations: bool = False
    trainable: bool = False

    def lines(self, name: str, kind: str, operation, shape: str) -> list[str]:
        """The lines of a box."""
        found = [f"{name} ({kind})" if self.names else kind]
        activation = getattr(operation, "activation", None)
        if self.activations and callable(activation):
            found.append(
                f"activation: {getattr(activation, '__name__', type(activation).__name__)}"
            )
        if self.shapes:
            found.append(f"shape: {shape}")
        if self.dtype and isinstance(operation, Layer):
            found.append(f"dtype: {operation.compute_dtype}")
        if self.trainable and isinstance(operation, Layer) and operation.weights:
            found.append("trainable" if operation.trainable else "frozen")
        return found


def boxes_of(model, shown: Shown, expand_nested: bool = False) -> list[Box]:
    """The boxes of a model's layers, each behind those that it takes arrays from.

    Raises ValueError for a model that is not built.
    """
    if not model.built:
        raise ValueError(f"plot_model: {model.name!r} is not built: build it, or call it on data.")
    found = _Boxes(shown, expand_nested).of(model, "", [], [])
    for box in found:
        box.sources = list(dict.fromkeys(_keys(box.sources)))
    return found


class _Boxes:
    """Makes the boxes. Lists of keys are handed round before they are filled, for a layer that is
    called again may take what comes from it: they are lists of such lists until the end."""

    def __init__(self, shown: Shown, expand_nested: bool):
        self.shown, self.expand_nested = shown, expand_nested

    def of(self, model, prefix: str, sources: list, ends: list) -> list[Box]:
        """The boxes of a model that takes arrays from `sources`; `ends` gets what they leave by."""
        rows = Rows(model, None, False, False)
        graph = getattr(model, "_graph", None)
        if hasattr(model, "add") or graph is None:
            return self._in_a_line(model, rows, prefix, sources, ends)
        inputs = {id(operation_of(t.node)) for t in graph.input_tensors}
        leave = {id(operation): [] for operation in rows.operations}
        found: list[Box] = []
        for operation in rows.operations:
            if prefix and id(operation) in inputs:
                leave[id(operation)].append(sources)
                continue
            takes = [t for n in graph.nodes if operation_of(n) is operation for t in n.inputs]
            before = [leave[id(operation_of(t.node))] for t in takes]
            found += self._boxes(rows, operation, prefix, before, leave[id(operation)])
        ends += [leave[id(operation_of(t.node))] for t in tree.flatten(graph.outputs)]
        return found

    def _in_a_line(self, model, rows, prefix, sources, ends) -> list[Box]:
        """Layers one behind the other; those of a class of one's own without lines."""
        found: list[Box] = []
        for operation in rows.operations:
            leave: list = []
            found += self._boxes(rows, operation, prefix, sources, leave)
            sources = leave if hasattr(model, "add") else []
        ends.append(sources)
        return found

    def _boxes(self, rows, operation, prefix, sources, leave) -> list[Box]:
        key = f"{prefix}{rows.name(operation)}"
        if self.expand_nested and getattr(operation, "layers", None):
            return self.of(operation, f"{key}/", sources, leave)
        leave.append(key)
        lines = self.shown.lines(key, rows.kind(operation), operation, rows.shape(operation))
        return [Box(key, lines, sources)]


def _keys(sources, seen=()):
    for source in sources:
        if isinstance(source, str):
            yield source
        elif id(source) not in seen:  # A model that gives its input may take what it gives.
            yield from _keys(source, (*seen, id(source)))


def _dot(boxes: list[Box], rankdir: str, dpi: int) -> str:
    numbers = {box.key: i for i, box in enumerate(boxes)}
    lines = [
        "digraph model {",
        f"  graph [rankdir={rankdir}, dpi={dpi}];",
        '  node [shape=box, style="rounded,filled", fillcolor="#eef3fa", fontname="Helvetica"];',
    ]
    for box in boxes:
        text = "<br/>".join(escape(line) for line in box.lines)
        lines.append(f"  n{numbers[box.key]} [label=<{text}>];")
        lines += [f"  n{numbers[key]} -> n{numbers[box.key]};" for key in box.sources]
    return "\n".join([*lines, "}", ""])
