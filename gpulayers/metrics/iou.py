"""Intersection over union: how well predicted regions cover the true ones."""

from __future__ import annotations

import math
import warnings

from .. import config
from ..arrays import as_array, dtypes, namespace, plain
from ..arrays.scatter import scatter_add
from .metric import Metric
from .reduction import add


class _Confusion(Metric):
    """The weights of each true class (rows) predicted as each class (columns)."""

    _direction = "up"

    def __init__(
        self,
        num_classes,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_true=True,
        sparse_y_pred=True,
        axis=-1,
    ):
        super().__init__(name=name, dtype=dtype or "int")
        self.num_classes, self.ignore_class, self.axis = num_classes, ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.total_cm = self.add_variable(
            (num_classes, num_classes), dtype=self.dtype, name="total_confusion_matrix"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in classes of one shape (or one-hot ones, see `sparse_y_true`), and weights.

        Class numbers outside of 0 to num_classes - 1 do not count.
        Raises ValueError if the shapes do not fit.
        """
        y_pred = as_array(y_pred)
        y_true = as_array(y_true, like=y_pred)
        xp = namespace(y_pred)
        if not self.sparse_y_true:
            y_true = xp.argmax(y_true, axis=self.axis)
        if not self.sparse_y_pred:
            y_pred = xp.argmax(y_pred, axis=self.axis)
        if math.prod(y_true.shape) != math.prod(y_pred.shape):
            raise ValueError(
                f"{type(self).__name__}: classes y_true of shape {tuple(y_true.shape)} do not fit "
                f"classes y_pred of shape {tuple(y_pred.shape)}."
            )
        true, pred = (xp.reshape(xp.astype(y, xp.int64), (-1,)) for y in (y_true, y_pred))
        weight = self._weights(xp, sample_weight, true)
        n = self.num_classes
        known = (true >= 0) & (true < n) & (pred >= 0) & (pred < n)
        if self.ignore_class is not None:
            known = known & (true != self.ignore_class)
        place = xp.where(known, true * n + pred, xp.zeros_like(true))
        weight = xp.where(known, weight, xp.zeros_like(weight))
        counts = scatter_add(weight, place, axis=0, size=n * n)
        add(self.total_cm, xp.reshape(counts, (n, n)))

    def _weights(self, xp, sample_weight, true):
        if sample_weight is None:
            return xp.ones_like(true, dtype=dtypes.of(xp, self.dtype))
        given = as_array(sample_weight, like=true)
        if dtypes.is_floating(given) and dtypes.is_integer(self.dtype):
            warnings.warn(
                f"{type(self).__name__}: float weights are cut to {self.dtype}, the metric's "
                "dtype; give dtype='float32' to the metric to keep them.",
                stacklevel=4,
            )
        weight = as_array(given, self.dtype)
        weight = xp.reshape(weight, (-1,)) if weight.ndim > 1 else weight
        return xp.broadcast_to(weight, true.shape)


class IoU(_Confusion):
    """The mean of TP / (TP + FP + FN) over chosen classes that occur.

    Args:
        num_classes: how many classes there are.
        target_class_ids: numbers of the classes whose mean is taken.
        name: of the metric.
        dtype: of the counts; "int32" by default.
        ignore_class: a number in the targets that marks what does not count, such as 255.
        sparse_y_true, sparse_y_pred: whether they hold class numbers, else a number for each class
            along `axis`, whose highest is taken.
        axis: where the classes lie if not sparse.

    Raises ValueError if a target class is not below `num_classes`.
    """

    def __init__(
        self,
        num_classes,
        target_class_ids,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_true=True,
        sparse_y_pred=True,
        axis=-1,
    ):
        super().__init__(num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)
        self.target_class_ids = list(target_class_ids)
        if max(self.target_class_ids) >= num_classes or min(self.target_class_ids) < 0:
            raise ValueError(
                f"{type(self).__name__}: target_class_ids must be from 0 to {num_classes - 1}, "
                f"got {self.target_class_ids}."
            )

    def result(self):
        counts = plain(self.total_cm)
        xp = namespace(counts)
        right = xp.linalg.diagonal(counts)
        union = xp.sum(counts, axis=0, dtype=counts.dtype) - right
        union = union + xp.sum(counts, axis=1, dtype=counts.dtype)
        chosen = as_array(self.target_class_ids, "int64", like=counts)
        right, union = (xp.astype(xp.take(x, chosen, axis=0), xp.float32) for x in (right, union))
        occurs = union > 1e-9
        scores = xp.where(occurs, right / (union + config.epsilon()), xp.zeros_like(right))
        return xp.sum(scores) / (xp.sum(xp.astype(occurs, xp.float32)) + config.epsilon())

    def get_config(self) -> dict:
        return self._config(
            "num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred",
            "axis",
        )  # fmt: skip

    def _config(self, *names) -> dict:
        return Metric.get_config(self) | {name: getattr(self, name) for name in names}


class BinaryIoU(IoU):
    """The mean of TP / (TP + FP + FN) over the classes 0 and 1, told apart by a threshold.

    Args:
        target_class_ids: which of 0 (background) and 1 (foreground) are averaged.
        threshold: from which on a prediction means 1.
        name: of the metric.
        dtype: of the counts; "int32" by default.
    """

    def __init__(self, target_class_ids=(0, 1), threshold=0.5, name=None, dtype=None):
        super().__init__(2, target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Take in targets 0 or 1 and predictions of one shape, and weights."""
        y_pred = as_array(as_array(y_pred, "float32") >= self.threshold, "int32")
        super().update_state(y_true, y_pred, sample_weight)

    def get_config(self) -> dict:
        return self._config("target_class_ids", "threshold")


class MeanIoU(IoU):
    """The mean of TP / (TP + FP + FN) over all classes that occur.

    Args:
        num_classes: how many classes there are.
        name: of the metric.
        dtype: of the counts; "int32" by default.
        ignore_class: a number in the targets that marks what does not count, such as 255.
        sparse_y_true, sparse_y_pred: whether they hold class numbers, else a number for each class
            along `axis`, whose highest is taken.
        axis: where the classes lie if not sparse.
    """

    def __init__(
        self,
        num_classes,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_true=True,
        sparse_y_pred=True,
        axis=-1,
    ):
        super().__init__(
            num_classes,
            range(num_classes),
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=sparse_y_true,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )

    def get_config(self) -> dict:
        return self._config("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")


class OneHotIoU(IoU):
    """`IoU` of one-hot targets.

    Args:
        num_classes: how many classes there are.
        target_class_ids: numbers of the classes whose mean is taken.
        name: of the metric.
        dtype: of the counts; "int32" by default.
        ignore_class: a number in the targets that marks what does not count, such as 255.
        sparse_y_pred: whether predictions are class numbers.
        axis: where the classes lie.
    """

    def __init__(
        self,
        num_classes,
        target_class_ids,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_pred=False,
        axis=-1,
    ):
        super().__init__(
            num_classes,
            target_class_ids,
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=False,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )

    def get_config(self) -> dict:
        return self._config(
            "num_classes", "target_class_ids", "ignore_class", "sparse_y_pred", "axis"
        )


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets.

    Args:
        num_classes: how many classes there are.
        name: of the metric.
        dtype: of the counts; "int32" by default.
        ignore_class: a number in the targets that marks what does not count, such as 255.
        sparse_y_pred: whether predictions are class numbers.
        axis: where the classes lie.
    """

    def __init__(
        self,
        num_classes,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_pred=False,
        axis=-1,
    ):
        super().__init__(
            num_classes,
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=False,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )

    def get_config(self) -> dict:
        return self._config("num_classes", "ignore_class", "sparse_y_pred", "axis")
