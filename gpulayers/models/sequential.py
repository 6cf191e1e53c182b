"""Models that are a plain stack of layers."""

from __future__ import annotations

from .. import naming, registry, tree
from ..arrays import KerasTensor, dtypes, masked
from ..layers.input_layer import InputLayer
from ..layers.layer import Layer
from ..layers.tracking import RENAMED
from ..layers.training_plan import links_of_all
from .functional import ranked
from .graph import Graph, note_calls
from .model import Model, original


class Sequential(Model):
    """A stack of layers, each of which takes the one before's output.

    Args:
        layers: the layers, or an `Input` (or its KerasTensor) and then the layers.
        trainable, name: as for any layer.

    With an `Input`, or `input_shape=` in the first layer, all weights are created at once; without,
    when the model meets its first data.  Raises TypeError for what is no layer, ValueError for
    names that are taken and for layers that do not give a single array.
    """

    keras_identity = ("keras", "Sequential", None)
    _hands_masks_on = True

    def __init__(self, layers=None, trainable=True, name=None, **kwargs):
        super().__init__(trainable=trainable, name=name or naming.auto_name("sequential"), **kwargs)
        self._input_layer: InputLayer | None = None
        self._stack: list[Layer] = []
        self._tensors: list[KerasTensor] = []  # The input, and each layer's output.
        for layer in layers or []:
            self.add(layer)

    def __setstate__(self, state):
        self.__dict__.update(state)
        note_calls(self._tensors)

    def add(self, layer) -> None:
        """Put a layer on top."""
        if isinstance(layer, KerasTensor) and isinstance(layer.node.operation, InputLayer):
            layer = layer.node.operation
        if not isinstance(layer, Layer):
            raise TypeError(
                f"Sequential.add: expected a layer, got {type(layer).__name__}: {layer}."
            )
        if isinstance(layer, InputLayer):
            if self._stack or self._input_layer is not None:
                raise ValueError(f"Sequential {self.name!r}: the Input must come first, and once.")
            self._input_layer = layer
            self._tensors = [layer.output]
            return
        names = self._names()
        if layer.name in names:
            raise ValueError(
                f"Sequential {self.name!r}: the name {layer.name!r} is taken by another layer."
            )
        if not self._stack and self._input_layer is None:
            self._take_input_of(layer)
        if self._tensors:
            self._extend(layer)
        elif self._built:
            self._built = False
        self._stack.append(layer)
        names.add(layer.name)
        self._graph = None

    def _names(self) -> set[str]:
        """The names of the layers: remembered until one is renamed or taken off."""
        renamed, names = self.__dict__.get("_remembered_names", (None, None))
        if renamed != RENAMED[0] or len(names) != len(self._stack):
            names = {layer.name for layer in self._stack}
            self.__dict__["_remembered_names"] = RENAMED[0], names
        return names

    def _take_input_of(self, layer):
        """A first layer may know what its inputs are: by an argument, or because it is a model."""
        shape, dtype = getattr(layer, "_first_input_shape", None), None
        if shape is None and isinstance(layer, Model) and layer.built and layer._has_inputs():
            (tensor, *others) = layer.inputs
            if not others:
                shape, dtype = tensor.shape, tensor.dtype
        if shape is not None:
            dtype = dtype or (layer.compute_dtype if layer.compute_dtype else None)
            self.add(InputLayer(batch_shape=shape, dtype=dtype))

    def _has_inputs(self):
        return bool(self._tensors)

    def _extend(self, layer):
        with self._open():
            out = layer(self._tensors[-1])
        if not isinstance(out, KerasTensor):
            raise ValueError(
                f"Sequential {self.name!r}: every layer must give a single array; "
                f"{type(layer).__name__} {layer.name!r} gives {type(out).__name__}."
            )
        self._tensors.append(out)
        self._built = True
        self._build_shapes = {"input_shape": self._tensors[0].shape}

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the top layer off, and give it back."""
        if not self._stack:
            raise ValueError(f"Sequential {self.name!r} has no layers to take off.")
        layer = self._stack.pop()
        if self._tensors:
            self._tensors = self._tensors[:-1]
        self._graph = None
        return layer

    def build(self, input_shape=None):
        """Create all weights for inputs of that shape (batch axis included)."""
        if input_shape is None:
            return
        if self._tensors:
            self._check_shape(input_shape)
            return
        if not self._stack:
            raise ValueError(f"Sequential {self.name!r} has no layers yet: add some first.")
        if not tree.is_shape(input_shape):
            raise ValueError(
                f"Sequential {self.name!r}: expected the shape of one input, got {input_shape}."
            )
        first = self._stack[0]
        self._input_layer = InputLayer(batch_shape=input_shape, dtype=first.compute_dtype)
        self._tensors = [self._input_layer.output]
        try:
            for layer in self._stack:
                self._extend(layer)
        except BaseException:
            self._input_layer, self._tensors = None, []
            raise

    def _check_shape(self, shape):
        known = self._tensors[0].shape
        fits = tree.is_shape(shape) and len(shape) == len(known)
        if not fits or any(a != b for a, b in zip(known, shape, strict=True) if None not in (a, b)):
            raise ValueError(
                f"Sequential {self.name!r} has an input of shape {known} already: it cannot be "
                f"built for {shape}."
            )

    def _build_for(self, shapes):
        if not self._stack:
            raise ValueError(f"Sequential {self.name!r} has no layers yet: add some first.")
        shape = next(iter(shapes.values()), None)
        if tree.is_shape(shape):
            try:
                self.build((None, *shape[1:]))
                return
            except NotImplementedError:  # A layer of which no shapes are known.
                pass
        self._built = True  # The layers build themselves when `call` comes to them.

    def _graph_inputs(self):
        if original(type(self).call) is not Sequential.call:
            return None
        if not self._stack or not self._stack[0].autocast:
            return None
        if not self._tensors and not self._built:  # What `build` will make of the first data.
            return KerasTensor((), self._stack[0].compute_dtype)
        return self._tensors[0] if self._tensors else None

    @property
    def built(self):
        return self._built

    @built.setter
    def built(self, value):
        self._built = bool(value)

    def call(self, inputs, training=None, mask=None):
        if mask is not None:
            inputs = masked(inputs, mask)
        x = inputs
        if self._tensors and not hasattr(x, "shape"):
            x = self._only_array(x)
        if self._tensors and len(x.shape) != len(self._tensors[0].shape):
            x = ranked(self, x, self._tensors[0])
        for layer in self._stack:
            x = layer(x)
        return x

    def _only_array(self, inputs):
        """The array in a list, tuple or dict of one, as data may come."""
        leaves = tree.flatten(inputs)
        if len(leaves) != 1 or not hasattr(leaves[0], "shape"):
            raise TypeError(
                f"Sequential {self.name!r}: expected one array, got a {type(inputs).__name__}"
                f"{f' of {len(leaves)}' if tree.is_nested(inputs) else ''}."
            )
        return leaves[0]

    def compute_output_shape(self, input_shape):
        shape = input_shape
        for layer in self._stack:
            shape = layer.compute_output_shape(shape)
        return shape

    def _need_graph(self, what):
        if not self._tensors:
            raise AttributeError(
                f"Sequential {self.name!r} has no {what} yet: give it an Input, build it, or call "
                "it on data."
            )
        if self._graph is None:
            self._graph = Graph(self._tensors[0], self._tensors[-1])
        return self._graph

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the Input."""
        return list(self._stack)

    @property
    def _layers(self):
        return self._stack

    def _takes_as_it_is(self, x) -> bool:
        """Whether `call` hands `x` to the first layer unchanged."""
        if type(self).call is not Sequential.call:
            return False
        if self._tensors and len(x.shape) != len(self._tensors[0].shape):
            return False
        tensor = self._graph_inputs()
        return tensor is None or dtypes.name(x.dtype) == tensor.dtype

    def _training_links(self, x):
        return links_of_all(self._stack, x) if self._takes_as_it_is(x) else None

    def _plan_graph(self):
        if type(self).call is not Sequential.call or not self._stack:
            return None
        if len(self._tensors) <= len(self._stack):  # Not built, or only in part until now.
            return None
        if type(self).__call__ is not Layer.__call__ or not self._stack[0].autocast:
            return None
        return self._need_graph("graph")

    def get_config(self) -> dict:
        layers = self._stack if self._input_layer is None else [self._input_layer, *self._stack]
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": registry.serialize(self.dtype_policy),
            "layers": [registry.serialize(layer) for layer in layers],
        }
        if self._tensors:
            config["build_input_shape"] = list(self._tensors[0].shape)
        return config

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        layers = [
            registry.deserialize(c, custom_objects, registry.in_safe_mode(), kind="layers")
            for c in config["layers"]
        ]
        own = {k: config[k] for k in ("name", "trainable", "dtype") if k in config}
        model = cls(layers, **own)
        shape = config.get("build_input_shape")
        if shape and not model.built and tree.is_shape(shape):
            model.build(tuple(shape))
        return model
