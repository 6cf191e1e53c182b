"""The cells of SimpleRNN, LSTM and GRU: what happens at one step."""

from __future__ import annotations

from .. import tree
from ..arrays import namespace
from ..ops.creation import zeros
from ..ops.recurrent import gru, lstm, simple_rnn
from . import arguments
from .dropout_cell import DropoutCell


class DenseCell(DropoutCell):
    """A cell of `gates` dense maps of its inputs and of its state."""

    gates = 1
    operation = None  # Does all steps; see `ops.recurrent`.

    def __init__(self, given, **kwargs):
        self.implementation = kwargs.pop("implementation", 2)
        super().__init__(given, **kwargs)
        self.units = arguments.whole(type(self).__name__, "units", self.units)
        if self.gates > 1:
            if self.recurrent_dropout:
                self.implementation = 1
            if self.implementation == 1:
                self.dropout_mask_count = self.gates
        self.state_size = self.output_size = self.units

    def build(self, input_shape):
        size = input_shape[-1]
        if size is None:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: the size of the last axis of the inputs "
                f"must be known, got shape {tuple(input_shape)}."
            )
        self.kernel = self._add("kernel", (size, self.gates * self.units))
        self.recurrent_kernel = self._add("recurrent_kernel", (self.units, self.gates * self.units))
        self.bias = self._build_bias() if self.use_bias else None

    def _build_bias(self):
        return self._add("bias", (self.gates * self.units,))

    def get_initial_state(self, batch_size=None):
        """Zeros for each state, (batch_size, units)."""
        sizes = tree.flatten(self.state_size)
        return [zeros((batch_size, n), dtype=self.compute_dtype) for n in sizes]

    def _product(self, x, masks, kernel):
        """`x` with its dropout masks times a kernel; a mask for each gate takes a product each."""
        xp, kernel = namespace(x, kernel), kernel.value
        if not isinstance(masks, list):
            return xp.matmul(x if masks is None else x * masks, kernel)
        n = self.units
        parts = [xp.matmul(x * m, kernel[:, i * n : i * n + n]) for i, m in enumerate(masks)]
        return xp.concat(parts, axis=-1)

    def _parts(self, z):
        n = self.units
        return [z[:, i : i + n] for i in range(0, z.shape[-1], n)]

    def sequence(self, x, states, mask, training, names):
        """The states of all steps at once, for inputs (batch, steps, size); None if that cannot be.

        The first of them are the outputs.  `names` are what `fused_names` gives.
        """
        x = self.dropped(x, training)
        return None if x is None else self.over_time(x, states, mask, names)

    def dropped(self, x, training):
        """The inputs of all steps with what `dropout` leaves; None if steps must be one by one."""
        one_by_one = training and (self.recurrent_dropout or (self.dropout and self._mask_each))
        if one_by_one or self.kernel.value.dtype != x.dtype:
            return None
        if training and self._drops(self.dropout):
            xp = namespace(x)
            x = x * xp.expand_dims(self.get_dropout_mask(x[:, 0, :]), axis=1)
        return x

    def over_time(self, x, states, mask, names):
        """The states of all steps at once, as `sequence`, without dropout."""
        found = self.operation(x, *states, *self.weights_of_steps(), mask, **names)
        return list(found) if isinstance(found, tuple) else [found]

    def weights_of_steps(self) -> tuple:
        """The kernel, the recurrent kernel and the bias, which may be None."""
        return self.kernel, self.recurrent_kernel, self.bias

    @property
    def _mask_each(self) -> bool:
        return self.dropout_mask_count is not None


class SimpleRNNCell(DenseCell):
    """One step of a fully connected recurrent network.

    The new state, which is the output, is
    activation(inputs @ kernel + bias + state @ recurrent_kernel).

    Args:
        units: the size of the state.
        activation: a name or a function; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: of the weights, of shapes
            (inputs, units), (units, units), (units,).
        kernel_regularizer, recurrent_regularizer, bias_regularizer: terms of the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each step of
            training.
        dropout, recurrent_dropout: the parts of inputs and of the state to drop in training.
        seed: of the dropout.

    Takes (batch, inputs) and a list of one state (batch, units), gives the same of the output and
    the new state.  Raises TypeError or ValueError for units that are not a positive integer.
    """

    operation = simple_rnn

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(locals(), **kwargs)

    def _drops(self, rate):
        return rate > 0

    def call(self, inputs, states, training=False):
        listed = isinstance(states, (list, tuple))
        state = states[0] if listed else states
        of_inputs, of_states = self._masks_of(inputs, state, training)
        z = self._product(inputs, of_inputs, self.kernel)
        if self.bias is not None:
            z = z + self.bias.value
        new = self.activation(z + self._product(state, of_states, self.recurrent_kernel))
        return new, [new] if listed else new


class LSTMCell(DenseCell):
    """One step of a long short-term memory (Hochreiter and Schmidhuber, Neural Computation 1997).

    With i, f, n, o the four parts of inputs @ kernel + state @ recurrent_kernel + bias, s the
    recurrent activation and a the other: carry = s(f) carry + s(i) a(n), state = s(o) a(carry).

    Args:
        units: the size of the state and of the carry.
        activation, recurrent_activation: names or functions; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: of the weights, of shapes
            (inputs, 4 units), (units, 4 units), (4 units,).
        unit_forget_bias: whether the bias of f starts at one (Jozefowicz et al., 2015).
        kernel_regularizer, recurrent_regularizer, bias_regularizer: terms of the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each step of
            training.
        dropout, recurrent_dropout: the parts of inputs and of the state to drop in training.
        seed: of the dropout.
        implementation: 1 for dropout masks of their own for each of the four parts; 2, by
            default, for the same for all, unless there is `recurrent_dropout`.

    Takes (batch, inputs) and the list [state, carry], each (batch, units), gives the output, which
    is the new state, and the new list.
    Raises TypeError or ValueError for units that are not a positive integer.
    """

    gates = 4
    operation = lstm

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(locals(), **kwargs)
        self.state_size = [self.units, self.units]

    def _build_bias(self):
        return self._add("bias", (4 * self.units,), self._forgetting_bias(self.units))

    def call(self, inputs, states, training=False):
        state, carry = states[0], states[1]
        of_inputs, of_states = self._masks_of(inputs, state, training)
        z = self._product(inputs, of_inputs, self.kernel)
        z = z + self._product(state, of_states, self.recurrent_kernel)
        i, f, n, o = self._parts(z if self.bias is None else z + self.bias.value)
        gate = self.recurrent_activation
        carry = gate(f) * carry + gate(i) * self.activation(n)
        state = gate(o) * self.activation(carry)
        return state, [state, carry]


class GRUCell(DenseCell):
    """One step of a gated recurrent unit (Cho et al., 2014, arXiv:1406.1078).

    With y = inputs @ kernel + bias in three parts z, r, n, v the same of the state, s the
    recurrent activation and a the other: z = s(y_z + v_z), r = s(y_r + v_r), and the new state is
    z state + (1 - z) a(y_n + r v_n).

    Args:
        units: the size of the state.
        activation, recurrent_activation: names or functions; None for none.
        use_bias: whether biases are added.
        kernel_initializer, recurrent_initializer, bias_initializer: of the weights, of shapes
            (inputs, 3 units), (units, 3 units), and (2, 3 units), or (3 units,) without
            `reset_after`.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: terms of the loss.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each step of
            training.
        dropout, recurrent_dropout: the parts of inputs and of the state to drop in training.
        reset_after: whether r comes after the product, as above; else r v_n is
            (r state) @ recurrent_kernel_n, as in the paper.
        seed: of the dropout.
        implementation: 1 for dropout masks of their own for each of the three parts; 2, by
            default, for the same for all, unless there is `recurrent_dropout`.

    Takes (batch, inputs) and a list of one state (batch, units), gives the same of the output and
    the new state.  Raises TypeError or ValueError for units that are not a positive integer.
    """

    gates = 3
    operation = gru

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        reset_after=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(locals(), **kwargs)

    def fused_names(self):
        names = super().fused_names()
        return None if names is None else {**names, "reset_after": self.reset_after}

    def _build_bias(self):
        size = 3 * self.units
        return self._add("bias", (2, size) if self.reset_after else (size,))

    def call(self, inputs, states, training=False):
        listed = isinstance(states, (list, tuple))
        state = states[0] if listed else states
        of_inputs, of_states = self._masks_of(inputs, state, training)
        of_x, of_h = self._biases()
        y = self._product(inputs, of_inputs, self.kernel)
        y_z, y_r, y_n = self._parts(y if of_x is None else y + of_x)
        v = self._product(state, of_states, self.recurrent_kernel)
        v_z, v_r, v_n = self._parts(v if of_h is None else v + of_h)
        z, r = self.recurrent_activation(y_z + v_z), self.recurrent_activation(y_r + v_r)
        v_n = r * v_n if self.reset_after else self._reset(r, state, of_states)
        new = z * state + (1 - z) * self.activation(y_n + v_n)
        return new, [new] if listed else new

    def _biases(self):
        bias = None if self.bias is None else self.bias.value
        return (bias, None) if bias is None or not self.reset_after else (bias[0, :], bias[1, :])

    def _reset(self, r, state, masks):
        state = state * masks[2] if isinstance(masks, list) else state
        last = self.recurrent_kernel.value[:, 2 * self.units :]
        return namespace(state, last).matmul(r * state, last)
