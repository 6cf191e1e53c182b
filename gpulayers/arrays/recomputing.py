"""Parts of a record that are computed again when their gradient is asked for.

Of such a part only its arguments stay in memory.  Chen, Xu, Zhang, Guestrin, "Training deep nets
with sublinear memory cost", 2016, arXiv:1604.06174.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import copy_context
from weakref import ref

import numpy as np

from . import capturing, dtypes
from .namespace import namespace
from .recording import OtherRecord
from .tape import Tape, current_tape, is_recorded, plain
from .variable import SCOPE

OF_A_NODE = 1 << 10  # Bytes that a node of a tape takes beside its arrays; about.
REMEDY = "gpulayers.config.set_recurrent_segment('whole') computes nothing again"


class _Noting(Tape):
    """A tape that notes the Variables that are assigned, with what they held before."""

    def __init__(self, variables=None):
        super().__init__(variables)
        self.before: dict[int, tuple] = {}

    def forget(self, variable):
        self.before.setdefault(id(variable), (variable, variable._value))
        super().forget(variable)


class Apart:
    """Records apart from the one around, for the gradients of the same Variables.

    It knows nothing of that record, of which it may become a part.  `function` in its methods
    takes a list of arrays and gives one.  It may read and assign Variables, which hold for its
    gradients what they held before, and draw random numbers by them; what else it does must be
    the same each time.
    """

    def __init__(self):
        scope = SCOPE.get()
        self._scope, self._another = scope.within(None), scope.tape.another(_Noting)
        self._context = copy_context()  # Of the layers that are being called: for `training`.
        self._context.run(SCOPE.set, self._scope)

    @contextmanager
    def _recording(self):
        token = SCOPE.set(self._scope)
        try:
            with self._another.another(_Noting) as tape:
                yield tape
        finally:
            SCOPE.reset(token)

    def results(self, function, arrays):
        """The results for plain arrays, plain; the Variables that were read; and pairs of these
        and of those that were assigned, with what they held.

        Raises ValueError if the function uses what another tape recorded.
        """
        try:
            with self._recording() as tape:
                found = function([tape.constant(a) for a in arrays])
            if any(is_recorded(f) and f.index is not None and f.tape is not tape for f in found):
                raise OtherRecord("results")
        except OtherRecord as error:
            raise ValueError(
                "recomputation: the function used a recorded array that is not among its "
                f"arguments; hand it over as one of them. ({REMEDY}.)"
            ) from error
        for variable, _ in tape.before.values():
            current_tape().forget(variable)
        read = tape.variables_read()
        held = {id(v): (v, v._value) for v in read} | tape.before
        return [plain(one) for one in found], read, list(held.values())

    def gradients(self, function, arrays, needs, variables, grads, *, held=(), ends=()):
        """Those of the arrays that `needs` says, and of the Variables, given those of the results.

        held: what Variables hold meanwhile: the pairs from `results`.
        ends: the first results, as they were; on a GPU nobody waits to compare them.
        Raises RuntimeError if the function reads other Variables or gives other results.
        """
        given = function, arrays, needs, variables, grads, ends
        with _holding(held):
            return self._context.copy().run(self._gradients, *given)

    def _gradients(self, function, arrays, needs, variables, grads, ends):
        with self._recording() as tape:
            floats = [need and dtypes.is_floating(a) for a, need in zip(arrays, needs, strict=True)]
            watched = [tape.watch(a) if f else None for a, f in zip(arrays, floats, strict=True)]
            pairs = zip(arrays, watched, strict=True)
            found = function([tape.constant(a) if w is None else w for a, w in pairs])
        known = set(map(id, variables))
        if new := [v.path for v in tape.variables_read() if id(v) not in known]:
            raise RuntimeError(
                f"recomputation: the function read {', '.join(new)}, and had not the first time. "
                f"({REMEDY}.)"
            )
        if any(_differ(plain(f), end) for f, end in zip(found, ends, strict=False)):
            raise RuntimeError(
                "recomputation: the function gave other results than the first time. It must "
                "depend on its arguments and on Variables alone, and draw random numbers by a "
                f"SeedGenerator. ({REMEDY}.)"
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


@contextmanager
def _holding(pairs):
    """A context within which Variables hold other arrays."""
    now = [(variable, variable._value) for variable, _ in pairs]
    for variable, value in pairs:
        variable._value = value
    try:
        yield
    finally:
        for variable, value in now:
            variable._value = value


def _differ(a, b) -> bool:
    """Whether NumPy arrays differ by more than the order of sums can explain."""
    if type(a) is not np.ndarray or type(b) is not np.ndarray or np.array_equal(a, b):
        return False
    most = np.max(np.abs(b), initial=0, where=np.isfinite(b))
    return not np.allclose(a, b, rtol=1e-2, atol=1e-2 * most, equal_nan=True)


def kept_since(position) -> int:
    """About how many bytes the current tape keeps of what it recorded from a position on.

    As if each result were kept, though some share memory; and with what the nodes themselves take.
    """
    nodes, specs = current_tape().since(position)
    sizes = (math.prod(shape) * dtypes.numpy_dtype(dtype).itemsize for shape, dtype in specs)
    return sum(sizes) + OF_A_NODE * len(nodes)


class Watched:
    """What the current tape records within `with Watched(arrays) as found:`.

    arrays: the recorded ones that are handed over for it.
    """

    def __init__(self, arrays):
        self._tape, self._noted = current_tape(), []
        self._given = {a.index for a in arrays if is_recorded(a)}

    def __enter__(self):
        self._start, self._draws = self._tape.position(), _draws()
        self._tape.record = self._record
        return self

    def _record(self, outs, parents, pullbacks, many=False):
        found = Tape.record(self._tape, outs, parents, pullbacks, many)
        self._noted += map(ref, found if many else [found])
        return found

    def __exit__(self, *error):
        del self._tape.record

    def can_be_repeated(self, results) -> bool:
        """Whether it used no other recorded arrays than the given ones and what Variables hold,
        and nobody else holds what it made but for its results."""
        known = self._given | {self._tape.place_of(v) for v in self._tape.variables_read()}
        ours = set(map(id, results))
        alive = [array for array in (one() for one in self._noted) if array is not None]
        nodes, _ = self._tape.since(self._start)
        used = {i for parents in nodes for i in parents if i is not None and i < self._start[1]}
        return (
            used <= known and all(id(array) in ours for array in alive) and self._draws == _draws()
        )


def _draws():
    """How many draws a captured step has made, which are counted there and not by Variables."""
    capture = capturing.current()
    return None if capture is None else sum(capture.draws)


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
