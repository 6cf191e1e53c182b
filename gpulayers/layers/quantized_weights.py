"""How a quantized layer keeps a weight: as whole numbers of few bits, and what these mean."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import devices, namespace
from ..ops.embedding import gather
from ..quantizers import (
    AbsMaxQuantizer,
    abs_max_quantize_grouped_with_zero_point,
    pack_int4,
    unpack_int4,
)


class WholeNumbers:
    """A weight as `numbers / scale`, with a scale for each output.

    Args:
        layer: gets the weights `name` (int8) and `name_scale`.
        shape: of the numbers.
        axes: those that share a scale.
        packed: for 4-bit numbers, the axis along which two stand in a byte; else None.
        form: the shape of the weight, if it is another than that of the numbers.
        order, scale_shape: if the scale is kept with its axes in another order, and with axes of
            size 1 added or left out: that order, and its shape.
    """

    replaces = True  # Whether this stands in the place of floats.

    def __init__(
        self, layer, name, shape, axes, packed=None, form=None, order=None, scale_shape=None
    ):
        self.shape, self.axes, self.packed, self.form = shape, axes, packed, form or shape
        self.order = order or tuple(range(len(shape)))
        halves = tuple((n + 1) // 2 if i == packed else n for i, n in enumerate(shape))
        self.numbers = layer.add_weight(halves, "zeros", "int8", trainable=False, name=name)
        setattr(layer, name, self.numbers)
        if scale_shape is None:
            scale_shape = self._scale_shape()
        self.scale = self._add(layer, name, "scale", scale_shape, "ones", None)

    def _scale_shape(self) -> tuple:
        return tuple(n for i, n in enumerate(self.shape) if i not in self.axes)

    def _add(self, layer, name, what, shape, initializer, dtype):
        what = f"{name}_{what}" if name else what
        variable = layer.add_weight(shape, initializer, dtype, trainable=False, name=what)
        setattr(layer, what, variable)
        return variable

    def read(self):
        """The numbers, unpacked."""
        return self._unpacked(self.numbers.value, self.packed)

    def _unpacked(self, numbers, axis):
        return numbers if axis is None else unpack_int4(numbers, self.shape[self.packed], axis)

    def value(self):
        """The weight as floats."""
        scale = self.scale.value
        xp = namespace(scale)
        kept = [1 if i in self.axes else n for i, n in enumerate(self.shape)]
        scale = xp.reshape(scale, tuple(kept[i] for i in self.order))
        scale = xp.permute_dims(scale, tuple(int(i) for i in np.argsort(self.order)))
        return xp.reshape(xp.astype(self.read(), scale.dtype) / scale, self.form)

    def rows(self, indices):
        """The rows of a table that `indices` name, if each has a scale of its own."""
        numbers, scale = gather(self.numbers, indices), gather(self.scale, indices)
        xp = namespace(scale)
        numbers = self._unpacked(numbers, None if self.packed is None else numbers.ndim - 1)
        return xp.astype(numbers, scale.dtype) / xp.expand_dims(scale, axis=-1)

    def encode(self, value, quantizer=None) -> list:
        """The pairs of variables and values that stand for the floats `value`."""
        axes = self.axes if len(self.axes) > 1 else self.axes[0]
        if quantizer is None:
            low_high = (-127, 127) if self.packed is None else (-8, 7)
            quantizer = AbsMaxQuantizer(value_range=low_high)
        options = {"axis": axes} if isinstance(quantizer, AbsMaxQuantizer) else {}
        numbers, scale = quantizer(namespace(value).reshape(value, self.shape), **options)
        xp = namespace(scale)
        scale = xp.reshape(xp.permute_dims(scale, self.order), self.scale.shape)
        return [(self.numbers, self._packed(numbers)), (self.scale, scale)]

    def _packed(self, numbers):
        return numbers if self.packed is None else pack_int4(numbers, self.packed)[0]


class Blocks(WholeNumbers):
    """A matrix as `(numbers - zero) * scale`, with scales and zeros for blocks along an axis.

    Args:
        layer: also gets the weights `name_zero` and, unless `groups` are given, `g_idx`.
        size: of the blocks.
        groups: the variable that says which block each place belongs to, if there is one already.
        zero_dtype: "int8", or None for that of floats.
    """

    def __init__(
        self, layer, name, shape, axis, packed, size, form=None, groups=None, zero_dtype="int8"
    ):
        self.axis, self.size = axis, size
        super().__init__(layer, name, shape, (axis,), packed, form)
        self.zero = self._add(layer, name, "zero", self._scale_shape(), "zeros", zero_dtype)
        if groups is None:
            groups = self._add(layer, "", "g_idx", (shape[axis],), self._first_groups, "float32")
        self.groups = groups

    def _scale_shape(self) -> tuple:
        return tuple(
            math.ceil(n / self.size) if i == self.axis else n for i, n in enumerate(self.shape)
        )

    def _first_groups(self, shape, dtype=None):
        return np.arange(shape[0]) // self.size

    def _floats(self, numbers, scale, zero, axis):
        xp = namespace(scale)
        groups = xp.astype(self.groups.value, xp.int32)
        scale, zero = xp.take(scale, groups, axis=axis), xp.take(zero, groups, axis=axis)
        return (xp.astype(numbers, scale.dtype) - xp.astype(zero, scale.dtype)) * scale

    def value(self):
        value = self._floats(self.read(), self.scale.value, self.zero.value, self.axis)
        return namespace(value).reshape(value, self.form)

    def rows(self, indices):
        numbers, scale, zero = (gather(v, indices) for v in (self.numbers, self.scale, self.zero))
        return self._floats(self._unpacked(numbers, numbers.ndim - 1), scale, zero, -1)

    def encode(self, value, quantizer=None) -> list:
        value = namespace(value).reshape(value, self.shape)
        along = value.mT if self.axis == 1 else value
        made = abs_max_quantize_grouped_with_zero_point(along, self.size)
        numbers, scale, zero = (x.mT if self.axis == 1 else x for x in made)
        return [(self.numbers, self._packed(numbers)), (self.scale, scale), (self.zero, zero)]


class Calibrated:
    """A kernel that GPTQ or AWQ has quantized: `((numbers - zero) * scale).T`, by groups of inputs.

    Args:
        layer: gets the weights "kernel", "kernel_scale", the zero, for AWQ "awq_scales", "g_idx".
        form: the shape of the kernel; shape: the same as a matrix (inputs, outputs).
        bits: of a number: 4 are packed in pairs.
        group_size: how many inputs share a scale, -1 for all.
        zero_name: the weight of the zeros.
        scaled_inputs: whether inputs have scales of their own (AWQ), by which they were multiplied.
    """

    replaces = True

    def __init__(self, layer, form, shape, bits, group_size, zero_name, scaled_inputs):
        self.form, self.shape, self.packed = form, shape, bits == 4
        inputs, outputs = shape
        groups = 1 if group_size == -1 else math.ceil(inputs / group_size)

        def add(name, shape, initializer, dtype=None):
            return layer.add_weight(shape, initializer, dtype, trainable=False, name=name)

        rows = (outputs + 1) // 2 if self.packed else outputs
        self.numbers = layer.kernel = add("kernel", (rows, inputs), "zeros", "uint8")
        layer.quantized_kernel = self.numbers
        self.scale = layer.kernel_scale = add("kernel_scale", (outputs, groups), "ones")
        self.zero = layer.kernel_zero = add(zero_name, (outputs, groups), "zeros", "uint8")
        self.input_scales = None
        if scaled_inputs:
            self.input_scales = layer.awq_scales = add("awq_scales", (inputs,), "ones")
        self.groups = layer.g_idx = add("g_idx", (inputs,), "zeros", "float32")

    def read(self):
        """The numbers, unpacked: (outputs, inputs)."""
        numbers = self.numbers.value
        return unpack_int4(numbers, self.shape[1], 0, "uint8") if self.packed else numbers

    def value(self):
        """The kernel as floats."""
        xp = namespace(self.scale.value)
        groups = xp.astype(self.groups.value, xp.int32)
        scale = xp.take(self.scale.value, groups, axis=1)
        zero = xp.astype(xp.take(self.zero.value, groups, axis=1), scale.dtype)
        kernel = ((xp.astype(self.read(), scale.dtype) - zero) * scale).mT
        if self.input_scales is not None:
            kernel = kernel / xp.expand_dims(self.input_scales.value, axis=1)
        return xp.reshape(kernel, self.form)


def kept_matrix(layer, name, shape, axis, packed, mode, block_size, **options):
    """A matrix kept in a mode: `axis` is the one that is summed, `packed` that of pairs (int4)."""
    if mode == "int8":
        return WholeNumbers(layer, name, shape, (axis,))
    if block_size is None:
        return WholeNumbers(layer, name, shape, (axis,), packed, options.get("form"))
    return Blocks(layer, name, shape, axis, packed, block_size, **options)


def store(pairs) -> None:
    """Assign values to variables, wherever they are."""
    for variable, value in pairs:
        variable.assign(devices.to_numpy(value))
