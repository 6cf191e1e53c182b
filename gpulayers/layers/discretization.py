"""Layers that sort numbers into bins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..arrays import Abstract, as_array, devices, dtypes, namespace, plain
from ..ops.sorting import digitize
from .adapting import as_whole, batches
from .category_encoding import check_mode, check_sparse, encode, encoded_shape
from .layer import Layer


class Discretization(Layer):
    """The number of the bin that each number falls into.

    Bin 0 holds what is below the first boundary, bin i what is at least boundary i - 1 and below
    boundary i, the last bin the rest.

    Args:
        bin_boundaries: rising numbers between the bins.
        num_bins: how many bins of about equal content `adapt` is to find instead.
        epsilon: how far the share of numbers below a found boundary may be off.
        output_mode: "int" for the numbers of the bins, or as in `CategoryEncoding`.
        sparse: without effect, and an error with "int": arrays are dense here.

    Takes numbers of any shape. Raises ValueError for both or none of `bin_boundaries` and
    `num_bins`, boundaries that do not rise or are no numbers, an epsilon that is no share, and when
    called before `adapt`.
    """

    def __init__(
        self,
        bin_boundaries=None,
        num_bins=None,
        epsilon=0.01,
        output_mode="int",
        sparse=False,
        dtype=None,
        name=None,
    ):
        super().__init__(dtype=dtype, name=name)
        self.sparse = check_sparse("Discretization", sparse, output_mode)
        self.output_mode = check_mode("Discretization", output_mode)
        if num_bins is not None and num_bins <= 0:
            raise ValueError(f"Discretization: num_bins must be positive, got {num_bins}.")
        if not 0 <= epsilon <= 1:
            raise ValueError(f"Discretization: epsilon must be a share from 0 to 1, got {epsilon}.")
        if (num_bins is None) == (bin_boundaries is None):
            raise ValueError(
                "Discretization: give either bin_boundaries or num_bins, got "
                f"bin_boundaries={bin_boundaries} and num_bins={num_bins}."
            )
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.bin_boundaries = None if bin_boundaries is None else _rising(bin_boundaries)
        self.summary = _EMPTY

    def adapt(self, data, steps=None) -> None:
        """Find the boundaries from data, in place of what was found before.

        Args:
            data: an array, a table, or an iterable of batches, which is read once.
            steps: take no more batches than this.

        Raises ValueError for a layer with given boundaries.
        """
        if self.num_bins is None:
            raise ValueError(
                "Discretization: adapt() has nothing to find, because bin_boundaries were given; "
                "give num_bins instead."
            )
        self.reset_state()
        whole = as_whole(data)
        found = [whole] if whole is not None else batches("Discretization", data, steps)
        for batch in found:
            self.update_state(batch)
        self.finalize_state()

    def update_state(self, data) -> None:
        """Take a batch of numbers into account."""
        values = devices.to_numpy(data).astype(np.float32)
        self.summary = _merged(_summary(values, self.epsilon), self.summary, self.epsilon)

    def finalize_state(self) -> None:
        """Find the boundaries from all batches so far."""
        if self.num_bins is not None and self.summary.shape[1]:
            self.bin_boundaries = _compressed(self.summary, 1 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        """Forget all batches so far."""
        if self.num_bins is not None:
            self.summary = _EMPTY

    def call(self, inputs):
        if self.bin_boundaries is None:
            if type(inputs) is Abstract:
                shape = self.compute_output_shape(tuple(inputs.shape))
                return Abstract(shape, self.output_dtype)
            raise ValueError(
                f"Discretization {self.name!r}: call adapt() first, or give bin_boundaries."
            )
        inputs = inputs if hasattr(inputs, "dtype") else as_array(inputs)  # A list of nothing.
        if dtypes.other_than_numbers(inputs.dtype):
            raise TypeError(
                f"Discretization {self.name!r}: expected numbers, got an array of {inputs.dtype}."
            )
        inputs = plain(inputs)  # The numbers of bins have no gradient.
        bins = as_array(self.bin_boundaries, like=inputs)
        xp = namespace(inputs)
        if not dtypes.is_floating(inputs.dtype):
            inputs = xp.astype(inputs, bins.dtype)
        indices = digitize(inputs, xp.astype(bins, inputs.dtype))
        if self.output_mode == "int":
            return indices
        dtype = self._working_dtype([inputs]) or self.compute_dtype
        return encode(indices, self.output_mode, len(self.bin_boundaries) + 1, dtype)

    @property
    def output_dtype(self) -> str:
        """The dtype of the outputs: int32 for numbers of bins, else that to compute in."""
        return "int32" if self.output_mode == "int" else self.compute_dtype

    def compute_output_shape(self, input_shape):
        found = self.bin_boundaries is not None
        depth = len(self.bin_boundaries) + 1 if found else self.num_bins
        shape = tuple(input_shape)
        if self.output_mode in ("multi_hot", "count") and len(shape) > 1:
            return (shape[0], *shape[2:], depth)
        return encoded_shape(shape, self.output_mode, depth)

    def load_own_variables(self, store):
        """Nothing but the summary that older files have."""
        if len(store) == 1:
            self.summary = np.asarray(store["0"])

    def get_config(self):
        return {
            "bin_boundaries": self.bin_boundaries,
            "num_bins": self.num_bins,
            "epsilon": self.epsilon,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.variable_dtype,
        }

    @classmethod
    def from_config(cls, config):
        if config.get("num_bins") is None or config.get("bin_boundaries") is None:
            return super().from_config(config)
        layer = super().from_config({**config, "bin_boundaries": None})
        layer.bin_boundaries = list(config["bin_boundaries"])
        return layer


def _rising(boundaries) -> list:
    values = devices.to_numpy(boundaries).tolist()
    if not all(a <= b for a, b in pairwise([*values, np.inf])):
        raise ValueError(f"Discretization: bin_boundaries must rise, got {values}.")
    return values


# A summary of numbers: some of them in rising order, and for how many each stands (2, n).

_EMPTY = np.empty((2, 0), np.float32)


def _summary(values, epsilon):
    """Of all numbers of an array: every so-manieth, so that about 1 / epsilon are left."""
    values = np.sort(values.reshape(-1))
    step = max(values.size * epsilon, 1)
    chosen = values[int(step - 1) :: int(step)]
    return np.stack([chosen, np.full_like(chosen, step)])


def _merged(one, other, epsilon):
    """Of the numbers of two summaries."""
    both = np.concat([one, other], axis=1)
    return _compressed(both[:, np.argsort(both[0])], epsilon)


def _compressed(summary, epsilon):
    """A summary by 1 / epsilon numbers, interpolated at equal shares of the weight."""
    if summary.shape[1] * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    weights = summary[1].cumsum()
    at = weights / weights[-1]
    values = np.interp(shares, at, summary[0])
    weights = np.interp(shares, at, weights)
    return np.stack([values, np.diff(weights, prepend=0)]).astype(np.float32)
