"""The functional API: symbolic arrays that remember which call gives them."""

from __future__ import annotations

from .. import tree
from . import dtypes
from .abstract import Abstract, infer
from .namespace import RANK, namespace
from .operators import Operators


class KerasTensor(Operators):
    """An array to be: its shape may hold None, and its history is the call that will give it.

    Args:
        shape: sizes; None for an unknown one.
        dtype: a name.
        sparse, ragged: False: there are no arrays but dense ones here.
        record_history: as in Keras; calls are always remembered.
        name: for messages and outputs of models.
        node, index: the call that gives it, and which of that call's outputs it is.

    Raises ValueError for sparse and ragged ones.
    """

    __slots__ = ("__weakref__", "_mask", "dtype", "index", "name", "node", "optional", "shape")
    mask_slot = True
    sparse = ragged = False

    def __init__(
        self,
        shape,
        dtype="float32",
        sparse=False,
        ragged=False,
        record_history=True,
        name=None,
        *,
        node=None,
        index=0,
    ):
        if sparse or ragged:
            raise ValueError("KerasTensor: sparse and ragged arrays are not supported.")
        self.shape, self.dtype, self.name = tuple(shape), dtypes.standardize(dtype), name
        self.node, self.index, self.optional = node, index, False

    ndim = property(lambda self: len(self.shape))

    def __array_namespace__(self, *, api_version=None):
        return SYMBOLIC

    def __bool__(self):
        raise TypeError(
            "a KerasTensor has no value to branch on: put this computation into a layer's `call`, "
            "with xp.where."
        )

    def __iter__(self):
        raise TypeError("a KerasTensor cannot be iterated over: use gpulayers.ops.unstack.")

    def __float__(self):
        raise TypeError("a KerasTensor has no value: it stands for a model's future array.")

    __int__ = __index__ = __float__

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "a KerasTensor was given to a NumPy function. It only describes an array: use "
            "gpulayers.ops or a layer."
        )

    def reshape(self, *shape):
        """The same elements in another shape, by `ops.reshape`."""
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return SYMBOLIC.reshape(self, tuple(shape))

    def __repr__(self):
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


RANK[KerasTensor] = 101


class Node:
    """One call of an operation (a layer, a function) in a graph of KerasTensors."""

    def __init__(self, operation, args, kwargs, outputs=None):
        self.operation, self.args, self.kwargs, self.outputs = operation, args, kwargs, outputs
        self.name = None  # Of a function's node, where a file gave it one.
        self.inputs = [x for x in tree.flatten([args, kwargs]) if type(x) is KerasTensor]

    def run(self, values: dict, without: str | None = None):
        """The operation applied to arrays in the place of KerasTensors, found by identity.

        `without` names an argument that is left out.
        """

        if len(self.args) == 1 and not self.kwargs:  # The usual call of a layer.
            (x,) = self.args
            if type(x) is KerasTensor:
                return self.operation(values[id(x)])
            if type(x) is list and all(type(part) is KerasTensor for part in x):
                return self.operation([values[id(part)] for part in x])

        def given(x):
            return values[id(x)] if type(x) is KerasTensor else x

        args = tree.map_structure(given, self.args)
        kwargs = tree.map_structure(given, self.kwargs)
        kwargs.pop(without, None)
        return self.operation(*args, **kwargs)


class Function:
    """An array function as an operation of a graph: `name` in a namespace of arrays."""

    def __init__(self, name: str):
        self.name = name
        self.__name__ = name

    def __call__(self, *args, **kwargs):
        arrays = args[0] if args and isinstance(args[0], (list, tuple)) else args
        xp = namespace(*arrays)
        if self.name == "getitem":
            return args[0][args[1]]
        found = xp
        for part in self.name.split("."):
            found = getattr(found, part)
        return found(*args, **kwargs)

    def __repr__(self):
        return f"<function {self.name}>"


def abstract(x):
    """The Abstract array that a KerasTensor describes, with its mask; None sizes included."""
    if type(x) is not KerasTensor:
        return x
    made = Abstract(x.shape, x.dtype)
    mask = getattr(x, "_mask", None)
    if mask is not None:
        made._mask = abstract(mask)
    return made


def symbolic(x, node, index):
    """The KerasTensor for an inferred Abstract output of `node`."""
    if not isinstance(x, Abstract):
        return x
    made = KerasTensor(x.shape, dtypes.name(x.dtype), node=node, index=index)
    mask = getattr(x, "_mask", None)
    if mask is not None:
        made._mask = symbolic(mask, None, 0)
    return made


def connect(operation, *args, **kwargs):
    """Add a call to the graph and give its symbolic result."""
    node = Node(operation, args, kwargs)
    given_args, given_kwargs = tree.map_structure(abstract, [list(args), kwargs])
    return finish(node, infer(operation, *given_args, **given_kwargs))


def finish(node: Node, outputs):
    """Give `node` its outputs: KerasTensors for inferred Abstract arrays."""
    flat = [symbolic(x, node, i) for i, x in enumerate(tree.flatten(outputs))]
    node.outputs = tree.pack_sequence_as(outputs, flat)
    nodes = getattr(node.operation, "_inbound_nodes", None)
    if nodes is not None:
        nodes.append(node)
    return node.outputs


class _SymbolicNamespace:
    """Functions of KerasTensors become calls of the same function of whatever they will be."""

    __name__ = "gpulayers.symbolic"

    def __init__(self, prefix: str = ""):
        self._prefix = prefix

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("linalg", "fft"):
            made = _SymbolicNamespace(name + ".")
        elif name in dtypes.NAMES:
            made = name
        else:
            function = Function(self._prefix + name)

            def made(*args, **kwargs):
                return connect(function, *args, **kwargs)

        setattr(self, name, made)
        return made

    def __repr__(self):
        return "<namespace gpulayers.symbolic>"


SYMBOLIC = _SymbolicNamespace()


def operation(function):
    """Let a function of arrays take KerasTensors too: the whole call is one node of the graph."""
    from functools import wraps

    @wraps(function)
    def call(*args, **kwargs):
        for a in args:
            if type(a) is KerasTensor or (
                isinstance(a, (list, tuple)) and any(type(part) is KerasTensor for part in a)
            ):
                return connect(call, *args, **kwargs)
        if kwargs and any(type(a) is KerasTensor for a in kwargs.values()):
            return connect(call, *args, **kwargs)
        return function(*args, **kwargs)

    return call
