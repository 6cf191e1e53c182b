"""Sample weights: from classes, and one array for several outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ... import config, tree
from ...arrays import devices


def of_classes(y, class_weight: Mapping):
    """The weight of every sample, from the weight of its class; 1 for classes not named.

    Args:
        y: labels (samples,) or (samples, 1), or one-hot rows (samples, classes).
        class_weight: from class numbers to weights.

    Raises TypeError unless `class_weight` is a dict, ValueError for several outputs.
    """
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight: expected a dict from class numbers to weights, "
            f"got {type(class_weight).__name__}."
        )
    for label, weight in class_weight.items():
        if not hasattr(label, "__index__") or isinstance(weight, str):
            raise TypeError(
                "class_weight: expected whole class numbers with numbers as weights, got "
                f"{{{label!r}: {weight!r}}}."
            )
    if y is None or tree.is_nested(y):
        raise ValueError("class_weight: only for models with one output, and with targets y.")
    labels = devices.to_numpy(y)
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] != 1 else labels[..., 0]
    classes, places = np.unique(np.rint(labels).astype(np.int64), return_inverse=True)
    table = [class_weight.get(int(label), 1.0) for label in classes]
    weights = np.asarray(table, config.floatx())[places.reshape(labels.shape)]
    return devices.put(weights, devices.home_of(y))


def for_outputs(y, sample_weight):
    """`sample_weight` with one part per output of `y`: a single array counts for all of them.

    Raises ValueError if there are other outputs than weights, or if a single array for several
    outputs has more than one weight per sample.
    """
    if not tree.is_nested(y):
        return sample_weight
    if tree.is_nested(sample_weight):
        try:
            tree.assert_same_structure(y, sample_weight)
        except ValueError as error:
            raise ValueError(
                f"sample_weight: expected one array per output, in y's structure; {error}"
            ) from None
        return sample_weight
    shape = tuple(sample_weight.shape)
    if not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
        raise ValueError(
            f"sample_weight: one array for several outputs needs one weight per sample, shape "
            f"(samples,), got {shape}. Pass one array per output."
        )
    return tree.map_structure(lambda _: sample_weight, y)
