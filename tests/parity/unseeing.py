"""The gradients that Keras on PyTorch's CPU gives where a query of attention sees no key.

There Keras adds -2.4e38 to all of its S scores.  The softmax of these is 1/S each; PyTorch's fused
kernel makes it again for the gradient, from the logarithm of its sum, in which log(S) is lost
beside such a number: it finds weights of 1, and so gradients of the values that are S times too
large, and ones of queries and keys, on which the result does not depend.  Keras on JAX gives the
true ones, as gpulayers does.  With this rule in their place, recorded gradients can be compared.
"""

from __future__ import annotations

from contextlib import contextmanager

from gpulayers.arrays import namespace
from gpulayers.ops import attention as reference
from gpulayers.ops.attention import attention


@contextmanager
def as_on_pytorch():
    """Within it, gradients of attention are those of that kernel."""
    rule, versions = attention._vjp, attention._versions
    attention._vjp, attention._versions = _rule, {}
    try:
        yield
    finally:
        attention._vjp, attention._versions = rule, versions


def _rule(xp, out, query, key, value, bias=None, mask=None, lengths=None, starts=None, **rules):
    def pullback(g):
        heads = [reference._heads(x) for x in (g, query, key, value, out)]
        g_, q, k, v, o = heads
        group = q.shape[1] // k.shape[1]
        k, v = (namespace(x).repeat(x, group, axis=1) for x in (k, v))
        weights = reference._weights(query, key, bias, mask, lengths, starts, **rules)
        limits = (rules.get("causal"), rules.get("window"), lengths, starts)
        seen = xp.broadcast_to(reference.seen_by(query, key, mask, *limits), weights.shape)
        weights = xp.where(xp.any(seen, axis=-1, keepdims=True), weights, 1.0)
        common = xp.sum(g_ * o, axis=-1, keepdims=True)
        dscores = weights * (g_ @ v.mT - common) * reference._scale(query, rules.get("scale"))
        found = [dscores @ k, dscores.mT @ q, weights.mT @ g_]
        for i in (1, 2):
            parts = xp.reshape(found[i], (*key.shape[:1], -1, group, *found[i].shape[2:]))
            found[i] = xp.sum(parts, axis=2)
        return (*map(reference._heads, found), None, None, None, None)

    return pullback
