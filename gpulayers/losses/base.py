"""What all losses share: shapes that are brought together, weights, masks, the reduction."""

from __future__ import annotations

import numpy as np

from .. import config, registry, tree
from ..arrays import as_array, dtypes, get_mask, is_array, lift, namespace
from ..arrays.namespace import RANK, library
from ..arrays.tape import TapeArray
from ..naming import auto_name

_USUAL_OPTIONS = (("label_smoothing", 0.0), ("axis", -1), ("ignore_class", None))
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss:
    """Base class of losses: how far predictions are from targets, as a number to be minimised.

    A subclass defines `call(y_true, y_pred)`, which gives one loss per sample (or per step).

    Args:
        name: the class's name in snake case by default.
        reduction: how `call`'s values become the result. "sum_over_batch_size" and "mean": their
            sum over their number; "sum"; "mean_with_sample_weight": their sum over the sum of the
            weights; "none" or None: the values themselves.
        dtype: of the computation; floatx by default, the compute dtype of a policy.

    A mask that `y_pred` carries leaves out what it marks False: means are over the rest.
    Raises ValueError for an unknown reduction.
    """

    keras_identity = ("keras", "Loss", None)
    keeps_integers = False  # Whether `call` wants class numbers as they are.

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        self.name = name or auto_name(type(self).__name__)
        self.reduction = standardize_reduction(reduction)
        self.dtype = compute_dtype(dtype)

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is None and type(y_pred) is TapeArray:
            loss = self._as_one_node(y_true, y_pred)
            if loss is not None:
                return loss
        mask = get_mask(y_pred)
        if is_structure(y_pred):
            y_pred = tree.map_structure(lambda y: as_array(y, self.dtype), y_pred)
            y_true = tree.map_structure(self._target, y_true)
        else:
            y_pred = as_array(y_pred, self.dtype)
            y_true = self._target(y_true, like=y_pred)
        values = self.call(y_true, y_pred)
        if values is None:
            raise TypeError(f"{self.name}: expected an array of losses, the function gave None.")
        mask = _both(mask, get_mask(values))
        return reduce_weighted_values(
            values, sample_weight, mask, self.reduction, self.dtype, self.name
        )

    def _as_one_node(self, y_true, y_pred):
        """The loss of recorded predictions as one node of their tape, or None."""
        if y_pred.index is None or get_mask(y_pred) is not None:
            return None
        made = self.directly(y_true, y_pred.value)
        if made is None:
            return None
        mean, pullback = made
        return y_pred.tape.record(mean, (y_pred.index,), (pullback,))

    def directly(self, y_true, y_pred):
        """The loss of plain arrays and its pullback, if it is one operation of them; else None.

        Gives (array of shape (), pullback(g) -> gradient of `y_pred`).
        """
        return None

    def _target(self, y_true, like=None):
        if self.keeps_integers and type(y_true) is np.ndarray and y_true.dtype.kind in "iu":
            return y_true
        given = getattr(y_true, "dtype", None)
        if dtypes.other_than_numbers(given) or getattr(given, "kind", "f") == "c":
            raise TypeError(
                f"{self.name}: expected real numbers in y_true, got an array of dtype "
                f"{y_true.dtype}."
            )
        if self.keeps_integers:
            y_true = as_array(y_true, like=like)
            if dtypes.is_integer(y_true):
                return y_true
        return as_array(y_true, self.dtype, like=like)

    def call(self, y_true, y_pred):
        """One loss for each sample: an array of the leading shape of `y_pred`."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, y_true, y_pred).")

    def get_config(self) -> dict:
        """What `from_config` needs to make the same loss again."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict):
        """The loss that `get_config` described."""
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"


class LossFunctionWrapper(Loss):
    """A loss made from a function.

    Args:
        fn: function (y_true, y_pred, **kwargs) -> one loss per sample.
        reduction, name, dtype: see `Loss`.
        kwargs: passed to `fn`.
    """

    keras_identity = ("keras.src.losses.losses", "LossFunctionWrapper", "LossFunctionWrapper")

    def __init__(self, fn, reduction="sum_over_batch_size", name=None, dtype=None, **kwargs):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn, self._fn_kwargs = fn, kwargs
        self.keeps_integers = getattr(fn, "keeps_integers", False)
        self._operation = self._short_way()

    def _short_way(self):
        """The primitive that the mean of `fn` comes down to where arrays fit as they are; or None.

        Functions name it as their `operation`.
        """
        usual = all(self._fn_kwargs.get(name, value) == value for name, value in _USUAL_OPTIONS)
        is_mean = self.reduction in ("sum_over_batch_size", "mean")
        own = type(self).call is LossFunctionWrapper.call
        return getattr(self.fn, "operation", None) if usual and is_mean and own else None

    def directly(self, y_true, y_pred):
        if (
            self._operation is None
            or type(y_pred) is not type(y_true)
            or type(y_pred) in RANK
            or y_pred.dtype != self.dtype
            or y_pred.ndim < 2
            or y_pred.size == 0
        ):
            return None
        if self.keeps_integers:
            fits = y_true.dtype.kind in "iu" and y_true.shape == y_pred.shape[:-1]
        else:
            fits = y_true.dtype == y_pred.dtype and y_true.shape == y_pred.shape
        if not fits:
            return None
        name = "numpy" if type(y_pred) is np.ndarray else library(namespace(y_pred))
        version, options = self._operation.version(name), {}
        options["from_logits"] = self._fn_kwargs.get("from_logits", False)
        made = version and version(y_true, y_pred, needs=(False, True), **options)
        if made is None or made is NotImplemented:
            return None
        losses, pullback = made
        if type(losses) is not np.ndarray:
            xp, size, shape = namespace(losses), losses.size, losses.shape
            return xp.mean(losses), lambda g: pullback(xp.broadcast_to(g / size, shape))[1]
        mean = np.asarray(np.add.reduce(losses, None) / losses.size)
        return mean, lambda g: pullback(np.full(losses.shape, g / losses.size))[1]

    def call(self, y_true, y_pred):
        if is_structure(y_pred):
            pairs = tree.map_structure(squeeze_or_expand_to_same_rank, y_true, y_pred)
            y_true = tree.map_structure(lambda _, pair: pair[0], y_true, pairs)
            y_pred = tree.map_structure(lambda _, pair: pair[1], y_pred, pairs)
        else:
            y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict:
        config = {**super().get_config(), "fn": registry.serialize(self.fn)}
        return config | {key: registry.serialize(v) for key, v in self._fn_kwargs.items()}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**{key: registry.deserialize(value) for key, value in config.items()})


class StandardLoss(LossFunctionWrapper):
    """A loss of the library: its function's options are attributes, `in_config` says which to save.

    `in_config` is Keras's choice; a few options (`Huber.delta`) are not in its files.
    """

    in_config: tuple[str, ...] = ()

    def __init__(self, fn, reduction, name, dtype, **options):
        super().__init__(fn, reduction=reduction, name=name, dtype=dtype, **options)
        self.__dict__.update(options)

    def get_config(self) -> dict:
        return Loss.get_config(self) | {key: self._fn_kwargs[key] for key in self.in_config}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)


def standardize_reduction(reduction):
    """`reduction` itself.  Raises ValueError if it is not one of those that `Loss` knows."""
    if reduction not in REDUCTIONS:
        expected = ", ".join(map(repr, REDUCTIONS))
        raise ValueError(f"reduction: expected one of {expected}, got {reduction!r}.")
    return reduction


def compute_dtype(dtype) -> str:
    """The name of the dtype that `dtype` (None, a name, a dtype, a policy) computes in."""
    if dtype is None:
        return config.floatx()
    from ..arrays.policy import DTypePolicy

    return DTypePolicy.of(dtype).compute_dtype


def is_structure(y) -> bool:
    """Whether `y` is a dict, or a list or tuple of arrays, rather than one array or its numbers."""
    if isinstance(y, dict):
        return True
    return isinstance(y, (list, tuple)) and any(map(_is_part, y))


def _is_part(y):
    return is_array(y) or is_structure(y)


def together(who: str, y_true, y_pred, same_rank: bool = False):
    """Both as arrays of one float dtype: that of `y_pred`, or floatx if it has integers.

    With `same_rank`, a last axis of size 1 that only one of them has is dropped or added.
    Raises ValueError if the shapes do not fit each other.
    """
    y_pred = as_array(y_pred)
    if not dtypes.is_floating(y_pred):
        y_pred = as_array(y_pred, config.floatx())
    y_true = as_array(y_true, like=y_pred)
    if y_true.dtype != y_pred.dtype:
        y_true = namespace(y_true, y_pred).astype(y_true, y_pred.dtype)
    y_true = lift(y_true)  # Some libraries' operators do not leave recorded arrays to us.
    if same_rank:
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    if y_true.shape != y_pred.shape:
        check_shapes(who, y_true, y_pred)
    return y_true, y_pred


def check_shapes(who: str, y_true, y_pred, exact: bool = False) -> None:
    """Raise ValueError unless the shapes broadcast, or are equal if `exact`."""
    a, b = tuple(y_true.shape), tuple(y_pred.shape)
    pairs = zip(reversed(a), reversed(b), strict=False)
    allowed = (None,) if exact else (None, 1)
    fit = all(m == n or m in allowed or n in allowed for m, n in pairs)
    if not fit or (exact and len(a) != len(b)):
        raise ValueError(f"{who}: y_true of shape {a} does not fit y_pred of shape {b}.")


def squeeze_or_expand_to_same_rank(x1, x2, expand_rank_1: bool = True):
    """Both arrays, without the last axis of size 1 that one of them has too many.

    Where the other has one axis only, it gets that axis instead (unless `expand_rank_1` is False).
    """
    rank1, rank2 = len(x1.shape), len(x2.shape)
    if rank1 == rank2 + 1 and x1.shape[-1] == 1:
        if rank2 == 1 and expand_rank_1:
            x2 = namespace(x2).expand_dims(x2, axis=-1)
        else:
            x1 = namespace(x1).squeeze(x1, axis=-1)
    elif rank2 == rank1 + 1 and x2.shape[-1] == 1:
        if rank1 == 1 and expand_rank_1:
            x1 = namespace(x1).expand_dims(x1, axis=-1)
        else:
            x2 = namespace(x2).squeeze(x2, axis=-1)
    return x1, x2


def divide_no_nan(xp, x, y):
    """x / y, and 0 where y is 0."""
    if isinstance(y, np.generic):  # On the host it may be looked at, which is much shorter.
        return x / y if y else xp.zeros_like(x)
    zero = y == 0
    return xp.where(zero, xp.zeros_like(x), x / xp.where(zero, xp.ones_like(y), y))


def apply_mask(sample_weight, mask, dtype: str, reduction):
    """Weights that leave out what `mask` marks False.

    For a mean they are scaled by (number of all) / (number of valid), so that the mean over all
    becomes the mean over the valid ones.
    """
    if mask is None:
        return sample_weight
    weight = as_array(mask, dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        xp = namespace(weight)
        share = xp.mean(weight)
        weight = divide_no_nan(xp, weight, share)
    if sample_weight is None:
        return weight
    sample_weight = as_array(sample_weight, dtype, like=weight)
    weight, sample_weight = squeeze_or_expand_to_same_rank(weight, sample_weight)
    return weight * sample_weight


def reduce_weighted_values(
    values,
    sample_weight=None,
    mask=None,
    reduction="sum_over_batch_size",
    dtype=None,
    who: str = "loss",
):
    """Losses times their weights, where the mask is True, reduced as `Loss` describes.

    Raises ValueError if the weights' shape does not fit the losses' shape.
    """
    dtype = dtype or config.floatx()
    values = as_array(values, dtype)
    weight = sample_weight
    if weight is not None:
        weight = as_array(weight, dtype, like=values)
    weight = apply_mask(weight, mask, dtype, reduction)
    xp = namespace(values, weight)
    if weight is not None:
        values, weight = squeeze_or_expand_to_same_rank(values, weight)
        try:
            values = values * weight
        except ValueError:
            raise ValueError(
                f"{who}: sample_weight or mask of shape {tuple(weight.shape)} does not fit the "
                f"losses of shape {tuple(values.shape)}."
            ) from None
    if reduction in (None, "none") or tuple(values.shape) in ((), (0,)):
        return values
    if reduction == "sum":
        return xp.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return divide_no_nan(xp, xp.sum(values), xp.sum(weight))
    return xp.sum(values) if 0 in values.shape else xp.mean(values)


def _both(one, other):
    if one is None or other is None:
        return other if one is None else one
    return namespace(one, other).logical_and(one, other)
