"""What layers have in common whose values and gradients another framework computes."""

from __future__ import annotations

import numpy as np

from .. import tree
from ..arrays import Abstract, Variable, dtypes, is_array, is_recorded, plain
from ..ops import custom_gradient
from .layer import Layer


class ForeignLayer(Layer):
    """A layer that hands its arrays to another framework, and gets arrays back.

    A subclass defines `_run` and `_shapes`.  Masks end here; gradients of gradients do too.
    """

    def _run(self, arrays: list, structure, training, wanted: list[bool] | None):
        """(outputs in any structure, pullback): see `_through`."""
        raise NotImplementedError(f"{type(self).__name__} must define _run.")

    def _shapes(self, arrays: list, structure, training):
        """The outputs as Abstract arrays in their structure, for arrays some of them Abstract."""
        raise NotImplementedError(f"{type(self).__name__} must define _shapes.")

    def _through(self, arguments, weights: list, training):
        """What the framework gives for a structure of arguments and a list of weights.

        `_run` gets plain arrays: those of the arguments in order, then the weights.  With `wanted`
        (which of them need a gradient) it gives a pullback from the list of the gradients of its
        outputs to one for each array, None for those not wanted.
        """
        flat = tree.flatten(arguments)
        places = [i for i, x in enumerate(flat) if is_array(x)]
        arrays = [flat[i] for i in places]

        def structure(values):
            """The arguments with other values in the place of their arrays."""
            filled = list(flat)
            for i, value in zip(places, values, strict=True):
                filled[i] = value
            return tree.pack_sequence_as(arguments, filled)

        every = [*arrays, *weights]
        if any(type(plain(x)) is Abstract for x in every):
            return self._shapes(arrays, structure, training)
        if not any(map(is_recorded, every)):
            return self._run(every, structure, training, None)[0]
        made = {}

        def recorded(*values):
            if any(map(is_recorded, values)):
                raise NotImplementedError(
                    f"{type(self).__name__} {self.name!r}: gradients of gradients do not go "
                    "through another framework."
                )
            wanted = [_is_differentiable(v) for v in values]
            outputs, pullback = self._run(list(values), structure, training, wanted)
            made["structure"] = outputs
            flat = tuple(tree.flatten(outputs))
            one = len(flat) == 1
            return flat[0] if one else flat, lambda g: pullback([g] if one else list(g))

        found = custom_gradient(recorded)(*every)
        return tree.pack_sequence_as(made["structure"], [found] if is_array(found) else list(found))

    def _weight_like(self, value: np.ndarray, name: str, trainable: bool) -> Variable:
        """A weight that begins as a copy of a NumPy array, in its dtype."""
        return self.add_weight(
            value.shape,
            lambda shape, dtype: np.array(value),
            dtype=dtypes.name(value.dtype),
            trainable=trainable,
            name=name,
        )


def _is_differentiable(x) -> bool:
    return dtypes.is_floating(x.dtype) or "complex" in dtypes.name(x.dtype)
