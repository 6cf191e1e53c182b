"""`compile(jit_compile=True)` on a GPU: each step as one launch of what it launched before.

The first batch of a kind (shapes and dtypes) goes through Python; then the step is captured as a
CUDA graph (`cuda/capture.py`), which takes all later batches of that kind.  Meanwhile Python does
not run: what layers do to their own attributes, print or count happens once.
"""

from __future__ import annotations

import threading
import traceback
import warnings
from collections import Counter

from .. import config, tree
from ..arrays import Variable, devices, get_mask, plain
from ..arrays.capturing import WRITTEN, NotCapturable
from ..arrays.masks import any_masks
from ..layers.layer import Layer
from ..layers.tracking import PLAIN, STRUCTURE, unique
from ..losses import Loss
from ..metrics import Metric
from ..optimizers import Optimizer
from ..optimizers.schedules import LearningRateSchedule
from .data import unpack
from .steps import Steps

KINDS = 4  # Of batches that are captured, for each step; others go through Python.
FEW_RUNS = 10  # A graph that served fewer steps was not worth its making.
FRUITLESS = 4  # So many such graphs, and the step goes through Python.


class CapturedSteps:
    """The graphs of a compiled model, and where its Variables are kept for them."""

    def __init__(self, model):
        self._model = model
        self._graphs: dict[tuple, Graph] = {}
        self._places: dict[int, tuple] = {}
        self._refused: set[str] = set()
        self._fruitless: Counter[str] = Counter()
        self._one_at_a_time = threading.RLock()  # All graphs work on the same arrays.

    def __reduce__(self):
        return type(None), ()  # A copy of the model captures its own.

    def function(self, verb: str, step, silent: bool = False):
        """`step`, a function of a batch, by way of a graph wherever that can be."""

        def run(batch):
            if verb in self._refused:
                return step(batch)
            arrays = []
            kind = verb, silent, _kind(batch, arrays)
            if any_masks() and any(get_mask(x) is not None for x in arrays):
                return step(batch)
            with self._one_at_a_time:
                graph = self._graphs.get(kind)
                if graph is not None and not graph.holds(self._settings()):
                    self._forget(verb, kind)
                    graph = None
                if graph is None:
                    return self._first(verb, kind, step, batch, arrays)
                return graph(arrays)

        return run

    def _forget(self, verb, kind):
        graph = self._graphs.pop(kind)
        if graph.recording.runs < FEW_RUNS:
            self._fruitless[verb] += 1
            if self._fruitless[verb] == FRUITLESS:
                self._refuse(verb, NotCapturable("layers or settings change all the time."))

    def _first(self, verb, kind, step, batch, arrays):
        """The step by way of Python, and then its graph for the next batch of this kind."""
        if verb in self._refused or sum(known[0] == verb for known in self._graphs) == KINDS:
            return step(batch)
        self._count_on_device()
        before = {id(v): v._value for v in self._variables()}
        results = step(batch)
        try:
            self._check(arrays)
            if verb != "train":
                self._plan(unpack(batch)[0])
            self._count_on_device()  # Also those that this step has made.
            self._settle(before)
            self._graphs[kind] = Graph(step, batch, arrays, self._places, self._settings())
        except Exception as error:
            self._refuse(verb, error)
        finally:
            for variable, place in self._places.values():
                variable.changes_in_place = variable._value is place
        return results

    def _plan(self, x) -> None:
        """Let a plan of inference for inputs like `x` compile its kernels before it is captured."""
        plan_for = getattr(self._model, "_plan_for", None)
        plan = None if plan_for is None else plan_for(x)
        if plan is not None and not plan.in_context:  # Layers of one's own may count their calls.
            plan.run(x, training=False)

    def _settle(self, before) -> None:
        """Give every Variable on the GPU its array for good, which nobody else holds."""
        from ..cuda.capture import alike, copy_arrays

        # Slots are the optimizer's own; others that a step has just made new are nobody's yet.
        own = {id(v) for o in self._optimizers() for v in o.variables if v is not o._learning_rate}
        taken, copies = set(), []
        for variable in self._variables():
            value = variable._value
            place = self._places.get(id(variable), (None, None))[1]
            if place is None or not (value is place or alike(value, place)):
                fresh = id(variable) in own or value is not before.get(id(variable))
                fresh = fresh and value.flags.c_contiguous and value.data.ptr not in taken
                place = value if fresh else value.copy()
                self._places[id(variable)] = variable, place
            elif value is not place:
                copies.append((value if value.flags.c_contiguous else value.copy(), place))
            taken.add(place.data.ptr)
            variable._value, variable.changes_in_place = place, False
        if copies:
            WRITTEN[0] += 1
            copy_arrays(copies)

    def _variables(self) -> list[Variable]:
        """All on the GPU that a step may read or change."""
        model = self._model
        found = [*model.variables, *model.metrics_variables]
        found += [v for optimizer in self._optimizers() for v in optimizer.variables]
        found += [v for v, _ in self._places.values()]
        return [v for v in unique(found) if devices.is_cupy(v._value)]

    def _optimizers(self) -> list[Optimizer]:
        """The model's optimizer, and others that steps of its own may use."""
        found = [o for o in vars(self._model).values() if isinstance(o, Optimizer)]
        return found + [o.inner_optimizer for o in found if hasattr(o, "inner_optimizer")]

    def _count_on_device(self):
        for optimizer in self._optimizers():
            optimizer.counts_on_device = True

    def _settings(self) -> list:
        """What a graph has been made for, besides the Variables' values."""
        made = [STRUCTURE[0], *config._settings.values()]
        made += [v.trainable for v in self._model.weights]
        for optimizer in self._optimizers():
            made += [value for value in vars(optimizer).values() if type(value) in PLAIN]
            made.append(id(optimizer._learning_rate))
        return made

    def _check(self, arrays) -> None:
        """Raise NotCapturable for what would be captured, but mean something else."""
        if not all(devices.is_cupy(x) for x in arrays):
            raise NotCapturable("a batch holds something else than arrays on the GPU.")
        for optimizer in self._optimizers():
            if not isinstance(optimizer._learning_rate, (Variable, LearningRateSchedule)):
                raise NotCapturable("the learning rate comes from a Python function.")

    def _refuse(self, verb, error) -> None:
        self._refused.add(verb)
        name, place = self._model.name, _place_of(error)
        warnings.warn(
            f"{name}: jit_compile=True: steps to {verb} cannot be captured for the GPU and go "
            f"through Python. {place}{str(error) or type(error).__name__}",
            stacklevel=4,
        )


class Graph:
    """A step for one kind of batch."""

    def __init__(self, step, batch, arrays, places, settings):
        from ..cuda.capture import Recording

        def function(inputs):
            self._results = step(_like(batch, iter(inputs)))
            leaves = [plain(leaf) for leaf in tree.flatten(self._results) if leaf is not None]
            for leaf in leaves:
                if not devices.is_cupy(leaf):
                    raise NotCapturable(
                        f"it gives a {type(leaf).__name__}, which would always be the same: only "
                        "arrays on the GPU change."
                    )
            return leaves

        self._settings, self.recording = settings, Recording(function, arrays, places)
        self._results = tree.map_structure(lambda x: None if x is None else ..., self._results)

    def holds(self, settings) -> bool:
        """Whether the step would still do what was captured."""
        return self._settings == settings and self.recording.holds()

    def __call__(self, arrays):
        results = iter(self.recording.run(arrays))
        return tree.map_structure(lambda x: None if x is None else next(results), self._results)


def _kind(batch, arrays: list):
    """The structure, shapes and dtypes of a batch; its leaves are appended to `arrays`."""
    if isinstance(batch, (tuple, list)):
        return type(batch), *[_kind(part, arrays) for part in batch]
    if isinstance(batch, dict):
        return dict, *[(key, _kind(batch[key], arrays)) for key in sorted(batch)]
    if batch is None:
        return None
    arrays.append(batch)
    return (batch.shape, batch.dtype) if hasattr(batch, "dtype") else type(batch)


def _like(batch, arrays):
    """A batch of this structure with other arrays."""
    if isinstance(batch, dict):
        made = {key: _like(batch[key], arrays) for key in sorted(batch)}
        return {key: made[key] for key in batch}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*[_like(part, arrays) for part in batch])
    if isinstance(batch, (tuple, list)):
        return type(batch)(_like(part, arrays) for part in batch)
    return None if batch is None else next(arrays)


def _place_of(error) -> str:
    """The innermost layer, metric, ... in which an error was raised, else the operation."""
    owner, operation = None, ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        found, module = frame.f_locals.get("self"), frame.f_globals.get("__name__", "")
        if isinstance(found, (Layer, Metric, Loss, Optimizer)) and not isinstance(found, Steps):
            owner = found
        package, _, stem = module.rpartition(".")
        if package in ("gpulayers.ops", "gpulayers.cuda") and stem != "capture":
            operation = operation or stem
    if owner is not None:
        return f"{type(owner).__name__} {owner.name!r}: "
    return operation and f"{operation}: "
