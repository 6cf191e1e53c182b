"""Densely connected layers over any axes, described by an einsum equation."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from .. import activations, constraints, initializers, registry, regularizers
from ..arrays import KerasTensor, Variable, namespace
from ..initializers import VarianceScaling
from ..ops.dense import dense, product
from ..ops.einsum import einsum
from .input_spec import InputSpec
from .layer import Layer
from .lora import Adapted, LowRankAdaptation
from .quantization import QuantizedProduct
from .quantized_weights import WholeNumbers, kept_matrix


class EinsumDense(QuantizedProduct, LowRankAdaptation, Layer):
    """`activation(einsum(equation, inputs, kernel) + bias)`.

    Args:
        equation: "ab,bc->ac", or with an ellipsis for further axes, "...ab,bc->...ac" or
            "ab...,bc->ac...": the axes of the inputs, of the kernel, of the outputs.
        output_shape: the sizes of the outputs without the batch axis and without the axes of the
            ellipsis: a number or a tuple; None where the inputs give the size.
        activation: a name or a function; None for none.
        bias_axes: the letters of the output axes that the bias has; None for no bias.
        kernel_initializer, bias_initializer: of the weights. Variance scaling counts the axes that
            the kernel shares with the outputs as its outputs, the summed ones as its inputs.
        kernel_regularizer, bias_regularizer: terms of the loss.
        kernel_constraint, bias_constraint: applied after each step of training.
        lora_rank, lora_alpha: train a low-rank correction of a frozen kernel instead (LoRA, Hu et
            al. 2021, arXiv:2106.09685), scaled by lora_alpha / lora_rank.
        gptq_unpacked_column_size: kept for files that have it.
        quantization_config: options of the mode that a quantized dtype policy names.

    Raises ValueError for an equation of another form, and, at the first call, for input sizes that
    do not fit it; TypeError for an output_shape that is no shape.
    """

    kernel = Adapted()

    def __init__(
        self,
        equation,
        output_shape,
        activation=None,
        bias_axes=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        lora_rank=None,
        lora_alpha=None,
        gptq_unpacked_column_size=None,
        quantization_config=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.equation = equation
        self.partial_output_shape = _checked_shape(output_shape)
        self.bias_axes = bias_axes
        terms = _Terms.of(equation)
        terms.check_bias(bias_axes)
        self._summed_by_matrix = terms.summed_by_matrix(bias_axes)
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.lora_rank = lora_rank
        self.lora_alpha = lora_rank if lora_alpha is None else lora_alpha
        self.gptq_unpacked_column_size = gptq_unpacked_column_size
        self._set_quantization(quantization_config)

    def build(self, input_shape):
        shapes = self._shapes(input_shape)
        self.input_spec = InputSpec(ndim=len(input_shape))
        self._add_target(shapes.kernel, self._initializer_for(shapes))
        self.bias = None
        if shapes.bias is not None:
            self.bias = self.add_weight(
                shapes.bias,
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def _shapes(self, input_shape) -> Shapes:
        try:
            terms = _Terms.of(self.equation)
            return terms.shapes(tuple(input_shape), self.partial_output_shape, self.bias_axes)
        except ValueError as error:
            raise ValueError(f"EinsumDense {self.name!r}: {error}") from None

    def _initializer_for(self, shapes: Shapes):
        """The kernel's initializer; one that scales by fans learns which axes these are."""
        given = self.kernel_initializer
        if not isinstance(given, VarianceScaling):
            return given
        if given.input_axes is not None and given.output_axes is not None:
            return given
        config = given.get_config() | {
            "seed": given.seed,
            "input_axes": shapes.input_axes,
            "output_axes": shapes.output_axes,
        }
        return type(given).from_config(config)

    def call(self, inputs, training=None):
        if self.quantized is not None:
            return self._quantized_call(inputs, training)
        if self._summed_by_matrix and type(inputs) is not np.ndarray:  # Nothing is saved there.
            return self._matrix_product(inputs, self._summed_by_matrix)
        outputs = einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            outputs = outputs + self.bias.value
        return outputs if self.activation is None else self.activation(outputs)

    def _matrix_product(self, inputs, summed):
        """The outputs where the last `summed` axes of the inputs are the first of the kernel."""
        kernel, bias = self.kernel, self.bias
        kernel = kernel.value if isinstance(kernel, Variable) else kernel  # Else it is adapted.
        xp, units = namespace(inputs, kernel), kernel.shape[summed:]
        shape = (*inputs.shape[:-summed], *units)
        if summed > 1:
            inputs = xp.reshape(inputs, (*inputs.shape[:-summed], -1))
        if kernel.ndim > 2:
            kernel = xp.reshape(kernel, (-1, math.prod(units)))
        if bias is not None and bias.ndim > 1:
            bias = xp.reshape(bias.value, (-1,))
        taken = activations.taken_in(self.activation)
        outputs = product(dense, inputs, kernel, bias, taken)
        outputs = xp.reshape(outputs, shape) if len(units) > 1 else outputs
        return outputs if taken or self.activation is None else self.activation(outputs)

    def _product(self, inputs, kernel):
        return einsum(self.equation, inputs, kernel)

    def _keep(self, mode, shape):
        """What keeps the kernel: for int8 in its own axes, else as a matrix (inputs, outputs)."""
        if mode == "float8":
            return super()._keep(mode, shape)
        terms, ndim = _Terms.of(self.equation), self.input_spec.ndim
        self._summed_axes = terms.summed_inputs(ndim)
        summed = terms.summed_axes()
        if mode == "int8":
            order, scale_shape = terms.scale_layout(shape, ndim)
            options = {"order": order, "scale_shape": scale_shape}
            return {"kernel": WholeNumbers(self, "kernel", shape, summed, **options)}
        if mode == "int4":
            rows = math.prod(n for i, n in enumerate(shape) if i in summed)
            matrix, size = (rows, math.prod(shape) // rows), self._block_size()
            return {"kernel": kept_matrix(self, "kernel", matrix, 0, 1, mode, size, form=shape)}
        return {"kernel": self._calibrated(shape, self._calibrated_matrix(shape), "zero_point")}

    def _calibrated_matrix(self, shape):
        """A kernel as a matrix (inputs, outputs): the largest axis tells heads from features."""
        if len(shape) not in (2, 3):
            raise ValueError(
                f"EinsumDense {self.name!r}: gptq and awq need kernels of 2 or 3 axes, got {shape}."
            )
        lead = 1 if len(shape) == 2 or shape.index(max(shape)) == 0 else 2
        return math.prod(shape[:lead]), math.prod(shape[lead:])

    def compute_output_shape(self, input_shape):
        return self._shapes(input_shape).output

    def compute_output_spec(self, inputs):
        """The outputs for KerasTensors: sizes that `output_shape` leaves open stay unknown."""
        return KerasTensor(self.compute_output_shape(inputs.shape), self.compute_dtype)

    def get_config(self):
        config = {
            "output_shape": self.partial_output_shape,
            "equation": self.equation,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "quantization_config": registry.serialize(self.quantization_config),
        }
        if self.lora_rank:
            config |= {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        if self.gptq_unpacked_column_size:
            config["gptq_unpacked_column_size"] = self.gptq_unpacked_column_size
        return {**super().get_config(), **config}


class Shapes(NamedTuple):
    """What an equation and the shape of the inputs determine."""

    kernel: tuple
    bias: tuple | None
    output: tuple
    input_axes: list[int]  # The kernel's axes that are summed over,
    output_axes: list[int]  # and those that it shares with the outputs.


class _Terms(NamedTuple):
    """The letters of an equation's three terms, and on which side its ellipsis is, if any."""

    equation: str
    inputs: str
    kernel: str
    outputs: str
    ellipsis: str  # "", "left" or "right"

    @classmethod
    def of(cls, equation) -> _Terms:
        if not isinstance(equation, str):
            raise TypeError(f"EinsumDense: equation must be a string, got {equation!r}.")
        for ellipsis, pattern in (
            ("", r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)"),
            ("left", r"\.\.\.([a-zA-Z]+),([a-zA-Z]+)->\.\.\.([a-zA-Z]+)"),
            ("right", r"([a-zA-Z]{2,})\.\.\.,([a-zA-Z]+)->([a-zA-Z]+)\.\.\."),
        ):
            found = re.fullmatch(pattern, equation)
            if found:
                return cls(equation, *found.groups(), ellipsis)
        raise ValueError(
            f"EinsumDense: equation must have the form 'ab,bc->ac', '...ab,bc->...ac' or "
            f"'ab...,bc->ac...', got {equation!r}."
        )

    def check_bias(self, bias_axes) -> None:
        if bias_axes is None:
            return
        known = isinstance(bias_axes, str) and set(bias_axes) <= set(self.outputs)
        if not known or not bias_axes:
            raise ValueError(
                f"EinsumDense: bias_axes must be letters of the output term {self.outputs!r} of "
                f"{self.equation!r}, got {bias_axes!r}."
            )

    def summed_inputs(self, ndim: int) -> tuple:
        """The axes of the inputs that are summed over."""
        lead = ndim - len(self.inputs) if self.ellipsis == "left" else 0
        return tuple(lead + i for i, c in enumerate(self.inputs) if c not in self.outputs)

    def summed_by_matrix(self, bias_axes) -> int:
        """How many last axes of the inputs a kernel replaces as a matrix does, if that is all that
        happens, with a bias of all axes that take their place; else 0."""
        summed = "".join(c for c in self.kernel if c not in self.outputs)
        new = self.kernel.removeprefix(summed)
        lead = self.inputs.removesuffix(summed)
        fits = self.ellipsis != "right" and bias_axes in (None, new)
        is_matrix = self.kernel == summed + new and self.inputs == lead + summed
        return len(summed) if fits and is_matrix and new and self.outputs == lead + new else 0

    def summed_axes(self) -> tuple:
        """The axes of the kernel that are summed over."""
        return tuple(i for i, c in enumerate(self.kernel) if c not in self.outputs)

    def scale_layout(self, kernel_shape: tuple, ndim: int) -> tuple:
        """How to lay out scales of the kernel's outputs so that they fit the layer's outputs: the
        order of the kernel's axes, and the shape."""
        sizes = dict(zip(self.kernel, kernel_shape, strict=True))
        order = [self.kernel.index(c) for c in self.outputs if c in sizes]
        shape = tuple(sizes.get(c, 1) for c in self.outputs)
        ones = (1,) * (ndim - len(self.inputs))
        left = self.ellipsis == "left"
        return (*order, *self.summed_axes()), (*ones, *shape) if left else (*shape, *ones)

    def shapes(self, input_shape: tuple, partial: tuple, bias_axes) -> Shapes:
        further = len(input_shape) - len(self.inputs)
        if further < (self.ellipsis == "left") or (further and not self.ellipsis):
            raise ValueError(f"inputs of shape {input_shape} do not fit {self.equation!r}.")
        lead = further if self.ellipsis == "left" else 0
        sizes = self._sizes(input_shape, lead, partial)
        letter_sizes = dict(zip(self.outputs, sizes, strict=True))
        input_sizes = dict(zip(self.inputs, input_shape[lead:], strict=False))
        self._check_shared(input_sizes, letter_sizes, input_shape)
        rest = input_shape[len(self.inputs) :] if self.ellipsis == "right" else ()
        bias = None
        if bias_axes is not None:
            first = min(map(self.outputs.find, bias_axes))
            bias = tuple(letter_sizes[c] if c in bias_axes else 1 for c in self.outputs[first:])
            bias += (1,) * len(rest)
        return Shapes(
            self._kernel_shape(input_sizes, letter_sizes, input_shape),
            bias,
            (*input_shape[:lead], *sizes, *rest),
            [i for i, c in enumerate(self.kernel) if c not in letter_sizes],
            [i for i, c in enumerate(self.kernel) if c in letter_sizes],
        )

    def _sizes(self, input_shape, lead, partial) -> tuple:
        """The sizes of the output letters."""
        sizes = partial if lead else (input_shape[0], *partial)
        if len(sizes) != len(self.outputs):
            needed = len(self.outputs) - (0 if lead else 1)
            raise ValueError(
                f"output_shape must have {needed} sizes for {self.equation!r}, got {partial}."
            )
        return sizes

    def _check_shared(self, input_sizes, letter_sizes, input_shape):
        for letter, size in input_sizes.items():
            wanted = letter_sizes.get(letter)
            if wanted is not None and size is not None and wanted != size:
                raise ValueError(
                    f"axis {letter!r} of {self.equation!r} has size {size} in inputs of shape "
                    f"{input_shape}, but {wanted} in output_shape."
                )
        for letter in self.outputs:
            if letter not in input_sizes and letter not in self.kernel:
                raise ValueError(
                    f"axis {letter!r} of the outputs of {self.equation!r} is in no other term."
                )

    def _kernel_shape(self, input_sizes, letter_sizes, input_shape) -> tuple:
        shape = []
        for letter in self.kernel:
            if letter not in letter_sizes and letter not in input_sizes:
                raise ValueError(
                    f"axis {letter!r} of the kernel in {self.equation!r} is in no other term."
                )
            size = letter_sizes.get(letter)
            size = input_sizes.get(letter) if size is None else size
            if size is None:
                raise ValueError(
                    f"the size of axis {letter!r} of {self.equation!r} must be known, but inputs "
                    f"have the shape {input_shape} and output_shape leaves it open."
                )
            shape.append(size)
        return tuple(shape)


def _checked_shape(output_shape) -> tuple:
    shape = (output_shape,) if hasattr(output_shape, "__index__") else output_shape
    if not isinstance(shape, (list, tuple)) or any(
        n is not None and (not hasattr(n, "__index__") or isinstance(n, bool)) for n in shape
    ):
        raise TypeError(
            "EinsumDense: output_shape must be an integer or a tuple of integers and None (without "
            f"the batch axis), got {output_shape!r}."
        )
    if any(n is not None and n <= 0 for n in shape):
        raise ValueError(f"EinsumDense: output_shape must be positive, got {output_shape!r}.")
    return tuple(None if n is None else int(n) for n in shape)
