"""What a model does in inference to plain arrays of certain shapes: a list of steps to be called.

The arrays are NumPy's, or CuPy's on one GPU: the same steps are then made by other functions.

Layers give pieces (`layers/pieces.py`), and neighbours among these become one where that saves
passes over memory (`folding.py`): a convolution with batch normalization and activation is a single
call.  A step is a function of arrays; what no step needs any more is let go, or overwritten.  What
was computed from variables is computed anew when these have changed; when an attribute of any layer
is set, there is a new plan.  On a CPU one compiled call does all of a plan that is small
(`programs.py`).
"""

from __future__ import annotations

import warnings
from operator import attrgetter, is_

import numpy as np

from .. import tree
from ..arrays import devices
from ..arrays.capturing import ACTIVE, WRITTEN, current
from ..arrays.masks import _masks, any_masks
from ..layers.calling import CALL, CallContext
from ..layers.pieces import Normalized, Nothing, Sum
from ..layers.tracking import STRUCTURE
from ..ops.dense import dense
from .divided_plan import divided, operations_of
from .folding import joined
from .one_batch import OneBatch
from .programs import Programs
from .trace import NeedsMore, Step, Trace

_value_of = attrgetter("_value")


class InferencePlan:
    """The steps of a model for inputs like those given.

    It may be used by several threads at once: nothing in it changes but constants, all at a time.
    """

    __slots__ = (
        "_ready", "array", "constants", "fresh", "gpu", "home", "in_context", "inputs", "kinds",
        "model", "one_batch", "operations", "outputs", "programs", "single", "steps", "structure",
        "version",
    )  # fmt: skip

    def __init__(self, model, inputs, trace: Trace):
        self.version, self.model = STRUCTURE[0], model
        leaves = tree.flatten(inputs)
        self.array, self.home = type(leaves[0]), devices.home_of(leaves[0])
        self.gpu = None if self.array is np.ndarray else self.home.device.id
        self.single = type(inputs) is self.array
        self.kinds = [(x.dtype, x.shape[1:]) for x in leaves]
        self.inputs, self.outputs = trace.inputs, trace.outputs
        structure, self.in_context = model._plan_graph().results, trace.in_context
        self.structure = structure if tree.is_nested(structure) else None
        self.steps = folded(trace.steps, trace.outputs)
        mark_last_uses(self.steps, self.outputs)
        self.operations = None  # See `divided_plan`.
        if self.gpu is None and not self.in_context:
            self.operations = operations_of(self.steps, trace.arrays)
        variables = {id(v): v for step in self.steps for v in step.piece.constants}
        self.constants = list(variables.values())
        made = {to for step in self.steps if step.piece.fresh for to in step.to}
        # Whether outputs are arrays that nothing else refers to.
        self.fresh = len({*self.outputs} & made) == len(self.outputs)
        self._ready, self.programs = None, Programs.of(self)
        self.one_batch = None if self.gpu is None else OneBatch(self)

    def holds(self) -> bool:
        """Whether all layers are as they were, and no array has a mask."""
        return self.version == STRUCTURE[0] and not _masks

    def fits(self, x) -> bool:
        """Whether `x` are arrays that this plan is for, and nothing else is asked of the call."""
        if self.version != STRUCTURE[0] or _masks:
            return False
        if self.single:
            dtype, shape = self.kinds[0]
            return self._is_there(x) and x.dtype is dtype and x.shape[1:] == shape
        leaves = tree.flatten(x)
        return len(leaves) == len(self.kinds) and all(
            self._is_there(leaf) and leaf.dtype is dtype and leaf.shape[1:] == shape
            for leaf, (dtype, shape) in zip(leaves, self.kinds, strict=True)
        )

    def _is_there(self, x) -> bool:
        return type(x) is self.array and (self.gpu is None or x.device.id == self.gpu)

    def run(self, x, training=None):
        """The outputs for inputs that `fits`."""
        if self.programs is not None:
            y = self.programs.output(x)
            if y is not None:
                return y
        return self._run(x, training) if self.gpu is None else self._run_on_gpu(x, training)

    def _run_on_gpu(self, x, training):
        """The same; should a plan fail there, layer by layer from then on, after a warning."""
        with devices.on(self.home):
            try:
                return self._run(x, training)
            except Exception as error:
                if ACTIVE and current() is not None:
                    raise  # A step that cannot be captured: that is said elsewhere.
                outputs = self.model._call((x,), {"training": training})  # Or what is wrong with x.
                self.version = -1
                self.model._plans().refused = True
                warnings.warn(
                    f"{self.model.name}: its plan of inference failed on the GPU, so that layers "
                    f"are called one by one ({type(error).__name__}: {error}).",
                    stacklevel=4,
                )
                return outputs

    def _run(self, x, training):
        ready = self._ready
        if ACTIVE and current() is not None:
            ready = Ready(self)  # A graph computes the constants of its own run.
        elif ready is None or not ready.holds():
            ready = self._ready = Ready(self)
        if not self.in_context:
            return ready.run(x)
        if self.model._loss_owners:
            self.model._clear_losses()
        token = CALL.set(CallContext(self.model, training, None))
        try:
            return ready.run(x)
        finally:
            CALL.reset(token)

    def describe(self) -> str:
        """The steps, one a line: what is computed, of which arrays, and for which layers."""
        lines = [f"plan of {self.model.name!r} for {len(self.kinds)} input(s), "
                 f"{len(self.steps)} steps:"]  # fmt: skip
        for step in self.steps:
            sources = ", ".join(f"%{i}" for i in step.sources)
            to = ", ".join(f"%{i}" for i in step.to)
            where = " in place" if step.piece.overwrites and any(step.own) else ""
            names = " + ".join(step.piece.names)
            lines.append(f"  {to} = {step.piece.what or 'call'} of {sources}{where}  # {names}")
        lines.append(f"  gives {', '.join(f'%{i}' for i in self.outputs)}")
        return "\n".join(lines)

    __repr__ = describe


class Ready:
    """A plan as functions, with constants for the variables' values of now."""

    __slots__ = ("run", "seen", "values", "variables", "written")

    def __init__(self, plan: InferencePlan):
        self.variables, self.written = plan.constants, WRITTEN[0]
        self.values = [_value_of(v) for v in self.variables]
        # An array of the CPU may be written to, too: copies tell.
        on_cpu = plan.gpu is None
        self.seen = [bytearray(_bytes(value)) for value in self.values] if on_cpu else []
        floor = _floor(plan.gpu)
        moves = [
            (step.piece.ready(step.own, floor), step.sources, step.to, step.free)
            for step in plan.steps
        ]
        line = [*plan.inputs, *(to for step in plan.steps for to in step.to)]
        straight = len(plan.inputs) == len(plan.outputs) == 1 and plan.outputs[0] == line[-1]
        for at, step in zip(line, plan.steps, strict=False):
            straight = straight and step.sources == (at,) and len(step.to) == 1
        if straight and plan.structure is None and plan.single:
            self.run = chain([function for function, *_ in moves])
        else:
            self.run = network(moves, plan)
        if plan.gpu is None:
            from ..cpu import memory

            self.run = memory.served(self.run)
        if plan.operations is not None:
            self.run = divided(self.run, plan, plan.operations)

    def holds(self) -> bool:
        """Whether the variables' values are what they were: of arrays on a GPU, whether they are
        the same ones, and no graph has written into any."""
        if self.written != WRITTEN[0]:
            return False
        if not all(map(is_, map(_value_of, self.variables), self.values)):
            return False
        return all(seen == _bytes(value) for seen, value in zip(self.seen, self.values))


def _floor(gpu):
    """The functions of arrays that pieces are made of."""
    if gpu is None:
        from ..cpu import inference
    else:
        from ..cuda import inference
    return inference


def _bytes(value):
    return value.data if value.flags.c_contiguous else value.tobytes()


def chain(functions):
    """Functions one after another."""

    def run(x):
        for function in functions:
            x = function(x)
        return x

    return run


def network(moves, plan: InferencePlan):
    """Functions of arrays in numbered places."""
    size = 1 + max([*plan.inputs, *(to for _, _, places, _ in moves for to in places)])
    ones = [
        (function, sources[0] if len(sources) == 1 else None, sources, to, free)
        for function, sources, to, free in moves
    ]
    inputs, outputs, single, structure = plan.inputs, plan.outputs, plan.single, plan.structure

    def run(x):
        values = [None] * size
        for place, given in zip(inputs, [x] if single else tree.flatten(x), strict=True):
            values[place] = given
        del x
        for function, one, sources, to, free in ones:
            if one is not None:
                made = function(values[one])
            else:
                made = function(*[values[i] for i in sources])
            if len(to) == 1:
                values[to[0]] = made
            else:
                for place, part in zip(to, tree.flatten(made), strict=True):
                    values[place] = part
            for place in free:
                values[place] = None
        if structure is None:
            return values[outputs[0]]
        return tree.pack_sequence_as(structure, [values[place] for place in outputs])

    return run


def folded(steps: list[Step], outputs) -> list[Step]:
    """The steps with neighbours joined, and without those that do nothing."""
    uses = _uses(steps, outputs)
    maker: dict[int, Step] = {}
    same: dict[int, int] = {}  # Places of what is given on as it is.
    for step in steps:
        step.sources = tuple(same.get(i, i) for i in step.sources)
        (first, *others), made = step.sources, None
        if type(step.piece) is Nothing and step.to[0] not in outputs:
            same[step.to[0]] = first
            uses[first] += uses[step.to[0]] - 1
            continue
        before = maker.get(first)
        if before is not None and not others and uses[first] == 1:
            made = joined(before.piece, step.piece)
        if made is not None:
            del maker[first]
            step.piece, step.sources = made, before.sources
        elif type(step.piece) is Sum and len(step.sources) == 2:
            _join_with_a_product(step, maker, uses)
        elif type(step.piece) is Normalized and _join_with_a_sum(step, maker):
            continue
        for place in step.to:
            maker[place] = step
    left = {id(step): step for step in maker.values()}
    return [step for step in steps if id(step) in left]


def _join_with_a_product(step: Step, maker, uses) -> None:
    """Let the product that makes one of two arrays add the other, if nobody else reads it."""
    for place, other in (step.sources[::-1], step.sources):
        before = maker.get(place)
        if before is None or place == other or uses[place] != 1 or len(before.sources) != 1:
            continue
        made = joined(before.piece, step.piece)
        if made is not None:
            del maker[place]
            step.piece, step.sources = made, (*before.sources, other)
            return


def _join_with_a_sum(step: Step, maker) -> bool:
    """Let a sum of two arrays normalize it, too, as `step` would; gives whether it does."""
    before = maker.get(step.sources[0])
    if before is None or type(before.piece) is not Sum or len(before.sources) != 2:
        return False
    if before.piece.curve is not None:
        return False
    step.piece.adds, step.piece.names = True, before.piece.names + step.piece.names
    before.piece, before.to = step.piece, (*before.to, *step.to)
    maker[step.to[0]] = before
    return True


def mark_last_uses(steps: list[Step], outputs) -> None:
    """Say of each step what nobody needs after it, and which arguments it may overwrite."""
    uses, last = _uses(steps, outputs), {}
    fresh = {to for step in steps if step.piece.fresh for to in step.to}
    for number, step in enumerate(steps):
        last.update((place, number) for place in step.sources)
    for number, step in enumerate(steps):
        step.own = tuple(place in fresh and uses[place] == 1 for place in step.sources)
        ends = {p for p in step.sources if last[p] == number and p not in outputs}
        ends |= {p for p in step.to if not uses[p]}
        step.free = tuple(sorted(ends))


def _uses(steps, outputs) -> dict[int, int]:
    """How often each array is read: outputs once more."""
    uses: dict[int, int] = dict.fromkeys(outputs, 1)
    for step in steps:
        for place in step.sources:
            uses[place] = uses.get(place, 0) + 1
        for place in step.to:
            uses.setdefault(place, 0)
    return uses


class Plans:
    """The plans of a model by the kinds of its inputs, made when such inputs come a second time.

    The first time, the full call says what is wrong with them.
    """

    MOST = 16

    def __init__(self):
        self.version, self.last = STRUCTURE[0], None
        self.refused = False  # Because a plan failed on a GPU.
        self.known: dict[tuple, InferencePlan | None] = {}

    def of(self, model, x) -> InferencePlan | None:
        """The plan of a model for `x`, None if there is none, or not yet."""
        last = self.last
        if last is not None and last.fits(x):
            return last
        kind = None if any_masks() or self.refused else _kind(x, model._plan_graph())
        if kind is None:
            return None
        if self.version != STRUCTURE[0] or len(self.known) > self.MOST:
            self.version, self.known = STRUCTURE[0], {}
        if kind not in self.known:
            self.known[kind] = None
            return None
        plan = self.known[kind]
        if plan is None:
            self.known[kind] = plan = plan_of(model, x) or _NONE
        if plan is _NONE or (plan._ready is None and ACTIVE and current() is not None):
            return None  # Nothing is compiled within a capture.
        self.last = plan
        return plan

    def output(self, model, x, most: int):
        """What a program, or a plan on a GPU, gives for at most so many samples; None if there is
        none."""
        last = self.last
        if last is not None and last.one_batch is not None:
            return last.one_batch.outputs(model, x, most)
        if last is None or last.programs is None or not last.fits(x) or len(x) > most:
            return None
        if len(x) not in last.programs.made or not model._predicts_as_usual():
            return None
        return last.programs.output(x)


_NONE = object()  # That there is no plan.


def _kind(x, graph) -> tuple | None:
    """Dtypes and shapes of a graph's inputs, without the axis of samples; None for what is no
    array, or not in the structure that the graph expects."""
    if graph is None:
        return None
    if _place(x) is not None:
        return (_place(x), x.dtype, x.shape[1:]) if x.ndim else None
    expected, flat = graph.inputs, (list, tuple)
    if isinstance(x, dict) and isinstance(expected, dict) and x.keys() == expected.keys():
        x = [x[key] for key in sorted(x)]
    elif type(x) not in flat or type(expected) not in flat or len(x) != len(expected):
        return None
    place = _place(x[0])
    if place is None or not all(
        _place(part) == place and part.ndim and len(part) == len(x[0]) for part in x
    ):
        return None
    return place, *[(part.dtype, part.shape[1:]) for part in x]


def _place(x):
    """Where a plain array is that plans may be for: "cpu", or the number of a GPU; else None."""
    if type(x) is np.ndarray:
        return "cpu"
    return x.device.id if devices.is_cupy(x) else None


def plan_of(model, inputs) -> InferencePlan | None:
    """The plan of a model for arrays like those given; None if its calls need more than a plan."""
    leaves = tree.flatten(inputs)
    place = _place(leaves[0])
    library = "numpy" if place == "cpu" else "cupy"
    if any_masks() or dense.version(library) is None:  # Without `cpu`, or `cuda`.
        return None
    if any(_place(v._value) != place for v in model.weights):
        return None
    try:
        return InferencePlan(model, inputs, Trace(model, leaves))
    except NeedsMore:
        return None
