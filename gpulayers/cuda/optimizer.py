"""Steps of optimizers on CuPy arrays: all weights of a dtype in one launch, one pass over memory.

Addresses go to the kernel by value, so that nothing is copied to the device, and a captured step
keeps them: WORDS words at a time, which 68 weights with Adam take; more need further launches.
Weights get fresh arrays, as a `Variable` never changes one that somebody may hold; this costs no
traffic, but memory for one more copy of them during a step.  Slots are rewritten in place.
"""

from __future__ import annotations

from functools import cache
from math import inf
from typing import NamedTuple

import numpy as np

from ..ops import optimizer as rules
from ..ops.optimizer import Made, Step, rounded
from .module import FLOATS, Module, blocks, c_type, contiguous, empty, empty_like
from .partial_sums import accumulator

_source = Module("optimizer")

THREADS, TURNS, VECTOR, WORDS, NUMBERS = 256, 4, 16, 480, 8  # As in the source; VECTOR in bytes.
TABLE = np.dtype([("at", np.uint64, WORDS)])
GRADIENT, SLOTS, AVERAGE, SUM = 1, (2, 4, 8), 16, 32  # Bits: which arrays a row names.
INSTANCES = [{"T": dtype, "NORMS": True} for dtype in ("float16", "bfloat16", "float32", "float64")]
INSTANCES += [
    {"T": dtype, "NORMS": False, "RULE": rule, "HAS": has}
    for dtype, rules_of_it in {
        "float16": {"ADAM": 7, "AVERAGE": 1},
        "bfloat16": {"ADAM": 7, "RMSPROP": 63, "LAMB_MOVE": 6},
        "float32": {
            "SHRINK": 0, "AVERAGE": 1, "SUM": 1, "DESCENT": 1, "MOMENTUM": 3, "ADAM": 7,
            "ADAMAX": 7, "NADAM": 7, "RMSPROP": 15, "ADAGRAD": 3, "ADADELTA": 7, "FTRL": 7,
            "LION": 3, "SCHEDULE_FREE": 7, "LAMB_MOMENTS": 7, "LAMB_MOVE": 22,
        },
        "float64": {"ADAM": 63, "FTRL": 7},
    }.items()
    for rule, has in rules_of_it.items()
]  # fmt: skip


def _betas(like, beta_1, beta_2, epsilon=0.0, **others):
    return beta_1, 1 - beta_1, beta_2, 1 - beta_2, epsilon, *others.values()


def _rounded_betas(like, beta_1, beta_2, **others):
    return _betas(like, rounded(beta_1, like), rounded(beta_2, like), **others)


def _rmsprop(like, rho, momentum, epsilon):
    return rho, 1 - rho, momentum, epsilon


def _adadelta(like, rho, epsilon):
    return rho, 1 - rho, epsilon


def _ftrl(like, exponent, l1, l2, shrinkage):
    return exponent, l1, 2 * l2, 2 * shrinkage


def _momentum(like, momentum, nesterov):
    return momentum, nesterov


def _epsilon(like, epsilon):
    return (epsilon,)


def _none(like):
    return ()


# For each rule: its name in the source, what it calls its rate, and its other numbers as the source
# has them.
RULES = {
    rules.shrink: ("SHRINK", "rate", _none),
    rules.moving_average: ("AVERAGE", "momentum", _none),
    rules.gradient_descent: ("DESCENT", "learning_rate", _none),
    rules.momentum: ("MOMENTUM", "learning_rate", _momentum),
    rules.adam: ("ADAM", "learning_rate", _betas),
    rules.adamax: ("ADAMAX", "learning_rate", _betas),
    rules.nadam: ("NADAM", "learning_rate", _rounded_betas),
    rules.rmsprop: ("RMSPROP", "learning_rate", _rmsprop),
    rules.adagrad: ("ADAGRAD", "learning_rate", _epsilon),
    rules.adadelta: ("ADADELTA", "learning_rate", _adadelta),
    rules.ftrl: ("FTRL", "learning_rate", _ftrl),
    rules.lion: ("LION", "learning_rate", _rounded_betas),
    rules.schedule_free_adamw: ("SCHEDULE_FREE", "learning_rate", _rounded_betas),
    rules.lamb: ("LAMB_MOMENTS", "learning_rate", _betas),
}


class Rule:
    """A rule of `ops.optimizer`: for one weight, or for all weights `together`."""

    def __init__(self, name: str, rate: str, arrange):
        self.name, self.rate, self.arrange = name, rate, arrange

    def __call__(self, weight, gradient, *slots, needs=None, **numbers):
        if needs is not None:
            return NotImplemented
        copies = [None if slot is None else slot.copy() for slot in slots]
        gradients = None if gradient is None else [gradient]
        lists = [None if copy is None else [copy] for copy in copies]
        made = self.together([weight], gradients, lists, **numbers)
        return made if made is NotImplemented else (*made.weights, *copies)

    def together(self, weights, gradients, slots, around: Step | None = None, **numbers):
        """A step of all weights, as `Made`; NotImplemented leaves it to the reference.

        Args:
            weights: their arrays.
            gradients: one for each, or None for a rule without.
            slots: for each slot of the rule a list of arrays, which are rewritten, or None.
            around: what surrounds the rule, if anything does.
            numbers: the rule's own; with a Step none for the step, and Nadam's product before it.
        """
        product = numbers.pop("product", None)
        advances = around is not None and product is not None
        step = around or Step(numbers.pop("step", 0), first=0)
        rate, array = numbers.pop(self.rate), type(weights[0])
        if any(type(number) is array for number in numbers.values()):
            return NotImplemented
        work = _Work.of(step, weights, gradients, slots)
        if work is None:
            return NotImplemented
        work.settle(self.arrange(weights[0], **numbers), rate)
        new_product = empty_like(product) if advances else None
        made, guard = work.run(self.name, product, new_product)
        return Made(made, new_product, guard)

    def add(self, sums, gradients, divisor: float):
        """Add gradients, divided, to arrays, which are rewritten; or NotImplemented."""
        work = _Work.of(Step(divisor=divisor), sums, gradients, ())
        if work is None:
            return NotImplemented
        work.settle((), 0.0)
        work.run("SUM", new=sums)
        return sums


class _Part(NamedTuple):
    """The weights of one launch."""

    dtype: np.dtype
    weights: int
    table: np.ndarray
    stride: int
    has: int
    blocks: int


class _Work:
    """A step of weights whose arrays fit the kernel."""

    @classmethod
    def of(cls, step: Step, weights, gradients, slots) -> _Work | None:
        """The work, or None if the kernel does not take these arrays."""
        weights = [contiguous(w) for w in weights]
        if gradients is not None:
            pairs = zip(gradients, weights, strict=True)
            gradients = [
                contiguous(g if g.dtype == w.dtype else g.astype(w.dtype)) for g, w in pairs
            ]
        lists = [gradients, *slots, *[None] * (len(SLOTS) - len(slots)), step.averages, step.sums]
        if not all(one is None or _fit(one, weights) for one in (weights, *lists)):
            return None
        work = cls(step, weights, lists)
        if not all(c_type(dtype) in FLOATS for dtype, _ in work.groups):
            return None
        if step.guard is not None and work.count is None:
            return None
        wide = {accumulator(dtype) for dtype, _ in work.groups}
        many = len(wide) > 1 and (step.global_clipnorm or step.guard is not None)
        return None if many else work

    def __init__(self, step: Step, weights, lists):
        self.step, self.weights, self.lists = step, weights, lists
        self.array = type(weights[0])
        self.count = self._pointer(step.count, np.int32)
        self.groups: list[tuple[np.dtype, list[int]]] = []  # Weights by dtype.
        for i, w in enumerate(weights):
            places = next((some for dtype, some in self.groups if dtype == w.dtype), None)
            if places is None:
                self.groups.append((w.dtype, [i]))
            else:
                places.append(i)

    def _pointer(self, number, dtype):
        """A number that only the device knows, for the kernel; None for others."""
        if type(number) is not self.array:
            return None
        return number if number.dtype == dtype else number.astype(dtype)

    def settle(self, numbers, rate) -> None:
        """Fix the rule's numbers and the learning rate."""
        step, self.rate, self.settings = self.step, self._pointer(rate, np.float32), {}
        for dtype in {accumulator(dtype) for dtype, _ in self.groups}:
            one = self.settings[dtype] = np.zeros((), _settings(dtype))
            one["number"][: len(numbers)] = numbers
            one["rate"] = 0.0 if self.rate is not None else rate
            one["made"] = 0 if self.count is not None else step.count
            one["limit"] = step.clipvalue or inf
            for name in ("divisor", "decay", "momentum", "first", "every", "taken"):
                one[name] = getattr(step, name)

    def run(self, name: str, product=None, new_product=None, new=None) -> tuple[list, tuple | None]:
        """The new weights (in `new`, if given), and what a guard wants back."""
        step, (gradients, *slots, averages, sums) = self.step, self.lists
        new = [empty_like(w) if w.size else w for w in self.weights] if new is None else new
        moments = name == "LAMB_MOMENTS"
        parts = self._parts(new, gradients, *slots, None if moments else averages, sums)
        partials, whole = self._measured(parts)
        verdict, guard = self._verdict(whole)
        factors = [None] * len(parts)
        if step.clipnorm:
            factors = self._factors(parts, partials, step.clipnorm)
        known = self.count, self.rate, product, new_product, verdict
        found = self._launch(name, parts, known, factors, moments)
        if moments:
            ratios = self._factors(parts, found, 0.0)
            parts = self._parts(new, None, *slots, averages, None)
            self._launch("LAMB_MOVE", parts, known, ratios)
        return new, guard

    def _parts(self, *lists) -> list[_Part]:
        """The launches that all weights take, by dtype and size."""
        columns = [self.weights] + [one for one in lists if one is not None]
        has = sum(1 << i for i, one in enumerate(lists[1:]) if one is not None)
        stride = len(columns) + 2
        made, most = [], WORDS // stride
        for dtype, places in self.groups:
            places = [i for i in places if self.weights[i].size]
            for start in range(0, len(places), most):
                some = places[start : start + most]
                table, count = self._table(columns, some)
                made.append(_Part(dtype, len(some), table, stride, has, count))
        return made

    def _table(self, columns, places) -> tuple[np.ndarray, int]:
        decays, words, end = self.step.decays, [], 0
        chunk = THREADS * TURNS * (VECTOR // self.weights[places[0]].itemsize)
        for i in places:
            size = self.weights[i].size
            end += blocks(size, chunk)
            words += [end, 2 * size + (decays is not None and decays[i])]
            words += [column[i].data.ptr for column in columns]
        table = np.zeros((), TABLE)
        table["at"][: len(words)] = words
        return table, end

    def _measured(self, parts) -> tuple[list, dict]:
        """The sums of blocks, as `_partials` has them, if anything depends on them."""
        step = self.step
        if not (step.clipnorm or step.global_clipnorm or step.guard is not None):
            return [], {}
        scale = None if step.guard is None else step.guard[0]
        partials, whole = _partials(parts)
        for part, partial in zip(parts, partials, strict=True):
            kernel = _source.kernel("optimizer_measure", T=part.dtype, NORMS=True)
            settings = self.settings[accumulator(part.dtype)]
            kernel(
                part.blocks, THREADS, part.table, settings, part.weights, part.stride,
                step.sums is not None, scale, partial,
            )  # fmt: skip
        return partials, whole

    def _verdict(self, partials: dict) -> tuple:
        """The kernel's verdict and the guard's new (scale, good, count); None where not needed."""
        step = self.step
        if not (step.global_clipnorm or step.guard is not None):
            return None, None
        dtype = self.weights[0].dtype
        wide = accumulator(dtype)
        partial = partials[wide] if partials else empty((0, 2), wide)
        scale, good, growth = step.guard or (None, None, 1)
        verdict, count, new = empty((3,), wide), None, (None, None, None)
        if scale is not None:
            count = self.count
            new = empty_like(scale), empty_like(good), empty_like(count)
        kernel = _source.kernel("optimizer_decide", T=dtype, NORMS=True)
        kernel(
            1, THREADS, partial, len(partial), step.global_clipnorm or 0.0, scale, good, count,
            growth, verdict, *new,
        )  # fmt: skip
        return verdict, None if scale is None else new

    def _factors(self, parts, partials, limit: float) -> list:
        """For each part a factor for each of its weights."""
        made = []
        for part, partial in zip(parts, partials, strict=True):
            factors = empty((part.weights,), accumulator(part.dtype))
            kernel = _source.kernel("optimizer_factors", T=part.dtype, NORMS=True)
            kernel(part.weights, THREADS, part.table, part.stride, partial, limit, factors)
            made.append(factors)
        return made

    def _launch(self, name, parts, known, factors, measures=False) -> list:
        """The step itself; the sums of its blocks, if it measures."""
        partials = _partials(parts)[0] if measures else [None] * len(parts)
        for part, factor, partial in zip(parts, factors, partials, strict=True):
            constants = {"T": part.dtype, "NORMS": False, "RULE": name, "HAS": part.has}
            kernel = _source.kernel("optimizer_step", **constants)
            settings = self.settings[accumulator(part.dtype)]
            kernel(
                part.blocks, THREADS, part.table, settings, part.weights, part.stride,
                *known, factor, partial,
            )  # fmt: skip
        return partials


def _fit(arrays, weights) -> bool:
    """Whether arrays are as the weights are, and C-contiguous on the current device."""
    import cupy

    here = cupy.cuda.runtime.getDevice()
    for x, w in zip(arrays, weights, strict=True):
        if x.dtype != w.dtype or x.shape != w.shape or not x.flags.c_contiguous:
            return False
        if x.device.id != here:
            raise ValueError(
                f"optimizer: all arrays must be on the current device, GPU {here}, got one on GPU "
                f"{x.device.id}. Put all weights on one device, or enter `with array.device:`."
            )
    return True


@cache
def _settings(dtype: np.dtype) -> np.dtype:
    """Settings of the source, for weights that are computed in this dtype."""
    fields = [("number", dtype, NUMBERS)]
    fields += [(name, dtype) for name in ("rate", "divisor", "limit", "decay", "momentum")]
    fields += [(name, np.int32) for name in ("made", "first", "every", "taken")]
    return np.dtype(fields, align=True)


def _partials(parts) -> tuple[list, dict]:
    """For each part an array (blocks, 2), rows of one array for each dtype, and these."""
    sizes, made = {}, []
    for part in parts:
        wide = accumulator(part.dtype)
        made.append((wide, sizes.get(wide, 0)))
        sizes[wide] = made[-1][1] + part.blocks
    whole = {wide: empty((size, 2), wide) for wide, size in sizes.items()}
    return [whole[w][first : first + p.blocks] for p, (w, first) in zip(parts, made)], whole


for _rule, _arguments in RULES.items():
    _rule.on("cupy")(Rule(*_arguments))
