"""Any cell over the steps of sequences."""

from __future__ import annotations

from functools import partial

from .. import config, registry, tree
from ..arrays import (
    Abstract,
    Variable,
    as_array,
    devices,
    dtypes,
    lift,
    namespace,
    plain,
    stop_gradient,
)
from ..ops.over_time import in_segments, over_time, over_time_within_memory
from .added_losses import inferring
from .calling import of_masks_only
from .layer import Layer
from .stacked_cells import (
    StackedRNNCells,
    attributes,
    call_cell,
    initial_state,
    kept_masks,
    require_cell,
    reset_masks,
    sequence,
)


class _Kept:
    """The states of a stateful layer between calls, which are no weights of it."""

    __slots__ = ("states",)

    def __init__(self, states=None):
        self.states = states


class RNN(Layer):
    """Any cell over the steps of sequences.

    Args:
        cell: an object with `call(inputs, states)` that gives (output, new states), and with
            `state_size`, a whole number or a list of one for each state; further, if it likes,
            `output_size` and `get_initial_state(batch_size)`.  A list of cells is stacked.
        return_sequences: give the outputs of all steps, not of the last one.
        return_state: give the last states, too.
        go_backwards: go from the last step to the first; outputs then come in that order.
        stateful: begin where the last batch ended, until `reset_state`.
        unroll: without effect but for one: while masked steps come before any others, the output
            is zeros, and not the initial state.
        zero_output_for_mask: give zeros for masked steps, instead of the last output again.

    Training keeps the states of all steps; of what else steps of a cell compute, about 128 MiB are
    kept, too, and the rest is computed again. `gpulayers.config.set_recurrent_segment` chooses.

    Takes (batch, steps, ...), gives (batch, size), or (batch, steps, size) with
    `return_sequences`; with `return_state` a tuple of that and the states. A mask (batch, steps)
    tells at which steps a sequence keeps its states.
    Raises ValueError for a cell without `call` or `state_size`, and when called with states that
    do not fit, without any steps, or, if stateful, with another batch size than at first.
    """

    supports_masking = True

    def __init__(
        self,
        cell,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        zero_output_for_mask=False,
        **kwargs,
    ):
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        require_cell(type(self).__name__, cell)
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll = go_backwards, stateful, unroll
        self.zero_output_for_mask = zero_output_for_mask
        size = cell.state_size
        if not isinstance(size, (int, list, tuple)):
            raise ValueError(
                f"{type(self).__name__}: a cell's state_size must be a whole number or a list with "
                f"one for each state, got {size!r}."
            )
        self.single_state = isinstance(size, int)
        self.state_size = [size] if self.single_state else list(size)
        self._kept = _Kept()

    def build(self, sequences_shape, initial_state_shape=None):
        batch = sequences_shape[0]
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((batch, *sequences_shape[2:]))
            self.cell.built = True
        if self.stateful:
            if batch is None:
                raise ValueError(
                    f"{self._who}: stateful=True needs a known batch size, got shape "
                    f"{tuple(sequences_shape)}; give it by Input(batch_shape=...)."
                )
            self._kept = _Kept(tree.map_structure(self._variable, self.get_initial_state(batch)))

    def _variable(self, value):
        return Variable(value, trainable=False, dtype=self.variable_dtype, name="rnn_state")

    @property
    def _who(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    @property
    def states(self):
        """The states of a stateful layer, a list of Variables; None before it is built."""
        return self._kept.states

    def get_initial_state(self, batch_size):
        """The states before the first step, in a list."""
        states = initial_state(self.cell, batch_size, self.compute_dtype)
        return list(states) if isinstance(states, (list, tuple)) else [states]

    def reset_state(self):
        """Set the states of a stateful layer to zeros."""
        for variable in tree.flatten(self.states or []):
            variable.assign(namespace(variable).zeros_like(plain(variable)))

    reset_states = reset_state

    def call(self, sequences, initial_state=None, mask=None, training=False):
        sequences, states, mask = self.begun(sequences, initial_state, mask)
        try:
            found = self.inner_loop(sequences, states, mask, training)
        finally:
            reset_masks(self.cell)
        return self.ended(*found)

    def begun(self, sequences, initial_state, mask):
        """Sequences, first states and mask as the steps take them.  Raises for what is wrong."""
        if sequences.shape[1] == 0:
            raise ValueError(f"{self._who}: sequences need a step at least, got none.")
        if not dtypes.is_floating(sequences):
            sequences = as_array(sequences, dtype=self.compute_dtype)
        states = self._states_for(sequences, initial_state)
        return sequences, states, self._checked_mask(sequences, mask)

    def ended(self, last, outputs, states):
        """What the layer gives, from what the steps gave; a stateful one keeps the states."""
        if self.stateful and not inferring():
            for variable, new in zip(tree.flatten(self.states), tree.flatten(states), strict=True):
                variable.assign(plain(stop_gradient(new)))
        output = outputs if self.return_sequences else last
        if type(output) is Abstract:  # As in Keras, one state in a list of cells is no list then.
            states = [_only(state) for state in states]
        return (output, *states) if self.return_state else output

    def _states_for(self, sequences, given):
        """The states to begin with, of the dtype of the sequences."""
        batch = sequences.shape[0]
        expected = None
        if self.stateful:
            expected = tree.flatten(self.states)[0].shape[0]
            if batch != expected:
                raise ValueError(
                    f"{self._who}: stateful=True, so that batches need {expected} sequences, as at "
                    f"first; got {batch}."
                )
        if given is None:
            given = self.states if self.stateful else self._first_states(sequences)
        else:
            given = list(given) if isinstance(given, (list, tuple)) else [given]
            self._check_states(given, batch)
        dtype = dtypes.name(sequences.dtype)
        return tree.map_structure(lambda s: lift(as_array(s, dtype, like=sequences)), given)

    def _first_states(self, sequences):
        """The initial states, made where the sequences are."""
        x = plain(sequences)
        if type(x) is Abstract:
            return self.get_initial_state(x.shape[0])
        with devices.scope(devices.home_of(x)):
            return self.get_initial_state(x.shape[0])

    def _check_states(self, given, batch):
        found, expected = tree.flatten(given), self._state_shapes(batch)
        if len(found) != len(expected):
            raise ValueError(
                f"{self._who}: expected {len(expected)} states in initial_state, got {len(found)}."
            )
        for state, shape in zip(found, expected, strict=True):
            if shape is not None and tuple(state.shape) != shape:
                raise ValueError(
                    f"{self._who}: expected an initial state of shape {shape}, got "
                    f"{tuple(state.shape)}."
                )

    def _state_shapes(self, batch):
        """The shapes of the states, one after the other."""
        return [(batch, size) for size in tree.flatten(self.state_size)]

    def _checked_mask(self, sequences, mask):
        """The mask of the sequences as booleans.  Raises ValueError if it has another shape."""
        mask = tree.flatten(mask)[0] if isinstance(mask, (list, tuple)) else mask
        if mask is None:
            return None
        mask = as_array(mask, like=sequences)
        if tuple(mask.shape) != tuple(sequences.shape[:2]):
            raise ValueError(
                f"{self._who}: expected a mask of shape {tuple(sequences.shape[:2])} (batch, "
                f"steps), got {tuple(mask.shape)}."
            )
        return mask if dtypes.is_bool(mask) else mask != 0

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """The cell over all steps: (last output, all outputs, last states)."""
        if self.go_backwards:
            xp = namespace(sequences)
            sequences = xp.flip(sequences, axis=1)
            mask = None if mask is None else xp.flip(mask, axis=1)

        steps, one_by_one = config.recurrent_segment(), self._steps
        if steps is None:
            steps, one_by_one = "whole", self._steps_within_memory

        def run(sequences, states, mask, before):
            found = None
            if mask is None or not self.unroll:
                found = sequence(self.cell, sequences, states, mask, training)
            if found is not None:
                return self.of_sequence(*found, mask)
            return one_by_one(sequences, states, mask, training, before)

        keep = partial(kept_masks, self.cell)
        return in_segments(run, sequences, initial_state, mask, steps, keep)

    def of_sequence(self, outputs, states, mask, last=-1):
        """What `inner_loop` gives, from the outputs and the states of all steps."""
        states = tree.map_structure(lambda s: s[:, last, :], states)
        if mask is not None and self.zero_output_for_mask:
            xp = namespace(outputs)
            outputs = xp.where(xp.expand_dims(mask, axis=-1), outputs, xp.zeros_like(outputs))
        return outputs[:, last, :], outputs if self.return_sequences else None, states

    def _steps(self, sequences, states, mask, training, before):
        """The same, one step after the other; `before` is the last output of those before, None at
        first."""
        step = partial(call_cell, self.cell, training=training)
        return over_time(step, sequences, states, mask, **self._options(states, before))

    def _steps_within_memory(self, sequences, states, mask, training, before):
        """The same, which keeps no more than states of steps for which there is no memory."""
        step = partial(call_cell, self.cell, training=training)
        keep, look = partial(kept_masks, self.cell), partial(attributes, self.cell)
        return over_time_within_memory(
            step, sequences, states, mask,
            keep=keep, look=look, **self._options(states, before),
        )  # fmt: skip

    def _options(self, states, before) -> dict:
        """The options of `over_time`."""
        if before is None and not self.unroll:
            last = states[-1] if isinstance(states[0], (list, tuple)) else states
            before = tree.flatten(last)[0]
        zero, last = self.zero_output_for_mask, not self.return_sequences
        return {"zero_masked": zero, "last_only": last, "first": before}

    @of_masks_only
    def compute_mask(self, inputs, mask):
        mask = tree.flatten(mask)[0] if self.return_sequences else None
        return [mask, *(None for _ in self.state_size)] if self.return_state else mask

    def get_config(self):
        names = "return_sequences return_state go_backwards stateful unroll zero_output_for_mask"
        own = {name: getattr(self, name) for name in names.split()}
        return {**super().get_config(), **own, "cell": registry.serialize(self.cell)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        cell = registry.deserialize(config["cell"], custom_objects, registry.in_safe_mode())
        return cls(**{**config, "cell": cell})


def _only(state):
    """What a list of one holds; anything else as it is."""
    return state[0] if isinstance(state, (list, tuple)) and len(state) == 1 else state
