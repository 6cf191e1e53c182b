"""The checks that every primitive and every layer goes through."""

from __future__ import annotations

import numpy as np

from gpulayers import registry, tree
from gpulayers.arrays import (
    Abstract,
    KerasTensor,
    Tape,
    Variable,
    dtypes,
    get_mask,
    infer,
    is_array,
    is_recorded,
    namespace,
    plain,
    set_mask,
)
from gpulayers.arrays.devices import device_of, to_numpy


def weights_like(shape, i=0):
    """The weights of a sum over an output: smooth, of both signs, without symmetries."""
    n = int(np.prod(shape, dtype=int))
    return np.cos(np.arange(n) * 0.7 + 0.3 + i).reshape(shape)


def weighted_sum(outputs):
    """The sum of all float outputs, each element with a weight of its own: a scalar."""
    total = None
    for i, y in enumerate(x for x in tree.flatten(outputs) if is_array(x)):
        if not dtypes.is_floating(y.dtype):
            continue
        xp, base = namespace(y), namespace(plain(y))
        c = base.asarray(weights_like(tuple(y.shape), i), device=device_of(y))
        part = xp.sum(y * base.astype(c, plain(y).dtype))
        total = part if total is None else total + part
    return total


def numeric_gradient(function, arrays, i, eps=1e-6):
    """Central differences of a scalar function of NumPy float64 arrays for the i-th of them."""
    grad = np.zeros(arrays[i].shape)
    for at in np.ndindex(*grad.shape):
        up, down = ([np.array(a) for a in arrays] for _ in range(2))
        up[i][at] += eps
        down[i][at] -= eps
        grad[at] = (float(function(*up)) - float(function(*down))) / (2 * eps)
    return grad


def gradients(function, arrays, asarray=np.asarray):
    """The value of a scalar function of arrays and its gradients through the tape, as NumPy."""
    with Tape([]) as tape:
        watched = [tape.watch(asarray(a)) for a in arrays]
        value = function(*watched)
    if not is_recorded(value):  # No result is of a float dtype, or none depends on the arrays.
        return float(value), [None] * len(watched)
    grads = tape.gradient(value, watched)
    return float(plain(value)), [None if g is None else to_numpy(g) for g in grads]


def check_gradient(function, *arrays, xp=None, rtol=1e-5, atol=1e-7, eps=1e-6):
    """The tape's gradient of the (weighted) results of `function` against finite differences.

    Arrays are NumPy's, in float64; with `xp` (a backend) the tape runs over that library.
    """
    arrays = [np.asarray(a, dtype=np.float64) for a in arrays]

    def scalar(*xs):
        return weighted_sum(function(*xs))

    value, grads = gradients(scalar, arrays, np.asarray if xp is None else xp.asarray)
    np.testing.assert_allclose(value, float(scalar(*arrays)), rtol=1e-7, atol=1e-10)
    for i, grad in enumerate(grads):
        expected = numeric_gradient(scalar, arrays, i, eps)
        grad = np.zeros_like(expected) if grad is None else grad
        np.testing.assert_allclose(grad, expected, rtol=rtol, atol=atol)


def check_shape(function, *arrays):
    """Shape inference gives the shapes and dtypes that the function gives on real arrays."""
    real = tree.flatten(function(*arrays))
    ghost = infer(function, *(Abstract(a.shape, a.dtype) for a in arrays))
    for a, b in zip(real, tree.flatten(ghost), strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert dtypes.name(a.dtype) == dtypes.name(b.dtype)


def check_primitive(op, *arrays, differentiable=None, rtol=1e-5, atol=1e-7, **options):
    """A primitive on NumPy arrays in every way it can run.

    Its reference against each version for NumPy, forward and backward, with and without recording;
    its gradient against finite differences; its shape rule. `arrays` are float64 (or integer)
    NumPy arrays; `differentiable` are the indices of those whose gradient is checked.
    """
    floats = [i for i, a in enumerate(arrays) if a is not None and np.asarray(a).dtype.kind == "f"]
    wanted = floats if differentiable is None else differentiable
    reference = op.reference(*arrays, **options)
    out = op(*arrays, **options)
    for a, b in zip(tree.flatten(out), tree.flatten(reference), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    check_shape(lambda *xs: op(*_filled(arrays, xs), **options), *_present(arrays))

    def at(call):
        def function(*xs):
            full = list(arrays)
            for i, x in zip(wanted, xs, strict=True):
                full[i] = x
            return call(*full, **options)

        return function

    chosen = [arrays[i] for i in wanted]
    check_gradient(at(op), *chosen, rtol=rtol, atol=atol)


def _present(arrays):
    return [a for a in arrays if a is not None]


def _filled(arrays, xs):
    rest = iter(xs)
    return [None if a is None else next(rest) for a in arrays]


def check_layer(
    make,
    *inputs,
    xp=None,
    call=None,
    mask=None,
    gradient=True,
    config=True,
    unknown=(0,),
    rtol=1e-4,
    atol=1e-6,
):
    """A layer in every way it can run.

    Outputs and gradients over the backend `xp` against NumPy's; shape inference, with the sizes of
    the axes `unknown` not known; gradients of inputs and weights against finite differences in
    float64; the config's round trip; masks; 16-bit policies; the same results for the same weights.

    Args:
        make: dtype -> a new layer (the same each time, but for its weights and names).
        inputs: NumPy arrays; several are given as a list to the layer, unless `call` does it.
        call: (layer, *arrays) -> outputs.
        mask: the mask that the first input carries.
    """
    call = call or called
    layer = make("float32")
    singles = [_as(a, np.float32) for a in inputs]
    expected = call(layer, *_masked(singles, mask))
    values = layer.get_weights()
    _check_inference(make, call, singles, expected, values, unknown, mask)
    if xp is not None:
        check_library(make, call, inputs, xp, mask)
    if config:
        _check_config(layer, call, _masked(singles, mask), expected, values)
    if gradient:
        _check_layer_gradient(make, call, inputs, values, rtol, atol, mask)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        _check_policy(make, policy, call, _masked(singles, mask), expected, values)
    return expected


def called(layer, *xs, **options):
    """A layer's outputs for one array, or for a list of several."""
    return layer(xs[0] if len(xs) == 1 else list(xs), **options)


def _as(a, dtype):
    a = np.asarray(a)
    return a.astype(dtype) if a.dtype.kind == "f" else a


def _masked(arrays, mask):
    if mask is None:
        return arrays
    first = np.array(arrays[0])
    set_mask(first, mask)
    return [first, *arrays[1:]]


def _check_inference(make, call, inputs, expected, values, unknown, mask):
    layer = make("float32")
    tensors = []
    for i, a in enumerate(inputs):
        shape = [None if axis in unknown else n for axis, n in enumerate(a.shape)]
        tensor = KerasTensor(shape, dtypes.name(a.dtype))
        if mask is not None and i == 0:
            set_mask(tensor, KerasTensor([*shape[: mask.ndim]], "bool"))
        tensors.append(tensor)
    out = call(layer, *tensors)
    for spec, y in zip(tree.flatten(out), tree.flatten(expected), strict=True):
        assert len(spec.shape) == y.ndim
        assert all(n in (None, m) for n, m in zip(spec.shape, y.shape, strict=True))
        assert spec.dtype == dtypes.name(y.dtype)
        assert (get_mask(spec) is None) == (get_mask(y) is None)
    layer.set_weights(values)
    _same(call(layer, *_masked(inputs, mask)), expected)


def check_library(make, call, inputs, xp, mask=None):
    """A layer over the backend `xp`: outputs, masks and gradients are what they are over NumPy."""
    inputs = [_as(a, np.float32) for a in inputs]
    layer = make("float32")
    expected = call(layer, *_masked(inputs, mask))
    values = layer.get_weights()
    wanted = _gradients_of(layer, call, inputs, mask, np.asarray)
    layer = make("float32")
    arrays = [xp.asarray(a) for a in inputs]
    if mask is not None:
        set_mask(arrays[0], xp.asarray(mask))
    call(layer, *arrays)
    for v in layer.weights:
        assert isinstance(v._value, xp.kind)
    layer.set_weights(values)
    out = call(layer, *arrays)
    for y, e in zip(tree.flatten(out), tree.flatten(expected), strict=True):
        assert isinstance(y, (xp.kind, np.generic))
        np.testing.assert_allclose(xp.to_numpy(y), e, rtol=2e-5, atol=2e-6)
        assert (get_mask(y) is None) == (get_mask(e) is None)
    found = _gradients_of(layer, call, arrays, mask, xp.asarray)
    for g, e in zip(found, wanted, strict=True):
        assert (g is None) == (e is None)
        if g is not None:
            assert isinstance(g, (xp.kind, np.generic))
            np.testing.assert_allclose(xp.to_numpy(g), e, rtol=1e-4, atol=1e-5)


def _gradients_of(layer, call, arrays, mask, asarray):
    """Of the weighted outputs, with respect to float inputs and trainable weights."""
    with Tape() as tape:
        watched = [tape.watch(a) if dtypes.is_floating(a) else a for a in arrays]
        if mask is not None:
            watched[0] = tape.constant(watched[0])
            set_mask(watched[0], asarray(mask))
        value = weighted_sum(call(layer, *watched))
    sources = [a for a in watched if dtypes.is_floating(a)] + layer.trainable_weights
    return tape.gradient(value, sources) if is_recorded(value) else []


def _check_config(layer, call, inputs, expected, values):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again = registry.deserialize(registry.serialize(layer))
    call(again, *inputs)
    again.set_weights(values)
    _same(call(again, *inputs), expected)


def _check_policy(make, policy, call, inputs, expected, values):
    layer = make(policy)
    name = policy.removeprefix("mixed_")
    call(layer, *inputs)
    layer.set_weights(values)
    out = call(layer, *inputs)
    tolerance = 2e-2 if name == "bfloat16" else 4e-3
    for y, e in zip(tree.flatten(out), tree.flatten(expected), strict=True):
        if dtypes.is_floating(e.dtype):
            assert dtypes.name(y.dtype) == name
            scale = max(1.0, float(np.max(np.abs(e), initial=0)))
            np.testing.assert_allclose(
                y.astype(np.float32), e, rtol=tolerance, atol=tolerance * scale
            )


def _check_layer_gradient(make, call, inputs, values, rtol, atol, mask):
    """Of all float inputs and trainable weights, in float64, against finite differences."""
    layer = make("float64")
    doubles = [_as(a, np.float64) for a in inputs]
    call(layer, *_masked(doubles, mask))
    layer.set_weights([_as(v, np.float64) for v in values])
    floats = [i for i, a in enumerate(doubles) if a.dtype.kind == "f"]
    variables = layer.trainable_weights
    given = [doubles[i] for i in floats] + [v.numpy() for v in variables]

    def scalar(*arrays):
        full = list(doubles)
        for i, a in zip(floats, arrays, strict=False):
            full[i] = a
        for v, a in zip(variables, arrays[len(floats) :], strict=True):
            v.assign(a)
        return weighted_sum(call(layer, *_masked(full, mask)))

    scalar(*given)
    with Tape() as tape:
        watched = [tape.watch(np.array(doubles[i])) for i in floats]
        full = list(doubles)
        for i, a in zip(floats, watched, strict=True):
            full[i] = a
        if mask is not None:
            if not floats or floats[0] != 0:
                full = _masked(full, mask)
            else:
                set_mask(full[0], mask)
        value = weighted_sum(call(layer, *full))
    found = tape.gradient(value, [*watched, *variables])
    for i, grad in enumerate(found):
        expected = numeric_gradient(scalar, given, i)
        grad = np.zeros_like(expected) if grad is None else grad
        np.testing.assert_allclose(grad, expected, rtol=rtol, atol=atol)


def _same(out, expected):
    for y, e in zip(tree.flatten(out), tree.flatten(expected), strict=True):
        np.testing.assert_allclose(y, e, rtol=1e-6, atol=1e-7)


def variable(array):
    """A Variable of an array as it is."""
    return Variable(np.asarray(array))
