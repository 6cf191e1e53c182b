"""Shapes of which some sizes are unknown, and so need not fit each other."""

from __future__ import annotations

from .. import tree
from ..arrays import Abstract, infer
from ..arrays.symbolic import abstract, symbolic
from .layer import Layer


class TakesUnknownSizes(Layer):
    """A layer whose `compute_output_shape` raises for sizes that don't fit; None fits anything.

    It checks symbolic inputs. `call` may get Abstract arrays, in which guesses stand for unknown
    sizes: it lets `fitting` give them sizes that fit.
    """

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape(tree.map_structure(lambda x: x.shape, inputs))
        out = symbolic(infer(self, tree.map_structure(abstract, inputs)), None, 0)
        out.shape = shape
        return out


def is_guessed(x) -> bool:
    """Whether sizes of `x` may stand for unknown ones."""
    return type(x) is Abstract


def of_equal_sizes(inputs, except_axis=None):
    """Abstract `inputs` of one rank with the largest size of each axis, 1 and one axis kept."""
    largest = [max(sizes) for sizes in zip(*(x.shape for x in inputs), strict=True)]
    return [
        Abstract(
            [
                n if n == 1 or axis == except_axis else largest[axis]
                for axis, n in enumerate(x.shape)
            ],
            x.dtype,
        )
        for x in inputs
    ]
