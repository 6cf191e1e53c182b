"""What layers have in common that slide a window over their inputs and weigh what it sees."""

from __future__ import annotations

from .. import activations, config, constraints, initializers, regularizers
from ..arrays import namespace
from ..ops.dense import FUSED_NAMES
from ..ops.sliding import margins, span
from . import arguments
from .input_spec import InputSpec
from .layer import Layer
from .pieces import Piece, curve_pieces
from .training_plan import Link, activation_links, without_gradients


class SlidingLayer(Layer):
    """A layer with a window, strides, a bias and an activation.

    A subclass says how many axes the window has (`rank`), which of its arguments come first in its
    config (`settings`, in Keras's order), and of which weights the others are initializers,
    regularizers and constraints (`weights_named`).
    """

    _keeps_samples_apart = True
    rank = 2
    settings: tuple[str, ...] = ()
    weights_named = ("kernel", "bias")
    takes_causal = False
    takes_both = False  # Whether strides and dilation may both be above 1: as in Keras.

    def __init__(
        self, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
        of_weights, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        who, rank = type(self).__name__, self.rank
        self.kernel_size = arguments.sizes(who, "kernel_size", kernel_size, rank)
        self.strides = arguments.sizes(who, "strides", strides, rank)
        self.dilation_rate = arguments.sizes(who, "dilation_rate", dilation_rate, rank)
        if not self.takes_both and max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{who}: strides above 1 do not go with dilation_rate above 1, got strides="
                f"{self.strides} and dilation_rate={self.dilation_rate}."
            )
        self.padding = _padding(who, padding, self.takes_causal)
        self.data_format = config.standardize_data_format(data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        for name, value in of_weights.items():
            kind = _KINDS[name.rpartition("_")[2]]
            setattr(self, name, kind.get(value))
        self.input_spec = InputSpec(min_ndim=rank + 2)

    def _channels(self, input_shape) -> int:
        """How many channels inputs of that shape have.  Raises ValueError if it is not known."""
        channels = input_shape[self._channel_axis]
        if channels is None:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: the number of channels of the inputs must "
                f"be known, got shape {tuple(input_shape)}."
            )
        return channels

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _begin(self, input_shape) -> int:
        """Fix the number of channels, which is returned, and check the sizes."""
        if len(input_shape) != self.rank + 2:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: expected inputs with {self.rank + 2} axes, "
                f"batch and channels included, got shape {tuple(input_shape)}."
            )
        channels = self._channels(input_shape)
        self.input_spec = InputSpec(min_ndim=self.rank + 2, axes={self._channel_axis: channels})
        self.compute_output_shape(input_shape)
        return channels

    def _add(self, name, shape, of=None):
        """A weight with the initializer, regularizer and constraint that bear its name."""
        of = of or name
        return self.add_weight(
            shape,
            getattr(self, f"{of}_initializer"),
            regularizer=getattr(self, f"{of}_regularizer"),
            constraint=getattr(self, f"{of}_constraint"),
            name=name,
        )

    def _activated(self, outputs):
        return outputs if self.activation is None else self.activation(outputs)

    def _with_bias(self, outputs):
        """Outputs with their bias, where no product could take it in."""
        if self.bias is None:
            return outputs
        bias = self.bias.value
        if self.data_format == "channels_first":
            bias = namespace(bias).reshape(bias, (-1,) + (1,) * self.rank)
        return outputs + bias

    @property
    def _fused(self) -> str | None:
        """The name of the activation, if it is one that every convolution takes in."""
        return FUSED_NAMES.get(self.activation)

    @property
    def _taken_in(self):
        """The activation, if it is one that some convolutions take in."""
        return activations.taken_in(self.activation)

    def _shape_with(self, input_shape, filters, sizes):
        if self.data_format == "channels_last":
            return (input_shape[0], *sizes, filters)
        return (input_shape[0], filters, *sizes)

    def _sizes(self, input_shape):
        """The inner sizes of inputs."""
        return input_shape[1:-1] if self.data_format == "channels_last" else input_shape[2:]

    def _convolved_sizes(self, input_shape):
        """The inner sizes of a convolution's outputs.  Raises ValueError if there is no output."""
        given, found = self._sizes(input_shape), []
        for n, k, s, d in zip(
            given, self.kernel_size, self.strides, self.dilation_rate, strict=True
        ):
            if n is None:
                found.append(None)
                continue
            ((low, high),) = margins(self.padding, (n,), (k,), (s,), (d,))
            if n + low + high < span(k, d):
                raise ValueError(
                    f"{type(self).__name__} {self.name!r}: inputs of sizes {tuple(given)} are "
                    f"smaller than the kernel of sizes {self.kernel_size} with dilation_rate="
                    f"{self.dilation_rate}; padding='same' would allow it."
                )
            found.append((n + low + high - span(k, d)) // s + 1)
        return found

    def _training_links(self, x):
        """What this layer is in training: see `training_plan.py`."""
        fits = x.ndim == self.rank + 2 and self.input_spec.mismatch(x) is None
        if not fits or self.data_format == "channels_first":
            return None
        self.compute_output_shape(x.shape)  # Refuses what is too small.
        links = self._links(x)
        return None if None in links else links

    def _links(self, x) -> list[Link | None]:
        """The operations of this layer on arrays like `x`; None for what cannot be one."""
        raise NotImplementedError

    def _activation_links(self) -> list[Link | None]:
        links = [] if self.activation is None else activation_links(self.activation)
        return [None] if links is None else links

    def _inference_step(self, x):
        """What this layer is for plain NumPy arrays: see `plan.py`."""
        links = self._training_links(x)
        return self.call if links is None else without_gradients(links)

    def _inference_pieces(self, x) -> list[Piece] | None:
        """What this layer is in a plan of inference: see `pieces.py`."""
        fits = x.ndim == self.rank + 2 and self.input_spec.mismatch(x) is None
        if not fits or self.data_format == "channels_first":
            return None
        made = self._product_pieces(x)
        return None if made is None else made + curve_pieces(self.name, self.activation)

    def _product_pieces(self, x) -> list[Piece] | None:
        """The same without the activation."""
        return None

    def _options(self, x, groups=1) -> dict:
        """The options of the operation `convolution` for arrays like `x`, with channels last."""
        window = self.kernel_size, self.strides, self.dilation_rate
        return {
            "strides": self.strides,
            "padding": margins(self.padding, x.shape[1:-1], *window),
            "dilations": self.dilation_rate,
            "groups": groups,
        }

    def get_config(self):
        own = {name: getattr(self, name) for name in self.settings}
        own |= {"activation": activations.serialize(self.activation), "use_bias": self.use_bias}
        for suffix, kind in _KINDS.items():
            weights = [*self.weights_named, *(["activity"] if kind is regularizers else [])]
            for name in (f"{weight}_{suffix}" for weight in weights):
                own[name] = kind.serialize(getattr(self, name))
        return {**super().get_config(), **own}


_KINDS = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}


def _padding(who, padding, takes_causal) -> str:
    known = ("valid", "same", "causal") if takes_causal else ("valid", "same")
    found = padding.lower() if isinstance(padding, str) else padding
    if found not in known:
        raise ValueError(
            f"{who}: padding must be {' or '.join(map(repr, known))}, got {padding!r}."
        )
    return found
