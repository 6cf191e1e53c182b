"""Choices, loops and maps over functions of arrays, and gradients made to order.

They run as Python does: recorded arrays are recorded step by step.  Among KerasTensors a loop is
one node, and a choice computes all its branches.
"""

from __future__ import annotations

import inspect
from math import prod

import numpy as np

from .. import tree
from ..arrays import Abstract, KerasTensor, Variable, as_array, is_recorded, namespace
from ..arrays.symbolic import connect
from .arithmetic import where
from .calling import as_arrays
from .joining import unstack

__all__ = [
    "associative_scan",
    "cond",
    "custom_gradient",
    "fori_loop",
    "map",
    "scan",
    "switch",
    "vectorize",
    "vectorized_map",
    "while_loop",
]


def _symbolic(*values) -> bool:
    return any(type(x) is KerasTensor for x in tree.flatten(list(values)))


def _unknown(x) -> bool:
    """Whether a value is not known while shapes are being inferred."""
    return type(x) in (KerasTensor, Abstract)


# Choices.


def cond(pred, true_fn, false_fn):
    """What `true_fn()` gives if `pred` holds, else what `false_fn()` gives.

    pred: a boolean or an array of one. As long as its value is not known, both functions are
        called and `where` chooses.
    """
    if _unknown(pred):
        return tree.map_structure(lambda a, b: where(pred, a, b), true_fn(), false_fn())
    return true_fn() if pred else false_fn()


def switch(index, branches, *operands):
    """What the branch of number `index` gives for the operands; the nearest one for others.

    As long as the number is not known, all branches are called and `where` chooses.
    """
    if not _unknown(index):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    out = branches[-1](*operands)
    for i in reversed(range(len(branches) - 1)):
        chosen = branches[i](*operands)
        out = tree.map_structure(lambda a, b, i=i: where(index <= i, a, b), chosen, out)
    return out


# Loops.


def while_loop(cond, body, loop_vars, maximum_iterations: int | None = None):
    """Arrays changed by `body` as long as `cond` of them holds.

    Args:
        cond: a function of the arrays that gives a boolean.
        body: a function of the arrays that gives new ones, of the same shapes and dtypes.
        loop_vars: an array, or several in a list or tuple.
        maximum_iterations: the largest number of steps.

    Gives the arrays after the last step, as a tuple if there were several.
    """
    if _symbolic(loop_vars):
        return connect(while_loop, cond, body, loop_vars, maximum_iterations)
    several = isinstance(loop_vars, (list, tuple))
    values = tuple(tree.map_structure(as_array, v) for v in (loop_vars if several else [loop_vars]))
    step = 0
    inferred = any(type(x) is Abstract for x in tree.flatten(list(values)))
    while not inferred and (maximum_iterations is None or step < maximum_iterations):
        if not cond(*values):
            break
        values = body(*values)
        values = tuple(values) if isinstance(values, (list, tuple)) else (values,)
        step += 1
    return values if several else values[0]


def fori_loop(lower: int, upper: int, body_fun, init_val):
    """`value = body_fun(i, value)` for i from `lower` to below `upper`, from `init_val` on."""
    value = init_val
    for i in range(int(lower), int(upper)):
        value = body_fun(i, value)
    return value


def scan(f, init, xs=None, length: int | None = None, reverse: bool = False, unroll: int = 1):
    """Carry a value through the slices of arrays along their first axis.

    Args:
        f: a function (carry, slice) -> (new carry, output); an output may be None.
        init: the first carry, arrays in any structure.
        xs: the arrays, in any structure, of one length; None for none.
        length: how many steps; by default the length of `xs`.
        reverse: go through the slices from the last to the first. Outputs keep their places.
        unroll: makes no difference here.

    Gives (last carry, outputs stacked along a new first axis). Raises TypeError unless `f` is
    callable, ValueError if neither `xs` nor `length` is given.
    """
    if not callable(f):
        raise TypeError(f"scan: f must be callable, got {f!r:.60}.")
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(f"scan: unroll must be a positive integer or a boolean, got {unroll!r}.")
    if xs is None and length is None:
        raise ValueError("scan: without xs, length must be given.")
    if _symbolic(init, xs):
        return connect(scan, f, init, xs, length=length, reverse=reverse)
    carry = tree.map_structure(as_array, init)
    slices, count = _slices(xs)
    count = count if length is None else int(length)
    order = range(count)[::-1] if reverse else range(count)
    outputs = [None] * count
    for i in order:
        carry, outputs[i] = f(carry, slices(i))
    return carry, _stacked(outputs)


def _slices(xs):
    """The function that gives slice i of all arrays in a structure, and how many there are."""
    if xs is None:
        return (lambda i: None), 0
    rows = [unstack(as_array(x)) for x in tree.flatten(xs)]
    return (lambda i: tree.pack_sequence_as(xs, [row[i] for row in rows])), len(rows[0])


def _stacked(outputs):
    """Structures of arrays as one of arrays with a new first axis; None stays."""

    def stacked(*ys):
        if ys[0] is None:
            return None
        ys = as_arrays(ys)
        return namespace(*ys).stack(ys)

    return tree.map_structure(stacked, *outputs) if outputs else None


def map(f, xs):
    """`f` of each slice of arrays along their first axis, the results stacked.

    xs: an array, or several of one length in any structure.
    """
    return scan(lambda carry, x: (carry, f(x)), (), xs)[1]


def vectorized_map(function, elements):
    """`function` of each slice of arrays along their first axis, the results stacked.

    elements: an array, or several of one length in any structure.
    """
    return map(function, elements)


def vectorize(pyfunc, *, excluded=None, signature: str | None = None):
    """The function that applies `pyfunc` to all elements of its arguments, which broadcast.

    Args:
        pyfunc: a function of arrays, that gives one array or a tuple.
        excluded: positions of arguments that are passed on as they are.
        signature: which last axes belong together, "(n),(n)->()"; by default none.
    """
    excluded = frozenset(excluded or ())

    def vectorized(*args):
        places = [i for i in range(len(args)) if i not in excluded]
        arrays = as_arrays([args[i] for i in places])
        if _symbolic(*arrays):
            return connect(vectorized, *args)
        ranks = _core_ranks(signature, len(places))
        return _over_loops(pyfunc, list(args), places, arrays, ranks)

    vectorized.__name__, vectorized.__doc__ = pyfunc.__name__, pyfunc.__doc__
    return vectorized


def _core_ranks(signature, count):
    if signature is None:
        return [0] * count
    left = signature.replace(" ", "").partition("->")[0]
    parts = left.strip("()").split("),(")
    if len(parts) != count:
        raise ValueError(f"vectorize: {signature!r} is for {len(parts)} arrays, got {count}.")
    return [len([name for name in part.split(",") if name]) for part in parts]


def _over_loops(function, args, places, arrays, ranks):
    """`function` over all axes before the last `ranks` of each array, broadcast."""
    xp = namespace(*arrays)
    loops = [x.shape[: x.ndim - r] for x, r in zip(arrays, ranks, strict=True)]
    shape = np.broadcast_shapes(*loops)
    count, rows = prod(shape), []
    for x, r in zip(arrays, ranks, strict=True):
        core = x.shape[x.ndim - r :]
        whole = xp.broadcast_to(x, (*shape, *core))
        rows.append(unstack(xp.reshape(whole, (count, *core))))
    results = []
    for values in zip(*rows, strict=True):
        for place, value in zip(places, values, strict=True):
            args[place] = value
        results.append(function(*args))
    stacked = _stacked(results)
    return tree.map_structure(lambda y: xp.reshape(y, (*shape, *y.shape[1:])), stacked)


def associative_scan(f, elems, reverse: bool = False, axis: int = 0):
    """Running results of an associative function along an axis, in about 2 log2(n) calls of it.

    Args:
        f: a function (a, b) -> a combined with b, of slices of the arrays with any number of
            elements along the axis; associative.
        elems: an array, or several of one length along the axis in any structure.
        reverse: run from the end.

    Gives the structure of `elems`: element i combines elements 0 ... i. Raises TypeError unless `f`
    is callable, ValueError if lengths differ. Blelloch, "Prefix sums and their applications", 1990.
    """
    if not callable(f):
        raise TypeError(f"associative_scan: f must be callable, got {f!r:.60}.")
    if _symbolic(elems):
        return connect(associative_scan, f, elems, reverse=reverse, axis=axis)
    leaves = [as_array(x) for x in tree.flatten(elems)]
    if len({x.shape[axis] for x in leaves}) > 1:
        raise ValueError(
            f"associative_scan: sizes along axis {axis} differ: {[tuple(x.shape) for x in leaves]}."
        )
    axes = [axis % x.ndim for x in leaves]

    def flipped(arrays):
        return [namespace(x).flip(x, axis=a) for x, a in zip(arrays, axes, strict=True)]

    def combined(a, b):
        pack = lambda arrays: tree.pack_sequence_as(elems, arrays)
        return tree.flatten(f(pack(a), pack(b)))

    leaves = flipped(leaves) if reverse else leaves
    leaves = _prefixes(combined, leaves, axes)
    return tree.pack_sequence_as(elems, flipped(leaves) if reverse else leaves)


def _prefixes(combined, arrays, axes):
    """Combine neighbours, scan the half as many results, and fill in the places between."""
    count = arrays[0].shape[axes[0]]
    if count < 2:
        return arrays

    def part(xs, start, stop, step=1):
        return [
            x[(*(slice(None),) * a, slice(start, stop, step), ...)]
            for x, a in zip(xs, axes, strict=True)
        ]

    pairs = combined(part(arrays, 0, count - 1, 2), part(arrays, 1, None, 2))
    odd = _prefixes(combined, pairs, axes)
    even = part(arrays, 0, 1)
    if count > 2:
        before = part(odd, 0, (count - 1) // 2)
        rest = combined(before, part(arrays, 2, None, 2))
        even = [
            namespace(x, y).concat([x, y], axis=a) for x, y, a in zip(even, rest, axes, strict=True)
        ]
    return [_interleaved(x, y, a) for x, y, a in zip(even, odd, axes, strict=True)]


def _interleaved(x, y, axis):
    """Slices of `x` and `y` by turns; `x` may have one more."""
    xp, count = namespace(x, y), y.shape[axis]
    before = (slice(None),) * axis
    pairs = xp.stack([x[(*before, slice(0, count), ...)], y], axis=axis + 1)
    out = xp.reshape(pairs, (*x.shape[:axis], 2 * count, *x.shape[axis + 1 :]))
    if x.shape[axis] == count:
        return out
    return xp.concat([out, x[(*before, slice(count, None), ...)]], axis=axis)


# Gradients.


def custom_gradient(f):
    """Decorate a function that gives (result, gradient function): its gradient is the latter.

    The gradient function is called with the gradient of the result, as `gradient(g)`, or as
    `gradient(*arguments, upstream=g)` if it has a parameter of that name, and gives one array for
    each argument of `f`, None for no gradient.
    """

    def call(*args, **options):
        if _symbolic(*args):
            return connect(call, *args, **options)
        args = [a.value if type(a) is Variable else a for a in args]
        level = max((a.level for a in args if is_recorded(a)), default=0)
        if level == 0:
            return f(*args, **options)[0]
        inner = [is_recorded(a) and a.level == level for a in args]
        tape = args[inner.index(True)].tape
        values = [a.value if own else a for a, own in zip(args, inner, strict=True)]
        parents = [a.index if own else None for a, own in zip(args, inner, strict=True)]
        with tape.paused():
            out, gradient = f(*values, **options)
        by_name = "upstream" in inspect.signature(gradient).parameters

        def pullback(g):
            grads = gradient(*values, upstream=g) if by_name else gradient(g)
            return grads if isinstance(grads, (list, tuple)) else (grads,)

        return tape.record(out, parents, pullback, many=isinstance(out, tuple))

    call.__name__, call.__doc__ = f.__name__, f.__doc__
    return call
