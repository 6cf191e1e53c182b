"""How weights and slots take the values that a rule gives them: small ones all at once."""

from __future__ import annotations

from operator import is_

import numpy as np

from ..arrays import Variable, dtypes, namespace, plain
from ..arrays.namespace import library, plain_namespace
from ..ops.optimizer import ALONE, ELEMENTWISE, Around
from .state import OptimizerState

SMALL = 1 << 15  # Elements. Below, calls cost more than the arithmetic; above, copies do.
PLANS = 8  # Kept at a time. Steps differ only if gradients are missing now and then.


class EndToEnd:
    """Small Variables of one dtype as a single flat array.

    Its parts are the Variables' values, so the array serves the next step again, as long as nobody
    assigned to one of them.
    """

    def __init__(self, variables: list[Variable], owned: bool):
        self.variables = variables
        self.owned = owned  # Slots: nobody else holds their arrays.
        self._flat, self._parts, self._places, start = None, [], [], 0
        for variable in variables:
            end = start + variable.size
            self._places.append((start, end, variable.shape))
            start = end

    @property
    def _value(self):
        values = [v._value for v in self.variables]
        if not self._parts or not all(map(is_, values, self._parts)):
            self._parts = []
            self.replace(namespace(values[0]).concat(values, axis=None))
        return self._flat

    def replace(self, flat) -> None:
        """Give each Variable its part of `flat`."""
        if self.owned and self._parts and type(flat) is np.ndarray:
            if flat is not self._flat:
                self._flat[...] = flat
            return
        self._flat = flat
        if type(flat) is np.ndarray:
            self._parts = [flat[a:b].reshape(shape) for a, b, shape in self._places]
        else:
            reshape = namespace(flat).reshape
            self._parts = [reshape(flat[a:b], shape) for a, b, shape in self._places]
        for variable, part in zip(self.variables, self._parts, strict=True):
            variable.replace(part)


def at_once(rule, variables):
    """What makes a step of all these weights at once, if their library has it; else None.

    It has `together` for steps, and `add` for gradients.
    """
    value = variables[0]._value
    if type(value) is np.ndarray or any(type(v._value) is not type(value) for v in variables):
        return None
    version = rule.version(library(plain_namespace(value)))
    return version if hasattr(version, "together") else None


class Follower(OptimizerState):
    """Weights and slots that follow rules of `ops.optimizer`."""

    _free: frozenset = frozenset()  # Identities of gradients whose arrays may be written: `given`.

    def _follow(self, rule, gradient, variable, slots, around=ALONE, free=False, **numbers):
        """Give a weight and its slots their next values.

        A rule computes 16-bit weights in float32; what is `around` it comes first.  The new weight
        may be written into the gradient's array if that is `free`.
        """
        held = (variable, *slots)
        values = [variable._value, plain(gradient), *map(self._own_value, slots)]
        dtype = values[0].dtype
        short = dtypes.name(dtype) in dtypes.SHORT_FLOATS
        if short or (gradient is not None and values[1].dtype != dtype):
            xp = namespace(values[0])
            wide = dtypes.of(xp, "float32") if short else dtype
            values = [None if v is None else xp.astype(v, wide) for v in values]
            free = False
        made = NotImplemented
        if type(values[0]) is np.ndarray:  # Past the questions that a primitive asks.
            version = rule.version("numpy")
            if version is not None:
                made = version(*values, around=around, free=free, **numbers)
        if made is NotImplemented:
            made = rule(*around.applied(*values[:2]), *values[2:], **numbers)
        for one, value in zip(held, made, strict=True):
            if one is None:
                continue
            if short:
                value = xp.astype(value, dtype)
            elif type(value) is not type(values[0]):
                value = np.asarray(value)  # NumPy makes scalars of arrays without axes.
            one.replace(value)
            if type(one) is Variable and one is not variable:
                self._own[id(one)] = value

    def _own_value(self, slot):
        """The array of a slot, which rules may write in: a copy, if it came from elsewhere."""
        value = None if slot is None else slot._value
        if type(value) is np.ndarray and type(slot) is Variable:
            return value if self._own.get(id(slot)) is value else value.copy()
        return value

    def _rewritable(self, slot):
        """The array of a slot, which a step may write in; None for None."""
        if slot is None:
            return None
        value = slot._value
        if self._own.get(id(slot)) is not value:
            value = self._own[id(slot)] = value.copy()
        slot.replace(value)  # Even if it has it: a captured step notes which Variables change.
        return value

    def _rewritable_lists(self, lists, variables) -> list[list | None]:
        """For each list of slots the arrays of these weights; None for an empty one."""
        columns = zip(*(self._slots(lists, v) for v in variables), strict=True)
        return [None if c[0] is None else [self._rewritable(one) for one in c] for c in columns]

    def _follow_at_once(self, rule, gradients, variables, lists, numbers) -> bool:
        """`_follow_all`, where the library makes all steps at once; else nothing, and False."""
        version = at_once(rule, variables)
        if version is None:
            return False
        weights, slots = [v._value for v in variables], self._rewritable_lists(lists, variables)
        gradients = gradients and [plain(g) for g in gradients]
        made = version.together(weights, gradients, slots, **numbers)
        if made is NotImplemented:
            return False
        for variable, value in zip(variables, made.weights, strict=True):
            variable.replace(value)
        return True

    def _follow_all(
        self, rule, gradients, variables, lists, around: Around = ALONE, **numbers
    ) -> None:
        """`_follow` for several weights; slots come from `lists`, each empty or one per weight."""
        if self._follow_at_once(rule, gradients, variables, lists, numbers):
            return
        key = (rule, *map(id, variables))
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) == PLANS:
                self._plans.clear()
                self._joined.clear()
            plan = self._plans[key] = self._plan(rule, variables, lists)
        small, joined, rest, count = plan
        around = around._replace(together=count)
        if small:
            pulls = gradients and [gradients[i] for i in small]
            pulls = pulls and namespace(pulls[0]).concat(pulls, axis=None)
            self._follow(rule, pulls, *joined, around, pulls is not None, **numbers)
        for i, slots in rest:
            own = gradients and gradients[i]
            free = id(own) in self._free
            self._follow(rule, own, variables[i], slots, around, free, **numbers)

    def _plan(self, rule, variables, lists):
        """Which weights go together, with their Variables and slots end to end; all others; and how
        many elements all of them have."""
        count = sum(v.size for v in variables)
        slots = [self._slots(lists, v) for v in variables]
        small = []
        if rule in ELEMENTWISE:
            small = [i for i, v in enumerate(variables) if v.size <= SMALL]
            small = [i for i in small if variables[i].dtype == variables[small[0]].dtype]
        if len(small) < 2:
            return [], None, list(enumerate(slots)), count
        own = self._join([variables[i] for i in small], owned=False)
        columns = zip(*(slots[i] for i in small), strict=True)
        joined = [None if c[0] is None else self._join(list(c), owned=True) for c in columns]
        rest = [(i, one) for i, one in enumerate(slots) if i not in small]
        return small, (own, joined), rest, count

    def _join(self, variables, owned: bool) -> EndToEnd:
        key = tuple(map(id, variables))
        if key not in self._joined:
            self._joined[key] = EndToEnd(variables, owned)
        return self._joined[key]
