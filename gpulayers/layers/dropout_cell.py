"""Cells of recurrent layers that drop the same parts of inputs and states at all steps."""

from __future__ import annotations

from .. import activations, constraints, initializers, regularizers
from ..arrays import namespace, plain, random
from ..ops.dense import FUSED_NAMES
from ..ops.dropout import dropout
from .layer import Layer
from .unknown_sizes import is_guessed

_KINDS = {
    "activation": activations,
    "initializer": initializers,
    "regularizer": regularizers,
    "constraint": constraints,
}
NOT_ARGUMENTS = frozenset({"self", "kwargs", "__class__"})


def kind_of(name: str):
    """The module whose objects the argument `name` takes; None for plain values."""
    return _KINDS.get(name.rpartition("_")[2])


class DropoutCell(Layer):
    """A cell that drops parts of its inputs and states, the same ones at all steps.

    A subclass gives its arguments, all of them attributes and parts of the config by their names.
    Masks are drawn at the first step in training, and stay until `reset_dropout_mask` and
    `reset_recurrent_dropout_mask`, which recurrent layers call after each sequence.
    """

    dropout_mask_count: int | None = None  # Masks of its own for each of so many gates.

    def __init__(self, given, **kwargs):
        super().__init__(**kwargs)
        self._settings = tuple(name for name in given if name not in NOT_ARGUMENTS)
        for name in self._settings:
            kind = kind_of(name)
            setattr(self, name, given[name] if kind is None else kind.get(given[name]))
        self.dropout = min(1.0, max(0.0, self.dropout))
        self.recurrent_dropout = min(1.0, max(0.0, self.recurrent_dropout))
        self.seed_generator = random.SeedGenerator(self.seed)

    def get_dropout_mask(self, step_input):
        """The mask of inputs like `step_input`, a list for several gates; None for none."""
        return self._mask("inputs", step_input, self.dropout)

    def get_recurrent_dropout_mask(self, step_input):
        """The mask of states like `step_input`, a list for several gates; None for none."""
        return self._mask("states", step_input, self.recurrent_dropout)

    def reset_dropout_mask(self):
        """Forget the mask of inputs: the next step draws a new one."""
        self._masks_now().pop("inputs", None)

    def reset_recurrent_dropout_mask(self):
        """Forget the mask of states: the next step draws a new one."""
        self._masks_now().pop("states", None)

    def masks_now(self) -> dict:
        """The masks that have been drawn."""
        return dict(self._masks_now())

    def exchange_masks(self, masks: dict) -> dict:
        """Take these masks, and give those of before."""
        before, self.__dict__["_dropout_masks"] = self._masks_now(), masks
        return before

    def _masks_now(self) -> dict:
        return self.__dict__.setdefault("_dropout_masks", {})

    def _mask(self, key, x, rate):
        if not rate:
            return None
        x, masks = plain(x), self._masks_now()
        ones = namespace(x).ones_like(x)
        if is_guessed(x):
            return ones if self.dropout_mask_count is None else [ones] * self.dropout_mask_count
        if key not in masks:
            drawn = [
                dropout(ones, rate=rate, seed=self.seed_generator.next())
                for _ in range(self.dropout_mask_count or 1)
            ]
            masks[key] = drawn[0] if self.dropout_mask_count is None else drawn
        return masks[key]

    def _masks_of(self, inputs, state, training):
        """The masks of inputs and states: None where nothing is dropped."""
        if not training:
            return None, None
        of_inputs = self.get_dropout_mask(inputs) if self._drops(self.dropout) else None
        drops = self._drops(self.recurrent_dropout)
        return of_inputs, self.get_recurrent_dropout_mask(state) if drops else None

    def _drops(self, rate) -> bool:
        return 0 < rate < 1  # All dropped is none dropped, as in Keras.

    def _add(self, name, shape, initializer=None):
        """A weight with the initializer, regularizer and constraint that bear its name."""
        of = name.removesuffix("_kernel")
        return self.add_weight(
            shape,
            initializer or getattr(self, f"{of}_initializer"),
            regularizer=getattr(self, f"{of}_regularizer"),
            constraint=getattr(self, f"{of}_constraint"),
            name=name,
        )

    def _forgetting_bias(self, size):
        """The initializer of the bias of four gates, of which that of forgetting starts at one."""
        if not self.unit_forget_bias:
            return None

        def initialize(shape, dtype=None):
            parts = self.bias_initializer((size,), dtype), initializers.Ones()((size,), dtype)
            parts = (*parts, self.bias_initializer((2 * size,), dtype))
            return namespace(*parts).concat(parts)

        return initialize

    def fused_names(self) -> dict | None:
        """The activations by the names that the operations know; None if they don't know one."""
        found = {}
        for name in ("activation", "recurrent_activation"):
            function = getattr(self, name, None)
            if name in self._settings:
                found[name] = FUSED_NAMES.get(function)
                if found[name] is None and function is not activations.linear:
                    return None
        return found

    def get_config(self):
        own = {}
        for name in self._settings:
            kind = kind_of(name)
            own[name] = getattr(self, name) if kind is None else kind.serialize(getattr(self, name))
        return {**super().get_config(), **own}
