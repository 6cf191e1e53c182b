"""Graphs of calls: from some KerasTensors to others."""

from __future__ import annotations

from .. import tree
from ..arrays import Abstract, KerasTensor
from ..layers.calling import CALL
from ..layers.layer import Layer
from .followed_layers import followed_layers
from .normalized_sums import normalized_sums


class Graph:
    """The calls that lead from `inputs` to `outputs` (structures of KerasTensors), in order.

    Raises ValueError if an output does not depend on the inputs alone.
    """

    def __init__(self, inputs, outputs, name: str = "model"):
        self.inputs, self.outputs = inputs, outputs
        alone = isinstance(outputs, (list, tuple)) and len(outputs) == 1
        self.results = outputs[0] if alone else outputs  # As in Keras.
        self.input_tensors = tree.flatten(inputs)
        self.output_tensors = tree.flatten(outputs)
        self._visited: dict[int, int] = {}  # Operations in the order of a walk from the outputs.
        self.nodes = self._sorted(name)
        self._free = self._last_uses()
        ends = self.nodes, self.output_tensors
        self._joined = normalized_sums(*ends) | followed_layers(*ends)

    def __getstate__(self):
        """What pickle and copy take: the calls in order, so that none of them goes deep."""
        return {"nodes": self.nodes, "inputs": self.inputs, "outputs": self.outputs}

    def __setstate__(self, state):
        self.__init__(state["inputs"], state["outputs"])
        note_calls([*self.input_tensors, *(t for n in self.nodes for t in tree.flatten(n.outputs))])

    def _sorted(self, name):
        """Every node after those it needs, without recursion: graphs may be deep."""
        ends = {id(t) for t in self.input_tensors}
        done, order = set(), []
        stack = [(t, False) for t in reversed(self.output_tensors)]
        while stack:
            tensor, ready = stack.pop()
            node = tensor.node
            if id(tensor) in ends:
                self._visit(node)
                continue
            if node is None or (isinstance(node.operation, Layer) and not node.inputs):
                raise ValueError(
                    f"{name}: the outputs depend on {tensor}, which is not among the inputs. Give "
                    "every Input that is used in Model(inputs=...)."
                )
            if id(node) in done:
                continue
            if ready:
                done.add(id(node))
                order.append(node)
                continue
            self._visit(node)
            stack.append((tensor, True))
            stack.extend((t, False) for t in reversed(node.inputs))
        return order

    def _visit(self, node):
        if node is not None:
            self._visited.setdefault(id(operation_of(node)), len(self._visited))

    def _last_uses(self):
        """For each node, the tensors that nobody needs after it: they can be let go."""
        kept = {id(t) for t in self.output_tensors}
        last = {}
        for i, node in enumerate(self.nodes):
            last.update((id(tensor), i) for tensor in node.inputs)
        free = [[] for _ in self.nodes]
        for key, i in last.items():
            if key not in kept:
                free[i].append(key)
        return free

    def run(self, arrays: list):
        """The outputs for arrays in the place of the inputs, in the structure of `results`."""
        values = {id(t): a for t, a in zip(self.input_tensors, arrays, strict=True)}
        for node, free in zip(self.nodes, self._free, strict=True):
            both = self._joined.get(id(node))
            if both is None or not both.run(node, values):
                keep(node, _result(node, values), values)
            for key in free:
                values.pop(key, None)
        return tree.map_structure(lambda t: values[id(t)], self.results)

    def operations(self) -> list:
        """The operations (layers; nodes for plain functions), farthest from the outputs first."""
        of_node: dict[int, int] = {}
        of_operation: dict[int, int] = {}
        found: dict[int, object] = {}
        sources = [t.node for t in self.input_tensors if t.node is not None]
        for node in [*reversed(self.nodes), *sources]:
            operation = operation_of(node)
            depth = max(of_node.get(id(node), 0), of_operation.get(id(operation), 0))
            of_node[id(node)] = of_operation[id(operation)] = depth
            found[id(operation)] = operation
            if node not in sources:
                for tensor in node.inputs:
                    if tensor.node is not None:
                        before = of_node.get(id(tensor.node), 0)
                        of_node[id(tensor.node)] = max(depth + 1, before)
        return sorted(
            found.values(), key=lambda op: (-of_operation[id(op)], self._visited.get(id(op), -1))
        )


def _result(node, values):
    """What a node gives.

    As in Keras, what a call of the model says of training counts more than what was said when the
    graph was made.
    """
    if "training" in node.kwargs:
        call = CALL.get()
        if call is not None and call.training is not None:
            return node.run(values, without="training")
    return node.run(values)


def operation_of(node):
    """What stands for a node in the list of operations: its layer, or, for a function, itself."""
    return node.operation if isinstance(node.operation, Layer) else node


def note_calls(tensors) -> None:
    """Let the layers that gave `tensors` know of these calls again."""
    for node in (tensor.node for tensor in tensors):
        known = getattr(node.operation, "_inbound_nodes", None)
        if known is not None and not any(node is other for other in known):
            known.append(node)


def sizes_fit(x, tensor) -> bool:
    """Whether an array has the sizes that a KerasTensor of its rank knows, the batch's left out."""
    if type(x) is Abstract:  # Unknown sizes are tried as known ones.
        return True
    pairs = zip(x.shape[1:], tensor.shape[1:], strict=True)
    return all(n is None or n == m for m, n in pairs)


def keep(node, out, values: dict) -> None:
    """Note the arrays that a node gave for its KerasTensors."""
    if type(node.outputs) is KerasTensor:
        values[id(node.outputs)] = out
        return
    for tensor, array in zip(tree.flatten(node.outputs), tree.flatten(out), strict=True):
        values[id(tensor)] = array
