"""Long short-term memories whose products are convolutions: ConvLSTM1D, ConvLSTM2D, ConvLSTM3D."""

from __future__ import annotations

from functools import partial

from .. import config
from ..arrays import dtypes, namespace, plain
from ..ops.convolution import convolved
from ..ops.creation import zeros
from ..ops.over_time import KEPT, over_time, whole_at_first
from ..ops.recurrent import lstm_step
from ..ops.sliding import counts, margins, require_padding
from . import arguments
from .cell_layers import CellLayer
from .dropout_cell import DropoutCell
from .stacked_cells import kept_masks

# What a step keeps for the gradient, in states: convolved inputs, gates, the state and the carry.
STATES_OF_A_STEP = 11


class ConvLSTMCell(DropoutCell):
    """One step of a convolutional LSTM: see `ConvLSTM2D`.

    rank: how many inner axes images have.  For the other arguments see `ConvLSTM2D`.
    """

    state_size = -1  # States are images: their shape is known once the layer is built.
    dropout_mask_count = 4

    def __init__(
        self,
        rank,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
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
        super().__init__({n: v for n, v in locals().items() if n != "rank"}, **kwargs)
        who, self.rank = type(self).__name__, rank
        self.filters = arguments.whole(who, "filters", filters)
        for name in ("kernel_size", "strides", "dilation_rate"):
            setattr(self, name, arguments.sizes(who, name, getattr(self, name), rank))
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{who}: strides above 1 do not go with dilation_rate above 1, got strides="
                f"{self.strides} and dilation_rate={self.dilation_rate}."
            )
        self.padding = padding.lower() if isinstance(padding, str) else padding
        require_padding(who, self.padding)
        self.data_format = config.standardize_data_format(data_format)

    @property
    def _channels_last(self) -> bool:
        return self.data_format == "channels_last"

    def build(self, inputs_shape, states_shape=None):
        sizes = inputs_shape[1:-1] if self._channels_last else inputs_shape[2:]
        channels = inputs_shape[-1] if self._channels_last else inputs_shape[1]
        if channels is None or None in sizes:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: all sizes of the images must be known, got "
                f"steps of shape {tuple(inputs_shape)}."
            )
        self.image_sizes = self._convolved(sizes)
        if min(self.image_sizes) < 1:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: images of sizes {tuple(sizes)} are smaller "
                f"than the kernel of sizes {self.kernel_size}; padding='same' would allow it."
            )
        four = 4 * self.filters
        self.kernel = self._add("kernel", (*self.kernel_size, channels, four))
        self.recurrent_kernel = self._add(
            "recurrent_kernel", (*self.kernel_size, self.filters, four)
        )
        self.bias = None
        if self.use_bias:
            self.bias = self._add("bias", (four,), self._forgetting_bias(self.filters))

    def _convolved(self, sizes):
        window = self.kernel_size, self.strides, self.dilation_rate
        around = margins(self.padding, sizes, *window)
        return counts(sizes, self.kernel_size, self.strides, around, self.dilation_rate)

    def state_shape(self, batch) -> tuple:
        """The shape of a state of so many sequences."""
        if self._channels_last:
            return (batch, *self.image_sizes, self.filters)
        return (batch, self.filters, *self.image_sizes)

    def get_initial_state(self, batch_size=None):
        """Zeros for the state and the carry."""
        shape = self.state_shape(batch_size)
        return [zeros(shape, dtype=self.compute_dtype) for _ in range(2)]

    def call(self, inputs, states, training=False):
        return self.advance(self.seen(inputs, inputs, training), states, training)

    def seen(self, inputs, step, training):
        """The convolved inputs with the bias, of one step or of many; `step` is one of them."""
        drops = training and self._drops(self.dropout)
        masks = self.get_dropout_mask(step) if drops else None
        window = self.strides, self.padding, self.dilation_rate
        return self._weighed(inputs, masks, self.kernel.value, self.bias, window)

    def advance(self, seen, states, training):
        """The output and the new states, from the convolved inputs and the states."""
        state, carry = states
        drops = training and self._drops(self.recurrent_dropout)
        masks = self.get_recurrent_dropout_mask(state) if drops else None
        one = (1,) * self.rank
        weighed = self._weighed(state, masks, self.recurrent_kernel.value, None, (one, "same", one))
        names = self.fused_names()
        if names is not None:
            state, carry = lstm_step(
                seen, weighed, carry, axis=-1 if self._channels_last else 1, **names
            )
            return state, [state, carry]
        i, f, n, o = self._parts(seen + weighed)
        gate = self.recurrent_activation
        carry = gate(f) * carry + gate(i) * self.activation(n)
        state = gate(o) * self.activation(carry)
        return state, [state, carry]

    def _weighed(self, images, masks, kernel, bias, window):
        """The convolution of images, which may have dropout masks for each of four parts."""
        strides, padding, dilations = window

        def convolution(x, kernel, bias):
            return convolved(
                type(self).__name__, x, kernel, strides, padding, self.data_format, dilations, bias
            )

        bias = None if bias is None else bias.value
        if masks is None:
            return convolution(images, kernel, bias)
        n, parts, copies = self.filters, [], images.shape[0] // masks[0].shape[0]
        for i, mask in enumerate(masks):
            if copies > 1:  # Of each sequence, one for each step.
                xp = namespace(mask)
                mask = xp.repeat(mask, copies, axis=0)
            part = slice(i * n, i * n + n)
            parts.append(
                convolution(images * mask, kernel[..., part], None if bias is None else bias[part])
            )
        return namespace(*parts).concat(parts, axis=-1 if self._channels_last else 1)

    def _parts(self, z):
        n = self.filters
        if self._channels_last:
            return [z[..., i * n : i * n + n] for i in range(4)]
        return [z[:, i * n : i * n + n, ...] for i in range(4)]


class BaseConvLSTM(CellLayer):
    """A long short-term memory of images: all its products are convolutions.

    Shi et al., "Convolutional LSTM network: a machine learning approach for precipitation
    nowcasting", 2015, arXiv:1506.04214, without its peepholes. The states are images of `filters`
    channels, on which the recurrent convolution is always one with strides of 1 and "same" padding.

    Args:
        filters: the number of channels of the outputs.
        kernel_size, strides, padding, data_format, dilation_rate: of the convolution of the
            inputs, as those of `Conv2D`; the padding is "valid" or "same".
        activation, recurrent_activation: names or functions; None for none.
        use_bias: whether a bias is added.
        kernel_initializer, recurrent_initializer, bias_initializer: of the weights, of shapes
            (*kernel_size, channels, 4 filters), (*kernel_size, filters, 4 filters), (4 filters,).
        unit_forget_bias: whether the bias of the forget gate starts at one.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: terms of the loss.
        activity_regularizer: a regularizer of the outputs.
        kernel_constraint, recurrent_constraint, bias_constraint: applied after each step of
            training.
        dropout, recurrent_dropout: the parts of inputs and of the state to drop in training.
        seed: of the dropout.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: see
            `RNN`.

    Raises TypeError or ValueError for sizes that are no positive integers, and for images that are
    smaller than the kernel or whose sizes are not known.
    """

    cell_name = "conv_lstm_cell"
    rank = 2

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
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
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        **kwargs,
    ):
        super().__init__(locals(), **kwargs)

    cell_class = ConvLSTMCell

    @property
    def input_rank(self) -> int:
        """How many axes the inputs have."""
        return self.rank + 3

    def _state_shapes(self, batch):
        return [self.cell.state_shape(batch)] * 2

    def _steps_within_memory(self, sequences, states, mask, training, before):
        state = plain(states[0])
        each = STATES_OF_A_STEP * state.size * dtypes.numpy_dtype(state.dtype).itemsize
        keep, most = partial(kept_masks, self.cell), max(1, KEPT // max(each, 1))

        def run(sequences, states, mask, before):
            return self._steps(sequences, states, mask, training, before)

        return whole_at_first(run, sequences, states, mask, before, most, keep)

    def _steps(self, sequences, states, mask, training, before):
        """The convolution of all steps' inputs at once, then one step after the other."""
        xp, shape = namespace(sequences), tuple(sequences.shape)
        images = xp.reshape(sequences, (shape[0] * shape[1], *shape[2:]))
        z = self.cell.seen(images, sequences[:, 0, ...], training)
        z = xp.reshape(z, (*shape[:2], *z.shape[1:]))

        def step(seen, states):
            return self.cell.advance(seen, states, training)

        return over_time(step, z, states, mask, **self._options(states, before))


class ConvLSTM1D(BaseConvLSTM):
    __doc__ = f"""{BaseConvLSTM.__doc__}
    Takes (batch, steps, size, channels), gives (batch, size, filters), or all steps' with
    `return_sequences`; with `return_state` a tuple of that and the two states.
    """

    rank = 1


class ConvLSTM2D(BaseConvLSTM):
    __doc__ = f"""{BaseConvLSTM.__doc__}
    Takes (batch, steps, height, width, channels), gives (batch, height, width, filters), or all
    steps' with `return_sequences`; with `return_state` a tuple of that and the two states.
    """

    rank = 2


class ConvLSTM3D(BaseConvLSTM):
    __doc__ = f"""{BaseConvLSTM.__doc__}
    Takes (batch, steps, depth, height, width, channels), gives (batch, depth, height, width,
    filters), or all steps' with `return_sequences`; with `return_state` a tuple of that and the
    two states.
    """

    rank = 3
