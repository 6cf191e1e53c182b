"""Layers and models as functions of JAX."""

from __future__ import annotations

import numpy as np

from .. import tree
from ..arrays import KerasTensor, Tape, devices, dtypes, is_recorded
from ..layers.layer import Layer


def as_jax_function(layer):
    """A layer, or model, as a function that JAX differentiates, compiles, and maps.

        apply, params, state = as_jax_function(layer)
        outputs, state = apply(params, state, inputs, training=True)

    It is computed by NumPy, from within compiled code too (`jax.pure_callback`), and gradients by
    the layer's own.  The layer itself stays as it is.

    Args:
        layer: a layer or a model that is built.

    Gives (apply, params, state): `params` are the trainable weights and `state` the others, lists
    of arrays in the order of `trainable_variables` and `non_trainable_variables`. 64-bit integers
    (the counters of random layers) stand in `state` as two words of 32 bits each.

    Raises TypeError for something else than a layer, ValueError for one that is not built.
    """
    import jax

    if not isinstance(layer, Layer):
        raise TypeError(f"as_jax_function: expected a layer or model, got {type(layer).__name__}.")
    if not layer.built:
        raise ValueError(f"as_jax_function: {layer.name!r} is not built: call it on data first.")

    def apply(params, state, *inputs, training: bool = False):
        return _Through(layer, bool(training), inputs).function()(params, state, inputs)

    params = [jax.numpy.asarray(v.numpy()) for v in layer.trainable_variables]
    state = [jax.numpy.asarray(_words(v.numpy())) for v in layer.non_trainable_variables]
    return apply, params, state


class _Through:
    """One form of call: of a layer, in training or not, for inputs of some shapes."""

    def __init__(self, layer, training, inputs):
        self.layer, self.training = layer, training
        symbols = tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype.name), list(inputs))
        self.outputs = layer.compute_output_spec(*symbols, training=training)
        self._kinds = [_shape(v) for v in layer.non_trainable_variables]
        words = [_shape(_words(np.empty(k.shape, k.dtype))) for k in self._kinds]
        self.shapes = tree.map_structure(_shape, self.outputs), words

    def function(self):
        """(params, state, inputs) -> (outputs, new state), with gradients of its own."""
        import jax

        @jax.custom_vjp
        def function(params, state, inputs):
            return self._elsewhere(self._forward, self.shapes, params, state, inputs)

        def forward(params, state, inputs):
            return function(params, state, inputs), (params, state, inputs)

        def backward(kept, grads):
            params, state, inputs = kept
            wanted = params, inputs
            shapes = jax.tree_util.tree_map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), wanted
            )
            found = self._elsewhere(self._backward, shapes, params, state, inputs, grads[0])
            of_params, of_inputs = jax.tree_util.tree_map(_or_nothing, wanted, found)
            return of_params, jax.tree_util.tree_map(_nothing, state), of_inputs

        function.defvjp(forward, backward)
        return function

    def _elsewhere(self, function, shapes, *arguments):
        import jax

        return jax.pure_callback(function, shapes, *arguments, vmap_method="sequential")

    def _forward(self, params, state, inputs):
        params, state, inputs = _numpy((params, state, inputs))
        state = self._whole(state)
        outputs, new = self.layer.stateless_call(params, state, *inputs, training=self.training)
        new = [_words(devices.to_numpy(s)) for s in new]
        return tree.map_structure(devices.to_numpy, outputs), new

    def _whole(self, state) -> list:
        """The state without words."""
        pairs = zip(state, self._kinds, strict=True)
        return [s if s.dtype == k.dtype else s.view(k.dtype).reshape(k.shape) for s, k in pairs]

    def _backward(self, params, state, inputs, grads):
        params, state, inputs, grads = _numpy((params, state, inputs, grads))
        state = self._whole(state)
        own = [*self.layer.trainable_variables, *self.layer.non_trainable_variables]
        before = [v._value for v in own]
        try:
            for variable, value in zip(own, [*params, *state], strict=True):
                variable.assign(value)
            with Tape() as tape:
                given = tree.map_structure(
                    lambda x: tape.watch(x) if dtypes.is_floating(x.dtype) else x, list(inputs)
                )
                outputs = self.layer(*given, training=self.training)
            found = _gradients(tape, outputs, grads, self.layer.trainable_variables, given)
        finally:
            for variable, value in zip(own, before, strict=True):
                variable.replace(value)
        found = [
            np.zeros(x.shape, x.dtype) if g is None else np.asarray(devices.to_numpy(g))
            for g, x in zip(found, [*params, *tree.flatten(list(inputs))], strict=True)
        ]
        rest = tree.pack_sequence_as(list(inputs), found[len(params) :])
        return found[: len(params)], tuple(rest)


def _gradients(tape, outputs, grads, variables, inputs) -> list:
    """The gradients of variables and inputs, None where there are none."""
    pairs = zip(tree.flatten(outputs), tree.flatten(grads), strict=True)
    ends = [(y, g) for y, g in pairs if is_recorded(y)]
    sources = [*variables, *tree.flatten(inputs)]
    asked = [i for i, s in enumerate(sources) if is_recorded(s) or i < len(variables)]
    found = [None] * len(sources)
    if ends:
        given = [g for _, g in ends]
        grads = tape.gradient([y for y, _ in ends], [sources[i] for i in asked], given)
        for i, g in zip(asked, grads, strict=True):
            found[i] = g
    return found


def _words(x: np.ndarray) -> np.ndarray:
    """64-bit integers as two of 32 bits each, along a last axis: JAX usually has none wider."""
    if x.dtype.kind not in "iu" or x.dtype.itemsize < 8:
        return x
    return np.ascontiguousarray(x)[..., None].view(np.uint32)


def _numpy(values):
    import jax

    return jax.tree_util.tree_map(np.asarray, values)


def _shape(x):
    import jax

    return jax.ShapeDtypeStruct(tuple(x.shape), dtypes.numpy_dtype(dtypes.name(x.dtype)))


def _nothing(x):
    """The gradient of what has none, as JAX wants it."""
    import jax

    if jax.numpy.issubdtype(x.dtype, jax.numpy.inexact):
        return jax.numpy.zeros_like(x)
    return np.zeros(x.shape, jax.dtypes.float0)


def _or_nothing(x, g):
    import jax

    return g if jax.numpy.issubdtype(x.dtype, jax.numpy.inexact) else _nothing(x)
