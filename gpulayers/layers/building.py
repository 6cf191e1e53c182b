"""How a layer gets its weights: from shapes, or at its first call, beside its inputs."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from threading import RLock

from .. import tree
from ..arrays import Abstract, devices, namespace, plain
from ..arrays.abstract import TRIED, without_probe
from ..arrays.variable import SCOPE
from . import calling
from .arguments import naming_arguments
from .calling import CALL, CallContext
from .tracking import STRUCTURE

ONE_BUILDS = RLock()  # Of the threads that meet a layer first, the others wait.


class NotInitialized:
    """Stands for the dtype policy of a layer whose `__init__` has not called Layer's yet."""

    def __init__(self, who: str):
        self._who = who

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(
            f"{self._who}: __init__ must call super().__init__() before anything else."
        )


class Building:
    """The part of a layer that builds it."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if not cls.__module__.startswith("gpulayers."):  # It may do anything with them.
            cls._keeps_samples_apart = False
            if "compute_mask" in cls.__dict__ and "supports_masking" not in cls.__dict__:
                cls.supports_masking = True  # As in Keras: else it would never be asked.
        if "__init__" in cls.__dict__ and cls.__module__.startswith("gpulayers."):
            cls.__init__ = naming_arguments(cls.__dict__["__init__"])
        if "build" in cls.__dict__:
            cls.build = finishing(cls.__dict__["build"])

    def build(self, input_shape):
        """Create the weights that depend on the shapes of the inputs (None for unknown sizes)."""

    @property
    def built(self) -> bool:
        """Whether all weights exist."""
        if self._built:
            return True
        return type(self).build is Building.build and all(layer.built for layer in self._layers)

    @built.setter
    def built(self, value):
        self._built = bool(value)

    def _settle(self, arrays, leaves, kwargs):
        """At the first call, the arrays decide where the weights live."""
        first = next((plain(x) for x in leaves if type(x) is not Abstract), None)
        home = None if first is None else devices.home_of(first)
        if not self.built:
            shapes = calling.build_shapes(type(self), arrays, kwargs)
            if home is None or devices.in_scope():
                self._build_for(shapes)
            else:
                with devices.scope(home):
                    self._build_for(shapes)
        if home is not None:
            for variable in self.variables:
                if not variable._placed:  # Made in __init__, before any array was there.
                    variable.move(home)
        self.__dict__["_called_home"] = home

    def _check_home(self, leaves):
        """Refuse arrays of another library than the weights', with what to do about it."""
        for variable in self._own_variables:
            kind = type(variable._value)
            for x in leaves:
                x = plain(x)
                if getattr(getattr(x, "dtype", None), "kind", "f") == "c":
                    raise TypeError(
                        f"{type(self).__name__} {self.name!r}: its weights are real numbers, and "
                        f"the inputs complex ({x.dtype}). Give the real and imaginary parts as "
                        "features."
                    )
                if type(x) is not kind and type(x) is not Abstract:
                    namespace(variable._value, x)  # Raises if the libraries differ.
            break

    def _build_for(self, shapes: dict):
        """Call `build` with the shapes of the arguments, by name where it takes several."""
        names = calling.build_parameters(type(self))
        if type(self).build is Building.build:
            self.built = True
            self._build_shapes = known(shapes)
            return
        first = next(iter(shapes.values()), None)
        if len(names) == 1:
            self.build(first)
        elif set(names) <= {f"{key}_shape" for key in shapes} or len(names) > 1:
            by_name = {f"{key}_shape": shape for key, shape in shapes.items()}
            self.build(**{name: by_name[name] for name in names if name in by_name})
        else:
            self.build()

    @contextmanager
    def _open(self):
        """While a layer builds itself: no tape and no cast, and names from the calls around."""
        scope, call = SCOPE.set(None), CALL.set(CallContext(self, None, CALL.get()))
        self._building = True
        if self._dtype_policy is not None:  # One of several, if it is a map from paths.
            self.__dict__["_policy"] = self._dtype_policy.at(self.path)
        try:
            yield
        finally:
            self._building = False
            SCOPE.reset(scope)
            CALL.reset(call)

    def build_from_config(self, config: dict):
        """Build with the shapes that `get_build_config` gave."""
        if type(self).build is Building.build:  # The layers inside build themselves when called.
            return
        if config.get("shapes_dict"):
            self.build(**tree.map_shape_structure(tuple, config["shapes_dict"]))
        elif config.get("input_shape") is not None:
            self.build(tree.map_shape_structure(tuple, config["input_shape"]))

    def get_build_config(self) -> dict | None:
        """The shapes this layer was built with."""
        shapes = self._build_shapes
        if not shapes:
            return None
        if len(shapes) == 1 or type(self).build is Building.build:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": shapes}


def known(shapes: dict) -> dict:
    """Shapes of arguments (or structures of them, or None), with None for unknown batches."""

    def noted(part):
        if isinstance(part, dict):
            return {key: noted(value) for key, value in part.items()}
        if part is None or not isinstance(part, (list, tuple)):
            return part
        return without_probe(part) if tree.is_shape(part) else type(part)(map(noted, part))

    return shapes if TRIED.get() is None else noted(shapes)


@contextmanager
def undone_if_it_raises(layer):
    """What fails while weights are made leaves a layer, and those inside it, as they were."""
    before = [
        (one, dict(one.__dict__), {n: copy(v) for n, v in one.__dict__.items() if type(v) is list})
        for one in layer._flatten_layers()
    ]
    try:
        yield
    except BaseException:
        for one, attributes, lists in before:
            one.__dict__.clear()
            one.__dict__.update(attributes)
            for name, members in lists.items():
                attributes[name][:] = members
        STRUCTURE[0] += 1
        raise


def finishing(function):
    """`build` as a subclass wrote it, then: the layer is built, with these shapes."""

    def build(self, *args, **kwargs):
        if self._building:  # A subclass's build calls its parent's.
            return function(self, *args, **kwargs)
        with self._open(), undone_if_it_raises(self):
            function(self, *args, **kwargs)
        names = calling.build_parameters(type(self))
        self._build_shapes = known(dict(zip(names, args, strict=False)) | kwargs)
        self.built = True
        return None

    build.__wrapped__ = function
    build.__doc__, build.__name__ = function.__doc__, "build"
    build.__qualname__, build.__module__ = function.__qualname__, function.__module__
    return build
