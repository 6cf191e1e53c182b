"""The table that `model.summary()` prints."""

from __future__ import annotations

import itertools
import math
import re
import shutil
import textwrap
from collections.abc import Callable, Iterator

from .. import tree
from ..arrays import dtypes
from ..callbacks.printing import say
from ..layers.layer import Layer
from .graph import Graph, operation_of
from .operations import class_of, name_of

_LENGTHS = {False: 88, True: 108}  # Without and with the column of connections.
_TRAINABLE = 12  # What the column of that name takes.
_POSITIONS = {False: (0.45, 0.80, 1.0), True: (0.3, 0.56, 0.74, 1.0)}


def summarize(
    model,
    line_length: int | None = None,
    positions: list[float] | None = None,
    print_fn: Callable[[str], object] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: list[str] | None = None,
) -> None:
    """Print a table of a model's layers, with their outputs' shapes and numbers of weights.

    Args:
        model: the model.
        line_length: width of the table in characters; at most the terminal's by default.
        positions: where the columns end, as parts of the width or in characters.
        print_fn: called once with the whole text, instead of printing it.
        expand_nested: whether to list the layers of models inside the model, too.
        show_trainable: whether to add a column that says which layers are trainable.
        layer_range: names (or regular expressions) of the first and the last layer to show.

    Raises ValueError for a width that is too small, and for names that match no layer.
    """
    graph = _branching_graph(model)
    header = ["Layer (type)", "Output Shape", "Param #"]
    if graph is not None:
        header.append("Connected to")
    if show_trainable:
        header.append("Trainable")
    widths = _column_widths(graph is not None, show_trainable, line_length, positions)
    table = Rows(model, graph, show_trainable, expand_nested)
    rows = [row for operation in _chosen(table, layer_range) for row in table.of(operation)]
    lines = [f'Model: "{model.name}"', *_drawn([header, *rows], widths), *_totals(model)]
    (print_fn or say)("\n".join(lines))


class Rows:
    """The rows of the table: texts for each layer, or function, of a model."""

    def __init__(self, model, graph, show_trainable, expand_nested):
        self._graph, self._show_trainable = graph, show_trainable
        self._expand_nested = expand_nested
        whole = getattr(model, "_graph", None)
        self._names: dict[int, str] = {}
        self.operations = _operations(model)
        self._nodes = [] if whole is None else whole.nodes
        taken: dict[str, int] = {}
        for operation in self.operations:
            name = operation.name if isinstance(operation, Layer) else _function_name(operation)
            count = taken[name] = taken.get(name, -1) + 1
            self._names[id(operation)] = f"{name}_{count}" if count else name
        self._places = {} if graph is None else self._places_of(graph)

    def name(self, operation) -> str:
        """The name of an operation, which no other one has."""
        return self._names[id(operation)]

    def kind(self, operation) -> str:
        """The class of a layer, or a function's name written like one."""
        if isinstance(operation, Layer):
            return type(operation).__name__
        return class_of(name_of(operation.operation))

    def of(self, operation, level: int = 0) -> Iterator[list[str]]:
        """The row of an operation, and those of the layers inside it if they are wanted."""
        is_layer = isinstance(operation, Layer)
        name = operation.name if level else self.name(operation)
        indent = "   " * level + "└ " if level else ""
        title = f"{indent}{name} ({self.kind(operation)})"
        row = [title, self.shape(operation), _count(operation)]
        if self._graph is not None:
            row.append(", ".join(self._connections(operation)) or "-")
        if self._show_trainable:
            has_weights = is_layer and bool(operation.weights)
            row.append(("Y" if operation.trainable else "N") if has_weights else "-")
        yield row
        if self._expand_nested:
            for layer in getattr(operation, "layers", None) or ():
                yield from self.of(layer, level + 1)

    def _places_of(self, graph: Graph) -> dict[int, str]:
        """How each tensor is called: its layer, which call of that, which output."""
        places = {id(t): f"{self.name(operation_of(t.node))}[0][0]" for t in graph.input_tensors}
        calls: dict[int, int] = {}
        for node in graph.nodes:
            operation = operation_of(node)
            call = calls[id(operation)] = calls.get(id(operation), -1) + 1
            for output in tree.flatten(node.outputs):
                places[id(output)] = f"{self.name(operation)}[{call}][{output.index}]"
        return places

    def _connections(self, operation):
        for node in self._nodes:
            if operation_of(node) is operation:
                yield from (self._places[id(tensor)] for tensor in node.inputs)

    def shape(self, operation) -> str:
        """The shapes of what an operation gives; "?" if they are not known."""
        if not isinstance(operation, Layer):
            outputs = operation.outputs
        else:
            own = [node for node in self._nodes if node.operation is operation]
            nodes = own or operation._inbound_nodes
            outputs = nodes[-1].outputs if nodes else None
        if outputs is not None:
            return _shapes(tree.map_structure(lambda t: _Shape(t.shape), outputs))
        if not operation._build_shapes:
            return "?"
        try:
            shapes = operation.compute_output_shape(*operation._build_shapes.values())
            return _shapes(tree.map_shape_structure(_Shape, shapes))
        except (NotImplementedError, TypeError, ValueError):  # It has no one shape.
            return "?"


class _Shape:
    """A shape as a leaf of a structure."""

    def __init__(self, sizes):
        self._sizes = sizes

    def __repr__(self):
        return f"({', '.join(map(str, self._sizes))})"


def _shapes(structure) -> str:
    leaves = tree.flatten(structure)
    return repr(leaves[0] if len(leaves) == 1 else structure)


def _count(operation) -> str:
    if not isinstance(operation, Layer):
        return "0"
    return f"{operation.count_params():,}" if operation.built else "0 (unbuilt)"


def _function_name(node) -> str:
    return node.name or name_of(node.operation)


def _operations(model) -> list:
    graph = getattr(model, "_graph", None)
    return list(model.layers) if _is_stack(model) or graph is None else graph.operations()


def _is_stack(model) -> bool:
    from .sequential import Sequential

    return isinstance(model, Sequential)


def _branching_graph(model) -> Graph | None:
    """The graph of a model that is more than one layer behind another; None for a stack."""
    graph = getattr(model, "_graph", None)
    if graph is None or _is_stack(model):
        return None
    uses = [id(tensor) for node in graph.nodes for tensor in node.inputs]
    calls = [id(operation_of(node)) for node in graph.nodes]
    is_chain = (
        len(graph.input_tensors) == 1
        and all(len(node.inputs) == 1 for node in graph.nodes)
        and len(set(uses)) == len(uses)
        and len(set(calls)) == len(calls)
    )
    return None if is_chain else graph


def _chosen(table: Rows, layer_range) -> list:
    operations = table.operations
    if layer_range is None:
        return operations
    if len(layer_range) != 2 or not all(isinstance(name, str) for name in layer_range):
        raise ValueError(f"summary: layer_range must be two names of layers, got {layer_range!r}.")
    found = []
    for pattern in layer_range:
        places = [i for i, one in enumerate(operations) if re.match(pattern, table.name(one))]
        if not places:
            names = ", ".join(table.name(one) for one in operations)
            raise ValueError(f"summary: no layer matches {pattern!r}; there are {names}.")
        found.append((min(places), max(places)))
    (first, last_of_first), (first_of_last, last) = found
    if first > last:
        first, last = first_of_last, last_of_first
    return operations[first : last + 1]


def _column_widths(has_connections, show_trainable, line_length, positions) -> list[int]:
    """The room for text in each column."""
    if line_length is None:
        wanted = _LENGTHS[has_connections] + (_TRAINABLE if show_trainable else 0)
        line_length = min(wanted, shutil.get_terminal_size().columns - 4)
    ends = list(positions or _POSITIONS[has_connections])
    if ends[-1] > 1:
        ends = [end / line_length for end in ends]
    if show_trainable:
        ends = [end * (1 - _TRAINABLE / line_length) for end in ends] + [1.0]
    edges = [0, *(int(end * (line_length - 1)) for end in ends)]
    # A column has a line at its left and a blank at either side.
    widths = [right - left - 3 for left, right in itertools.pairwise(edges)]
    if min(widths) < 1:
        raise ValueError(
            f"summary: {line_length} characters are too few for {len(widths)} columns; pass a "
            f"larger line_length."
        )
    return widths


def _drawn(rows: list[list[str]], widths: list[int]) -> Iterator[str]:
    """The lines of a table with a heavy frame around its first row."""

    def border(left, line, middle, right):
        return left + middle.join(line * (width + 2) for width in widths) + right

    yield border("┏", "━", "┳", "┓")
    for number, row in enumerate(rows):
        if number:
            yield border("┡", "━", "╇", "┩") if number == 1 else border("├", "─", "┼", "┤")
        yield from _cells(row, rows[0], widths, "┃" if number == 0 else "│")
    yield border("└", "─", "┴", "┘") if len(rows) > 1 else border("┗", "━", "┻", "┛")


def _cells(row, header, widths, line):
    cells = [textwrap.wrap(text, w) or [""] for text, w in zip(row, widths, strict=True)]
    for i in range(max(map(len, cells))):
        texts = []
        for cell, width, head in zip(cells, widths, header, strict=True):
            text = cell[i] if i < len(cell) else ""
            align = {"Param #": ">", "Trainable": "^"}.get(head, "<")
            texts.append(f" {text:{align}{width}} ")
        yield line + line.join(texts) + line


def _totals(model) -> Iterator[str]:
    trainable, fixed = _sizes(model.trainable_weights), _sizes(model.non_trainable_weights)
    optimizer = getattr(model, "optimizer", None)
    own = None
    if optimizer is not None and optimizer.built:
        own = _sizes(optimizer.variables)
    parts = [part for part in (trainable, fixed, own) if part is not None]
    total = tuple(sum(numbers) for numbers in zip(*parts, strict=True))
    for what, part in (
        ("Total", total),
        ("Trainable", trainable),
        ("Non-trainable", fixed),
        ("Optimizer", own),
    ):
        if part is not None:
            yield f" {what} params: {part[0]:,} ({_memory(part[1])})"


def _sizes(weights) -> tuple[int, int]:
    """The number of elements, and of bytes, of weights, each counted once."""
    count = size = 0
    for weight in {id(weight): weight for weight in weights}.values():
        elements = math.prod(weight.shape)
        count += elements
        size += elements * dtypes.numpy_dtype(weight.dtype).itemsize
    return count, size


def _memory(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} PB"
