"""Recurrent layers that read sequences from both ends."""

from __future__ import annotations

from .. import config, registry, tree
from ..arrays import namespace
from ..ops.bidirectional import both_ways
from .calling import call_signature
from .cell_layers import CellLayer
from .layer import Layer
from .stacked_cells import fused, reset_masks

MERGED = {
    "concat": lambda xp, a, b: xp.concat([a, b], axis=-1),
    "sum": lambda xp, a, b: a + b,
    "ave": lambda xp, a, b: (a + b) / 2,
    "mul": lambda xp, a, b: a * b,
    None: lambda xp, a, b: (a, b),
}


class Bidirectional(Layer):
    """A recurrent layer from the first step to the last, and another from the last to the first.

    Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997.

    Args:
        layer: a recurrent layer (an `RNN`, or one with `go_backwards`, `return_sequences`,
            `return_state`, `stateful`). Both layers are new ones with its config, under the names
            forward_... and backward_....
        merge_mode: "concat", "sum", "mul" or "ave" of the two outputs; None for both in a tuple.
        weights: of both layers to begin with, first all of the one that goes forward.
        backward_layer: the layer that goes backward, instead of one like the other.

    Takes (batch, steps, ...); `initial_state` is that of both layers in one list.  With
    `return_state` the outputs are followed by the states of both.  For masked steps the outputs
    are zeros if all steps are returned.
    Raises TypeError for what is no layer, ValueError for another `merge_mode`, and for two layers
    that go the same way or differ in what they return.
    """

    supports_masking = True

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        for name, value in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(value, Layer) and not (value is None and name == "backward_layer"):
                raise TypeError(f"Bidirectional: {name} must be a Layer, got {value!r:.60}.")
        if merge_mode not in MERGED:
            raise ValueError(
                f"Bidirectional: merge_mode must be one of {', '.join(map(repr, MERGED))}, "
                f"got {merge_mode!r}."
            )
        for name in ("go_backwards", "return_sequences", "return_state", "stateful"):
            if not hasattr(layer, name):
                raise ValueError(f"Bidirectional: layer needs the attribute {name}, got {layer!r}.")
        super().__init__(**kwargs)
        self.forward_layer = _again(layer, "forward_")
        if backward_layer is None:
            backward_layer = _again(layer, "backward_", go_backwards=True)
        self.backward_layer = backward_layer
        self._check_layers()
        for one in (self.forward_layer, self.backward_layer):
            if getattr(one, "zero_output_for_mask", None) is not None:
                one.zero_output_for_mask = one.return_sequences
        self.merge_mode = merge_mode
        self._first_weights = list(weights or ())
        self.stateful = layer.stateful
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.input_spec = layer.input_spec

    def _check_layers(self):
        one, other = self.forward_layer, self.backward_layer
        if one.go_backwards == other.go_backwards:
            raise ValueError(
                "Bidirectional: the two layers must go in different directions, but "
                f"go_backwards is {one.go_backwards} in both."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(one, name) != getattr(other, name):
                raise ValueError(
                    f"Bidirectional: {name} must be the same in both layers, got "
                    f"{getattr(one, name)} and {getattr(other, name)}."
                )

    def build(self, sequences_shape, initial_state_shape=None):
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
                layer.built = True
        if self._first_weights:
            half = len(self._first_weights) // 2
            self.forward_layer.set_weights(self._first_weights[:half])
            self.backward_layer.set_weights(self._first_weights[half:])

    def call(self, sequences, initial_state=None, mask=None, training=None):
        states = [None, None]
        if initial_state is not None:
            half = len(initial_state) // 2
            if len(initial_state) % 2:
                raise ValueError(
                    f"Bidirectional {self.name!r}: initial_state must hold as many states for "
                    f"each direction, got {len(initial_state)} in all."
                )
            states = [list(initial_state[:half]), list(initial_state[half:])]
        found = self._at_once(sequences, states, mask, training)
        if found is None:
            found = self._one_after_the_other(sequences, states, mask, training)
        last = []
        if self.return_state:
            last = [state for y in found for state in y[1:]]
            found = [y[0] for y in found]
        y, back = found
        output = MERGED[self.merge_mode](namespace(y), y, back)
        if not self.return_state:
            return output
        return (*output, *last) if self.merge_mode is None else (output, *last)

    def _at_once(self, sequences, states, mask, training):
        """What the layers give, by one operation for all steps of both; None if there is none."""
        layers = self.forward_layer, self.backward_layer
        name, options = self._operation(mask)
        if name is None:
            return None
        try:
            begun = [
                layer.begun(sequences, given, mask)
                for layer, given in zip(layers, states, strict=True)
            ]
            arrays = []
            for layer, (x, first, _) in zip(layers, begun, strict=True):
                x = layer.cell.dropped(x, training)
                if x is None:
                    return None
                arrays += [x, *first, *layer.cell.weights_of_steps()]
        finally:
            for layer in layers:
                reset_masks(layer.cell)
        mask = begun[0][2]
        every = both_ways(*arrays, mask, cell=name, **options)
        half, found = len(every) // 2, []
        for layer, states, end in zip(layers, (every[:half], every[half:]), (-1, 0), strict=True):
            found.append(layer.ended(*layer.of_sequence(states[0], list(states), mask, end)))
        return found

    def _operation(self, mask):
        """The name and the options of the operation of both layers' cells; None if there is none.

        Other layers, and such as do more than their cells, are called one after the other.
        """
        one, other = self.forward_layer, self.backward_layer
        layers = one, other
        plain = all(
            isinstance(layer, CellLayer)
            and layer.activity_regularizer is None
            and layer.compute_dtype == self.compute_dtype
            and (mask is None or not layer.unroll)
            for layer in layers
        )
        if not plain or one.go_backwards or config.recurrent_segment() not in (None, "whole"):
            return None, None
        options = [fused(layer.cell) for layer in layers]
        if None in options or options[0] != options[1] or type(one) is not type(other):
            return None, None
        return one.cell.operation.__name__, options[0]

    def _one_after_the_other(self, sequences, states, mask, training):
        layers = self.forward_layer, self.backward_layer
        there, back = (
            self._run(layer, sequences, given, mask, training)
            for layer, given in zip(layers, states, strict=True)
        )
        if not self.return_sequences:
            return there, back
        if not self.return_state:
            return there, namespace(back).flip(back, axis=1)
        return there, (namespace(back[0]).flip(back[0], axis=1), *back[1:])

    def _run(self, layer, sequences, state, mask, training):
        signature, options = call_signature(type(layer)), {}
        if signature.takes_training:
            options["training"] = training
        if signature.takes_mask:
            options["mask"] = mask
        return layer(sequences, initial_state=state, **options)

    def _inference_moves(self, program, x):
        """What this layer is in a program: see `pieces.py`."""
        one, other = self.forward_layer, self.backward_layer
        if not isinstance(one, CellLayer) or not isinstance(other, CellLayer):
            raise program.unwritable
        if self.merge_mode not in ("concat", "sum"):
            raise program.unwritable
        y = one.moves_of_steps(program, x)
        back = other.moves_of_steps(program, x, flipped=self.return_sequences, beside=y)
        if self.merge_mode == "sum":
            return program.summed([y, back], None)
        return program.joined([y, back])

    @property
    def states(self):
        """The states of both stateful layers; None if there are none."""
        both = self.forward_layer.states, self.backward_layer.states
        return tuple(both[0] + both[1]) if all(both) else None

    def reset_state(self):
        """Set the states of both layers to zeros.  Raises AttributeError unless stateful."""
        if not self.stateful:
            raise AttributeError(f"Bidirectional {self.name!r}: only stateful layers keep states.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def compute_mask(self, inputs, mask):
        mask = tree.flatten(mask)[0] if self.return_sequences else None
        masks = [mask] * (2 if self.merge_mode is None else 1)
        if self.return_state:
            masks += [None] * (2 * len(tree.flatten(self.forward_layer.state_size)))
        return masks[0] if len(masks) == 1 else masks

    def get_config(self):
        return {
            **super().get_config(),
            "merge_mode": self.merge_mode,
            "layer": registry.serialize(self.forward_layer),
            "backward_layer": registry.serialize(self.backward_layer),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        made = {
            key: registry.deserialize(config[key], custom_objects, registry.in_safe_mode())
            for key in ("layer", "backward_layer")
            if config.get(key) is not None
        }
        return cls(**{**config, **made})


def _again(layer, prefix, **changed):
    """A new layer with the config of another, and a name that begins with `prefix`."""
    config = registry.serialize(layer)
    name = prefix + layer.name.removeprefix(prefix)
    config["config"] = {**config["config"], "name": name, **changed}
    return registry.deserialize(config)
