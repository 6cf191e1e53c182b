"""What dtypes a graph of layers computes with: those of its inputs."""

from __future__ import annotations

from .. import tree
from ..arrays import KerasTensor, dtypes, get_mask, is_array, masked, namespace
from ..layers.call_arguments import check_numbers


class InputDtypes:
    """What casts arrays to the dtypes of a model's inputs: mixin of `Model`."""

    def _graph_inputs(self):
        """The KerasTensors to whose dtypes arrays are cast; None for a model that is no graph."""
        return None

    def _arrays_of(self, args, kwargs):
        args, kwargs = super()._arrays_of(args, kwargs)
        tensors = self._graph_inputs()
        if tensors is not None:
            if args:
                args = [of_dtypes(args[0], tensors), *args[1:]]
            elif "inputs" in kwargs:
                kwargs["inputs"] = of_dtypes(kwargs["inputs"], tensors)
        return args, kwargs

    def _working_dtype(self, args):
        return None if self._graph_inputs() is not None else super()._working_dtype(args)


_TEXT = ("string", "str", "object")  # Layers that take it say what they make of it.


def of_dtypes(inputs, expected):
    """The arrays in `inputs` cast to the dtypes of the KerasTensors that correspond to them."""
    if isinstance(inputs, dict):
        known = expected
        if not isinstance(expected, dict):
            known = {t.name: t for t in tree.flatten(expected)}
        return {key: of_dtypes(x, known[key]) if key in known else x for key, x in inputs.items()}
    flat, tensors = tree.flatten(inputs), tree.flatten(expected)
    if len(flat) != len(tensors):
        return inputs
    return tree.pack_sequence_as(inputs, list(map(_of_dtype, flat, tensors)))


def _of_dtype(x, tensor):
    if isinstance(x, KerasTensor) or not is_array(x) or dtypes.name(x.dtype) == tensor.dtype:
        return x
    if tensor.dtype in _TEXT:
        return x
    if getattr(x.dtype, "kind", "f") == "c" and not tensor.dtype.startswith("complex"):
        raise TypeError(
            f"input {tensor.name!r} is of real numbers ({tensor.dtype}), got {x.dtype}. Give the "
            "real and imaginary parts as features."
        )
    check_numbers(f"input {tensor.name!r}", x)
    xp = namespace(x)
    made = xp.astype(x, dtypes.of(xp, tensor.dtype))
    return made if get_mask(x) is None else masked(made, get_mask(x))
