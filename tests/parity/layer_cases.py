"""Replays recorded calls of layers: outputs, masks, changed state, losses and gradients."""

from __future__ import annotations

import json

import numpy as np
from parity import presence
from parity.decoding import Cases, Recorded, flatten, too_far
from parity.unseeing import as_on_pytorch

# The first of these that a config names decides.
LOOSE = (("bfloat16", 3e-2), ("float16", 5e-3), ("int8", 2e-2), ("int4", 2e-2), ("float8", 2e-2))


def numpy(x) -> np.ndarray:
    """A result of gpulayers as a NumPy array."""
    from gpulayers.arrays import plain

    x = plain(x)
    return x.get() if hasattr(x, "get") and not isinstance(x, dict) else np.asarray(x)


def with_mask(array: np.ndarray, mask, _=None):
    """An input that carries its mask."""
    from gpulayers.arrays import set_mask

    if mask is not None:
        array = array.view()  # The same stored array may stand in a case twice, once without.
        set_mask(array, mask)
    return array


def tolerance(case: dict, base: float) -> float:
    """What the real backends of Keras already differ by, fourfold; wider for 16-bit floats."""
    config = json.dumps(case["config"])
    for kind, allowed in LOOSE:
        if kind in config:
            return max(base, allowed)
    spread = [v for v in case["agree"].values() if isinstance(v, float) and v < 5e-3]
    return max(base, 4 * max(spread, default=0.0))


def cotangent(shape, i: int) -> np.ndarray:
    """The weights of the i-th float output in the loss whose gradients were recorded."""
    return np.cos(np.arange(int(np.prod(shape))) * 0.7 + 0.3 + i).reshape(shape).astype("float32")


class LayerCase:
    """One case: `run` gives None, or what is wrong."""

    def __init__(self, cases: Cases, case: dict, base: float, gradients: float | None):
        """`base` is the tolerance; `gradients` that of gradients, None not to compare them."""
        self.cases, self.case = cases, case
        self.tolerance = tolerance(case, base)
        if gradients is not None and self.tolerance > base:
            gradients = max(gradients, 10 * self.tolerance)
        self.gradients = gradients

    def run(self) -> str | None:
        case = self.case
        presence.require(
            {key: case[key] for key in ("module", "class_name", "registered_name", "config")}
        )
        self.layer = self._make()
        args, kwargs = self._arguments()
        if len(self.layer.weights) != len(case["vars"]):  # Some are built by their first call.
            self.layer(*args, **kwargs)
            args, kwargs = self._arguments()
        problem = self._assign()
        if problem:
            return problem
        return (
            self._check_outputs(self.layer(*args, **kwargs))
            or self._check_state()
            or self._check_losses()
            or (self._check_gradients() if self.gradients and case.get("grad") else None)
        )

    def _make(self):
        config = {key: self.case[key] for key in ("module", "class_name", "registered_name")}
        built = self.case["build_config"]
        return presence.make(
            {**config, "config": self.case["config"], **({"build_config": built} if built else {})}
        )

    def _arguments(self):
        parts = (self.case["args"], self.case["kwargs"])
        return tuple(self.cases.decode(part, with_mask, presence.make) for part in parts)

    def _assign(self) -> str | None:
        recorded, weights = self.case["vars"], self.layer.weights
        if len(weights) != len(recorded):
            paths = ", ".join(v["path"] for v in recorded)
            return f"{len(weights)} weights, Keras has {len(recorded)}: {paths}"
        for weight, expected in zip(weights, recorded, strict=True):
            value = self.cases.array(expected["value"])
            if tuple(weight.shape) != value.shape:
                return (
                    f"weight {expected['path']}: shape {tuple(weight.shape)} is not {value.shape}"
                )
            weight.assign(value)
        if hasattr(self.layer, "finalize_state"):
            self.layer.finalize_state()
        return None

    def _check_outputs(self, outputs) -> str | None:
        from gpulayers.arrays import get_mask

        got, expected = flatten(outputs), self.cases.expected(self.case["out"])
        if len(got) != len(expected):
            return f"{len(got)} outputs, Keras has {len(expected)}"
        for i, (value, reference) in enumerate(zip(got, expected, strict=True)):
            if value is None or reference is None:
                if value is not reference:
                    return f"output {i}: {value!r:.30}, Keras has {reference!r:.30}"
                continue
            mask = get_mask(value) if hasattr(value, "shape") else None
            problem = self._check_output(value, mask, reference)
            if problem:
                return f"output {i}: {problem}"
        return None

    def _check_output(self, value, mask, reference) -> str | None:
        array = numpy(value)
        if not isinstance(reference, Recorded):
            return too_far(array, reference, self.tolerance)
        problem = too_far(array, reference.array, self.tolerance)
        if problem:
            return problem
        if array.dtype.kind != reference.array.dtype.kind:
            return f"dtype {array.dtype} is not {reference.array.dtype}"
        if (mask is None) != (reference.mask is None):
            return "mask missing" if mask is None else "mask not expected"
        if mask is not None and not np.array_equal(numpy(mask), reference.mask):
            return "mask differs"
        return None

    def _check_state(self) -> str | None:
        for weight, recorded in zip(self.layer.weights, self.case["vars"], strict=True):
            after = self.cases.array(recorded.get("after", recorded["value"]))
            problem = too_far(numpy(weight), after, self.tolerance)
            if problem:
                return f"state {recorded['path']}: {problem}"
        return None

    def _check_losses(self) -> str | None:
        recorded = self.cases.expected(self.case["losses"])
        if not recorded:
            return None
        expected = sorted(float(r.array) if isinstance(r, Recorded) else r for r in recorded)
        got = sorted(float(numpy(loss)) for loss in self.layer.losses)
        problem = too_far(got, expected, 1e-4)
        return f"losses: {problem}" if problem else None

    def _check_gradients(self) -> str | None:
        problem = self._compare_gradients()
        if problem and self.case["class_name"] in ("MultiHeadAttention", "GroupQueryAttention"):
            with as_on_pytorch():
                return self._compare_gradients() and problem
        return problem

    def _compare_gradients(self) -> str | None:
        for weight, recorded in zip(self.layer.weights, self.case["vars"], strict=True):
            weight.assign(self.cases.array(recorded["value"]))
        got = self._gradients()
        for what, arrays in zip(("inputs", "weights"), got, strict=True):
            keys = self.case["grad"][what]
            if len(arrays) != len(keys):
                return f"gradients of {what}: {len(arrays)}, Keras has {len(keys)}"
            for i, (array, key) in enumerate(zip(arrays, keys, strict=True)):
                problem = self._check_gradient(array, key)
                if problem:
                    return f"gradient of {what[:-1]} {i}: {problem}"
        return None

    def _check_gradient(self, got, key) -> str | None:
        expected = None if key is None else self.cases.stored(key)
        if expected is not None and np.isnan(expected).all():
            return None  # Of a `where` around a division by 0: nothing to be like.
        if got is None or expected is None:
            other = got if expected is None else expected
            missing = "Keras has none" if expected is None else "missing"
            return missing if other is not None and np.abs(other).max(initial=0) > 1e-6 else None
        return too_far(got, expected, self.gradients)

    def _gradients(self):
        """Of sum(output_i * cotangent_i) + sum(losses): by float inputs, by trainable weights."""
        from gpulayers.arrays import Tape, is_recorded, namespace, set_mask

        recorded = self.case["vars"]
        trainable = [w for w, v in zip(self.layer.weights, recorded, strict=True) if v["trainable"]]
        with Tape(trainable) as tape:

            def watch(array, mask, _):
                if not _is_float(array):
                    return with_mask(array, mask)
                watched = tape.watch(array.copy())
                if mask is not None:
                    set_mask(watched, mask)
                return watched

            args = self.cases.decode(self.case["args"], watch, presence.make)
            kwargs = self.cases.decode(self.case["kwargs"], watch, presence.make)
            outputs = [y for y in flatten(self.layer(*args, **kwargs)) if _is_float(y)]
            terms = list(self.layer.losses)
            for i, y in enumerate(outputs):
                xp = namespace(y)
                weights = xp.asarray(cotangent(tuple(y.shape), i))
                terms.append(xp.sum(xp.astype(y, weights.dtype) * weights))
        inputs = [x for x in flatten((args, kwargs)) if is_recorded(x)]
        terms = [term for term in terms if is_recorded(term)]
        found = tape.gradient(terms, [*inputs, *trainable])
        arrays = [None if g is None else numpy(g) for g in found]
        return arrays[: len(inputs)], arrays[len(inputs) :]


def _is_float(y) -> bool:
    from gpulayers.arrays import dtypes

    return hasattr(y, "dtype") and dtypes.is_floating(y)
