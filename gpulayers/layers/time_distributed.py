"""One layer for each step of sequences."""

from __future__ import annotations

from .. import tree
from ..arrays import Abstract, namespace
from .calling import call_signature
from .core import Wrapper


class TimeDistributed(Wrapper):
    """The same layer at each step, independently of the other steps.

    Args:
        layer: a `Layer` for inputs (batch, ...). It is called once for each step, so that batch
            normalization in it takes the statistics of single steps, as in Keras.

    Takes (batch, steps, ...), gives the layer's outputs with the axis of the steps in second place.
    Raises TypeError for what is no layer, ValueError for inputs with less than 3 axes, and for a
    mask that does not begin with (batch, steps).
    """

    supports_masking = True

    def _step_shape(self, input_shape):
        if not tree.is_shape(input_shape) or len(input_shape) < 3:
            raise ValueError(
                f"TimeDistributed {self.name!r}: expected inputs with at least 3 axes (batch, "
                f"steps, ...), got shape {input_shape}."
            )
        return (input_shape[0], *input_shape[2:])

    def build(self, input_shape):
        super().build(self._step_shape(tuple(input_shape)))

    def compute_output_shape(self, input_shape):
        shape = self.layer.compute_output_shape(self._step_shape(tuple(input_shape)))
        return tree.map_shape_structure(lambda s: (s[0], input_shape[1], *s[1:]), shape)

    def call(self, inputs, training=None, mask=None):
        if mask is not None and tuple(mask.shape[:2]) != tuple(inputs.shape[:2]):
            raise ValueError(
                f"TimeDistributed {self.name!r}: expected a mask that begins with (batch, steps) = "
                f"{tuple(inputs.shape[:2])}, got shape {tuple(mask.shape)}."
            )
        shape = self._step_shape(tuple(inputs.shape))
        signature = call_signature(type(self.layer))
        options = {"training": training} if signature.takes_training else {}
        if not signature.takes_mask:
            mask = None
        if type(inputs) is Abstract:
            if mask is not None:
                options["mask"] = Abstract((mask.shape[0], *mask.shape[2:]), mask.dtype)
            out = self.layer.call(Abstract(shape, inputs.dtype), **options)
            steps = inputs.shape[1]
            return tree.map_structure(
                lambda y: Abstract((y.shape[0], steps, *y.shape[1:]), y.dtype), out
            )
        xp = namespace(inputs)
        masks = None if mask is None else xp.unstack(mask, axis=1)
        outputs = []
        for i, x in enumerate(xp.unstack(inputs, axis=1)):
            if masks is not None:
                options["mask"] = masks[i]
            outputs.append(self.layer.call(x, **options))
        return tree.map_structure(lambda *ys: namespace(*ys).stack(ys, axis=1), *outputs)
