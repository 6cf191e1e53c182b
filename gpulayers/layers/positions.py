"""Learned vectors for positions in a sequence."""

from __future__ import annotations

import numpy as np

from .. import initializers
from ..arrays import devices, is_array, namespace, plain
from ..ops.embedding import gather
from . import arguments
from .layer import Layer

__all__ = ["PositionEmbedding"]


class PositionEmbedding(Layer):
    """A trained vector for each position, in the shape of the inputs, to be added to them.

    (Vaswani et al., "Attention is all you need", 2017, arXiv:1706.03762, section 3.5.) Keras has
    it in KerasHub, under this name.

    Args:
        sequence_length: how many positions there are.
        initializer: of the vectors, (sequence_length, features).

    Call arguments:
        inputs: (batch, T, features); their values are not used.
        start_index: the position of the first of them: a number, or one for each sample, as
            `KeyValueCache.positions` gives them.
        positions: (T,) or (batch, T), instead of start_index ... start_index + T - 1.

    Raises ValueError for inputs with other than 3 axes, and, on the CPU, for positions that are
    not in 0 ... sequence_length - 1.
    """

    def __init__(self, sequence_length, initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        who = type(self).__name__
        self.sequence_length = arguments.whole(who, "sequence_length", sequence_length)
        self.initializer = initializers.get(initializer)
        self.supports_masking = True

    def build(self, input_shape):
        if len(input_shape) != 3:
            raise ValueError(
                f"{self._who}: inputs must have 3 axes (samples, positions, features), got shape "
                f"{tuple(input_shape)}."
            )
        shape = (self.sequence_length, input_shape[-1])
        self.position_embeddings = self.add_weight(shape, self.initializer, name="embeddings")

    @property
    def _who(self):
        return f"{type(self).__name__} {self.name!r}"

    def call(self, inputs, start_index=0, positions=None):
        xp = namespace(inputs)
        if positions is None:
            positions = xp.arange(inputs.shape[1], device=devices.device_of(inputs))
            if is_array(start_index):
                start_index = devices.put(plain(start_index), devices.home_of(plain(positions)))
                start_index = xp.expand_dims(start_index, axis=-1)
            positions = positions + start_index
        self._check_range(plain(positions))
        return xp.broadcast_to(gather(self.position_embeddings, positions), inputs.shape)

    def _check_range(self, positions):
        if type(positions) is np.ndarray and positions.size:
            low, high = positions.min(), positions.max()
            if low < 0 or high >= self.sequence_length:
                raise ValueError(
                    f"{self._who}: positions must be in 0..{self.sequence_length - 1} "
                    f"(sequence_length={self.sequence_length}), got {low if low < 0 else high}."
                )

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "sequence_length": self.sequence_length,
            "initializer": initializers.serialize(self.initializer),
        }
