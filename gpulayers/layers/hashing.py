"""Layers that sort strings and numbers into bins by their hash."""

from __future__ import annotations

import numpy as np

from .. import config
from ..arrays import dtypes
from ..ops.hashing import as_bytes, crossed64, fingerprint64, siphash64
from .category_encoding import check_mode, check_sparse, encode, encoded_shape
from .host_layer import HostLayer, as_values


def check_salt(who: str, salt) -> list[int] | None:
    """The two numbers of a salt.  Raises ValueError for what is none."""
    if salt is None:
        return None
    if isinstance(salt, int) and not isinstance(salt, bool):
        return [salt, salt]
    if isinstance(salt, (tuple, list)) and len(salt) == 2:
        return list(salt)
    raise ValueError(f"{who}: salt must be one whole number or two, got {salt!r}.")


def hashed(values: np.ndarray, bins: int, salt=None) -> np.ndarray:
    """The bin of each string or number: its FarmHash modulo bins, or with a salt its SipHash."""
    texts = as_bytes(values)
    numbers = fingerprint64(texts) if salt is None else siphash64(texts, salt)
    return (numbers % np.uint64(bins)).astype(np.int64).reshape(values.shape)


class Hashing(HostLayer):
    """Strings or whole numbers as the numbers of bins, by a hash that is the same everywhere.

    Args:
        num_bins: how many bins there are, that of the mask included.
        mask_value: what goes into bin 0, which then holds nothing else.
        salt: one whole number, or two, that change the hash: SipHash-2-4 with this key then takes
            the place of FarmHash's Fingerprint64.
        output_mode: "int" for the numbers of the bins, or as in `CategoryEncoding`.
        sparse: without effect, and an error with "int": arrays are dense here.

    Takes strings, bytes or numbers of any shape, as arrays, lists or columns of a table; numbers
    are hashed as their decimal digits. Gives int64, or floats in the other modes. Raises
    ValueError for `num_bins` that is not positive, another salt or mode, and a dtype that holds no
    integers with "int"; TypeError for strings and numbers together, the mask included.
    """

    encoding = None  # Bytes are hashed as they are.

    def __init__(
        self, num_bins, mask_value=None, salt=None, output_mode="int", sparse=False, **kwargs
    ):
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else config.floatx()
        super().__init__(**kwargs)
        if num_bins is None or num_bins <= 0:
            raise ValueError(f"Hashing: num_bins must be positive, got {num_bins}.")
        self.output_mode = check_mode("Hashing", output_mode)
        if output_mode == "int" and self.compute_dtype not in ("int32", "int64"):
            raise ValueError(
                "Hashing: dtype must be 'int32' or 'int64' if output_mode is 'int', got "
                f"{self.compute_dtype!r}."
            )
        self.sparse = check_sparse("Hashing", sparse, output_mode)
        self.num_bins = num_bins
        self.mask_value = mask_value
        self.salt = check_salt("Hashing", salt)

    def call(self, inputs):
        bins = self._bins(inputs)
        dtype = self.compute_dtype
        if self.output_mode == "int":
            return bins.astype(dtypes.numpy_dtype(dtype))
        return encode(bins, self.output_mode, self.num_bins, dtype)

    def _bins(self, values):
        self._check_kinds(values)
        if self.mask_value is None or self.num_bins == 1:
            return hashed(values, self.num_bins, self.salt)
        mask = self.mask_value
        if values.dtype.kind == "S" and isinstance(mask, str):
            mask = mask.encode()
        return np.where(values == mask, 0, hashed(values, self.num_bins - 1, self.salt) + 1)

    def _check_kinds(self, values):
        """Raise TypeError if there are strings and numbers, the mask among them."""
        if values.dtype.kind == "O":
            kinds = set(map(type, values.ravel().tolist()))
        else:
            kinds = {str} if values.dtype.kind in "UST" else {values.dtype.type}
        kinds |= set() if self.mask_value is None else {type(self.mask_value)}
        texts = {kind for kind in kinds if issubclass(kind, (str, bytes))}
        if values.size and texts and any(issubclass(k, (int, np.number)) for k in kinds - texts):
            raise TypeError(
                f"Hashing {self.name!r}: expected strings or whole numbers, got both: "
                f"{values.ravel()[:9].tolist()} with mask_value={self.mask_value!r}."
            )

    def compute_output_shape(self, input_shape):
        """As Keras tells it: with "one_hot" it leaves out a last axis that is longer than 1."""
        shape = tuple(input_shape)
        return shape if self.output_mode == "int" else (*shape[:-1], self.num_bins)

    def get_config(self):
        config = {
            "num_bins": self.num_bins,
            "salt": self.salt,
            "mask_value": self.mask_value,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
        }
        return {**super().get_config(), **config}


class HashedCrossing(HostLayer):
    """The bin of each combination of the values of several features, by one hash of them all.

    Args:
        num_bins: how many bins there are.
        output_mode: "int" for the numbers of the bins, "one_hot" for vectors of that size.
        sparse: without effect: arrays are dense here.

    Takes a list or tuple of two or more arrays of strings or integers, all of shape (), (batch,)
    or (batch, 1); gives the numbers of the bins in that shape, or (batch, num_bins). Raises
    ValueError for other inputs and for `num_bins` that is not positive.
    """

    encoding = None

    def __init__(self, num_bins, output_mode="int", sparse=False, name=None, dtype=None, **kwargs):
        dtype = "int64" if output_mode == "int" and dtype is None else dtype
        super().__init__(name=name, dtype=dtype, **kwargs)
        if num_bins is None or num_bins <= 0:
            raise ValueError(f"HashedCrossing: num_bins must be positive, got {num_bins}.")
        self.output_mode = check_mode("HashedCrossing", output_mode, ("int", "one_hot"))
        self.num_bins = num_bins
        self.sparse = bool(sparse)

    def _values(self, inputs):
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(
                "HashedCrossing: expected a list or tuple of at least two arrays, got "
                f"{inputs!r:.80}."
            )
        values = [as_values(x, None) for x in inputs]
        shapes = [v.shape for v in values]
        shape = shapes[0]
        if any(s != shape for s in shapes) or len(shape) > 2 or shape[1:] not in ((), (1,)):
            raise ValueError(
                "HashedCrossing: the inputs must all have shape (), (batch,) or (batch, 1), got "
                f"{', '.join(map(str, shapes))}."
            )
        for v in values:
            if v.dtype.kind not in "iuUSTO":
                raise ValueError(
                    f"HashedCrossing: expected strings or integers, got numbers of dtype {v.dtype}."
                )
        return values

    def call(self, inputs):
        columns = [_numbers(v.ravel()) for v in inputs]
        bins = crossed64(columns) % np.uint64(self.num_bins)
        bins = bins.astype(np.int64).reshape(inputs[0].shape)
        if self.output_mode == "int":
            return bins.astype(dtypes.numpy_dtype(self.compute_dtype))
        return encode(bins, "one_hot", self.num_bins, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        shapes = [tuple(shape) for shape in input_shape if not isinstance(shape, int)]
        if len(shapes) < 2 or len(shapes) != len(input_shape):
            raise ValueError(
                f"HashedCrossing: expected the shapes of at least two inputs, got {input_shape}."
            )
        if shapes[0][-1:] != shapes[1][-1:]:
            raise ValueError(f"HashedCrossing: the inputs must have one shape, got {input_shape}.")
        return encoded_shape(shapes[0], self.output_mode, self.num_bins)

    def get_config(self):
        return {
            "num_bins": self.num_bins,
            "output_mode": self.output_mode,
            "sparse": self.sparse,
            "name": self.name,
            "dtype": self.variable_dtype,
        }


def _numbers(values):
    """What is crossed: integers as they are, strings by their fingerprint."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64).view(np.uint64)
    return fingerprint64(as_bytes(values))
