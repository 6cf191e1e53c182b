"""Functions and modules of JAX as layers."""

from __future__ import annotations

import inspect

import numpy as np

from .. import registry, tree
from ..arrays import Abstract, devices, dtypes
from ..arrays.exchange import from_jax, to_jax
from ..arrays.seeds import SeedGenerator
from .foreign import ForeignLayer

__all__ = ["FlaxLayer", "JaxLayer"]

_OF_CALL = {"params", "state", "rng", "inputs", "training"}
_OF_INIT = {"rng", "inputs", "training"}


class JaxLayer(ForeignLayer):
    """A function written for JAX as a layer, compiled by `jax.jit`, with gradients by `jax.vjp`.

    Args:
        call_fn: takes some of these arguments, by these names: params, state, rng (a key, or None
            in inference), inputs, training. It gives the outputs, or (outputs, new state) if it
            takes a state. Outputs are an array or a pytree of arrays.
        init_fn: takes inputs, and rng and training if it names them; gives params, or
            (params, state) if `call_fn` takes a state.
        params, state: pytrees to begin with, instead of what `init_fn` gives. Arrays and numbers
            in them become trainable weights, and others; anything else stays as it is.
        seed: of the keys.
        native_serialization_platforms: accepted as in Keras, for TensorFlow only there.

    Call arguments:
        inputs: an array, or a structure of arrays.
        training: passed on.

    Raises ValueError for functions with other arguments, and if nothing says what params are.
    """

    def __init__(
        self,
        call_fn,
        init_fn=None,
        params=None,
        state=None,
        seed=None,
        native_serialization_platforms=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.call_fn, self.init_fn = call_fn, init_fn
        self.native_serialization_platforms = native_serialization_platforms
        self._call_names = _argument_names("call_fn", call_fn, _OF_CALL)
        self._init_names = _argument_names("init_fn", init_fn, _OF_INIT) if init_fn else []
        needs = {"params", "state"} & set(self._call_names)
        if needs and init_fn is None and params is None and state is None:
            raise ValueError(
                "JaxLayer: init_fn, params and state cannot all be None when call_fn takes "
                f"{' and '.join(sorted(needs))}."
            )
        self.seed = seed
        self._keys = SeedGenerator(seed) if "rng" in self._call_names else None
        self._params = self._state = None
        self._compiled = {}
        if params is not None or state is not None:
            self._begin(params, state)
            self.built = True

    def _begin(self, params, state):
        self._params = _Tree(self, params, True)
        self._state = _Tree(self, state, False)

    @property
    def params(self):
        """The trainable part as JAX has it; None before the layer is built."""
        return None if self._params is None else self._params.filled(self._params.plain())

    @property
    def state(self):
        """The other part as JAX has it; None before the layer is built."""
        return None if self._state is None else self._state.filled(self._state.plain())

    def build(self, input_shape):
        if self._params is not None:
            return
        if not self._init_names:
            self._begin(None, None)
            return

        def ones(shape):
            return np.ones([1 if size is None else size for size in shape], "float32")

        given = {
            "rng": self._init_rng(),
            "inputs": tree.map_structure(to_jax, tree.map_shape_structure(ones, input_shape)),
            "training": True,
        }
        made = self.init_fn(*(given[name] for name in self._init_names))
        self._begin(*(made if "state" in self._call_names else (made, None)))

    def _init_rng(self):
        return _key(SeedGenerator(self.seed))

    def _call_rng(self, training):
        return _key(self._keys) if training else None

    def call(self, inputs, training=False):
        return self._through(inputs, [v.value for v in self._params.variables], bool(training))

    def _run(self, arrays, structure, training, wanted):
        import jax

        count, like = len(arrays) - len(self._params.variables), arrays[0] if arrays else None
        found = [to_jax(a) for a in arrays]
        inputs, params = structure(found[:count]), found[count:]
        state = [to_jax(v._value) for v in self._state.variables]
        rng = self._call_rng(training) if self._keys is not None else None
        function = self._function(training)
        if wanted is None:
            outputs, new_state = function(params, inputs, state, rng)
            pull = None
        else:
            (outputs, new_state), pull = jax.vjp(
                lambda p, i: function(p, i, state, rng), params, inputs
            )
        if new_state is not None:
            self._state.assign([from_jax(s, like) for s in new_state])
        made = jax.tree_util.tree_map(lambda y: from_jax(y, like), outputs)
        if pull is None:
            return made, None
        ends, form = jax.tree_util.tree_flatten(outputs)
        nothing = jax.tree_util.tree_map(_no_gradient, new_state)

        def pullback(grads):
            given = [
                _no_gradient(y) if g is None else to_jax(g).astype(y.dtype)
                for y, g in zip(ends, grads, strict=True)
            ]
            of_params, of_inputs = pull((form.unflatten(given), nothing))
            flat = [*jax.tree_util.tree_leaves(of_inputs), *of_params]
            pairs = zip(flat, wanted, strict=True)
            return [from_jax(g, like) if w else None for g, w in pairs]

        return made, pullback

    def _function(self, training):
        """(params, inputs, state, rng) -> (outputs, flat new state or None), compiled."""
        import jax

        if training not in self._compiled:

            def function(params, inputs, state, rng):
                given = {
                    "params": self._params.filled(params),
                    "state": self._state.filled(state),
                    "rng": rng,
                    "inputs": inputs,
                    "training": training,
                }
                outputs = self.call_fn(*(given[name] for name in self._call_names))
                if "state" not in self._call_names:
                    return outputs, None
                outputs, new = outputs
                return outputs, self._state.flat(new)

            self._compiled[training] = jax.jit(function)
        return self._compiled[training]

    def _shapes(self, arrays, structure, training):
        import jax

        def shaped(x):
            return jax.ShapeDtypeStruct(tuple(x.shape), dtypes.numpy_dtype(dtypes.name(x.dtype)))

        params, state = (
            [shaped(v._value) for v in part.variables] for part in (self._params, self._state)
        )
        rng = jax.ShapeDtypeStruct((2,), np.uint32) if self._keys is not None else None
        inputs = structure([shaped(x) for x in arrays])
        outputs, _ = jax.eval_shape(self._function(training), params, inputs, state, rng)
        return jax.tree_util.tree_map(lambda y: Abstract(y.shape, y.dtype.name), outputs)

    def get_config(self):
        own = {
            "call_fn": registry.serialize(self.call_fn),
            "init_fn": registry.serialize(self.init_fn),
            "native_serialization_platforms": self.native_serialization_platforms,
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config):
        own = {key: registry.deserialize(config[key]) for key in ("call_fn", "init_fn")}
        for key in ("params", "state"):
            if config.get(key) is not None:  # A file holds them among the weights.
                raise ValueError(f"JaxLayer: a description may not hold {key}.")
        return cls(**{**config, **own})


class FlaxLayer(JaxLayer):
    """A module of Flax (`flax.linen.Module`) as a layer.

    Args:
        module: the module; its call takes `inputs`, and `training` if it names it.
        method: another method of it to call, which names its arguments so too.
        variables: what `module.init` gave; by default it is called when the layer is built.

    What is in its collection "params" is trained; the other collections are this layer's other
    weights, and are updated when it is called. Random numbers come from one key for "params" in
    `init`, and for "dropout" in calls.

    Raises TypeError for something else than a module of `flax.linen`.
    """

    def __init__(self, module, method=None, variables=None, **kwargs):
        from flax import linen

        if not isinstance(module, linen.Module):
            raise TypeError(
                f"FlaxLayer: expected a flax.linen.Module, got {type(module).__name__}."
            )
        self.module, self.method = module, method
        function = type(module).__call__ if method is None else method
        if isinstance(function, str):
            function = getattr(type(module), function)
        self._takes_training = "training" in inspect.signature(function).parameters

        def call_fn(params, state, rng, inputs, training):
            more = {"training": training} if self._takes_training else {}
            outputs, new = module.apply(
                {"params": params or {}, **(state or {})},
                inputs,
                rngs=None if rng is None else {"dropout": rng},
                method=method,
                mutable=linen.DenyList(["params"]),
                **more,
            )
            return outputs, {key: new[key] for key in state or {}}

        def init_fn(rng, inputs, training):
            more = {"training": training} if self._takes_training else {}
            rngs = {"params": rng, "dropout": rng}
            return self._parts(module.init(rngs, inputs, method=method, **more))

        params, state = (None, None) if variables is None else self._parts(variables)
        super().__init__(call_fn, init_fn, params, state, **kwargs)

    @classmethod
    def from_config(cls, config):
        raise ValueError("FlaxLayer: a module of Flax has no description that a file can hold.")

    @staticmethod
    def _parts(variables):
        return variables.get("params"), {k: v for k, v in variables.items() if k != "params"}

    def get_config(self):
        raise NotImplementedError(
            f"FlaxLayer {self.name!r}: a module of Flax has no description that a file can hold. "
            "Make the model anew, and keep its weights: save_weights and load_weights."
        )


class _Tree:
    """A pytree whose arrays and numbers are weights of a layer."""

    def __init__(self, layer, values, trainable: bool):
        import jax

        self._leaves, self._form = jax.tree_util.tree_flatten(values)
        self._places, self.variables = [], []
        for i, (path, leaf) in enumerate(jax.tree_util.tree_flatten_with_path(values)[0]):
            if not hasattr(leaf, "dtype") and not isinstance(leaf, (bool, int, float)):
                continue
            value = np.asarray(devices.to_numpy(leaf))
            if dtypes.is_floating(value.dtype):
                value = value.astype(dtypes.numpy_dtype(layer.variable_dtype))
            name = "_".join(str(getattr(k, "key", getattr(k, "idx", k))) for k in path) or "value"
            self._places.append(i)
            self.variables.append(layer._weight_like(value, name, trainable))

    def plain(self) -> list:
        return [to_jax(v._value) for v in self.variables]

    def filled(self, values):
        """The pytree with these values in the place of its weights."""
        leaves = list(self._leaves)
        for i, value in zip(self._places, values, strict=True):
            leaves[i] = value
        return self._form.unflatten(leaves)

    def flat(self, values) -> list:
        """The weights in another pytree of this form.  Raises ValueError if it has another."""
        import jax

        leaves, form = jax.tree_util.tree_flatten(values)
        if form != self._form:
            raise ValueError(
                f"JaxLayer: call_fn gave a state of another structure, {form}, than it began with, "
                f"{self._form}."
            )
        return [leaves[i] for i in self._places]

    def assign(self, values) -> None:
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)


def _argument_names(who: str, function, allowed: set[str]) -> list[str]:
    names = list(inspect.signature(function).parameters)
    other = [name for name in names if name not in allowed]
    if other or "inputs" not in names:
        what = f"unknown are {', '.join(other)}" if other else "inputs is missing"
        raise ValueError(
            f"JaxLayer: {who} takes inputs, and others of {', '.join(sorted(allowed))}, by these "
            f"names; {what}."
        )
    return names


def _key(seeds: SeedGenerator):
    """A key for JAX: two words."""
    seed, counter = seeds.next()
    mixed = np.random.SeedSequence([int(seed), int(counter)]).generate_state(2, np.uint32)
    return to_jax(mixed)


def _no_gradient(y):
    """The gradient of what nothing depends on."""
    import jax

    if jax.numpy.issubdtype(y.dtype, jax.numpy.inexact):
        return jax.numpy.zeros_like(y)
    return np.zeros(y.shape, jax.dtypes.float0)
