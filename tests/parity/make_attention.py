"""Records what attention layers of real Keras 3.15 give, and histories of small transformers.

    pip install keras==3.15.1 jax
    PYTHONPATH=tests python -m parity.make_attention

JAX: for queries that see no key, PyTorch's gradients are those of another function than the one
that it computes.  Each case has random arguments, weights and inputs (seeded), the outputs with
their masks, the losses, and the gradients of sum(output_i * cotangent_i) + sum(losses).
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
from keras.src.backend import StatelessScope, get_keras_mask, set_keras_mask
from parity.layer_cases import cotangent
from parity.make_histories import SAMPLES, Run, labels
from parity.packing import Pack

GOLDEN = Path(__file__).parent / "golden"
BATCH, QUERIES, KEYS, SIZE = 2, 4, 5, 6
COUNT = 80


def draws(rng, **choices):
    """One of the values of each name, at random; None leaves the name out."""
    drawn = {name: values[rng.integers(len(values))] for name, values in choices.items()}
    return {name: value for name, value in drawn.items() if value is not None}


def floats(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def carried(rng, shape, chance=0.3):
    """A mask that an input carries, sometimes: some rows of it are all False."""
    return rng.random(shape) < 0.6 if rng.random() < chance else None


def common(rng) -> dict:
    """Arguments of both layers with projections."""
    return draws(
        rng,
        use_bias=(None, None, False),
        use_gate=(None, None, True),
        sliding_window=(None, None, 1, 2, 3),
        dropout=(None, None, None, 0.3),
        kernel_regularizer=(None, None, "l2"),
        activity_regularizer=(None, None, None, "l1"),
        seed=(None, 3),
    )


def call_arguments(rng, places=(QUERIES, KEYS), axes=1) -> dict:
    """Arguments of `call`; the attention mask may have a heads' axis, and be of integers."""
    length, keys = places
    given = draws(
        rng,
        use_causal_mask=(None, True),
        return_attention_scores=(None, None, True),
        training=(None, False),
        value_mask=(None, None, rng.random((BATCH, keys)) < 0.7),
        key_mask=(None, None, None, rng.random((BATCH, keys)) < 0.7),
        attention_mask=(
            None,
            None,
            rng.random((BATCH, length, keys)) < 0.7,
            rng.random((BATCH, 1, length, keys)) < 0.7,
            (rng.random((1, length, keys)) < 0.7).astype("int32"),
        ),
    )
    if axes > 1:
        for name in ("value_mask", "key_mask", "attention_mask", "use_causal_mask"):
            given.pop(name, None)
    return given


def heads_case(rng):
    """MultiHeadAttention over one axis of three."""
    config = {"num_heads": int(rng.integers(1, 4)), "key_dim": int(rng.integers(1, 5))}
    config |= common(rng) | draws(rng, output_shape=(None, None, 3, (2, 3)))
    given = call_arguments(rng)
    if config.get("dropout") or given.get("return_attention_scores"):
        config |= draws(rng, value_dim=(None, 2, 5))  # Else JAX wants equal sizes.
    return "MultiHeadAttention", config, pair(rng, given), given


def axes_case(rng):
    """MultiHeadAttention over one axis of several, or several."""
    axes = [(1,), (2,), (-2,), (1, 2), None][rng.integers(5)]
    shape, several = (BATCH, 3, 4, SIZE), axes is None or len(axes) > 1
    config = {"num_heads": 2, "key_dim": 3, "attention_axes": axes} | common(rng)
    config |= draws(rng, value_dim=(None, 2))
    if several:
        config.pop("sliding_window", None)
    config.pop("sliding_window", None)
    given = draws(rng, return_attention_scores=(None, True))
    if several:
        given |= draws(rng, attention_mask=(None, rng.random((BATCH, 3, 4, 3, 4)) < 0.7))
    inputs = [(floats(rng, *shape), None), (floats(rng, *shape), None)]
    return "MultiHeadAttention", config, inputs, given


def groups_case(rng):
    """GroupQueryAttention."""
    key_heads = int(rng.integers(1, 4))
    config = {"num_query_heads": key_heads * int(rng.integers(1, 4))}
    config |= {"num_key_value_heads": key_heads, "head_dim": int(rng.integers(1, 5))}
    given = call_arguments(rng) | draws(rng, query_mask=(None, rng.random((BATCH, QUERIES)) < 0.7))
    return "GroupQueryAttention", config | common(rng), pair(rng, given), given


def pair(rng, given):
    """The query and the value, and sometimes the key."""
    inputs = [(floats(rng, BATCH, QUERIES, SIZE), carried(rng, (BATCH, QUERIES)))]
    inputs.append((floats(rng, BATCH, KEYS, SIZE), carried(rng, (BATCH, KEYS))))
    if rng.random() < 0.4:
        inputs.append((floats(rng, BATCH, KEYS, SIZE), carried(rng, (BATCH, KEYS))))
    masks = ("query_mask", "value_mask", "key_mask")
    if getattr(given.get("attention_mask"), "ndim", 3) == 4:  # Keras takes no others beside it.
        inputs = [(array, None) for array, _ in inputs]
        for name in masks:
            given.pop(name, None)
    for name, (_, mask) in zip(masks, inputs):
        if mask is not None:
            given.pop(name, None)
    return inputs


def plain_case(rng):
    """Attention and AdditiveAttention: their inputs are a list."""
    name = ("Attention", "AdditiveAttention")[rng.integers(2)]
    config = draws(rng, use_scale=(None, True, False), dropout=(None, 0.3), seed=(None, 3))
    if name == "Attention":
        config |= draws(rng, score_mode=(None, "dot", "concat"))
    given = draws(rng, use_causal_mask=(None, True), return_attention_scores=(None, None, True))
    return name, config, [pair(rng, {})], given


def record(pack: Pack, number: int) -> dict:
    """The case of that number."""
    rng = np.random.default_rng(number)
    make = (heads_case, groups_case, axes_case, plain_case)[number % 4]
    name, config, inputs, given = make(rng)
    listed = len(inputs) == 1
    inputs = inputs[0] if listed else inputs
    layer = getattr(keras.layers, name)(**config)
    kwargs = {k: v if np.isscalar(v) else jax.numpy.asarray(v) for k, v in given.items()}

    def with_masks(arrays):
        tensors = [jax.numpy.asarray(a) for a in arrays]
        for tensor, (_, mask) in zip(tensors, inputs, strict=True):
            if mask is not None:
                set_keras_mask(tensor, jax.numpy.asarray(mask))
        return [tensors] if listed else tensors

    arrays = [array for array, _ in inputs]
    layer(*with_masks(arrays), **kwargs)
    for weight in layer.weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    out = layer(*with_masks(arrays), **kwargs)

    def loss(arrays, weights):
        mapping = list(zip(layer.trainable_variables, weights, strict=True))
        with StatelessScope(state_mapping=mapping, collect_losses=True):
            out = layer(*with_masks(arrays), **kwargs)  # `stateless_call` would lose masks.
            losses = layer.losses
        parts = enumerate(out if isinstance(out, tuple) else (out,))
        return sum(losses) + sum((y * cotangent(y.shape, i)).sum() for i, y in parts)

    weights = [v.value for v in layer.trainable_variables]
    losses = [pack.encode(np.asarray(term)) for term in layer.losses]
    by_inputs, by_weights = jax.grad(loss, (0, 1))([jax.numpy.asarray(a) for a in arrays], weights)
    encoded = [pack.encode(array, mask) for array, mask in inputs]
    described = keras.saving.serialize_keras_object(layer)
    return {
        **{key: described[key] for key in ("class_name", "module", "registered_name", "config")},
        "build_config": described.get("build_config"),
        "args": {"__tuple__": [encoded] if listed else encoded},
        "kwargs": pack.encode(given),
        "out": _encoded(pack, out),
        "vars": [
            {"path": v.path, "name": v.name, "trainable": True, "value": pack.encode(v.numpy())}
            for v in layer.weights
        ],
        "losses": losses,
        "grad": {
            "inputs": [pack.add(np.asarray(g)) for g in by_inputs],
            "weights": [pack.add(np.asarray(g)) for g in by_weights],
        },
        "agree": {},
        "test": f"make_attention::{name}::{number}",
    }


def _encoded(pack, out):
    if isinstance(out, tuple):
        return {"__tuple__": [_encoded(pack, part) for part in out]}
    mask = get_keras_mask(out)
    return pack.encode(np.asarray(out), None if mask is None else np.asarray(mask))


def transformer(attention, length=6, size=8):
    """A model of one block that says which token comes next."""
    layers = keras.layers
    tokens = keras.Input((length,), dtype="int32")
    x = layers.Embedding(7, size)(tokens)
    normal = layers.LayerNormalization()(x)
    x = layers.Add()([x, attention(normal, normal, use_causal_mask=True)])
    hidden = layers.Dense(2 * size, "gelu")(layers.LayerNormalization()(x))
    x = layers.Add()([x, layers.Dense(size)(hidden)])
    return keras.Model(tokens, layers.Dense(7)(layers.LayerNormalization()(x)))


def transformer_runs():
    layers = keras.layers
    for name, attention in {
        "heads": layers.MultiHeadAttention(2, 4),
        "gated groups": layers.GroupQueryAttention(4, 4, 2, use_gate=True),
        "window": layers.MultiHeadAttention(2, 4, sliding_window=3, use_bias=False),
    }.items():
        settings = {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "optimizer": keras.optimizers.Adam(0.01),
            "metrics": ["accuracy"],
        }
        text = labels(3, 7, SAMPLES, 7)
        yield Run(name, transformer(attention), text[:, :-1], text[:, 1:], settings)


def main() -> None:
    keras.utils.clear_session()
    content, pack = {"keras_version": keras.__version__}, Pack()
    cases = [record(pack, number) for number in range(COUNT)]
    pack.write(GOLDEN, "attention", {**content, "cases": cases})
    pack = Pack()
    runs = [run.record(pack) for run in transformer_runs()]
    pack.write(GOLDEN, "transformer_histories", {**content, "cases": runs})
    for path in sorted(GOLDEN.glob("*[nr]*.pack*")):
        print(path.name, path.stat().st_size // 1024, "KiB")


if __name__ == "__main__":
    main()
