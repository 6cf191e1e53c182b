"""The inputs of models."""

from __future__ import annotations

import warnings

from .. import naming
from ..arrays import KerasTensor, dtypes
from ..arrays.symbolic import Node
from .layer import Layer


class InputLayer(Layer):
    """The place of one input in a graph of layers.

    Args:
        shape: of one sample: whole sizes, None for unknown ones.
        batch_size: if it is fixed.
        dtype: of the input; floatx by default.
        batch_shape: the whole shape, in the place of `shape` and `batch_size`.
        input_tensor: a KerasTensor to stand for.
        optional: whether None may be given.

    Raises TypeError or ValueError for shapes that are none; sparse and ragged inputs are refused.
    """

    def __init__(
        self,
        shape=None,
        batch_size=None,
        dtype=None,
        sparse=None,
        ragged=None,
        batch_shape=None,
        input_tensor=None,
        optional=False,
        name=None,
        **kwargs,
    ):
        if "input_shape" in kwargs:
            warnings.warn("InputLayer: input_shape is an old name of shape.", stacklevel=2)
            shape = kwargs.pop("input_shape")
        if "batch_input_shape" in kwargs:
            batch_shape = kwargs.pop("batch_input_shape")
        super().__init__(name=naming.auto_name("input_layer") if name is None else name)
        if kwargs:
            raise TypeError(f"InputLayer: unexpected arguments: {', '.join(sorted(kwargs))}.")
        if sparse or ragged:
            raise ValueError(
                f"InputLayer {self.name!r}: sparse and ragged inputs are not supported."
            )
        if input_tensor is not None:
            if not isinstance(input_tensor, KerasTensor):
                raise ValueError(
                    f"InputLayer {self.name!r}: input_tensor must be a KerasTensor, "
                    f"got {type(input_tensor).__name__}."
                )
            _check_against(input_tensor, self.name, shape, batch_size, dtype, batch_shape)
            shape, batch_size, batch_shape = None, None, input_tensor.shape
            dtype = input_tensor.dtype
        if batch_shape is None:
            if shape is None:
                raise ValueError(f"InputLayer {self.name!r}: give a `shape` (without the batch).")
            batch_shape = (batch_size, *_checked(self.name, shape))
        elif shape is not None or batch_size is not None:
            raise ValueError(
                f"InputLayer {self.name!r}: give `batch_shape`, or `shape` and `batch_size`."
            )
        self.batch_shape = _checked(self.name, batch_shape)
        self._input_dtype = dtypes.standardize(dtype)
        self.optional, self.sparse, self.ragged = optional, bool(sparse), bool(ragged)
        self._built = True
        tensor = input_tensor
        if tensor is None:
            tensor = KerasTensor(self.batch_shape, self._input_dtype, name=self.name)
        tensor.optional = optional
        node = Node(self, (), {}, tensor)
        tensor.node = node
        self._inbound_nodes.append(node)

    def call(self):
        """Nothing: it stands for an array that the model is given."""

    @property
    def dtype(self):
        return self._input_dtype

    @property
    def batch_size(self):
        return self.batch_shape[0]

    def get_config(self):
        return {
            "batch_shape": self.batch_shape,
            "dtype": self._input_dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
            "optional": self.optional,
        }


def Input(
    shape=None,
    batch_size=None,
    dtype=None,
    sparse=None,
    ragged=None,
    batch_shape=None,
    name=None,
    tensor=None,
    optional=False,
) -> KerasTensor:
    """An input of a functional model: a KerasTensor of shape (batch, *shape).

    Args: see `InputLayer`; `tensor` is its `input_tensor`.
    """
    layer = InputLayer(
        shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name
    )
    return layer.output


def _check_against(tensor, name, shape, batch_size, dtype, batch_shape):
    """Refuse arguments that say something else than the `input_tensor` given beside them."""
    given = {
        "shape": (None if shape is None else _checked(name, shape), tensor.shape[1:]),
        "batch_size": (batch_size, tensor.shape[0] if tensor.shape else None),
        "batch_shape": (None if batch_shape is None else tuple(batch_shape), tensor.shape),
        "dtype": (None if dtype is None else dtypes.standardize(dtype), tensor.dtype),
    }
    for what, (value, own) in given.items():
        if value is not None and value != own:
            raise ValueError(
                f"InputLayer {name!r}: {what} is {value}, but that of input_tensor is {own}."
            )


def _checked(name, shape):
    if hasattr(shape, "__index__"):
        shape = (shape,)
    try:
        shape = tuple(None if n is None else n.__index__() for n in shape)
    except (TypeError, AttributeError):
        raise TypeError(
            f"InputLayer {name!r}: a shape is a tuple of whole numbers and None, got {shape!r}."
        ) from None
    if any(n is not None and n < 0 for n in shape):
        raise ValueError(f"InputLayer {name!r}: sizes must not be negative, got {shape}.")
    return shape
