"""Layers that merge arrays element by element, each also as a function: Add, Multiply, ..."""

from __future__ import annotations

from functools import partial, reduce

from .. import config
from ..arrays import dtypes, get_mask, namespace
from .pieces import Sum
from .training_plan import Link, links_between
from .unknown_sizes import TakesUnknownSizes, is_guessed, of_equal_sizes

__all__ = [
    "Add",
    "Average",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


class Merge(TakesUnknownSizes):
    """What merging layers share: lists of inputs, common ranks and dtypes, masks.

    Inputs of lower rank get axes of size 1 after the batch axis; then shapes broadcast. The output
    is masked where every input is; if one input has no mask, the output has none.

    A subclass defines `_merge(xp, inputs)`, for inputs of equal rank and dtype.
    """

    _keeps_samples_apart = True
    between: str | None = None  # The function of two arrays that it is of several.

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.compute_output_shape(input_shape)

    def call(self, inputs):
        self._check_list(inputs)
        inputs = of_one_dtype(_of_one_rank(inputs))
        if any(map(is_guessed, inputs)):
            inputs = of_equal_sizes(inputs)
        return self._merge(namespace(*inputs), inputs)

    def _training_links(self, *arrays):
        """What this layer is in training: see `training_plan.py`."""
        fits = self.between and len(arrays) > 1 and are_alike(arrays)
        return links_between(self.between, len(arrays)) if fits else None

    @property
    def _who(self):
        return f"{type(self).__name__} {self.name!r}"

    def _check_list(self, inputs):
        """Raise ValueError unless `inputs` is a list (of arrays, or of shapes)."""
        if not isinstance(inputs, (list, tuple)):
            got = f"one of shape {tuple(inputs.shape)}" if hasattr(inputs, "shape") else inputs
            raise ValueError(f"{self._who}: expected a list of inputs, got {got}.")
        if not inputs or isinstance(inputs[0], (int, type(None))):
            got = f"one of shape {tuple(inputs)}" if inputs else "an empty list"
            raise ValueError(f"{self._who}: expected a list of inputs, got {got}.")

    def compute_output_shape(self, input_shape):
        self._check_list(input_shape)
        batch, sample = self._batch_size(input_shape), ()
        for shape in input_shape:
            sample = self._broadcast(sample, tuple(shape[1:]), input_shape)
        return (batch, *sample)

    def _batch_size(self, shapes):
        sizes = {shape[0] for shape in shapes} - {None}
        if len(sizes) > 1:
            raise ValueError(
                f"{self._who}: the inputs have different batch sizes: {written(shapes)}."
            )
        return sizes.pop() if sizes else None

    def _broadcast(self, one, other, shapes):
        rank, sizes = max(len(one), len(other)), []
        padded = ((1,) * (rank - len(shape)) + shape for shape in (one, other))
        for a, b in zip(*padded, strict=True):
            if 1 not in (a, b) and None not in (a, b) and a != b:
                raise ValueError(
                    f"{self._who}: the inputs have incompatible shapes: {written(shapes)}."
                )
            sizes.append(b if a == 1 else a if b == 1 else None if None in (a, b) else a)
        return tuple(sizes)

    def compute_mask(self, inputs, mask=None):
        if mask is None:
            return None
        check_masks(self._who, inputs, mask)
        if any(m is None for m in mask):
            return None
        return reduce(namespace(*mask).logical_or, mask)


def are_alike(arrays) -> bool:
    """Whether all are of one shape and of one floating dtype, and more than numbers."""
    first = arrays[0]
    alike = all(x.shape == first.shape and x.dtype == first.dtype for x in arrays)
    return alike and dtypes.is_floating(first) and first.ndim > 0


def written(shapes):
    return ", ".join(str(tuple(shape)) for shape in shapes)


def check_masks(who, inputs, mask):
    for name, value in (("inputs", inputs), ("mask", mask)):
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{who}: {name} must be a list, got {type(value).__name__}.")
    if len(mask) != len(inputs):
        raise ValueError(f"{who}: got {len(inputs)} inputs, but {len(mask)} masks.")


def _of_one_rank(inputs):
    rank = max(x.ndim for x in inputs)
    if all(x.ndim == rank for x in inputs):
        return inputs
    return [_with_axes(x, 1, rank) for x in inputs]


def _with_axes(x, place, rank):
    """`x` with axes of size 1 before axis `place`, up to `rank`."""
    if x.ndim == rank:
        return x
    ones = (1,) * (rank - x.ndim)
    return namespace(x).reshape(x, (*x.shape[:place], *ones, *x.shape[place:]))


def of_one_dtype(inputs):
    dtype = inputs[0].dtype
    if all(x.dtype == dtype for x in inputs):
        return inputs
    common = dtypes.promote(*(dtypes.name(x.dtype) for x in inputs))
    spaces = ((x, namespace(x)) for x in inputs)
    return [xp.astype(x, dtypes.of(xp, common)) for x, xp in spaces]


class Add(Merge):
    """The sum of a list of arrays.

    Raises ValueError if it is not called on a list, or if the shapes don't broadcast.
    """

    between = "add"

    def _merge(self, xp, inputs):
        return reduce(xp.add, inputs)

    def _inference_pieces(self, *arrays):
        """What this layer is in a plan of inference: see `pieces.py`."""
        return [Sum(self.name)] if len(arrays) > 1 and are_alike(arrays) else None


class Subtract(Merge):
    """The first of two arrays minus the second.

    Raises ValueError if it is not called on a list of two, or if their shapes don't broadcast.
    """

    between = "subtract"

    def _check_list(self, inputs):
        super()._check_list(inputs)
        if len(inputs) != 2:
            raise ValueError(f"{self._who}: expected 2 inputs, got {len(inputs)}.")

    def _merge(self, xp, inputs):
        return xp.subtract(*inputs)


class Average(Merge):
    """The mean of a list of arrays; floatx for integers.

    Raises ValueError if it is not called on a list, or if the shapes don't broadcast.
    """

    def _training_links(self, *arrays):
        if len(arrays) < 2 or not are_alike(arrays):
            return None
        count = len(arrays)
        return [*links_between("add", count), Link(partial(_divided, count))]

    def _merge(self, xp, inputs):
        total = reduce(xp.add, inputs)
        if not dtypes.is_floating(total):
            total = xp.astype(total, dtypes.of(xp, config.floatx()))
        return total / len(inputs)


def _divided(count, x, needs=None):
    y = x / count
    return y if needs is None else (y, lambda g: (g / count,))


class Multiply(Merge):
    """The product of a list of arrays.

    Where an input is masked it counts as 1; where all are, the product is 0.

    Raises ValueError if it is not called on a list, or if the shapes don't broadcast.
    """

    between = "multiply"

    def _merge(self, xp, inputs):
        masks = [spread(get_mask(x), x) for x in inputs]
        if all(mask is None for mask in masks):
            return reduce(xp.multiply, inputs)
        product = reduce(
            xp.multiply,
            [
                x if mask is None else xp.where(mask, x, xp.ones_like(x))
                for x, mask in zip(inputs, masks, strict=True)
            ],
        )
        if any(mask is None for mask in masks):
            return product
        return xp.where(reduce(xp.logical_or, masks), product, xp.zeros_like(product))


class _Extremum(Merge):
    """The largest or smallest of several arrays, of those inputs that are not masked."""

    def _merge(self, xp, inputs):
        choose = getattr(xp, self.between)
        result, *rest = inputs
        mask = spread(get_mask(result), result)
        for x in rest:
            own = spread(get_mask(x), x)
            if own is not None:
                x = xp.where(own, x, result)
            if mask is not None:
                result = xp.where(mask, result, x)
            mask = None if mask is None or own is None else xp.logical_or(mask, own)
            result = choose(result, x)
        return result


class Maximum(_Extremum):
    """The largest of each place of a list of arrays; masked inputs don't count.

    Raises ValueError if it is not called on a list, or if the shapes don't broadcast.
    """

    between = "maximum"


class Minimum(_Extremum):
    """The smallest of each place of a list of arrays; masked inputs don't count.

    Raises ValueError if it is not called on a list, or if the shapes don't broadcast.
    """

    between = "minimum"


def spread(mask, x):
    """A mask with axes of size 1 at its end, up to the rank of `x`."""
    return None if mask is None else _with_axes(mask, mask.ndim, x.ndim)


def add(inputs, **kwargs):
    """The sum of a list of arrays: `Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs, **kwargs):
    """The first of two arrays minus the second: `Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """The product of a list of arrays: `Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs, **kwargs):
    """The mean of a list of arrays: `Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs, **kwargs):
    """The largest of each place of a list of arrays: `Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs, **kwargs):
    """The smallest of each place of a list of arrays: `Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)
