"""Replays recorded calls of functions: ops, losses, metrics, optimizers, shape inference, ..."""

from __future__ import annotations

import json

from parity import presence
from parity.decoding import Cases, Recorded, asserted, flatten, too_far
from parity.layer_cases import numpy

# Arguments that Keras's tests gave and that the recorded configs (by id, or all of a test) lack.
LOST_ARGUMENTS = {
    "test_dtype_arg": {"dtype": "bfloat16"},
    "3a84f0b3a465": {"gain": 2},
    "50648e11fdc1": {"axis": 1},
    "47b93b469ffd": {"axis": 0},
    "622e4c084fcf": {"axis": 0},
}
ANY_VALUES = ("empty", "empty_like", "elastic_transform")  # Not set, or random.
LINEAR_ALGEBRA = 1e-4  # What the decompositions of two libraries differ by in float32.


class FunctionCase:
    """One case of a kind: `run` gives None, or what is wrong."""

    def __init__(self, cases: Cases, kind: str, case: dict, base: float):
        self.cases, self.kind, self.case, self.base = cases, kind, case, base

    def run(self) -> str | None:
        special = getattr(self, f"_run_{self.kind}", None)
        return special() if special else self._run_call()

    def name(self) -> str:
        """What the case is about, for the table."""
        case = self.case
        return presence.public_name(case.get("fn") or case.get("cls") or case["layer"])

    # Calls: activation, initializer, regularizer, constraint, loss, loss_fn, schedule, op.

    def _run_call(self) -> str | None:
        case = self.case
        if "fn" in case:
            call = presence.function(case["fn"])
        else:
            call = presence.make(self._config())
        args, kwargs = self._arguments(case)
        problem = self._run_with(call, args, kwargs)
        if problem and self._has_lost_layout(kwargs):
            return self._run_with(call, args, {**kwargs, "data_format": "channels_first"})
        return problem

    def _run_with(self, call, args, kwargs) -> str | None:
        case = self.case
        try:
            got = call(*args, **kwargs)
        except ValueError as error:
            if self._has_lost_layout(kwargs):
                return str(error)
            raise
        if self.name() in ANY_VALUES:
            expected = self.cases.array(case["out"])
            got = expected.astype(numpy(got).dtype).reshape(got.shape)
        return self._compare(got, case["out"], case.get("asserted", []))

    def _has_lost_layout(self, kwargs) -> bool:
        """Keras's tests of images set the layout globally, which was not recorded."""
        return self.case.get("fn", "").startswith("ops.image.") and not kwargs.get("data_format")

    def _arguments(self, recorded: dict):
        parts = (recorded["args"], recorded["kwargs"])
        return tuple(self._decode(part) for part in parts)

    def _config(self) -> dict:
        config = self.case["config"]["__keras_object__"]
        lost = LOST_ARGUMENTS.get(self._test()) or LOST_ARGUMENTS.get(self.case.get("id"), {})
        return {**config, "config": {**config["config"], **lost}}

    def _test(self) -> str:
        return self.case["test"].rpartition("::")[2]

    def _decode(self, part):
        return self.cases.decode(part, _input, presence.make, _symbolic)

    def _compare(self, got, recorded, assertions=(), exact_dtype=True) -> str | None:
        """Against the recorded result, or else against what Keras's test asserts of each leaf."""
        got, expected = flatten(_unnamed(got)), self.cases.expected(recorded)
        if len(got) != len(expected):
            return f"{len(got)} results, Keras has {len(expected)}"
        for i, (value, reference) in enumerate(zip(got, expected, strict=True)):
            problem = self._compare_leaf(value, reference)
            said = [a for a in assertions if a["leaf"] == f"out{i}"]
            if problem and said and "dtype" not in problem:
                goals = [self.cases.decode(a["expected"], lambda x, *_: x) for a in said]
                value = numpy(value)
                if all(asserted(a, value, goal) for a, goal in zip(said, goals, strict=True)):
                    continue
            if problem:
                return f"result {i}: {problem}"
        return None

    def _compare_leaf(self, value, reference) -> str | None:
        if value is None or reference is None:
            return None if value is reference else f"{value!r:.40}, Keras has {reference!r:.40}"
        if isinstance(reference, str):
            return None if value == reference else f"{value!r:.40}, Keras has {reference!r:.40}"
        array = numpy(value)
        if not isinstance(reference, Recorded):
            return too_far(array, reference, self._tolerance(array))
        expected = reference.array
        if "DtypeTest" in self.case["test"] and array.dtype != expected.dtype:
            return f"dtype {array.dtype} is not {expected.dtype}"
        if array.dtype.kind != expected.dtype.kind:
            return f"dtype {array.dtype} is not of the kind of {expected.dtype}"
        return too_far(array, expected, self._tolerance(expected))

    def _tolerance(self, expected) -> float:
        loose = {"float16": 5e-3, "bfloat16": 3e-2}
        base = LINEAR_ALGEBRA if self.case.get("fn", "").startswith("ops.linalg") else self.base
        return max(base, loose.get(expected.dtype.name, 0.0))

    # Objects with a life of their own.

    def _run_metric(self) -> str | None:
        metric = presence.make(self._config())
        for i, event in enumerate(self.case["events"]):
            problem = self._check_state(metric.variables, event["state"], assign=i == 0)
            if problem:
                return f"before {event['method']}: {problem}"
            args, kwargs = self._arguments(event)
            got = getattr(metric, event["method"])(*args, **kwargs)
            if event["method"] != "update_state" and event["out"] is not None:
                problem = self._compare(got, event["out"], event.get("asserted", []))
            if problem:
                return f"{event['method']}: {problem}"
        return None

    def _run_optimizer(self) -> str | None:
        optimizer, steps = presence.make(self._config()), self.case["steps"]
        variables = self._optimized_variables(optimizer)
        if steps[0]["built"]:
            optimizer.build(variables)
        for i, step in enumerate(steps):
            problem = self._optimizer_step(optimizer, variables, step, first=i == 0)
            if problem:
                return f"step {i}: {problem}"
        return None

    def _optimized_variables(self, optimizer) -> list:
        """The variables of the first step, with what Keras's test did to them beforehand."""
        from gpulayers import Variable

        paths = [recorded["path"] for recorded in self.case["steps"][0]["vars"]]
        values = [self.cases.array(r["value"]) for r in self.case["steps"][0]["vars"]]
        variables = [
            Variable(value, name=path.split("/")[-1], path=path)
            for path, value in zip(paths, values, strict=True)
        ]
        test = self._test()
        if test == "test_constraints_are_applied":
            variables[0].constraint = presence.find("NonNeg", ("constraints",))()
        elif test == "test_overwrite_with_gradient":
            variables[0].overwrite_with_gradient = True
        elif test == "test_weight_decay" and "exclude" in paths:
            optimizer.exclude_from_weight_decay(var_names=["exclude"])
        elif test == "test_weight_decay" and len(variables) == 2:
            optimizer.exclude_from_weight_decay(var_list=variables[1:])
        return variables

    def _optimizer_step(self, optimizer, variables, step, first: bool) -> str | None:
        for variable, recorded in zip(variables, step["vars"], strict=True):
            variable.assign(self.cases.array(recorded["value"]))
        problem = self._check_state(optimizer.variables, step["state"], assign=first)
        if problem:
            return f"state before, {problem}"
        gradients = [self._decode(g) for g in step["grads"]]
        if step["method"] == "apply":
            optimizer.apply(gradients, variables)
        else:
            optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))
        for variable, after in zip(variables, step["vars_after"], strict=True):
            expected = self.cases.array(after)
            problem = too_far(numpy(variable), expected, self._tolerance(expected))
            if problem:
                return f"{variable.path}: {problem}"
        return self._check_state(optimizer.variables, step["state_after"], assign=False)

    def _check_state(self, variables, recorded: list, assign: bool) -> str | None:
        """Compare state variables with the recorded ones, in order; the first time, set them."""
        if not recorded:
            return None
        if len(variables) != len(recorded):
            names = [v.get("name", v.get("path")) for v in recorded]
            return f"{len(variables)} state variables, Keras has {len(recorded)}: {names}"
        for variable, state in zip(variables, recorded, strict=True):
            expected = self.cases.array(state["value"])
            if assign:
                variable.assign(expected)
            problem = too_far(numpy(variable), expected, self._tolerance(expected))
            if problem:
                return f"{state.get('name', state.get('path'))}: {problem}"
        return None

    # Shapes.

    def _run_symbolic(self) -> str | None:
        from gpulayers.arrays import dtypes, get_mask

        layer = presence.make(self._config())
        args, kwargs = self._arguments(self.case)
        got = flatten(layer(*args, **kwargs))
        expected = flatten(self.cases.decode(self.case["out"], None, None, Spec))
        if len(got) != len(expected):
            return f"{len(got)} outputs, Keras has {len(expected)}"
        for y, spec in zip(got, expected, strict=True):
            found = (tuple(y.shape), dtypes.name(y.dtype), get_mask(y) is not None)
            wanted = (tuple(spec.shape), spec.dtype, bool(spec.mask))
            if found != wanted:
                return f"(shape, dtype, mask) {found}, Keras has {wanted}"
        return None

    def _run_output_shape(self) -> str | None:
        layer = presence.make(self._config())
        args, kwargs = self._arguments(self.case)
        got, expected = layer.compute_output_shape(*args, **kwargs), self._decode(self.case["out"])
        return None if _tuples(got) == _tuples(expected) else f"{got}, Keras has {expected}"

    def _run_serialization(self) -> str | None:
        config = self.case["config"]["__keras_object__"]
        again = presence.module("registry").serialize(presence.make(config))
        return _config_difference(_comparable(again), _comparable(config))

    def _run_transform(self) -> str | None:
        layer = presence.make(self._config())
        args, transformation = (self._decode(self.case[k]) for k in ("args", "transformation"))
        got = getattr(layer, self.case["method"])(*args, transformation)
        return self._compare(got, self.case["out"])


class Spec:
    """The shape and the dtype that a symbolic result should have, and whether a mask."""

    def __init__(self, recorded: dict):
        self.shape, self.dtype, self.mask = (recorded[k] for k in ("shape", "dtype", "mask"))


def _input(array, mask, marker: dict):
    from gpulayers import Variable
    from gpulayers.arrays import set_mask

    if marker.get("variable"):
        return Variable(array)
    if mask is not None:
        array = array.view()
        set_mask(array, mask)
    return array


def _symbolic(spec: dict):
    from gpulayers.arrays import KerasTensor, set_mask

    tensor = KerasTensor(tuple(spec["shape"]), dtype=spec["dtype"])
    if spec["mask"]:
        set_mask(tensor, KerasTensor(tuple(spec["shape"])[:2], dtype="bool"))
    return tensor


def _unnamed(result):
    """Named tuples and the standard's result objects as tuples."""
    return tuple(result) if hasattr(result, "_fields") else result


def _tuples(shapes):
    if isinstance(shapes, dict):
        return {key: _tuples(part) for key, part in shapes.items()}
    return tuple(map(_tuples, shapes)) if isinstance(shapes, (list, tuple)) else shapes


def _comparable(config):
    """A config as JSON has it, without what may differ: object ids and optimizers' modules."""
    config = json.loads(json.dumps(config))

    def clean(part):
        if isinstance(part, list):
            return [clean(p) for p in part]
        if not isinstance(part, dict):
            return part
        part = {key: clean(p) for key, p in part.items() if key != "shared_object_id"}
        if not part.get("compile_config", True):  # Of a model that was never compiled.
            del part["compile_config"]
        if str(part.get("module", "")).startswith("keras.src.backend"):
            part.update(module="keras.optimizers", registered_name=None)
        return part

    return clean(config)


def _config_difference(got, expected, path="") -> str | None:
    if isinstance(got, dict) and isinstance(expected, dict):
        extra, missing = sorted(got.keys() - expected.keys()), sorted(expected.keys() - got.keys())
        if extra or missing:
            return f"{path or 'config'}: extra keys {extra}, missing keys {missing}"
        pairs = [(f"{path}.{key}", got[key], expected[key]) for key in got]
    elif isinstance(got, list) and isinstance(expected, list) and len(got) == len(expected):
        pairs = [(f"{path}[{i}]", *pair) for i, pair in enumerate(zip(got, expected, strict=True))]
    else:
        same = got == expected
        if isinstance(got, float) or isinstance(expected, float):
            same = too_far(got, expected, 1e-6) is None if None not in (got, expected) else same
        return None if same else f"{path}: {got!r}, Keras has {expected!r}"
    return next(
        (found for pair in pairs if (found := _config_difference(pair[1], pair[2], pair[0]))), None
    )
