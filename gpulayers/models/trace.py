"""The calls in a graph of layers, inner models' included, as steps of a plan of inference."""

from __future__ import annotations

from functools import partial

import numpy as np

from .. import tree
from ..arrays import Abstract, KerasTensor, devices, dtypes, infer
from ..layers.calling import call_signature
from ..layers.input_spec import fixes_batch
from ..layers.layer import Layer
from ..layers.merging import are_alike
from ..layers.pieces import Call, Piece, Sum
from ..layers.plan import asks_for_more, is_real
from ..layers.plan import step as own_step
from .divided_plan import takes_parts
from .graph import operation_of
from .normalized_sums import adds_two
from .operations import name_of


class NeedsMore(Exception):
    """That a model needs more than a plan."""


class Step:
    """One call: a piece, the places of its arguments and of its results among all arrays."""

    def __init__(self, piece: Piece, sources, to):
        self.piece, self.sources, self.to = piece, tuple(sources), tuple(to)
        self.free: tuple[int, ...] = ()  # Places of what nobody needs afterwards.
        self.own: tuple[bool, ...] = ()  # Which arguments may be overwritten.


class Trace:
    """The steps of a model for inputs like those given, as they follow from its graph.

    inputs, outputs: places of the model's arrays among all arrays.
    in_context: whether some step is the full call of a layer, which asks who calls it.

    Raises NeedsMore if calls of the model need more than a plan.
    """

    def __init__(self, model, inputs):
        self.steps, self.in_context, self._casts = [], False, {}
        self.on_gpu = any(map(devices.is_cupy, inputs))
        self.arrays: list[Abstract | None] = []  # In their places; of some no shape is needed.
        given = [self._place(Abstract(x.shape, x.dtype)) for x in inputs]
        graph = model._plan_graph()
        if graph is None or len(given) != len(graph.input_tensors):
            raise NeedsMore
        cast = [self._cast(i, t) for i, t in zip(given, graph.input_tensors, strict=True)]
        self.inputs, self.outputs = tuple(given), tuple(self._through(model, cast))

    def _place(self, array) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1

    def _add(self, piece, sources, results) -> list[int]:
        to = [self._place(array) for array in results]
        self.steps.append(Step(piece, sources, to))
        return to

    def _cast(self, place, tensor) -> int:
        """The place of an input in the dtype of the model's."""
        x = self.arrays[place]
        if dtypes.name(x.dtype) == tensor.dtype:
            return place
        if not is_real(x.dtype) or tensor.dtype not in dtypes.FLOATS:
            raise NeedsMore
        dtype = dtypes.numpy_dtype(tensor.dtype)
        return self._cast_to(place, dtype, tensor.name)

    def _cast_to(self, place, dtype, name) -> int:
        """The place of an array in another dtype, to which it is cast once."""
        made = self._casts.get((place, dtype))
        if made is None:
            what = f"cast to {dtypes.name(dtype)}"
            cast = Call(name, lambda x: x.astype(dtype), what, fresh=True)
            (made,) = self._add(cast, [place], [Abstract(self.arrays[place].shape, dtype)])
            self._casts[place, dtype] = made
        return made

    def _in_its_dtype(self, layer, sources) -> list[int]:
        """The places of floats in a 16-bit dtype that a layer computes in, or has around it."""
        dtype = dtypes.numpy_dtype(layer.compute_dtype)
        return [
            self._cast_to(i, dtype, layer.name)
            if dtypes.is_floating(self.arrays[i]) and self.arrays[i].dtype != dtype
            else i
            for i in sources
        ]

    def _through(self, model, inputs) -> list[int]:
        """The places of a model's outputs for inputs in some places."""
        graph = model._plan_graph()
        tensors = graph.input_tensors
        if not all(_are_alike(self.arrays[i], t) for i, t in zip(inputs, tensors, strict=True)):
            raise NeedsMore
        places = {id(t): i for t, i in zip(tensors, inputs, strict=True)}
        for node in graph.nodes:
            found = self._of_node(node, [places[id(t)] for t in node.inputs])
            for tensor, place in zip(tree.flatten(node.outputs), found, strict=True):
                places[id(tensor)] = place
        return [places[id(t)] for t in graph.output_tensors]

    def _of_node(self, node, sources) -> list[int]:
        layer = node.operation
        kwargs = {k: v for k, v in node.kwargs.items() if k != "mask" or v is not None}
        if kwargs.pop("training", None):
            raise NeedsMore  # Who calls the model may say something else.
        if self.on_gpu and isinstance(layer, Layer) and layer.autocast:
            if layer.compute_dtype in dtypes.FLOATS:
                sources = self._in_its_dtype(layer, sources)
        arrays = [self.arrays[i] for i in sources]
        masked = any(_has_mask(t) for t in [*node.inputs, *tree.flatten(node.outputs)])
        is_plain = isinstance(layer, Layer) and not kwargs and not masked
        if is_plain and _is_graph(layer) and _takes_alone(node):
            return self._through(layer, sources)
        call = _arranged(node, layer, kwargs)
        results = tree.flatten(infer(call, *arrays))
        what = type(layer).__name__
        if not isinstance(layer, Layer):
            name, is_sum = operation_of(node).name or name_of(layer), adds_two(node)
            piece = Sum(name) if is_sum and are_alike(arrays) else Call(name, call, name_of(layer))
            return self._add(piece, sources, results)
        pieces = _pieces(node, arrays, self.on_gpu) if is_plain and _is_ours(layer) else None
        if pieces is None and self.on_gpu and _is_ours(layer) and not masked:
            pieces = _pieces_of_call(node, kwargs, arrays)
            sources = sources if pieces is None else [*dict.fromkeys(sources)]
        if pieces is None and not masked and _goes_directly(layer, arrays, self.on_gpu):
            function = _in_policy(layer)
            if call_signature(type(layer)).takes_training:
                function = partial(function, training=False)
            pieces = [Call(layer.name, _arranged(node, function, kwargs), what)]
        if pieces is None:
            inside = (call_signature(type(one)) for one in layer._flatten_layers())
            if any(signature.training_default for signature in inside):
                raise NeedsMore  # It augments unless it is told not to.
            self.in_context = True
            pieces = [Call(layer.name, call, f"full call of {what}")]
        for piece in pieces if _is_ours(layer) and not masked else ():
            if type(piece) is Call:
                piece.takes_parts = takes_parts(node)
                piece.layer = layer if is_plain and len(pieces) == 1 and _takes_all(node) else None
        for piece in pieces[:-1]:
            sources = self._add(piece, sources, [None])
        return self._add(pieces[-1], sources, results)


def _in_policy(layer):
    """A layer's `call`; with a 16-bit policy, which only arrays on a GPU meet, as it demands."""
    if layer.compute_dtype not in dtypes.SHORT_FLOATS:
        return layer.call
    return lambda *args, **kwargs: layer._compute(args, kwargs, dict(enumerate(args)))


def _takes_all(node) -> bool:
    """Whether a layer is called on its inputs and nothing else: one of them, or a list."""
    first, *others = node.args
    flat = list(first) if type(first) in (list, tuple) else [first]
    return not others and len(flat) == len(node.inputs)


def _pieces(node, arrays, on_gpu):
    """The pieces of a layer that is called on arrays alone; None if it has none."""
    layer, args = node.operation, node.args
    in_list = len(args) == 1 and type(args[0]) in (list, tuple)
    ghosts = [np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in arrays]
    if not (in_list or len(args) == 1) or any(asks_for_more(layer, x, on_gpu) for x in ghosts):
        return None
    own = getattr(layer, "_inference_pieces", None)
    made = None if own is None else own(*ghosts)
    if made is None and not in_list and not on_gpu:
        run = own_step(layer, *ghosts)
        made = None if run is None else [Call(layer.name, run, type(layer).__name__)]
    return made


def _pieces_of_call(node, kwargs, arrays):
    """The pieces of a layer for a call on arrays, which they take once each, and perhaps on other
    arguments; None if it has none."""
    own = getattr(node.operation, "_pieces_of_call", None)
    if own is None or any(asks_for_more(node.operation, x, on_gpu=True) for x in arrays):
        return None
    return own(arrays, node.args, kwargs)


def _arranged(node, function, kwargs):
    """A function of a node's arrays in their order, that calls `function` as the node does."""
    args = node.args
    if len(args) == len(node.inputs) == 1 and args[0] is node.inputs[0]:
        return partial(function, **kwargs) if kwargs else function
    if len(args) == 1 and args[0] is not None and type(args[0]) in (list, tuple) and not kwargs:
        if len(args[0]) == len(node.inputs):
            return lambda *arrays: function(list(arrays))
    structure = [list(args), kwargs]

    def call(*arrays):
        given = iter(arrays)
        filled = tree.map_structure(
            lambda x: next(given) if type(x) is KerasTensor else x, structure
        )
        return function(*filled[0], **filled[1])

    return call


def _are_alike(x, tensor) -> bool:
    """Whether an array has the rank, the sizes and the dtype that a KerasTensor says."""
    if len(x.shape) != len(tensor.shape) or dtypes.name(x.dtype) != tensor.dtype:
        return False
    return all(n is None or n == m for m, n in zip(x.shape[1:], tensor.shape[1:], strict=True))


def _has_mask(tensor) -> bool:
    return getattr(tensor, "_mask", None) is not None


def _is_ours(layer) -> bool:
    return type(layer).__module__.startswith("gpulayers.")


def _is_graph(layer) -> bool:
    plan_graph = getattr(layer, "_plan_graph", None)
    return plan_graph is not None and plan_graph() is not None


def _takes_alone(node) -> bool:
    """Whether a model is called on one array, or a list of as many as it takes."""
    tensors, (first, *others) = node.operation._plan_graph().input_tensors, node.args
    if others or len(tensors) != len(node.inputs):
        return False
    flat = [first] if type(first) is KerasTensor else first
    return type(flat) in (list, tuple) and all(type(t) is KerasTensor for t in flat)


def _goes_directly(layer, arrays, on_gpu) -> bool:
    """Whether a full call of a layer on arrays without masks does no more than its `call`."""
    if fixes_batch(layer.input_spec) or call_signature(type(layer)).training_default:
        return False
    for one in layer._flatten_layers():
        if not _is_ours(one) or not one.built or one.activity_regularizer is not None:
            return False
        if one.compute_dtype in dtypes.SHORT_FLOATS and not on_gpu:
            return False
    return all(x.dtype.kind in "biu" or dtypes.name(x.dtype) == layer.compute_dtype for x in arrays)
