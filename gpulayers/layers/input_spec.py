"""What a layer's inputs must be like, and the check of inputs against it."""

from __future__ import annotations

from .. import tree
from ..arrays import dtypes


class InputSpec:
    """The rank, shape and dtype that a layer expects of one input; None allows anything.

    A layer sets `self.input_spec` to one of these, or to a structure of them, one for each array
    of the first argument of its `call`.

    Args:
        dtype: the dtype's name.
        shape: sizes with the batch axis; None for unknown ones.
        ndim, max_ndim, min_ndim: the number of axes, exactly or between bounds.
        axes: axis -> size, for some axes only (negative ones count from the end).
        allow_last_axis_squeeze: whether a last axis of size 1 may be missing, or be there in
            addition.
        name: the key of this input where inputs come as a dictionary.
        optional: whether None may stand for the array.

    Raises TypeError for axes that are not whole numbers, ValueError for an axis beyond `ndim`.
    """

    __slots__ = (
        "allow_last_axis_squeeze", "axes", "dtype", "max_ndim", "min_ndim", "name", "ndim",
        "optional", "shape",
    )  # fmt: skip

    def __init__(
        self,
        dtype=None,
        shape=None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ):
        sizes = tuple(shape) if hasattr(shape, "__iter__") else shape
        if shape is not None and not tree.is_shape(sizes):
            raise TypeError(f"InputSpec: shape must be a tuple of sizes and None, got {shape!r}.")
        for key, value in (("ndim", ndim), ("max_ndim", max_ndim), ("min_ndim", min_ndim)):
            if value is not None and not hasattr(value, "__index__"):
                raise TypeError(f"InputSpec: {key} must be a whole number, got {value!r}.")
        self.dtype = None if dtype is None else dtypes.standardize(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if shape is None else len(self.shape)
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name, self.optional = name, optional
        try:
            self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        except (AttributeError, TypeError, ValueError):
            raise TypeError(
                f"InputSpec: axes must be a dictionary with whole numbers as keys, got {axes!r}."
            ) from None
        most = self.max_ndim if self.ndim is None else self.ndim
        if self.axes and most is not None and max(self.axes) >= most:
            raise ValueError(
                f"InputSpec: axis {max(self.axes)} does not exist in {most} axes "
                f"(the last one is {most - 1})."
            )

    def mismatch(self, x) -> str | None:
        """What is wrong with the array `x`, in words; None if it fits."""
        shape = x.shape
        ndim = len(shape)
        if self.ndim is not None and ndim != self.ndim and not self.allow_last_axis_squeeze:
            return f"expected ndim={self.ndim}, got ndim={ndim}"
        if self.min_ndim is not None and ndim < self.min_ndim:
            return f"expected at least {self.min_ndim} axes (min_ndim), got ndim={ndim}"
        if self.max_ndim is not None and ndim > self.max_ndim:
            return f"expected at most {self.max_ndim} axes (max_ndim), got ndim={ndim}"
        if self.dtype is not None and dtypes.name(x.dtype) != self.dtype:
            return f"expected dtype {self.dtype}, got {dtypes.name(x.dtype)}"
        for axis, size in self.axes.items():
            if not -ndim <= axis < ndim:
                return f"expected axis {axis} of size {size}, got ndim={ndim}"
            if size is not None and shape[axis] is not None and shape[axis] != size:
                return f"expected axis {axis} of size {size}, got {shape[axis]}"
        return None if self.shape is None else self._shape_mismatch(tuple(shape))

    def _shape_mismatch(self, shape) -> str | None:
        expected = self.shape
        if self.allow_last_axis_squeeze:
            shape = shape[:-1] if shape[-1:] == (1,) else shape
            expected = expected[:-1] if expected[-1:] == (1,) else expected
        fits = len(expected) == len(shape) and all(
            a is None or b is None or a == b for a, b in zip(expected, shape, strict=True)
        )
        return None if fits else f"expected shape {self.shape}"

    def get_config(self) -> dict:
        """The arguments that make an equal spec."""
        keys = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {key: getattr(self, key) for key in keys}

    @classmethod
    def from_config(cls, config: dict) -> InputSpec:
        """The spec that `get_config` described."""
        return cls(**config)

    def __repr__(self):
        keys = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        given = [f"{key}={getattr(self, key)}" for key in keys if getattr(self, key)]
        return f"InputSpec({', '.join(given)})"


def fixes_batch(input_spec) -> bool:
    """Whether a layer's `input_spec` wants a certain number of samples."""
    return any(
        spec is not None
        and (spec.axes.get(0) is not None or (spec.shape or (None,))[0] is not None)
        for spec in tree.leaves(input_spec)
    )


def check_inputs(input_spec, inputs, name: str, kind: str = "Layer") -> None:
    """Refuse inputs that a layer's `input_spec` does not allow.

    Args:
        input_spec: an `InputSpec`, a structure of them and of None, or None.
        inputs: the first argument of the layer's call: an array or a structure of arrays.
        name, kind: the layer's name and class, for the message.

    Raises ValueError, saying which layer and which input, what was expected and what came.
    """
    if type(input_spec) is InputSpec and hasattr(inputs, "shape"):  # Nearly every call.
        problem = input_spec.mismatch(inputs)
        if problem is not None:
            raise ValueError(_message(kind, name, 0, input_spec, inputs, problem))
        return
    if not input_spec:
        return
    specs = tree.flatten(input_spec)
    arrays = _by_name(specs, inputs, name, kind)
    if len(arrays) != len(specs):
        raise ValueError(_count_message(specs, arrays, name, kind))
    for i, (x, spec) in enumerate(zip(arrays, specs, strict=True)):
        if spec is None or (x is None and spec.optional):
            continue
        if not hasattr(x, "shape"):
            raise ValueError(f"{kind} {name!r}: input {i} must be an array, got {x!r:.60}.")
        problem = spec.mismatch(x)
        if problem is not None:
            raise ValueError(_message(kind, name, i, spec, x, problem))


def _by_name(specs, inputs, name, kind) -> list:
    """The leaves of `inputs`; those of a dictionary in the order of the specs' names."""
    names = [spec.name for spec in specs if spec is not None]
    if isinstance(inputs, dict) and len(names) == len(specs) and all(names):
        missing = [n for n in names if n not in inputs]
        if missing:
            raise ValueError(
                f"{kind} {name!r}: the inputs lack {missing}: expected the keys {names}, "
                f"got {sorted(map(str, inputs))}."
            )
        return [inputs[n] for n in names]
    return tree.flatten(inputs)


def _count_message(specs, arrays, name, kind) -> str:
    names = [spec.name for spec in specs if spec is not None]
    hint = ""
    if len(names) == len(specs) and all(names):
        hint = f" Its inputs are named {names}; a dictionary with these keys is accepted too."
    got = ", ".join(str(tuple(x.shape)) if hasattr(x, "shape") else repr(x) for x in arrays)
    return f"{kind} {name!r}: expected {len(specs)} inputs, got {len(arrays)}: {got}.{hint}"


def _message(kind, name, index, spec, x, problem) -> str:
    which = f"input {index}" if spec.name is None else f"input {spec.name!r}"
    return (
        f"{kind} {name!r}: {which} is incompatible with the layer: {problem} "
        f"(shape {tuple(x.shape)})."
    )
