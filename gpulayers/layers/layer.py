"""The base of all layers."""

from __future__ import annotations

import inspect

import numpy as np

from .. import naming, registry, regularizers, tree
from ..arrays import (
    Abstract,
    KerasTensor,
    Variable,
    devices,
    dtypes,
    get_mask,
    infer,
    is_array,
    lift,
    masks,
    namespace,
    plain,
)
from ..arrays.policy import DTypePolicy
from ..arrays.symbolic import Node, abstract, connect, finish, symbolic
from ..arrays.tape import TapeArray
from ..arrays.variable import SCOPE, at_full_width
from . import calling
from .adapting import is_table
from .added_losses import AddedLosses, Noted, inferring
from .arguments import checked_bool, older_input_shape
from .autocasting import short_scope
from .building import ONE_BUILDS, Building, NotInitialized, undone_if_it_raises
from .call_arguments import all_numbers, check_arguments, number_dtype
from .calling import CALL, CallContext, call_signature
from .input_spec import check_inputs
from .plan import Plan
from .tracking import BOOKKEEPING, CREATED, PASSING, RENAMED, STRUCTURE, track
from .training_plan import TrainingPlan
from .weights import Weights

_INFERENCE = {"training": False}


class Layer(Building, AddedLosses, Weights):
    """A function of arrays with weights of its own: what all layers and models are.

    A subclass creates weights by `add_weight` (in `__init__`, or in `build`, which gets the shapes
    of the inputs), and computes in `call`, on plain arrays, on recorded ones (training) and on
    abstract ones (shape inference) alike: take functions from `xp = gpulayers.namespace(inputs)`
    or `gpulayers.ops`, and never change an array in place.

    Args:
        activity_regularizer: a regularizer of the outputs; its loss is divided by the batch size.
        trainable: whether the weights may be trained.
        dtype: a dtype's name or a `DTypePolicy`; the default policy if None.
        autocast: whether floating inputs are cast to the policy's compute dtype.
        name: unique in a model; made from the class's name if None.
        input_shape, input_dim, batch_input_shape: the shape of the inputs, for the first layer of a
            Sequential model (older spellings of an `Input` before it).

    Raises TypeError for unknown arguments.
    """

    supports_masking = False
    _takes_text = False  # Whether inputs may be strings.
    _keeps_samples_apart = False  # Whether outputs are of as many samples, one for each.
    _hands_masks_on = False  # Whether inner layers pass masks on, one to the next.
    _casts_weights_itself = False  # Whether its own are read in their dtype in 16-bit policies.

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls)
        layer.__dict__.update(
            _own_variables=[],
            _tracked=[],
            _created=next(CREATED),
            _noted=Noted(),
            _inbound_nodes=[],
            _init_arguments=(args, kwargs),
            _plan=None,
            _plan_of_training=None,
            _usual=None,
            _built=False,
            _building=False,
            _build_shapes=None,
            _called_home=None,
            _trainable=True,
            _dtype_policy=None,
            _policy=NotInitialized(cls.__name__),
            _input_spec=None,
            activity_regularizer=None,
            autocast=True,
            name=None,
        )
        return layer

    def __init__(
        self,
        *,
        activity_regularizer=None,
        trainable: bool = True,
        dtype=None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs,
    ):
        who = type(self).__name__
        shape = older_input_shape(kwargs)
        if shape is not None:
            self._first_input_shape = shape
        if kwargs:
            raise TypeError(f"{who}: unexpected arguments: {', '.join(map(repr, sorted(kwargs)))}.")
        self.name = naming.auto_name(who) if name is None else naming.check_name(who, name)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._dtype_policy = self._policy = DTypePolicy.of(dtype)
        self._trainable = checked_bool(who, "trainable", trainable)
        self.autocast = autocast

    def __setattr__(self, name, value):
        if self.__dict__.get(name, self) is not value:  # Else nothing changes.
            STRUCTURE[0] += name not in PASSING
            if name not in BOOKKEEPING:
                track(self, value)
            elif name == "name" and self.__dict__.get("name") is not None:
                RENAMED[0] += 1
            object.__setattr__(self, name, value)

    def __delattr__(self, name):
        STRUCTURE[0] += 1
        object.__delattr__(self, name)

    # What subclasses define.

    def call(self, *args, **kwargs):
        """The computation."""
        raise NotImplementedError(f"{type(self).__name__} does not define `call`.")

    @calling.of_masks_only
    def compute_mask(self, inputs, previous_mask):
        """The mask of the outputs, given that of the inputs; the same one by default."""
        return previous_mask

    def compute_output_shape(self, *args, **kwargs):
        """The shapes of the outputs for shapes of the inputs: by running `call` without data."""
        names = calling.build_parameters(type(self))
        if kwargs and set(kwargs) <= set(names):
            given = {n.removesuffix("_shape"): v for n, v in kwargs.items()}
        else:
            shapes = [*args, *kwargs.values()]
            given = dict(zip(call_signature(type(self)).names, shapes, strict=False))
        dtype = self.compute_dtype

        def array(shape):
            return None if shape is None else Abstract(shape, dtype)

        if not self.built:
            self._build_for(given)
        arrays = {name: tree.map_shape_structure(array, shape) for name, shape in given.items()}
        out = infer(self, **arrays)
        return tree.map_structure(lambda x: tuple(x.shape), out)

    def compute_output_spec(self, *args, **kwargs):
        """The outputs for KerasTensors, without adding a call to a graph."""
        out = infer(self, *tree.map_structure(abstract, list(args)), **kwargs)
        return tree.map_structure(lambda x: symbolic(x, None, 0), out)

    # Calling.

    def __call__(self, *args, **kwargs):
        is_inference = len(args) == 1 and (not kwargs or kwargs == _INFERENCE)
        if is_inference and SCOPE.get() is None and CALL.get() is None:
            run = self._inference_plan(args[0], **kwargs)
            if run is not None:
                return run(args[0])
        return self._call(args, kwargs)

    def _call(self, args, kwargs):
        if CALL.get() is None and not (args and type(args[0]) is np.ndarray):
            with calling.beside_arrays(args, kwargs):
                return self._call_there(args, kwargs)
        return self._call_there(args, kwargs)

    def _call_there(self, args, kwargs):
        usual = self._usual
        if usual is not None and len(args) == 1 and usual.fits(args[0], kwargs):
            return self._call_as_usual(lift(args[0]), kwargs.get("training"))
        if self.built:
            return self._call_in_full(args, kwargs)
        with ONE_BUILDS, undone_if_it_raises(self):
            return self._call_in_full(args, kwargs)

    def _call_in_full(self, args, kwargs):
        args, kwargs = self._arrays_of(args, kwargs)
        signature = call_signature(type(self))
        arrays = calling.array_arguments(signature, args, kwargs)
        leaves = tree.flatten(list(arrays.values()))
        if _is_ours(type(self).call):
            check_arguments(self, signature, args, kwargs, leaves)
        if any(type(x) is KerasTensor for x in leaves):
            return self._connect(arrays, args, kwargs)
        inputs = next(iter(arrays.values()), None)
        if self._input_spec is not None and inputs is not None:
            check_inputs(self._input_spec, inputs, self.name, type(self).__name__)
        if not self.built or self._called_home is None:
            self._settle(arrays, leaves, kwargs)
        self._check_home(leaves)
        if self._input_spec is not None and inputs is not None:  # What `build` has set.
            check_inputs(self._input_spec, inputs, self.name, type(self).__name__)
        parent = CALL.get()
        training = calling.resolve_training(signature, args, kwargs, parent)
        if signature.takes_training and (
            "training" not in signature.names or len(args) <= signature.names.index("training")
        ):
            kwargs["training"] = training
        elif not signature.passes_training:
            kwargs.pop("training", None)
        calling.inject_masks(signature, arrays, args, kwargs)
        previous = kwargs.get("mask")  # One that was given explicitly travels on, too.
        if previous is None:
            previous = tree.map_structure(get_mask, inputs)
        if parent is None and self._loss_owners and not inferring():
            self._clear_losses()
        token = CALL.set(CallContext(self, training, parent))
        try:
            outputs = self._compute(args, kwargs, arrays)
            if self.activity_regularizer is not None:
                self._regularize_activity(outputs)
        finally:
            CALL.reset(token)
        outputs = calling.pass_masks_on(self, inputs, previous, outputs)
        if len(leaves) == 1 and inputs is leaves[0]:
            self.__dict__["_usual"] = calling.Usual.of(self, inputs, signature)
        return outputs

    def _call_as_usual(self, x, training):
        """The same for one array like the last one, of which nothing needs to be checked again."""
        parent = CALL.get()
        if parent is None:
            if self._loss_owners:
                self._clear_losses()
        elif training is None:
            training = parent.training
        signature = call_signature(type(self))
        if training is None:
            training = signature.training_default
        if parent is None and training is True and self._layers and type(x) is TapeArray:
            plan = self._training_plan(x.value)
            if plan is not None:
                return plan.record(x)
        token = CALL.set(CallContext(self, training, parent))
        try:
            return self.call(x, training=training) if signature.takes_training else self.call(x)
        finally:
            CALL.reset(token)

    def _compute(self, args, kwargs, arrays):
        """`call`, with weights in the dtype of the policy, and results rounded to it."""
        compute = self.compute_dtype
        own_shape = type(self).compute_output_shape
        if own_shape is not Layer.compute_output_shape and not _is_ours(own_shape):
            if any(type(x) is Abstract for x in tree.leaves(list(arrays.values()))):
                return self._outputs_by_shape(arrays)
        if compute not in dtypes.SHORT_FLOATS:
            scope = SCOPE.get()
            if scope is None or scope.autocast is None:
                return self.call(*args, **kwargs)
            with at_full_width():
                return self.call(*args, **kwargs)
        token = None
        if any(devices.is_cupy(plain(x)) for x in tree.leaves(list(arrays.values()))):
            token = SCOPE.set(short_scope(self, compute))
        try:
            outputs = self.call(*args, **kwargs)
        finally:
            if token is not None:
                SCOPE.reset(token)
        return tree.map_structure(self._rounded, outputs)

    def _rounded(self, x):
        if not is_array(x) or dtypes.name(x.dtype) != "float32":
            return x
        xp = namespace(x)
        made = xp.astype(x, dtypes.of(xp, self.compute_dtype))
        if get_mask(x) is not None:
            masks.set_mask(made, get_mask(x))
        return made

    def _arrays_of(self, args, kwargs):
        """The arguments with numbers, lists and Variables as arrays of the dtype to compute in."""
        dtype = self._working_dtype(args) if self.autocast else None

        def convert(x):
            if type(x) is Variable:
                x = x.value
            x = x.to_numpy() if is_table(x) else x
            if not is_array(x) or isinstance(x, KerasTensor):
                return x
            if type(x) is not np.ndarray and isinstance(x, np.ndarray):
                x = np.asarray(x)  # A matrix or another subclass has operators of its own.
            x = lift(x)
            if dtype is not None and dtypes.is_floating(x.dtype) and dtypes.name(x.dtype) != dtype:
                xp = namespace(x)
                made = xp.astype(x, dtypes.of(xp, dtype))
                if get_mask(x) is not None:
                    masks.set_mask(made, get_mask(x))
                return made
            return x

        if args and isinstance(args[0], (list, tuple, int, float)) and all_numbers(args[0]):
            args = (np.asarray(args[0], dtype=number_dtype(args[0])), *args[1:])
        args = [tree.map_structure(convert, a) for a in args]
        return args, {key: tree.map_structure(convert, a) for key, a in kwargs.items()}

    def _working_dtype(self, args):
        """The compute dtype; off GPUs, float32 in the place of a 16-bit one."""
        compute = self.compute_dtype
        if compute in dtypes.SHORT_FLOATS:
            leaves = tree.flatten(list(args))
            return compute if any(devices.is_cupy(plain(x)) for x in leaves) else "float32"
        return compute if compute in dtypes.FLOATS else None

    def _connect(self, arrays, args, kwargs):
        """A call on KerasTensors: build with their shapes, and add the call to the graph."""
        if not self.built:
            self._build_for(calling.build_shapes(type(self), arrays, kwargs))
        own = type(self).compute_output_spec
        if own is Layer.compute_output_spec:
            return connect(self, *args, **kwargs)
        out = own(self, *args, **kwargs)
        node = Node(self, tuple(args), kwargs)
        return finish(node, tree.map_structure(abstract, out))

    def _outputs_by_shape(self, arrays):
        """Abstract outputs of a class that says itself what shapes it gives."""
        shapes = {k: calling.shapes_of(v) for k, v in arrays.items()}
        names = calling.build_parameters(type(self))
        if len(shapes) > 1 and all(f"{k}_shape" in names for k in shapes):
            out = self.compute_output_shape(**{f"{k}_shape": v for k, v in shapes.items()})
        else:
            out = self.compute_output_shape(next(iter(shapes.values())))
        dtype = self.compute_dtype
        return tree.map_shape_structure(lambda shape: Abstract(shape, dtype), out)

    # Speed.

    def _inference_plan(self, x, training=None):
        """The function that the layer is, in inference, of plain arrays like `x`; None if there is
        none: because it was not called on one before, or needs a full call each time."""
        plan = self._plan
        if plan is None or plan.version != STRUCTURE[0]:
            usual = self._usual
            if usual is None or type(x) is not np.ndarray or not usual.fits(x, ()):
                return None
            plan = self.__dict__["_plan"] = Plan.of(self, x)
        return plan.run if plan.fits(x) else None

    def _training_plan(self, x):
        """The plan of the layers inside for arrays like `x`; None if there is none."""
        if type(x) is not np.ndarray:
            return None
        plan = self._plan_of_training
        if plan is None or plan.version != STRUCTURE[0]:
            plan = self.__dict__["_plan_of_training"] = TrainingPlan(self, x)
        return plan if plan.fits(x) else None

    # Description.

    def get_config(self) -> dict:
        """The arguments that make an equal layer (without its weights)."""
        config = {"name": self.name, "trainable": self.trainable}
        config["dtype"] = registry.serialize(self.dtype_policy)
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        if type(self).get_config is Layer.get_config and type(self).__init__ is not Layer.__init__:
            config |= self._own_arguments()
        return config

    def _own_arguments(self) -> dict:
        """The arguments of a subclass that defines `__init__` but not `get_config`."""
        args, kwargs = self._init_arguments
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs)
        found = {}
        for name, value in list(bound.arguments.items())[1:]:
            further = bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
            found |= value if further else {name: value}
        for name in ("name", "trainable", "dtype"):
            found.pop(name, None)
        try:
            return registry.serialize(found)
        except TypeError as error:
            raise NotImplementedError(
                f"{type(self).__name__}: define get_config(), because an argument of __init__ "
                f"cannot be described automatically ({error})"
            ) from error

    @classmethod
    def from_config(cls, config: dict):
        """A layer from what `get_config` gave."""
        if isinstance(config.get("dtype"), dict):
            config = {**config, "dtype": DTypePolicy.of(config["dtype"])}
        return cls(**config)

    def __getstate__(self):
        """What pickle and copy take: without the graph around it, which belongs to models, and
        without what is only remembered for speed."""
        state = {**self.__dict__, "_inbound_nodes": [], "_found": None}
        state |= {"_plan": None, "_plan_of_training": None}
        state["_called_home"] = None  # Array libraries cannot be pickled; the next call finds it.
        arguments = state.pop("_init_arguments")  # Last: a model's name what its graph holds.
        return {**state, "_usual": None, "_init_arguments": arguments}

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _is_ours(function) -> bool:
    return (getattr(function, "__module__", None) or "").startswith("gpulayers.")
