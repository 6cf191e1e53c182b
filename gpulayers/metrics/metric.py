"""What a metric is: numbers that grow batch by batch, and a result made from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from .. import initializers, tree
from ..arrays import Variable, devices, get_mask, is_array, is_recorded, masked, namespace, plain
from ..losses.base import compute_dtype, is_structure
from ..naming import auto_name


class Metric:
    """Base class of metrics.

    A subclass makes its numbers in `__init__` with `add_variable` (after `super().__init__()`),
    changes them in `update_state`, and gives the metric's value in `result`.  `update_state` gets
    plain arrays, also while a tape runs, and the variables are where the arrays live.

    Args:
        dtype: of the computation; floatx by default, the compute dtype of a policy.
        name: the class's name in snake case by default.
    """

    keras_identity = ("keras", "Metric", None)
    _direction: str | None = None  # "up" if more is better, "down" if less is.

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "update_state" in cls.__dict__:
            cls.update_state = _on_plain_arrays(cls.__dict__["update_state"])
        if "result" in cls.__dict__:
            cls.result = _as_plain_arrays(cls.__dict__["result"])

    def __init__(self, dtype=None, name=None):
        self.name = name or auto_name(type(self).__name__)
        self._dtype = compute_dtype(dtype)
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """The name of the dtype in which the metric computes."""
        return self._dtype

    def add_variable(
        self, shape, initializer="zeros", dtype=None, aggregation="sum", name=None
    ) -> Variable:
        """A number (or an array of them) that `update_state` changes and `reset_state` zeroes.

        Args:
            shape: a tuple, () for one number.
            initializer: a name, an `Initializer` or a function (shape, dtype) -> array.
            dtype: floatx by default.
            aggregation: kept for Keras's sake.
            name: for messages.

        Raises RuntimeError if the subclass has not called `super().__init__()`.
        """
        self._check_super_called()
        variable = Variable(
            initializers.get("zeros" if initializer is None else initializer),
            shape=tuple(shape),
            dtype=dtype,
            trainable=False,
            autocast=False,
            aggregation=aggregation,
            synchronization="on_read",
            name=name,
            path=f"{self.name}/{name or 'variable'}",
        )
        self._variables.append(variable)
        return variable

    def add_weight(self, shape=(), initializer=None, dtype=None, name=None) -> Variable:
        """The same as `add_variable`."""
        return self.add_variable(shape, initializer, dtype=dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """Its own variables, then those that it, and metrics in it, hold in attributes."""
        found = list(self._variables)
        for value in vars(self).values():
            if isinstance(value, (Metric, Variable, list, tuple, dict)):
                for part in tree.flatten(value):
                    if isinstance(part, Metric):
                        found.extend(part.variables)
                    elif isinstance(part, Variable):
                        found.append(part)
        return list({id(v): v for v in found}.values())

    def update_state(self, *args, **kwargs):
        """Take a batch into account."""
        raise NotImplementedError(f"{type(self).__name__} must define update_state().")

    def result(self):
        """The metric's value over all batches since the last `reset_state`."""
        raise NotImplementedError(f"{type(self).__name__} must define result().")

    def reset_state(self):
        """Start anew: all variables become 0."""
        for variable in self.variables:
            value = plain(variable)
            variable.replace(namespace(value).zeros_like(value))

    def __call__(self, *args, **kwargs):
        self._check_super_called()
        self.update_state(*args, **kwargs)
        return self.result()

    def stateless_update_state(self, metric_variables, *args, **kwargs) -> list:
        """What the variables would be after an update from the values `metric_variables`."""
        return self._from_values(metric_variables, lambda: self.update_state(*args, **kwargs))[1]

    def stateless_result(self, metric_variables):
        """The result, were the variables `metric_variables`."""
        return self._from_values(metric_variables, self.result)[0]

    def stateless_reset_state(self) -> list:
        """What the variables would be after `reset_state`."""
        return self._from_values([plain(v) for v in self.variables], self.reset_state)[1]

    def _from_values(self, values, action: Callable):
        """(result of `action`, the variables after it); the variables themselves stay."""
        variables = self.variables
        if len(values) != len(variables):
            raise ValueError(
                f"{self.name}: expected {len(variables)} values in metric_variables, one for each "
                f"of the metric's variables, got {len(values)}."
            )
        before = [plain(v) for v in variables]
        try:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
            result = action()
            return result, [plain(v) for v in variables]
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.replace(value)

    def get_config(self) -> dict:
        """What `from_config` needs to make the same metric again."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict):
        """The metric that `get_config` described."""
        return cls(**config)

    def _check_super_called(self):
        if "_variables" not in self.__dict__:
            raise RuntimeError(
                f"{type(self).__name__}: call super().__init__() first in __init__()."
            )

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"


_HOST = {np.ndarray, np.float32, np.float64, float, int, bool, type(None)}


def _on_plain_arrays(update_state):
    """`update_state` without the tape, with the variables where the arrays live."""

    @wraps(update_state)
    def update(self, *args, **kwargs):
        types = {*map(type, args), *map(type, kwargs.values())}
        own = self.__dict__.get("_variables")
        if own and types <= _HOST and type(own[0]._value) is np.ndarray:
            return update_state(self, *args, **kwargs)
        args = tuple(map(_plain, args))
        kwargs = {key: _plain(value) for key, value in kwargs.items()}
        leaves = tree.flatten([*args, *kwargs.values()])
        home = next(map(devices.home_of, filter(is_array, leaves)), None)
        if home is None:
            return update_state(self, *args, **kwargs)
        for variable in self.variables:
            variable.move(home)
        with devices.scope(home):  # For what a metric makes in its first update.
            return update_state(self, *args, **kwargs)

    return update


def _as_plain_arrays(result):
    """`result` with arrays for Variables, which would change with the next batch."""

    @wraps(result)
    def plain_result(self):
        return _plain(result(self))

    return plain_result


def _plain(x):
    """`x` without the tape that it was recorded on, but with its mask."""
    if is_structure(x):
        return tree.map_structure(_plain, x)
    if not is_recorded(x):
        return plain(x.value if type(x) is Variable else x)
    value, mask = plain(x), get_mask(x)
    return value if mask is None else masked(value, plain(mask))
