"""Activation functions as layers."""

from __future__ import annotations

import warnings

from .. import activations, constraints, initializers, regularizers
from ..arrays import dtypes, namespace
from ..ops.rectifier import prelu, relu, relu6
from ..ops.softmax import softmax
from .input_spec import InputSpec
from .layer import Layer
from .pieces import Curve, Nothing, curve_pieces
from .training_plan import activation_links


class _Elementwise(Layer):
    """A layer whose outputs have the shape of its inputs, and their mask."""

    supports_masking = True
    _keeps_samples_apart = True

    def compute_output_shape(self, input_shape):
        return input_shape

    def _number(self, name, value, none=False, least=None):
        """`value` as given, if it is a number of at least `least` (or None, where allowed)."""
        if value is None and none:
            return None
        expected = "a number" if least is None else f"a number of at least {least}"
        if isinstance(value, (str, bool)) or not hasattr(value, "__float__"):
            error = ValueError if value is None else TypeError
            raise error(f"{type(self).__name__}: {name} must be {expected}, got {value!r}.")
        if least is not None and value < least:
            raise ValueError(f"{type(self).__name__}: {name} must be {expected}, got {value}.")
        return value


class Activation(_Elementwise):
    """An activation function as a layer.

    Args:
        activation: a name from `gpulayers.activations`, or a function of one array.

    Raises ValueError for an unknown name.
    """

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs):
        return self.activation(inputs)

    def _training_links(self, x):
        return activation_links(self.activation)

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        made = curve_pieces(self.name, self.activation) if dtypes.is_floating(x) else None
        return [Nothing(self.name)] if made == [] else made

    def get_config(self):
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class ReLU(_Elementwise):
    """max(x, 0), or more generally a ramp with a bend and an end.

    Args:
        max_value: the largest output, at least 0; None for no limit.
        negative_slope: the slope below the threshold, at least 0: negative_slope (x - threshold).
        threshold: up to it, at least 0, an input counts as negative; above it, the output is x.

    Raises ValueError for negative values.
    """

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        self.max_value = self._number("max_value", max_value, none=True, least=0)
        self.negative_slope = self._number("negative_slope", negative_slope, least=0)
        self.threshold = self._number("threshold", threshold, least=0)

    def call(self, inputs):
        return activations.relu(
            inputs,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        plain = not self.negative_slope and not self.threshold and dtypes.is_floating(x)
        known = {None: relu, 6: relu6} if plain else {}
        return [Curve(self.name, known[self.max_value])] if self.max_value in known else None

    def get_config(self):
        config = {
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }
        return {**super().get_config(), **config}


class LeakyReLU(_Elementwise):
    """x above 0, negative_slope x below.

    Args:
        negative_slope: at least 0. `alpha` is its older name.

    Raises ValueError for a negative slope.
    """

    def __init__(self, negative_slope=0.3, **kwargs):
        if "alpha" in kwargs:
            warnings.warn("LeakyReLU: alpha is now called negative_slope.", stacklevel=2)
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        self.negative_slope = self._number("negative_slope", negative_slope, least=0)

    def call(self, inputs):
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)

    def get_config(self):
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(_Elementwise):
    """x above 0, alpha (exp(x) - 1) below (Clevert et al., 2016).

    Args:
        alpha: minus the limit for very negative x.
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = self._number("alpha", alpha)

    def call(self, inputs):
        return activations.elu(inputs, alpha=self.alpha)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}


class PReLU(_Elementwise):
    """x above 0, alpha x below, with slopes `alpha` that are trained (He et al., 2015).

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: of the weight `alpha`, which has a
            slope for each element of a sample.
        shared_axes: axes along which a slope is shared, counted from 1 after the batch axis: an
            integer or several. [1, 2] for images whose channels each have one slope.

    Takes (batch, ...), gives the same shape.  Raises ValueError for shared axes that the inputs
    lack, and for axes of unknown size that are not shared.
    """

    def __init__(
        self,
        alpha_initializer="Zeros",
        alpha_regularizer=None,
        alpha_constraint=None,
        shared_axes=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        if shared_axes is not None:
            several = isinstance(shared_axes, (list, tuple))
            shared_axes = list(shared_axes) if several else [shared_axes]
            if not all(hasattr(a, "__index__") and a > 0 for a in shared_axes):
                raise ValueError(
                    "PReLU: shared_axes must be positive integers (0 is the batch axis), "
                    f"got {shared_axes}."
                )
        self.shared_axes = shared_axes

    def build(self, input_shape):
        ndim, shared = len(input_shape), self.shared_axes or []
        if shared and max(shared) >= ndim:
            raise ValueError(
                f"PReLU {self.name!r}: shared_axes {shared} must be in 1..{ndim - 1} for inputs of "
                f"shape {tuple(input_shape)}."
            )
        own = {i: n for i, n in enumerate(input_shape) if i and i not in shared}
        if None in own.values():
            raise ValueError(
                f"PReLU {self.name!r}: axes of unknown size must be among shared_axes "
                f"({shared}), got inputs of shape {tuple(input_shape)}."
            )
        self.alpha = self.add_weight(
            tuple(own.get(i, 1) for i in range(1, ndim)),
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        self.input_spec = InputSpec(ndim=ndim, axes=own)

    def call(self, inputs):
        return prelu(inputs, self.alpha)

    def get_config(self):
        config = {
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": constraints.serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes,
        }
        return {**super().get_config(), **config}


class Softmax(_Elementwise):
    """exp(x) / sum(exp(x)) along an axis, and 0 where a mask says so.

    Args:
        axis: an integer, or several of them, which then share one sum.

    Call arguments:
        inputs: logits of any shape.
        mask: what counts: boolean, or numbers that count above 0.5; each of its axes, from the
            last on, has the size of the inputs' or 1. Where nothing counts, all outputs are 0.

    Raises TypeError for an axis that is no integer, ValueError for a mask of another shape.
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        given = axis if isinstance(axis, (list, tuple)) else [axis]
        if not given or not all(hasattr(a, "__index__") for a in given):
            raise TypeError(f"Softmax: axis must be an integer or a list of them, got {axis!r}.")
        self.axis = axis

    def call(self, inputs, mask=None):
        if mask is None:
            return softmax(inputs, axis=self.axis)
        self._check_mask(mask.shape, inputs.shape)
        xp = namespace(inputs, mask)
        if not dtypes.is_bool(mask):
            mask = mask > 0.5 if dtypes.is_floating(mask) else mask > 0
        lowest = -3e4 if dtypes.name(inputs.dtype) == "float16" else -1e9
        outputs = softmax(xp.where(mask, inputs, lowest), axis=self.axis)
        return xp.where(mask, outputs, 0.0)

    def _check_mask(self, mask, inputs):
        pairs = zip(reversed(mask), reversed(inputs), strict=False)
        if len(mask) > len(inputs) or any(m not in (1, n) for m, n in pairs):
            raise ValueError(
                f"Softmax {self.name!r}: the mask must be broadcastable to the inputs, of shape "
                f"{tuple(inputs)}, got a mask of shape {tuple(mask)}."
            )

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}
