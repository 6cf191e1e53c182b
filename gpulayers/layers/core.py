"""Small layers at the core of models: masking, functions as layers, wrappers."""

from __future__ import annotations

import inspect
import sys

from .. import registry, tree
from ..arrays import namespace, plain, set_mask
from .layer import Layer
from .pieces import Nothing


class Masking(Layer):
    """Masks the time steps whose values are all `mask_value`, and sets them to 0.

    The layers that follow and that support masks skip these steps.

    Args:
        mask_value: a number, or an array that is broadcast against a time step.

    Takes (batch, steps, ...), gives the same shape; its mask has one axis less.
    """

    supports_masking = True

    def __init__(self, mask_value=0.0, **kwargs):
        super().__init__(**kwargs)
        if isinstance(mask_value, dict):
            mask_value = registry.deserialize(mask_value)
        self.mask_value = mask_value

    def compute_mask(self, inputs, mask=None):
        return namespace(inputs).any(inputs != self.mask_value, axis=-1)

    def call(self, inputs):
        xp = namespace(inputs)
        mask = self.compute_mask(inputs)
        outputs = xp.where(xp.expand_dims(mask, axis=-1), inputs, xp.zeros_like(inputs))
        set_mask(outputs, mask)
        return outputs

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "mask_value": self.mask_value}


class Identity(Layer):
    """Gives its inputs as they are."""

    supports_masking = True

    def call(self, inputs):
        return inputs

    def _inference_pieces(self, x):
        """What this layer is in a plan of inference: see `pieces.py`."""
        return [Nothing(self.name)]

    def compute_output_shape(self, input_shape):
        return input_shape


class Lambda(Layer):
    """A function as a layer.

    Its parameters, if it has Variables of its own, are not trained: write a `Layer` for that.
    A saved Python lambda holds byte code, which is loaded only with `safe_mode=False`; a named
    function is saved by its name, under which it must be registered (or given as a custom object)
    for loading.  A function written for JAX runs as a `JaxLayer` of it does.

    Args:
        function: of the inputs; it gets `mask` and `training` too if it has such arguments.
        output_shape: the shape of the outputs without the batch axis, or a function of the inputs'
            shape that gives the whole shape; by default it is found by running `function` without
            data.
        mask: the mask of the outputs, or a function (inputs, mask) that gives it; None for none.
        arguments: a dictionary of further arguments of `function`.

    Raises TypeError if `function` cannot be called.
    """

    def __init__(self, function, output_shape=None, mask=None, arguments=None, **kwargs):
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda: function must be callable, got {function!r:.60}.")
        self.function = function
        if not isinstance(arguments, (dict, type(None))):
            raise TypeError(f"Lambda: arguments must be a dict, got {arguments!r:.60}.")
        self.arguments = dict(arguments or {})
        self.mask = mask
        self.supports_masking = mask is not None
        self._output_shape = output_shape
        takes = _argument_names(function)
        self._takes_mask, self._takes_training = "mask" in takes, "training" in takes
        self._compiled = {}  # Of functions of JAX, by further arguments.

    def call(self, inputs, mask=None, training=None):
        further = dict(self.arguments)
        if self._takes_mask:
            further["mask"] = mask
        if self._takes_training:
            further["training"] = training
        try:
            outputs = self.function(inputs, **further)
        except TypeError as error:
            if "jax" not in sys.modules or "JAX" not in str(error):
                raise
            return self._by_jax(inputs, further)
        if "jax" in sys.modules and _are_of_jax(outputs) and not _are_of_jax(inputs):
            return self._by_jax(inputs, further)
        return outputs

    def _by_jax(self, inputs, further):
        """What a function gives that is written for arrays of JAX."""
        from .jax_layer import JaxLayer

        key = tuple(further.items())
        try:
            call = self._compiled.get(key)
        except TypeError:  # There are arrays among them, which are not compiled in.
            key = None
            call = None
        if call is None:
            call = JaxLayer(lambda inputs: self.function(inputs, **further)).__call__
            if key is not None:
                self._compiled[key] = call  # A method: files see no layer inside of this one.
        return call(inputs)

    def compute_mask(self, inputs, mask=None):
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def compute_output_shape(self, input_shape):
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        batch = tree.flatten(input_shape)[0]
        return tree.map_shape_structure(lambda shape: (batch, *shape), self._output_shape)

    def get_config(self):
        config = {"function": registry.serialize(self.function)}
        if self._output_shape is not None:
            config["output_shape"] = registry.serialize(self._output_shape)
        if self.mask is not None:
            config["mask"] = registry.serialize(self.mask)
        config["arguments"] = registry.serialize(self.arguments)
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config, custom_objects=None, safe_mode: bool | None = None):
        """A layer from what `get_config` gave.

        Raises ValueError for byte code of a lambda, unless `safe_mode` (here, or of the file that
        is being loaded) is False.
        """
        safe = registry.in_safe_mode() if safe_mode is None else safe_mode
        made = {
            key: registry.deserialize(config[key], custom_objects, safe)
            for key in ("function", "output_shape", "mask", "arguments")
            if key in config
        }
        if isinstance(made.get("output_shape"), list) and tree.is_shape(made["output_shape"]):
            made["output_shape"] = tuple(made["output_shape"])
        return cls(**{**config, **made})


def _are_of_jax(values) -> bool:
    """Whether one of these is an array of JAX."""
    names = {type(plain(x)).__module__.partition(".")[0] for x in tree.leaves(values)}
    return not names.isdisjoint(("jax", "jaxlib"))


def _argument_names(function) -> set[str]:
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # Some built-in functions don't tell.
        return set()


class Wrapper(Layer):
    """Base class of layers around another layer, which their attribute `layer` holds.

    Args:
        layer: a `Layer`.

    Raises TypeError for anything else.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise TypeError(f"{type(self).__name__}: expected a Layer, got {layer!r:.60}.")
        self.layer = layer

    def build(self, input_shape=None):
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def get_config(self):
        return {**super().get_config(), "layer": registry.serialize(self.layer)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        layer = registry.deserialize(config.pop("layer"), custom_objects, registry.in_safe_mode())
        return cls(layer, **config)
