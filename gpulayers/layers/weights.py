"""The weights of a layer and of the layers inside it."""

from __future__ import annotations

import numpy as np

from .. import constraints, initializers, registry, regularizers
from ..arrays import Variable, as_array, devices, dtypes
from ..arrays.policy import DTypePolicy
from ..arrays.seeds import SeedGenerator
from ..initializers.random_values import RandomInitializer
from . import calling
from .tracking import STRUCTURE, layers_in, own_variables, parts, remembered, track, unique


def take(variable: Variable, store, name: str) -> None:
    """Give a variable the array of that name in what `load_own_variables` gets.

    Raises ValueError if it has another shape.
    """
    value, old = np.asarray(store[name]), variable._value
    fits = type(old) is np.ndarray and value.shape == old.shape and value.dtype == old.dtype
    if fits and getattr(store, "fresh", False):  # Nobody else has it: no copy is needed.
        variable.replace(value)
    else:
        variable.assign(value)


def _placeholder(shape, dtype):
    """Zeros that take no memory, until a file's values replace them."""
    return np.broadcast_to(np.zeros((), dtypes.numpy_dtype(dtype)), shape)


class Weights:
    """The part of a layer that keeps weights: their lists, values, dtypes and places."""

    quantized = None  # What keeps weights in few bits, by their names: see `quantization.py`.

    @property
    def _layers(self) -> list:
        """The layers directly inside this one, in the order in which it got them."""
        return layers_in(self, Weights)

    def _flatten_layers(self, include_self: bool = True, recursive: bool = True) -> list:
        if not recursive:
            return [self, *self._layers] if include_self else list(self._layers)
        found = _all_layers(self)
        return list(found) if include_self else found[1:]

    @property
    def weights(self) -> list[Variable]:
        """All weights: own trainable ones, own others, then each inner layer's."""
        return list(_all_weights(self))

    @property
    def variables(self) -> list[Variable]:
        """All weights, and the states of random generators and metrics."""
        return list(_all_variables(self))

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes; none of a frozen layer."""
        return [v for v in _all_weights(self) if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone; all of a frozen layer."""
        return [v for v in self.weights if not v.trainable] if self.trainable else self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """All `variables` that training leaves alone."""
        if not self.trainable:
            return self.variables
        return [v for v in self.variables if not v.trainable]

    @property
    def trainable(self) -> bool:
        """Whether training may change the weights; setting it sets it for all inner layers too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        value = bool(value)
        self._trainable = value
        for variable in own_variables(self):
            if variable.created_trainable:
                variable.trainable = value
        for layer in self._layers:
            layer.trainable = value

    def add_weight(
        self,
        shape=None,
        initializer=None,
        dtype=None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer=None,
        constraint=None,
        aggregation="none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Create a weight of this layer.

        Args:
            shape: of whole sizes; () for a scalar.
            initializer: a name, an object or a function (shape, dtype) -> array;
                "glorot_uniform" for floats and "zeros" otherwise by default.
            dtype: the policy's variable dtype by default.
            trainable: whether training changes it.
            regularizer: adds to `losses`; constraint: applied after each step of an optimizer.
            name: "kernel", ...

        Raises ValueError for a shape with unknown sizes, and in a layer that is built already.
        """
        who = type(self).__name__
        if isinstance(shape, str):
            raise TypeError(
                f"{who} {self.name!r}: add_weight takes the shape first, got {shape!r}; give a "
                f"name by keyword, add_weight(name={shape!r}, ...)."
            )
        if isinstance(shape, int):
            shape = (shape,)
        shape = () if shape is None else tuple(shape)
        if any(n is None or n < 0 for n in shape):
            raise ValueError(
                f"{who} {self.name!r}: the weight {name!r} needs whole sizes, got shape {shape}. "
                "Give the size of that axis in Input(shape=...)."
            )
        if self._built and not self._building:
            raise ValueError(
                f"{who} {self.name!r} is built already: create the weight {name!r} in __init__ or "
                "in build()."
            )
        dtype = dtypes.standardize(dtype or self.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if dtypes.is_floating(dtype) else "zeros"
        initializer = initializers.get(initializer)
        if isinstance(initializer, RandomInitializer) and registry.is_to_be_filled():
            if self._takes_all_from_files():
                initializer = _placeholder
        variable = Variable(
            initializer,
            shape,
            dtype,
            trainable=trainable,
            autocast=autocast,
            name=name or "variable",
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
            path="/".join([*self._path(), name or "variable"]),
        )
        variable.overwrite_with_gradient = overwrite_with_gradient
        if self._building:  # From shapes alone: it stays on the default device.
            variable._placed = True
        track(self, variable)
        self._own_variables.append(variable)
        STRUCTURE[0] += 1
        if not self._trainable:
            variable.trainable = False
        return variable

    add_variable = add_weight

    @classmethod
    def _takes_all_from_files(cls) -> bool:
        """Whether a file has the values of all its weights: those of users' classes may differ."""
        methods = cls.save_own_variables, cls.load_own_variables
        return all(method.__module__.startswith("gpulayers.") for method in methods)

    @property
    def path(self) -> str:
        """The layer's name behind those of the layers in which it was built: "model/dense"."""
        return "/".join(self._path())

    def _path(self) -> list[str]:
        names = calling.path_of_calls()
        if not names or names[-1] != self.name:
            names.append(self.name or "layer")
        if len(names) == 1 and self._own_variables:  # What is added later stands beside the first.
            return self._own_variables[0].path.split("/")[:-1]
        return names

    def get_weights(self) -> list[np.ndarray]:
        """The values of `weights` as NumPy arrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights) -> None:
        """Set the values of `weights` from a list of arrays in the same order.

        Raises ValueError, listing what was expected and what came, if one does not fit; then
        nothing is changed.
        """
        who = f"{type(self).__name__} {self.name!r}"
        if not isinstance(weights, (list, tuple)):
            raise TypeError(
                f"{who}: set_weights expected a list of arrays, got a {type(weights).__name__}."
            )
        variables = self.weights
        values = [as_array(w) for w in weights]
        expected = [v.shape for v in variables]
        given = [tuple(w.shape) for w in values]
        if expected != given:
            rows = [f"  {v.path}: {v.shape}" for v in variables]
            if not rows:
                raise ValueError(
                    f"{who} has no weights to set yet (got {len(given)} arrays): call it on data, "
                    "or build it with an input shape."
                )
            raise ValueError(
                f"{who}: set_weights expected {len(expected)} arrays of the shapes\n"
                + "\n".join(rows)
                + f"\nbut got {len(given)}: {given}."
            )
        for value in values:
            if dtypes.other_than_numbers(value.dtype):
                raise TypeError(f"{who}: set_weights expected numbers, got dtype {value.dtype}.")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """The number of elements of all weights.

        Raises ValueError for a layer that is not built yet.
        """
        if not self.built:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has no weights to count yet: call it on "
                "data, or build it with an input shape."
            )
        return sum(v.size for v in self.weights)

    def to(self, device: str):
        """Move all weights to a device: "cpu", "gpu", "gpu:1".  Returns the layer."""
        home = devices.parse(device)
        for variable in self.variables:
            variable.move(home)
        for layer in self._flatten_layers():
            layer.__dict__["_called_home"] = home
        STRUCTURE[0] += 1  # Plans are for arrays that live in one place.
        return self

    @property
    def losses(self) -> list:
        """The losses of `add_loss` in the last call, and of the weights' regularizers."""
        layers, weights = _layers_and_weights(self)
        found = [loss for layer in layers if layer._losses for loss in layer._losses]
        regularized = [v for v in weights if v.regularizer is not None]
        if regularized:
            trained = set(map(id, self.trainable_weights))
            found += [v.regularizer(v) for v in regularized if id(v) in trained]
        return found

    @property
    def _metrics(self) -> list:
        """The layer's own metrics, without those of inner layers."""
        from ..metrics import Metric

        return parts(self, Metric)

    @property
    def metrics(self) -> list:
        """The metrics of this layer and of all inner ones."""
        return unique(m for layer in self._flatten_layers() for m in layer._metrics)

    @property
    def metrics_variables(self) -> list[Variable]:
        """The states of `metrics`."""
        return unique(v for metric in self.metrics for v in metric.variables)

    def stateless_call(
        self,
        trainable_variables,
        non_trainable_variables,
        *args,
        return_losses: bool = False,
        **kwargs,
    ):
        """A call with other values of the variables, which themselves stay as they are.

        Args:
            trainable_variables, non_trainable_variables: arrays, in the order of the layer's lists
                of these names.
            return_losses: whether to give `losses`, too.
            args, kwargs: as for a call.

        Returns (outputs, new values of the non-trainable variables[, losses]).  Raises ValueError
        for a layer that is not built, for another number of values, and for other shapes.
        """
        if not self.built:
            raise ValueError(f"stateless_call: build {type(self).__name__} {self.name!r} first.")
        others = self.non_trainable_variables
        variables = [*self.trainable_variables, *others]
        values = [*trainable_variables, *non_trainable_variables]
        if len(values) != len(variables):
            raise ValueError(
                f"stateless_call: {type(self).__name__} {self.name!r} has {len(variables)} "
                f"variables, got {len(values)} values."
            )
        values = [v.value if type(v) is Variable else v for v in values]
        before = [v._value for v in variables]  # Not what a tape has recorded of them.
        try:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            found = self(*args, **kwargs), [v.value for v in others]
            return (*found, self.losses) if return_losses else found
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.replace(value)

    def save_own_variables(self, store: dict) -> None:
        """Put the values of the layer's own weights into `store` under "0", "1", ..."""
        for i, variable in enumerate(own_variables(self)):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store) -> None:
        """Take the values of the layer's own weights from `store`.

        Raises ValueError if their number or shapes differ.
        """
        own = own_variables(self)
        if len(store.keys()) != len(own):
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has {len(own)} weights of its own, the file "
                f"has {len(store.keys())}."
            )
        for i, variable in enumerate(own):
            take(variable, store, str(i))

    # Dtypes.

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The layer's dtype policy."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value):
        self._dtype_policy = self._policy = DTypePolicy.of(value)
        mode = self._policy.quantization_mode
        if mode is not None and self.built and self.quantized is None:
            self.quantize(mode)

    @property
    def dtype(self) -> str:
        """The dtype of the weights."""
        return self._policy.variable_dtype

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype of the results."""
        return self._policy.compute_dtype

    input_dtype = compute_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How the weights are quantized: "int8", "int4", "float8", ...; None if they are not."""
        return self._policy.quantization_mode

    def quantize(self, mode: str | None = None, type_check: bool = True, config=None) -> None:
        """Keep weights in few bits.  Raises NotImplementedError: this layer cannot."""
        raise NotImplementedError(
            f"{type(self).__name__} {self.name!r} has nothing that can be quantized, got "
            f"quantize({mode!r})."
        )

    @property
    def input_spec(self):
        """What the inputs must be like: an `InputSpec`, a structure of them, or None."""
        return self._input_spec

    @input_spec.setter
    def input_spec(self, value):
        self._input_spec = value

    # The graph.

    @property
    def input(self):
        """The KerasTensors this layer was first called on.  AttributeError if there are none."""
        node = self._first_node("input")
        if not node.args:
            return node.outputs
        return node.args[0]

    @property
    def output(self):
        """What this layer's first symbolic call gave.  AttributeError if there was none."""
        return self._first_node("output").outputs

    def _first_node(self, what):
        if not self._inbound_nodes:
            raise AttributeError(
                f"layer {self.name!r} has no {what}: it was never called on a KerasTensor."
            )
        return self._inbound_nodes[0]


@remembered
def _all_layers(layer) -> list:
    """The layer and all layers inside it, each once."""
    return unique([layer, *(inner for part in layer._layers for inner in _all_layers(part))])


@remembered
def _layers_and_weights(layer) -> tuple[list, list]:
    return _all_layers(layer), _all_weights(layer)


@remembered
def _all_variables(layer) -> list:
    generators = parts(layer, SeedGenerator)
    inner = [v for part in layer._layers for v in _all_variables(part)]
    return unique([*own_variables(layer), *(g.state for g in generators), *inner])


@remembered
def _all_weights(layer) -> list:
    inner = [v for part in layer._layers for v in _all_weights(part)]
    return unique([*own_variables(layer), *inner])
