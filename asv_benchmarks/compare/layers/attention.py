"""Attention beside PyTorch's scaled_dot_product_attention, on the CPU.

PyTorch gets its own layout, with heads before positions; gpulayers has that of layers, and that of
a `KeyValueCache` where there is one query.
"""

from __future__ import annotations

from functools import partial

from .beside_torch import table

# (name, batch, queries, keys, heads, heads of keys, size, options, both directions)
CASES = (
    ("full", 4, 512, 512, 8, 8, 64, {}, False),
    ("causal", 4, 512, 512, 8, 8, 64, {"causal": True}, False),
    ("full, training step", 4, 512, 512, 8, 8, 64, {}, True),
    ("causal, training step", 4, 512, 512, 8, 8, 64, {"causal": True}, True),
    ("shared keys, causal", 4, 512, 512, 8, 2, 64, {"causal": True}, False),
    ("padded keys", 4, 512, 512, 8, 8, 64, {"mask": True}, False),
    ("long, causal", 1, 4096, 4096, 4, 4, 64, {"causal": True}, False),
    ("long, window of 256", 1, 4096, 4096, 4, 4, 64, {"causal": True, "window": 256}, False),
    ("short", 32, 64, 64, 8, 8, 32, {"causal": True}, False),
    ("short, training step", 32, 64, 64, 8, 8, 32, {"causal": True}, True),
    ("one query", 8, 1, 2048, 8, 8, 64, {}, False),
    ("one query, shared keys", 8, 1, 2048, 8, 2, 64, {}, False),
    ("one query of one sequence", 1, 1, 2048, 8, 8, 64, {}, False),
)


def attention(batch, length, keys, heads, key_heads, size, options, training):
    """PyTorch's attention and ours, as functions that give arrays to compare."""
    import numpy as np
    import torch

    from gpulayers import Tape
    from gpulayers.ops.attention import attention as ours

    rng = np.random.default_rng(0)
    shapes = (batch, length, heads, size), *[(batch, keys, key_heads, size)] * 2
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    there = [torch.from_numpy(a.transpose(0, 2, 1, 3).copy()) for a in arrays]
    options, lengths, mask = dict(options), None, None
    if options.pop("mask", False):
        lengths = rng.integers(keys // 2, keys, batch)
        mask = torch.from_numpy((np.arange(keys) < lengths[:, None])[:, None, None])
    if "window" in options:
        i, j = np.arange(length)[:, None], np.arange(keys)
        mask = torch.from_numpy((i >= j) & (i - j < options["window"]))
    if length == 1:  # As a KeyValueCache holds them.
        lengths = np.full(batch, keys)
        arrays[1:] = [a.transpose(0, 2, 1, 3).copy().transpose(0, 2, 1, 3) for a in arrays[1:]]
    how = {"attn_mask": mask, "enable_gqa": heads > key_heads}
    how["is_causal"] = bool(options.get("causal") and mask is None)

    def theirs(*given):
        return torch.nn.functional.scaled_dot_product_attention(*given, **how)

    def swapped(*tensors):
        return [t.permute(0, 2, 1, 3).numpy() for t in tensors]

    given = (*arrays, None, None, lengths, None)
    if not training:

        def plain():
            with torch.no_grad():
                return swapped(theirs(*there))

        return plain, lambda: [ours(*given, **options)]
    g = rng.normal(size=shapes[0]).astype("float32")
    g_there = torch.from_numpy(g.transpose(0, 2, 1, 3).copy())

    def both_theirs():
        leaves = [a.detach().requires_grad_() for a in there]
        theirs(*leaves).backward(g_there)
        return swapped(*(a.grad for a in leaves))

    def both():
        with Tape([]) as tape:
            watched = [tape.watch(a) for a in arrays]
            out = ours(*watched, *given[3:], **options)
        return tape.gradient(out, watched, g)

    return both_theirs, both


def cases():
    """What is compared: a name, and what makes both functions."""
    for name, batch, length, keys, heads, key_heads, size, options, training in CASES:
        shape = f"({batch}, {length}, {heads}, {size})"
        if length == 1:
            shape += f" to {keys}"
        sizes = batch, length, keys, heads, key_heads, size, options, training
        yield f"{name}: {shape}", partial(attention, *sizes)


if __name__ == "__main__":
    table(__doc__, cases)
