"""The walk through a model's graph that writes each layer and function as nodes of ONNX."""

from __future__ import annotations

from ... import layers as made
from ... import tree
from ...arrays import KerasTensor
from ...layers.calling import call_signature
from ...layers.layer import Layer
from ...models.graph import operation_of
from ...models.model import Model, original
from ...models.operations import name_of
from ...models.sequential import Sequential
from . import activations, attention, convolution, normalization, products, recurrent, shaping
from .functions import function
from .masks import masks_of
from .writer import NotCovered, Value, Writer

PARTS = (activations, attention, convolution, normalization, products, recurrent, shaping)
LAYERS = {cls: write for part in PARTS for cls, write in part.LAYERS.items()}
# Layers that do with masks what they do here, if their inputs carry some; others ignore them.
MASKED = (made.LSTM, made.GRU, made.SimpleRNN, made.RNN, made.Bidirectional, made.Softmax)
MASKED += (made.MultiHeadAttention, made.GroupQueryAttention, made.Attention)
MASKED += (made.AdditiveAttention, made.GlobalAveragePooling1D)
LOOKING = (made.Multiply, made.Maximum, made.Minimum)  # Without an argument for them.


class GraphWriter(Writer):
    """A Writer that knows layers and graphs."""

    def graph(self, model, inputs: list[Value]) -> list[Value]:
        """The outputs of a model's graph for Values in the place of its inputs."""
        graph = graph_of(model)
        values = {id(t): x for t, x in zip(graph.input_tensors, inputs, strict=True)}
        for node in graph.nodes:
            with _Blaming(self, node):
                found = self._node(node, values)
                outputs = tree.flatten(node.outputs)
                found = found if isinstance(found, list) else [found]
                if len(found) != len(outputs):
                    raise NotCovered(f"gives {len(outputs)} outputs, which is not covered")
                for tensor, x in zip(outputs, found, strict=True):
                    found = _with_sizes(self.cast(x, tensor.dtype), tensor)
                    values[id(tensor)] = found.masked(x.mask)
        return [values[id(t)] for t in graph.output_tensors]

    def _node(self, node, values):
        def given(x):
            return values[id(x)] if type(x) is KerasTensor else x

        layer = node.operation
        args = tree.map_structure(given, list(node.args))
        kwargs = {key: tree.map_structure(given, x) for key, x in node.kwargs.items()}
        if not isinstance(layer, Layer):
            return function(self, layer, args, kwargs)
        kwargs.pop("training", None)
        mask = kwargs.pop("mask", None)
        if mask is not None:
            args[0] = _masked(args[0], mask)
        carried = any(x.mask is not None for x in tree.flatten(args) if isinstance(x, Value))
        if carried and _uses_masks(layer):
            raise NotCovered("uses the mask that its inputs carry, which is not covered")
        given = args
        if mask is None and isinstance(layer, (made.RNN, made.Bidirectional)):
            if len([x for x in [*args, *kwargs.values()] if x is not None]) > 1:
                given = [args[0].masked(None), *args[1:]]  # As in Keras: beside first states too.
        found = self.call(layer, *given, **kwargs)
        if isinstance(layer, Model):
            return found
        return self._with_masks(layer, args, found)

    def _with_masks(self, layer, args, found):
        """Outputs carrying the masks that they have."""
        found = found if isinstance(found, list) else [found]
        masks = masks_of(self, layer, args[:1], len(found))
        return [x.masked(mask) for x, mask in zip(found, masks, strict=True)]

    def call(self, layer, *args, **kwargs):
        """A layer, or an inner model, applied to Values: a Value, or a list of them."""
        kwargs.pop("training", None)
        if isinstance(layer, Model):
            outputs = self.graph(layer, _arranged(layer, args[0]))
            return outputs if tree.is_nested(graph_of(layer).results) else outputs[0]
        write = LAYERS.get(type(layer))
        if write is None:
            raise NotCovered(_why_not(layer))
        if layer.compute_dtype not in ("float32", None):
            raise NotCovered(f"computes in {layer.compute_dtype}: only float32 is covered")
        return write(self, layer, *tree.map_structure(self._single_precision, list(args)), **kwargs)

    def _single_precision(self, x):
        """Floats as float32, in which all layers here compute."""
        floats = isinstance(x, Value) and x.dtype.startswith("float")
        return self.cast(x, "float32").masked(x.mask) if floats else x


class _Blaming:
    """Names the nodes of a layer after it, and says in errors which layer it was, and where."""

    def __init__(self, writer, node):
        self.writer, operation = writer, operation_of(node)
        self.is_layer = isinstance(operation, Layer)
        self.kind = type(operation).__name__ if self.is_layer else "function"
        self.name = operation.name or name_of(node.operation)

    def __enter__(self):
        self.before = self.writer.place
        self.writer.place = f"{self.before}/{self.name}" if self.before else self.name

    def __exit__(self, kind, error, traceback):
        place, self.writer.place = self.writer.place, self.before
        if kind is None or (kind is ValueError and str(error).startswith("export: ")):
            return
        if isinstance(error, NotCovered):
            where = f" (at {place})" if self.before else ""
            raise ValueError(f"export: {self.kind} {self.name!r}{where} {error}.") from None
        if isinstance(error, TypeError):
            raise ValueError(
                f"export: {self.kind} {self.name!r} is called with arguments that are not covered: "
                f"{error}"
            ) from error


def graph_of(model):
    """The graph of a model.  Raises NotCovered if it is none."""
    methods = (Sequential.call, Model.call)
    if all(original(type(model).call) is not original(method) for method in methods):
        raise NotCovered("computes in a `call` of its own: only graphs of layers are covered")
    try:
        return model._need_graph("graph")
    except AttributeError as error:
        raise NotCovered(f"is no graph of layers: {error}") from None


def _arranged(model, inputs) -> list[Value]:
    """The Values for the inputs of an inner model, in their order."""
    if isinstance(inputs, dict):
        expected = graph_of(model).inputs
        names = expected if isinstance(expected, dict) else model.input_names
        return tree.flatten({name: inputs[name] for name in names})
    return tree.flatten(inputs)


def _uses_masks(layer) -> bool:
    """Whether a mask that the inputs carry changes what a layer gives, in a way not covered."""
    if isinstance(layer, made.TimeDistributed):  # It hands each step's mask on.
        inner = layer.layer
        return isinstance(inner, (*MASKED, *LOOKING)) or _uses_masks(inner)
    if isinstance(layer, (Model, made.BatchNormalization, *MASKED, *LOOKING)):
        return False  # Normalization uses them only in training.
    return call_signature(type(layer)).takes_mask


def _masked(x, mask):
    """The first argument of a layer, carrying what was given as its argument `mask`."""
    if not isinstance(x, (list, tuple)):
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        return x.masked(mask)
    return [one.masked(m) for one, m in zip(x, mask, strict=False)] + list(x[len(mask) :])


def _why_not(layer) -> str:
    if isinstance(layer, made.Lambda):
        return "holds a function of your own: put it into layers that ONNX has"
    if not type(layer).__module__.startswith("gpulayers."):
        return "is a layer of your own: only the layers of this library are covered"
    return "is not covered: ONNX has no such layer, or none that gives the same"


def _with_sizes(x: Value, tensor) -> Value:
    """`x` with the sizes that the graph knows."""
    sizes = (a if b is None else b for a, b in zip(x.shape, tensor.shape, strict=True))
    x.shape = tuple(sizes)
    return x
