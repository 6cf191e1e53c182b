"""How a layer is called: arguments by name, `training`, masks, and who called whom."""

from __future__ import annotations

import inspect
import warnings
from contextvars import ContextVar
from functools import cache

from .. import tree
from ..arrays import Abstract, devices, dtypes, get_mask, is_array, masked, plain, set_mask
from ..arrays.masks import any_masks
from ..arrays.tape import TapeArray
from ..arrays.variable import SCOPE
from .input_spec import fixes_batch
from .tracking import STRUCTURE

CALL: ContextVar[CallContext | None] = ContextVar("call", default=None)


class CallContext:
    """One layer's call within the calls of the layers around it."""

    __slots__ = ("layer", "parent", "root", "training")

    def __init__(self, layer, training, parent):
        self.layer, self.training, self.parent = layer, training, parent
        self.root = layer if parent is None else parent.root


def path_of_calls() -> list[str]:
    """The names of the layers that are being called or built now, outermost first."""
    names, context = [], CALL.get()
    while context is not None:
        if context.parent is None or context.parent.layer is not context.layer:
            names.append(context.layer.name)
        context = context.parent
    return names[::-1]


class CallSignature:
    """What `call` takes: looked up once for each class."""

    def __init__(self, function):
        parameters = list(inspect.signature(function).parameters.values())[1:]
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self.names = [p.name for p in parameters if p.kind in positional]
        every = {p.name: p for p in parameters}
        open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
        self.takes_training = "training" in every
        self.takes_mask = "mask" in every
        self.passes_training = self.takes_training or open_ended
        default = every["training"].default if self.takes_training else None
        self.training_default = None if default is inspect.Parameter.empty else default
        self.mask_names = frozenset(n for n in every if n.endswith("_mask"))
        self.all_names = frozenset(every)


@cache
def call_signature(cls) -> CallSignature:
    return CallSignature(cls.call)


@cache
def build_parameters(cls) -> tuple[str, ...]:
    """The names of the shapes that a class's `build` takes."""
    parameters = list(inspect.signature(cls.build).parameters.values())[1:]
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return tuple(p.name for p in parameters if p.kind not in kinds)


def of_masks_only(compute_mask):
    """Say of a `compute_mask` that it gives no mask for inputs without one."""
    compute_mask.of_masks_only = True
    return compute_mask


class Usual:
    """What a layer was last called on: one array, without a mask, that needed no conversion.

    It holds until an attribute of some layer is set.  Calls on arrays like it skip all checks.
    """

    __slots__ = ("dtype", "kind", "shape", "version")

    @classmethod
    def of(cls, layer, x, signature):
        """The usual call of `layer`, or None if its calls need more than `call`."""
        compute = layer.compute_dtype
        if (
            layer.activity_regularizer is not None
            or not getattr(type(layer).compute_mask, "of_masks_only", False)
            or compute in dtypes.SHORT_FLOATS
            or isinstance(x, Abstract)
            or len(x.shape) < 2
            or fixes_batch(layer._input_spec)
            or (dtypes.is_floating(x.dtype) and dtypes.name(x.dtype) != compute and layer.autocast)
        ):
            return None
        usual = cls()
        usual.dtype, usual.shape, usual.version = x.dtype, tuple(x.shape[1:]), STRUCTURE[0]
        usual.kind = type(plain(x))
        return usual

    def fits(self, x, kwargs) -> bool:
        """Whether a call on `x` is such a call."""
        if self.version != STRUCTURE[0] or any_masks():
            return False
        scope = SCOPE.get()
        if scope is not None and scope.autocast is not None:  # Of a layer of 16 bits around it.
            return False
        if kwargs and (len(kwargs) > 1 or "training" not in kwargs):
            return False
        if type(x) is TapeArray:
            if getattr(x, "_mask", None) is not None or type(x.value) is not self.kind:
                return False
        elif type(x) is not self.kind:
            return False
        return x.dtype is self.dtype and x.shape[1:] == self.shape


def beside_arrays(args, kwargs):
    """The context in which new arrays appear on the device of the arguments."""
    leaves = map(plain, tree.leaves([args, kwargs]))
    return devices.beside(next((x for x in leaves if is_array(x)), None))


def array_arguments(signature: CallSignature, args, kwargs) -> dict:
    """The arguments that hold arrays, by name, in the order of the signature."""
    given = dict(zip(signature.names, args, strict=False)) | kwargs
    extra = args[len(signature.names) :]
    given |= {f"*{i}": value for i, value in enumerate(extra)}
    masks = {n for n in given if n == "mask" or n.endswith("_mask")}
    order = [n for n in signature.names if n in given] + [
        n for n in given if n not in signature.names
    ]
    found = {}
    for name in order:
        if name in masks or name == "training":
            continue
        leaves = [leaf for leaf in tree.leaves(given[name]) if leaf is not None]
        if leaves and all(is_array(leaf) for leaf in leaves):
            found[name] = given[name]
    return found


def build_shapes(cls, arrays: dict, kwargs) -> dict:
    """The shapes of the array arguments, and of the masks for whose shapes `build` asks."""
    asked = [n for n in kwargs if f"{n}_shape" in build_parameters(cls) and n not in arrays]
    masks = {n: kwargs[n] for n in asked if is_array(kwargs[n])}
    return {name: shapes_of(value) for name, value in (arrays | masks).items()}


def shapes_of(value):
    """The shapes of a structure of arrays: a tuple, or a structure of tuples."""
    return tree.map_structure(lambda x: None if x is None else tuple(x.shape), value)


def resolve_training(signature: CallSignature, args, kwargs, parent):
    """The value of `training`: explicit, else the outer call's, else the default of `call`."""
    if "training" in signature.names:
        place = signature.names.index("training")
        if len(args) > place and args[place] is not None:
            return args[place]
    if kwargs.get("training") is not None:
        return kwargs["training"]
    if parent is not None and parent.training is not None:
        return parent.training
    return signature.training_default


def inject_masks(signature: CallSignature, arrays: dict, args, kwargs) -> None:
    """Hand the masks that the arguments carry to a `call` that asks for them."""
    if len(arrays) == 1 and signature.takes_mask:
        names, value = signature.names, next(iter(arrays.values()))
        given = "mask" in names and len(args) > names.index("mask")
        if not given and kwargs.get("mask") is None:
            mask = tree.map_structure(get_mask, value)
            if any(m is not None for m in tree.leaves(mask)):
                kwargs["mask"] = mask
    elif len(arrays) > 1:
        for name, value in arrays.items():
            key = f"{name}_mask"
            if key in signature.mask_names and kwargs.get(key) is None:
                names = signature.names
                if key in names and len(args) > names.index(key):
                    continue
                mask = tree.map_structure(get_mask, value)
                if any(m is not None for m in tree.leaves(mask)):
                    kwargs[key] = mask


def pass_masks_on(layer, inputs, previous, outputs):
    """The outputs of a layer, carrying the mask that `compute_mask` gives for its inputs'."""
    if not layer.supports_masking:
        if not layer._hands_masks_on and any(m is not None for m in tree.leaves(previous)):
            warnings.warn(
                f"layer {layer.name!r} ({type(layer).__name__}) does not support masking, so the "
                "mask of its input ends here. A layer that can pass it on sets "
                "self.supports_masking = True.",
                stacklevel=4,
            )
        return outputs
    flat = tree.flatten(outputs)
    if all(x is None or get_mask(x) is not None for x in flat):
        return outputs
    masks = layer.compute_mask(inputs, previous)
    if masks is None:
        return outputs
    flat_masks = tree.flatten(masks)
    for i, (x, mask) in enumerate(zip(flat, flat_masks, strict=False)):  # One is the first's.
        if mask is not None and is_array(x) and get_mask(x) is None:
            if any(x is given for given in tree.leaves(inputs)):  # The caller's own array.
                flat[i] = masked(x, mask)
            else:
                set_mask(x, mask)
    return tree.pack_sequence_as(outputs, flat)
