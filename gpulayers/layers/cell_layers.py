"""Recurrent layers that make their own cell: SimpleRNN, LSTM and GRU."""

from __future__ import annotations

import inspect
from functools import partial

from .. import tree
from ..arrays import devices, namespace
from .dropout_cell import NOT_ARGUMENTS
from .input_spec import InputSpec
from .layer import Layer
from .product_pieces import products_fit
from .recurrent import RNN
from .recurrent_cells import GRUCell, LSTMCell, SimpleRNNCell
from .recurrent_pieces import Recurrent
from .stacked_cells import fused


def _parameters(cell_class) -> list[str]:
    names = inspect.signature(cell_class.__init__).parameters
    return [name for name in names if name not in NOT_ARGUMENTS]


class CellLayer(RNN):
    """A recurrent layer that makes its cell, whose arguments are its own."""

    cell_class: type
    cell_name = ""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "cell_class" in cls.__dict__:
            for name in set(_parameters(cls.cell_class)) - vars(cls).keys():
                setattr(cls, name, _of_cell(name))

    def __init__(self, given, **kwargs):
        names = _parameters(self.cell_class)
        given = {n: v for n, v in given.items() if n not in NOT_ARGUMENTS} | kwargs
        shared = {n: given[n] for n in ("dtype", "trainable") if n in given}
        if "implementation" in given:
            shared["implementation"] = given.pop("implementation")
        own = {n: given.pop(n) if n in given else getattr(self, n) for n in names}
        use_cudnn = given.pop("use_cudnn", "auto")
        if use_cudnn not in ("auto", True, False):
            raise ValueError(
                f"{type(self).__name__}: use_cudnn must be 'auto', True or False, "
                f"got {use_cudnn!r}."
            )
        try:
            cell = self.cell_class(**own, **shared, name=self.cell_name)
        except (TypeError, ValueError) as error:
            theirs, ours = self.cell_class.__name__, type(self).__name__
            raise type(error)(str(error).replace(f"{theirs}:", f"{ours}:")) from None
        super().__init__(cell, **given)
        self.input_spec = InputSpec(ndim=self.input_rank)

    input_rank = 3

    def get_config(self):
        config = super().get_config()
        cell = config.pop("cell")["config"]
        own = {name: cell[name] for name in self.cell._settings}
        return {"activity_regularizer": None, **config, **own}

    @classmethod
    def from_config(cls, config):
        return Layer.from_config.__func__(cls, config)

    def _inference_step(self, x):
        if self.return_state or self.stateful:
            return None
        cell, names = self.cell, fused(self.cell)
        if names is None or cell.kernel.value.dtype != x.dtype:
            return partial(self.call, training=False)
        xp, states = namespace(x), len(tree.flatten(cell.state_size))

        def run(x):
            if not x.shape[1]:
                return self.call(x)  # It says what is wrong.
            zeros = xp.zeros((x.shape[0], cell.units), dtype=x.dtype)
            x = xp.flip(x, axis=1) if self.go_backwards else x
            outputs = cell.over_time(x, [zeros] * states, None, names)[0]
            return outputs if self.return_sequences else outputs[:, -1, :]

        return run

    def _inference_pieces(self, x):
        """On a GPU, what this layer is in a plan of inference: see `pieces.py`."""
        cell, names = self.cell, fused(self.cell)
        if names is None or self.return_state or self.stateful or not x.shape[1]:
            return None
        weights = cell.weights_of_steps()
        if not devices.is_cupy(weights[0]._value) or not products_fit(x, *weights):
            return None
        how = self.go_backwards, self.return_sequences
        return [Recurrent(self.name, cell.operation, weights, names, x.dtype, *how)]

    def _inference_moves(self, program, x):
        """What this layer is in a program: see `pieces.py`."""
        return self.moves_of_steps(program, x)

    def moves_of_steps(self, program, x, **ways):
        """All steps of few sequences as moves of a program; see `cpu.recurrent_moves`."""
        names = fused(self.cell)
        if names is None or self.return_state or self.stateful:
            raise program.unwritable
        cell = self.cell.operation.__name__, self.cell.weights_of_steps(), names
        return program.recurrent(x, cell, self.return_sequences, self.go_backwards, **ways)


def _of_cell(name):
    return property(lambda self: getattr(self.cell, name), doc=f"`{name}` of the cell.")


_FURTHER = """
        activity_regularizer: a regularizer of the outputs.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: see
            `RNN`.
        use_cudnn: without effect; for Keras's sake.

    Takes (batch, steps, inputs), gives (batch, units), or (batch, steps, units) with
    `return_sequences`; with `return_state` a tuple of that and the states, (batch, units) each.
    Raises TypeError or ValueError for units that are not a positive integer.
    """


def _doc(first, cell):
    """The description of a layer: that of its cell, but for what goes in and comes out."""
    return first + cell.__doc__.partition("\n")[2].partition("\n\n    Takes")[0] + _FURTHER


class SimpleRNN(CellLayer):
    __doc__ = _doc("A fully connected recurrent network.\n", SimpleRNNCell)

    cell_class, cell_name = SimpleRNNCell, "simple_rnn_cell"

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
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(locals(), **kwargs)

    def get_config(self):
        config = super().get_config()
        if config["seed"] is None:  # Keras writes none at all.
            del config["seed"]
        return config


class LSTM(CellLayer):
    __doc__ = _doc(
        "A long short-term memory (Hochreiter and Schmidhuber, Neural Computation 1997).\n",
        LSTMCell,
    )

    cell_class, cell_name = LSTMCell, "lstm_cell"

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
        unroll=False,
        use_cudnn="auto",
        **kwargs,
    ):
        super().__init__(locals(), **kwargs)


class GRU(CellLayer):
    __doc__ = _doc("A gated recurrent unit (Cho et al., 2014, arXiv:1406.1078).\n", GRUCell)

    cell_class, cell_name = GRUCell, "gru_cell"

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
        unroll=False,
        reset_after=True,
        use_cudnn="auto",
        **kwargs,
    ):
        super().__init__(locals(), **kwargs)
