"""Parts of a record that are computed again when their gradient is asked for.

Of such a part only its arguments stay in memory.  Chen, Xu, Zhang, Guestrin, "Training deep nets
with sublinear memory cost", 2016, arXiv:1604.06174.
"""

from __future__ import annotations

from contextlib import contextmanager

from . import dtypes
from .namespace import namespace
from .tape import current_tape, is_recorded, plain
from .variable import SCOPE


class Apart:
    """Records apart from the one around, for the gradients of the same Variables.

    It knows nothing of that record, of which it may become a part.  `function` in its methods is
    pure; it takes a list of arrays and gives one, and may read Variables, but nothing else that
    is recorded.
    """

    def __init__(self):
        scope = SCOPE.get()
        self._scope, self._another = scope.within(None), scope.tape.another()

    @contextmanager
    def _recording(self):
        token = SCOPE.set(self._scope)
        try:
            with self._another.another() as tape:
                yield tape
        finally:
            SCOPE.reset(token)

    def require_pure(self, function, arrays) -> None:
        """Raise ValueError if results for plain arrays hold something of a record."""
        token = SCOPE.set(self._scope)
        try:
            found = function(arrays)
        finally:
            SCOPE.reset(token)
        if any(map(is_recorded, found)):
            raise ValueError(
                "recomputation: the function used a recorded array that is not among its "
                "arguments; hand it over as one of them."
            )

    def results(self, function, arrays):
        """The results for plain arrays, plain, and the Variables that were read."""
        with self._recording() as tape:
            found = function([tape.constant(a) for a in arrays])
        return [plain(one) for one in found], tape.variables_read()

    def gradients(self, function, arrays, needs, variables, grads):
        """Those of the arrays that `needs` says, and of the Variables, given those of the results.

        Raises RuntimeError if the function reads other Variables.
        """
        with self._recording() as tape:
            floats = [need and dtypes.is_floating(a) for a, need in zip(arrays, needs, strict=True)]
            watched = [tape.watch(a) if f else None for a, f in zip(arrays, floats, strict=True)]
            pairs = zip(arrays, watched, strict=True)
            found = function([tape.constant(a) if w is None else w for a, w in pairs])
        known = set(map(id, variables))
        if new := [v.path for v in tape.variables_read() if id(v) not in known]:
            raise RuntimeError(
                f"recomputation: the function read {', '.join(new)}, and had not the first time."
            )
        pairs = [(f, g) for f, g in zip(found, grads, strict=True) if g is not None]
        pairs = [(f, g) for f, g in pairs if is_recorded(f)]
        if not pairs:
            return [None] * len(arrays), [None] * len(variables)
        wanted = [w for w in watched if w is not None]
        *of_arrays, of_variables = tape.gradient(
            [f for f, _ in pairs], [*wanted, list(variables)], [g for _, g in pairs]
        )
        of_arrays = iter(of_arrays)
        return [None if w is None else next(of_arrays) for w in watched], of_variables


def record(results, arrays, variables, pullback) -> list:
    """Plain results as those of one node of the current record.

    pullback(gradients of the results) gives one for each of the arrays and then of the Variables.
    """
    tape = current_tape()
    parents = [a.index if is_recorded(a) and a.tape is tape else None for a in arrays]
    parents += [tape.place_of(v) for v in variables]
    return list(tape.record(tuple(results), parents, pullback, many=True))


def has_gradient(x) -> bool:
    """Whether an array is recorded and no constant."""
    return is_recorded(x) and x.index is not None


def can_recompute() -> bool:
    """Whether something is recorded, and not on a tape within another."""
    tape = current_tape()
    return tape is not None and tape.is_outermost


def copied(x):
    """A copy of an array, which may be a part of a large one."""
    return namespace(x).asarray(x, copy=True)
