"""Functions that give their gradients, too."""

from __future__ import annotations

from .. import tree
from .tape import Tape


def value_and_grad(fun, variables):
    """The function that gives `fun`'s scalar result and its gradients for `variables`.

    Args:
        fun: any function that gives one array (its sum is differentiated if it is no scalar).
        variables: Variables, one or a list, tuple or dict of them.

    Returns a function of the same arguments as `fun`, which gives (result, gradients), both plain.
    """

    def call(*args, **kwargs):
        with Tape(tree.flatten(variables)) as tape:
            result = fun(*args, **kwargs)
        return result.value, tape.gradient(result, variables)

    return call
