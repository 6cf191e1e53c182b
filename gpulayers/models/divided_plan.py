"""Plans of inference on several samples, shared among threads: each does all steps for some.

Sharing each step instead costs a wait at its end, and samples move from one core's cache to the
other's: that took ResNet-50 a fifth, MobileNetV2 half as long again.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from operator import itemgetter

import numpy as np

from .. import layers as L
from .. import tree
from ..arrays import KerasTensor
from ..layers.global_pooling import BaseGlobalPooling
from ..layers.merging import Merge
from ..layers.pooling import BasePooling
from ..layers.product_pieces import Product
from ..layers.projected_attention import ProjectedAttention
from ..layers.sliding import SlidingLayer

LEAST = 1e9  # Operations of all products in a batch: with fewer, weights are read twice in vain.
APART = (
    SlidingLayer, BasePooling, BaseGlobalPooling, Merge, ProjectedAttention, L.Embedding, L.Reshape,
    L.Permute, L.LeakyReLU, L.ELU, L.PReLU, L.UpSampling1D, L.UpSampling2D, L.Cropping1D,
    L.Cropping2D,
)  # fmt: skip
IDLE = 1.2  # How much longer all may take because one thread has a sample more than another.


def divided(run, plan, operations: float):
    """A plan's function, which shares samples among threads where it is worth it.

    operations: of the products for one sample.
    """
    from ..cpu.threads import available, by_samples

    def shared(x):
        count, threads = len(x if plan.single else tree.flatten(x)[0]), available()
        longest = -(-count // threads) * threads
        if threads < 2 or count < threads or count * operations < LEAST or longest > IDLE * count:
            return run(x)
        ends = [count * i // threads for i in range(threads + 1)]
        slices = [slice(*pair) for pair in pairwise(ends)]
        parts = [tree.map_structure(itemgetter(part), x) for part in slices]
        found = by_samples(run, parts, count * operations)
        return tree.map_structure(lambda *arrays: np.concatenate(arrays), *found)

    return shared


def operations_of(steps, arrays) -> float | None:
    """About how many operations products of a plan take for one sample, None if samples must stay
    together."""
    if not all(step.piece.takes_parts for step in steps):
        return None
    total = 0.0
    for step in steps:
        result = arrays[step.to[0]]
        if type(step.piece) is Product and result is not None:
            total += 2.0 * step.piece.kernel.size * prod(result.shape[1:-1])
    return total


def takes_parts(node) -> bool:
    """Whether a layer does with each sample the same, whatever others there are: of those that are
    known to, and called on nothing else that has samples."""
    layer, given = node.operation, tree.flatten([list(node.args), node.kwargs])
    if not all(type(a) is KerasTensor or a is None or type(a) in (bool, int, str) for a in given):
        return False
    if isinstance(layer, (L.LayerNormalization, L.Concatenate)):
        rank, axis = len(node.inputs[0].shape), layer.axis
        return all(one % rank for one in (axis if isinstance(axis, list) else [axis]))
    return isinstance(layer, APART) and not isinstance(layer, L.Dot)
