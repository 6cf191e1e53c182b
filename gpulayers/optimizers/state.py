"""The Variables of an optimizer: made, found again, saved."""

from __future__ import annotations

import warnings

import numpy as np

from ..arrays import Variable, devices, namespace, plain


class OptimizerState:
    """What an optimizer remembers: its step, its learning rate, its slots for each weight."""

    def __init__(self, name: str):
        self.name = name
        self.built = False
        self._home = None
        self._variables: list[Variable] = []
        self._trainable_variables: list[Variable] = []
        self._trainable_variables_indices: dict[int, int] = {}
        self._plans: dict[tuple, tuple] = {}
        self._joined: dict[tuple, object] = {}
        self._own: dict[int, np.ndarray] = {}  # By Variable: arrays that steps write in.

    def __getstate__(self):
        """What pickle and copy take: all but what goes by the identity of Variables."""
        by_identity = ("_plans", "_joined", "_own", "_home", "_trainable_variables_indices")
        return {k: v for k, v in self.__dict__.items() if k not in by_identity}

    def __setstate__(self, state):
        indices = {id(v): i for i, v in enumerate(state["_trainable_variables"])}
        self.__dict__.update(state, _trainable_variables_indices=indices)
        self.__dict__.update(_plans={}, _joined={}, _own={}, _home=None)

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if type(value) is Variable and "_variables" in self.__dict__:
            self._track_variable(value)  # As in Keras, an attribute is saved with the rest.

    def _track_variable(self, variable: Variable) -> None:
        if not any(variable is known for known in self._variables):
            self._variables.append(variable)

    def _untrack_variable(self, variable: Variable) -> None:
        self._variables = [known for known in self._variables if known is not variable]

    @property
    def variables(self) -> list[Variable]:
        """Its Variables, in the order of files: step, learning rate, then the slots."""
        return self._variables[:]

    def _var_key(self, variable) -> int:
        return id(variable)

    def _get_variable_index(self, variable) -> int:
        return self._trainable_variables_indices[id(variable)]

    def _slots(self, lists, variable) -> list[Variable | None]:
        """The slots of one weight from lists of slots (None for a list that is empty)."""
        if not lists:
            return []
        index = self._trainable_variables_indices[id(variable)]
        return [slots[index] if slots else None for slots in lists]

    def _move(self, home: devices.Home) -> None:
        """Take all Variables to where the weights live, if that is elsewhere."""
        if home is not self._home and home != self._home:
            self._home = home
            for variable in self._variables:
                variable.move(home)

    def _check_known(self, variables) -> None:
        known = self._trainable_variables_indices
        unknown = [v.path for v in variables if id(v) not in known]
        if unknown:
            raise ValueError(
                f"{self.name}: unknown variables {', '.join(unknown)}: an optimizer serves those "
                "it was built with. Make a new one for new variables."
            )

    def add_variable(
        self, shape, initializer="zeros", dtype=None, aggregation="none", layout=None, name=None
    ) -> Variable:
        """A new Variable that belongs to the optimizer.

        Args:
            shape: whole numbers.
            initializer: a name, or a function (shape, dtype) -> array.
            dtype: a name; floatx by default.
            aggregation, layout: accepted as Keras accepts them, and not used.
            name: for messages.
        """
        from .. import initializers

        name = name or "variable"
        variable = Variable(
            initializers.get(initializer),
            shape=shape,
            dtype=dtype,
            trainable=False,
            aggregation=aggregation,
            name=name,
            path=f"{self.name}/{name}",
        )
        self._track_variable(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable, name=None, initializer="zeros"
    ) -> Variable:
        """A new Variable of a weight's shape and dtype, where that weight lives."""
        path = getattr(reference_variable, "path", None) or reference_variable.name
        with devices.scope(reference_variable.home):
            variable = self.add_variable(
                shape=reference_variable.shape,
                initializer=initializer,
                dtype=reference_variable.dtype,
                name=f"{path.replace('/', '_')}_{name or 'var'}",
            )
        if initializer == "zeros":  # A fresh array: the first step need not copy it.
            self._own[id(variable)] = variable._value
        return variable

    def add_optimizer_variables(self, trainable_variables, name, initializer="zeros"):
        """One new Variable for each weight (None for those overwritten by their gradient).

        With a list of names, a tuple of such lists; `initializer` may then be a list as well.
        Raises ValueError if there are more or fewer initializers than names.
        """
        names = [name] if isinstance(name, str) else list(name)
        several = isinstance(initializer, (list, tuple))
        initializers = list(initializer) if several else [initializer] * len(names)
        if len(names) != len(initializers):
            raise ValueError(
                f"{self.name}: expected one initializer for each of the names {names}, "
                f"got {len(initializers)}."
            )
        made = tuple([] for _ in names)
        for variable in trainable_variables:
            for slots, one, start in zip(made, names, initializers, strict=True):
                skip = variable.overwrite_with_gradient
                new = None if skip else self.add_variable_from_reference(variable, one, start)
                slots.append(new)
        return made[0] if isinstance(name, str) else made

    def set_weights(self, weights) -> None:
        """Assign arrays to `variables`, in their order.

        Raises ValueError before `build`, or if a shape is another.
        """
        if not self.built:
            raise ValueError(
                f"{self.name}: set_weights needs build(trainable_variables) to be called first."
            )
        for variable, weight in zip(self.variables, weights, strict=False):
            variable.assign(weight)

    def save_own_variables(self, store) -> None:
        """Put the state into `store`, a dict or HDF5 group, under "0", "1", ..."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store) -> None:
        """Take the state from `store`.  Warns, and leaves all as it is, if the numbers differ."""
        variables = self.variables
        if len(store.keys()) != len(variables):
            hint = "" if self.built else " It is not built yet: call build(trainable_variables)."
            warnings.warn(
                f"{self.name}: its state is not loaded: it has {len(variables)} variables, the "
                f"file has {len(store.keys())}.{hint}",
                stacklevel=2,
            )
            return
        for i, variable in enumerate(variables):
            variable.assign(store[str(i)])

    def _disown(self) -> None:
        """All slots' arrays may be somebody else's now: they are copied before they change."""
        self._own.clear()

    def _choose(self, condition, then, otherwise) -> None:
        """Do `then` if the condition holds, else `otherwise`.

        Where only the device knows the condition, do both, and let it select between the values
        that they leave in all Variables.
        """
        if isinstance(condition, (bool, np.bool_)):
            return then() if condition else otherwise()
        condition = plain(condition)
        self._disown()  # `then` must not write in what `otherwise` starts from.
        variables = [*self.variables, *self._trainable_variables]
        before = [v._value for v in variables]
        then()
        after = [v._value for v in variables]
        for variable, value in zip(variables, before, strict=True):
            variable.replace(value)
        otherwise()
        for variable, value in zip(variables, after, strict=True):
            if value is not variable._value:
                variable.replace(namespace(value).where(condition, value, variable._value))
