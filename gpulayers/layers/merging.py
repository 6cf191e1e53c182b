"""Layers that make one array of several, each also as a function: Add, Concatenate, Dot, ..."""

from __future__ import annotations

import math
from functools import reduce

from .. import config
from ..arrays import dtypes, get_mask, namespace
from .layer import Layer

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


class Merge(Layer):
    """What merging layers share: lists of inputs, common ranks and dtypes, masks.

    Inputs of lower rank get axes of size 1 after the batch axis; then shapes broadcast. The output
    is masked where every input is; if one input has no mask, the output has none.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.compute_output_shape(input_shape)

    def call(self, inputs):
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(
                f"{self._who}: expected a list of inputs, got one {type(inputs).__name__}."
            )
        return self._merge(namespace(*inputs), _of_one_dtype(_of_one_rank(inputs)))

    def _merge(self, xp, inputs):
        """The result for `inputs` of equal rank and dtype."""
        raise NotImplementedError

    @property
    def _who(self):
        return f"{type(self).__name__} {self.name!r}"

    def _check_shapes(self, shapes):
        if not shapes or not isinstance(shapes[0], (list, tuple)):
            raise ValueError(
                f"{self._who}: expected a list of at least one input, got shape {shapes}."
            )
        batches = {shape[0] for shape in shapes if shape} - {None}
        if len(batches) > 1:
            raise ValueError(
                f"{self._who}: the inputs have different batch sizes: {_written(shapes)}."
            )

    def compute_output_shape(self, input_shape):
        self._check_shapes(input_shape)
        batches = {shape[0] for shape in input_shape} - {None}
        sample = ()
        for shape in input_shape:
            sample = self._broadcast(sample, tuple(shape[1:]), input_shape)
        return (batches.pop() if batches else None, *sample)

    def _broadcast(self, one, other, shapes):
        rank = max(len(one), len(other))
        sizes = []
        for a, b in zip((1,) * (rank - len(one)) + one, (1,) * (rank - len(other)) + other):
            if 1 not in (a, b) and None not in (a, b) and a != b:
                raise ValueError(
                    f"{self._who}: the inputs have incompatible shapes: {_written(shapes)}."
                )
            sizes.append(b if a == 1 else a if b == 1 else None if None in (a, b) else a)
        return tuple(sizes)

    def compute_mask(self, inputs, mask=None):
        if mask is None:
            return None
        _check_masks(self._who, inputs, mask)
        if any(m is None for m in mask):
            return None
        return reduce(namespace(*mask).logical_or, mask)


def _written(shapes):
    return ", ".join(str(tuple(shape)) for shape in shapes)


def _check_masks(who, inputs, mask):
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


def _of_one_dtype(inputs):
    dtype = inputs[0].dtype
    if all(x.dtype == dtype for x in inputs):
        return inputs
    common = dtypes.promote(*inputs)
    spaces = ((x, namespace(x)) for x in inputs)
    return [xp.astype(x, dtypes.of(xp, common)) for x, xp in spaces]


class Add(Merge):
    """The sum of a list of arrays.

    Raises ValueError if it is not called on a list, or if the shapes don't broadcast.
    """

    def _merge(self, xp, inputs):
        return reduce(xp.add, inputs)


class Subtract(Merge):
    """The first of two arrays minus the second.

    Raises ValueError if it is not called on a list of two, or if their shapes don't broadcast.
    """

    def compute_output_shape(self, input_shape):
        if len(input_shape) != 2:
            raise ValueError(f"{self._who}: expected 2 inputs, got {len(input_shape)}.")
        return super().compute_output_shape(input_shape)

    def _merge(self, xp, inputs):
        one, other = inputs
        return xp.subtract(one, other)


class Average(Merge):
    """The mean of a list of arrays; floatx for integers.

    Raises ValueError if it is not called on a list, or if the shapes don't broadcast.
    """

    def _merge(self, xp, inputs):
        total = reduce(xp.add, inputs)
        if not dtypes.is_floating(total):
            total = xp.astype(total, dtypes.of(xp, config.floatx()))
        return total / len(inputs)


class Multiply(Merge):
    """The product of a list of arrays.

    Where an input is masked it counts as 1; where all are, the product is 0.

    Raises ValueError if it is not called on a list, or if the shapes don't broadcast.
    """

    def _merge(self, xp, inputs):
        masks = [_spread(get_mask(x), x) for x in inputs]
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

    function = ""

    def _merge(self, xp, inputs):
        choose = getattr(xp, self.function)
        result, *rest = inputs
        mask = _spread(get_mask(result), result)
        for x in rest:
            own = _spread(get_mask(x), x)
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

    function = "maximum"


class Minimum(_Extremum):
    """The smallest of each place of a list of arrays; masked inputs don't count.

    Raises ValueError if it is not called on a list, or if the shapes don't broadcast.
    """

    function = "minimum"


def _spread(mask, x):
    """A mask with axes of size 1 at its end, up to the rank of `x`."""
    return None if mask is None else _with_axes(mask, mask.ndim, x.ndim)


class Concatenate(Merge):
    """A list of arrays, joined along an axis.

    Args:
        axis: the axis; -1 by default.

    The output has a mask if an input has one: an input without counts as unmasked.

    Raises ValueError if it is not called on a list, or if the shapes differ elsewhere.
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs):
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(
                f"{self._who}: expected a list of inputs, got one {type(inputs).__name__}."
            )
        return namespace(*inputs).concat(_of_one_dtype(inputs), axis=self.axis)

    def compute_output_shape(self, input_shape):
        shapes = [tuple(shape) for shape in input_shape]
        rank = len(shapes[0]) if shapes else 0
        if not -rank <= self.axis < rank:
            raise ValueError(f"{self._who}: axis {self.axis} of inputs of shapes {shapes}.")
        axis, joined = self.axis % rank, []
        for place, sizes in enumerate(zip(*shapes, strict=False)):
            known = set(sizes) - {None}
            if place == axis:
                joined.append(None if None in sizes else sum(sizes))
            elif len(known) > 1 or len({len(shape) for shape in shapes}) > 1:
                raise ValueError(
                    f"{self._who}: inputs must have the same shape except along axis "
                    f"{self.axis}, got {_written(shapes)}."
                )
            else:
                joined.append(known.pop() if known else None)
        return tuple(joined)

    def compute_mask(self, inputs, mask=None):
        if mask is None:
            return None
        _check_masks(self._who, inputs, mask)
        if all(m is None for m in mask):
            return None
        xp = namespace(*inputs, *mask)
        # One entry along the last axis stands for all, unless a mask tells them apart.
        short = all(m is None or m.ndim < x.ndim for m, x in zip(mask, inputs, strict=True))
        masks = []
        for m, x in zip(mask, inputs, strict=True):
            shape = (*x.shape[:-1], 1 if short else x.shape[-1])
            if m is None:
                masks.append(xp.ones(shape, dtype=xp.bool, device=x.device))
            else:
                masks.append(xp.broadcast_to(_spread(m, x), shape))
        return xp.any(xp.concat(masks, axis=self.axis), axis=-1)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


class Dot(Merge):
    """Products of two arrays, summed over one axis of each, sample by sample.

    Args:
        axes: the axis of both, or one for each; not 0, the batch axis.
        normalize: whether to bring the vectors along these axes to length 1 first, which gives
            the cosine of their angles.

    The output has the batch axis, then the other axes of the first input, then those of the
    second; (batch, 1) if there are none. It has no mask.

    Raises TypeError or ValueError for other axes, ValueError if it is not called on a list of two
    or if the axes' sizes differ.
    """

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(axes, (int, list, tuple)):
            raise TypeError(
                f"Dot: axes must be an integer or two of them, got {type(axes).__name__}."
            )
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
            raise ValueError(f"Dot: axes must be an integer or two of them, got {axes}.")
        self.axes, self.normalize = axes, normalize

    def _places(self, shapes):
        """The two axes, counted from the front."""
        if len(shapes) != 2 or not all(isinstance(shape, (list, tuple)) for shape in shapes):
            raise ValueError(f"{self._who}: expected a list of 2 inputs, got shape {shapes}.")
        self._check_shapes(shapes)
        pair = (self.axes,) * 2 if isinstance(self.axes, int) else self.axes
        places = []
        for axis, shape in zip(pair, shapes, strict=True):
            place = axis + len(shape) if axis < 0 else axis
            if not 0 < place < len(shape):
                raise ValueError(
                    f"{self._who}: axes {self.axes} of inputs of shapes {_written(shapes)}; axis "
                    "0 is the batch axis, which is not summed over."
                )
            places.append(place)
        sizes = [shape[place] for shape, place in zip(shapes, places, strict=True)]
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"{self._who}: axis {places[0]} of {tuple(shapes[0])} and axis {places[1]} of "
                f"{tuple(shapes[1])} must have the same size."
            )
        return places

    def call(self, inputs):
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            raise ValueError(f"{self._who}: expected a list of 2 inputs.")
        xp = namespace(*inputs)
        places = self._places([tuple(x.shape) for x in inputs])
        rows, others = [], []
        for x, place in zip(_of_one_dtype(inputs), places, strict=True):
            if self.normalize:
                x = _normalized(xp, x, place)
            x = x if place == x.ndim - 1 else xp.moveaxis(x, place, -1)
            others.extend(x.shape[1:-1])
            rows.append(xp.reshape(x, (x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])))
        product = xp.matmul(rows[0], xp.matrix_transpose(rows[1]))
        return xp.reshape(product, (product.shape[0], *(others or [1])))

    def compute_output_shape(self, input_shape):
        one, other = (list(shape) for shape in input_shape)
        places = self._places([one, other])
        del one[places[0]], other[places[1]]
        batch = other[0] if one[0] is None else one[0]
        return (batch, *(one[1:] + other[1:] or [1]))

    def compute_mask(self, inputs, mask=None):
        return None

    def get_config(self):
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def _normalized(xp, x, axis):
    """`x` divided by its lengths along `axis`, which count as at least epsilon."""
    squares = xp.sum(x * x, axis=axis, keepdims=True)
    return x / xp.sqrt(xp.clip(squares, config.epsilon() ** 2))


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


def concatenate(inputs, axis=-1, **kwargs):
    """A list of arrays joined along `axis`: `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """Products of two arrays summed over `axes`: `Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
