"""Sums and their normalizations in graphs: one pass there and one back, with the same results."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from gpu_plan_checks import model_of, numbers

import gpulayers as gl
from asv_benchmarks.benchmarks import networks
from gpulayers import layers as L
from gpulayers.arrays import Tape


def in_front(x):
    """Blocks of a transformer: sums are read twice, the last one only by its normalization."""
    y = L.LayerNormalization()(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 4)(y, y)])
    y = L.RMSNormalization()(x)
    x = x + L.Dense(8)(L.Dense(16, "gelu")(y))
    return L.LayerNormalization()(x)


def behind(x):
    """The same with sums that nobody else reads."""
    x = L.LayerNormalization()(gl.ops.add(x, L.MultiHeadAttention(2, 4)(x, x)))
    return L.UnitNormalization()(L.add([x, L.Dense(8)(L.Dense(16, "gelu")(x))]))


def ends(x):
    """A sum that is an output, and is normalized twice."""
    y = L.Add()([x, L.Dense(8)(x)])
    return [y, L.LayerNormalization()(y), L.RMSNormalization()(y)]


# So many sums are normalized where they are made, and so many of them are read by others, too.
MODELS = {"in front": (in_front, 2, 1), "behind": (behind, 2, 0), "ends": (ends, 1, 1)}


def trained(cupy, model, x):
    """Outputs, and gradients of all weights and of the input."""
    with Tape() as tape:
        given = tape.watch(x)
        y = gl.tree.flatten(model(given, training=True))
    weights = [cupy.asarray(np.cos(np.arange(a.value.size)).reshape(a.shape)) for a in y]
    grads = tape.gradient(y, [given, *model.trainable_variables], weights)
    return [a.value for a in y], grads


def both_ways(cupy, model, launched, sums, rtol=1e-5):
    """What is given with `sums` of them normalized in their passes, and by layers apart."""
    x = cupy.asarray(numbers(3, 5, 8)).astype(model.compute_dtype)
    model(x)  # Weights come to where the arrays are.
    launched.clear()
    found = trained(cupy, model, x)
    names = list(launched)
    assert names.count("normalize_sum") == sums
    launched.clear()
    model._graph._joined = {}
    expected = trained(cupy, model, x)
    assert "normalize_sum" not in launched
    for a, b in zip(found[0], expected[0], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a.get(), b.get())
    largest = max(np.abs(g.get().astype("f4")).max() for g in expected[1] if g is not None)
    for a, b in zip(found[1], expected[1], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            a, b = (g.get().astype("f4") for g in (a, b))
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * largest)
    return names


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients(cupy, launched, name):
    build, sums, read_by_others = MODELS[name]
    names = both_ways(cupy, model_of(build, (5, 8)), launched, sums)
    assert names.count("normalize_sum_backward") == read_by_others


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_in_16_bits(cupy, launched, policy):
    rtol = {"mixed_float16": 4e-3, "mixed_bfloat16": 4e-2}[policy]
    model = model_of(lambda x: in_front(L.Dense(8)(x)), (5, 8), policy)
    both_ways(cupy, model, launched, 2, rtol)


def test_frozen_weights(cupy, launched):
    model = model_of(in_front, (5, 8))
    for layer in model.layers:
        layer.trainable = not isinstance(layer, (L.RMSNormalization, L.LayerNormalization))
    both_ways(cupy, model, launched, 2)
    model.trainable = False
    both_ways(cupy, model_of(behind, (5, 8)), launched, 2)


class Own(L.LayerNormalization):
    def call(self, inputs):
        return super().call(inputs) * 2


APART = {
    "a mask": lambda x: L.LayerNormalization()(L.Add()([x, L.Dense(8)(L.Masking()(x))])),
    "masks": lambda x: L.LayerNormalization()(
        L.Add()([L.Masking()(x), L.Dense(8)(L.Masking()(x))])
    ),
    "a regularized sum": lambda x: L.LayerNormalization()(
        L.Add(activity_regularizer="l2")([x, L.Dense(8)(x)])
    ),
    "a regularized result": lambda x: L.LayerNormalization(activity_regularizer="l2")(x + x),
    "another dtype": lambda x: L.LayerNormalization(dtype="float64")(L.Add()([x, x])),
    "broadcast": lambda x: L.LayerNormalization()(L.Add()([x, L.Dense(8)(x[:, :1])])),
    "a number": lambda x: L.LayerNormalization()(x + 1.0),
    "three": lambda x: L.LayerNormalization()(L.Add()([x, x, L.Dense(8)(x)])),
    "a class of one's own": lambda x: Own()(L.Add()([x, L.Dense(8)(x)])),
    "an axis in between": lambda x: L.LayerNormalization(axis=1)(L.Add()([x, L.Dense(8)(x)])),
    "groups": lambda x: L.GroupNormalization(2)(L.Add()([x, L.Dense(8)(x)])),
}


@pytest.mark.parametrize("name", APART)
def test_what_needs_calls_of_layers(cupy, launched, name):
    both_ways(cupy, model_of(APART[name], (5, 8)), launched, 0)


def test_the_same_sum_twice_and_inside_a_model(cupy, launched):
    def build(x):
        inner = L.Input((5, 8))
        total = L.Add()([inner, inner])
        return L.LayerNormalization()(L.add([x, gl.Model(inner, L.RMSNormalization()(total))(x)]))

    model = model_of(build, (5, 8))
    x = cupy.asarray(numbers(3, 5, 8))
    model(x)
    launched.clear()
    trained(cupy, model, x)
    assert launched.count("normalize_sum") == 2


def test_a_fit_as_on_the_cpu(cupy):
    x, y = numbers(32, 5, 8), numbers(32, 5, 8)

    def losses(device):
        gl.config.set_device(device)
        gl.utils.set_random_seed(3)
        inputs = gl.Input((5, 8))
        model = gl.Model(inputs, L.Dense(8)(in_front(inputs)))
        model.compile("adam", "mse")
        return model.fit(x, y, epochs=4, batch_size=8, shuffle=False, verbose=0).history["loss"]

    expected = losses("cpu")
    np.testing.assert_allclose(losses("gpu"), expected, rtol=1e-5)


@pytest.mark.usefixtures("same_products")
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_launches_of_a_step_of_a_transformer(cupy, launched, policy):
    """Of so many blocks: each sum in a normalization's pass, each bias and gelu in a product's."""
    blocks, before = 3, gl.config.dtype_policy()
    gl.config.set_device("gpu")
    gl.config.set_dtype_policy(policy)
    try:
        model = networks.transformer(length=4, width=16, depth=blocks, heads=2)
    finally:
        gl.config.set_dtype_policy(before)
    model.compile("sgd", gl.losses.SparseCategoricalCrossentropy(from_logits=True))
    batch = [cupy.asarray(a) for a in networks.data(model, 2)]
    model.train_on_batch(*batch)
    launched.clear()
    model.train_on_batch(*batch)
    counts = Counter(launched)
    assert counts["normalize_sum"] == 2 * blocks
    assert counts["normalize_sum_backward"] == 2 * blocks - 1
    # Of the embeddings; and back also of the last sum, which only its normalization reads.
    assert counts["normalize_forward"] == 1 and counts["normalize_backward"] == 2
    # Queries, keys and values at once; what attention gives; two layers; logits.
    assert counts["bias_activation_backward"] == 4 * blocks + 1
    assert not {"activation_forward", "activation_backward"} & counts.keys()
