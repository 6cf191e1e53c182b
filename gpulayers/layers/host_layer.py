"""What layers of strings have in common: they compute on the host, on NumPy arrays."""

from __future__ import annotations

import numpy as np

from .. import tree
from ..arrays import Abstract, KerasTensor, Variable, devices, dtypes, is_array, plain
from .adapting import is_table
from .layer import Layer


def as_values(x, encoding: str | None = "utf-8") -> np.ndarray:
    """Strings or numbers, as users have them, as a NumPy array.

    Args:
        x: an array of any library, a column or table of pandas, a single value, or nested lists.
            Lists of different lengths give an array of lists.
        encoding: of strings given as bytes, which are decoded by it; None leaves them.
    """
    if type(x) is Variable:
        x = x.value
    x = plain(x) if is_array(x) else x.to_numpy() if is_table(x) else x
    if is_array(x):
        values = devices.to_numpy(x)
    elif isinstance(x, list) and set(map(type, x)) == {str}:
        return np.array(x, object)  # Strings of one width would be copies of them all.
    else:
        try:
            values = np.asarray(x)
        except ValueError:  # Lists of different lengths.
            values = np.empty(len(x), object)
            values[:] = [list(row) for row in x]
        if values.dtype.kind in "US" and not isinstance(x, (str, bytes)) and _mixed(x):
            values = np.asarray(x, object)
    if encoding is None:
        return values
    if values.dtype.kind == "S":
        values = np.char.decode(values, encoding)
    elif values.dtype.kind == "O" and any(
        issubclass(kind, bytes) for kind in set(map(type, values.ravel().tolist()))
    ):
        decoded = [v.decode(encoding) if isinstance(v, bytes) else v for v in values.flat]
        values = np.array(decoded, object).reshape(values.shape)
    return values


def _mixed(lists) -> bool:
    """Whether there are numbers or None among strings: NumPy would make strings of them."""
    if isinstance(lists, (list, tuple)):
        return any(map(_mixed, lists))
    return not isinstance(lists, (str, bytes, np.str_, np.bytes_, np.ndarray))


def is_ragged(values: np.ndarray) -> bool:
    """Whether an array holds lists of different lengths."""
    return values.dtype.kind == "O" and values.size > 0 and isinstance(values.flat[0], list)


class HostLayer(Layer):
    """A layer that takes strings or whole numbers, and computes with NumPy.

    `call` gets NumPy arrays. Numbers that it gives go to where the inputs were, or, if those were
    no arrays or strings, to where new arrays appear. Without data, `output_dtype` and
    `compute_output_shape` say what it gives.
    """

    _takes_text = True
    encoding: str | None = "utf-8"  # Of strings given as bytes; None leaves them as they are.

    @property
    def output_dtype(self) -> str:
        """The dtype of the outputs."""
        return self.compute_dtype

    def __call__(self, inputs, training=None, **kwargs):
        """Other layers take `training`, so these do, too; it changes nothing."""
        if _is_symbolic(inputs):
            return super().__call__(inputs, **kwargs)
        if not self.built:
            self._build_for({})
        home = _home_of(inputs)
        outputs = self.call(self._values(inputs), **kwargs)
        return outputs if isinstance(outputs, list) else _at(home, outputs)

    def _values(self, inputs):
        """The inputs as `call` takes them."""
        return as_values(inputs, self.encoding)

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape(tree.map_structure(lambda x: tuple(x.shape), inputs))
        return KerasTensor(shape, self.output_dtype)

    def _compute(self, args, kwargs, arrays):
        if _is_symbolic(args[0]):
            shapes = tree.map_structure(lambda x: tuple(x.shape), args[0])
            return Abstract(self.compute_output_shape(shapes), self.output_dtype)
        return self.call(*args, **kwargs)

    def get_build_config(self):
        """None: there is nothing to build."""
        return None


def _first(inputs):
    while isinstance(inputs, (list, tuple)) and inputs:
        inputs = inputs[0]
    return inputs.value if type(inputs) is Variable else inputs


def _is_symbolic(inputs) -> bool:
    return isinstance(_first(inputs), (KerasTensor, Abstract))


def _home_of(inputs):
    """Where the outputs go: beside arrays of numbers."""
    first = plain(_first(inputs))
    if is_array(first) and not dtypes.other_than_numbers(first.dtype):
        return devices.home_of(first)
    return devices.current()


def _at(home, outputs):
    if type(outputs) is np.ndarray and dtypes.other_than_numbers(outputs.dtype):
        return outputs
    return devices.put(outputs, home)
