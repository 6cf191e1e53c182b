"""How much bounding boxes overlap."""

from __future__ import annotations

import math

from .. import config
from ..arrays import as_array, namespace
from .box_formats import convert_format

__all__ = ["compute_ciou", "compute_iou"]


def compute_iou(
    boxes1,
    boxes2,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape=None,
):
    """The area that two boxes share, divided by the one that they cover together.

    Args:
        boxes1, boxes2: (M, 4) and (P, 4), one or both with an axis of images in front.
        bounding_box_format: of both.
        use_masking: whether boxes of four negative numbers stand for none.
        mask_val: the result for these.
        image_shape: (height, width, channels), for relative formats.

    Gives (M, P), with the images in front. Raises ValueError for other ranks, and for relative
    boxes without `image_shape`.
    """
    ranks = [len(b.shape) for b in map(as_array, (boxes1, boxes2))]
    if not set(ranks) <= {2, 3}:
        raise ValueError(
            f"compute_iou: boxes must have rank 2 or 3, got {ranks[0]} and {ranks[1]}."
        )
    one, two = (_corners("compute_iou", b, bounding_box_format, image_shape)
                for b in (boxes1, boxes2))  # fmt: skip
    xp = namespace(one, two)
    a, b = one[..., :, None, :], two[..., None, :, :]
    shared, area1, area2 = _shared_area(xp, a, b), _area(a), _area(b)
    overlap = shared / (area1 + area2 - shared + config.epsilon())
    if not use_masking:
        return overlap
    none = (xp.max(a, axis=-1) < 0) | (xp.max(b, axis=-1) < 0)
    return xp.where(none, xp.full_like(overlap, mask_val), overlap)


def _corners(who, boxes, bounding_box_format, image_shape):
    """Boxes as left, top, right and bottom."""
    if "rel" in bounding_box_format and image_shape is None:
        raise ValueError(f"{who}: relative boxes need image_shape, (height, width, channels).")
    height, width = (None, None) if image_shape is None else image_shape[:2]
    return convert_format(boxes, bounding_box_format, "xyxy", height=height, width=width)


def _area(boxes):
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _shared_area(xp, a, b):
    first, last = xp.maximum(a[..., :2], b[..., :2]), xp.minimum(a[..., 2:], b[..., 2:])
    sides = xp.clip(last - first, 0.0, None)
    return sides[..., 0] * sides[..., 1]


def compute_ciou(boxes1, boxes2, bounding_box_format: str, image_shape=None):
    """The complete overlap of pairs of boxes: less for what is apart or of another shape.

    iou - d^2 / c^2 - alpha v, with the distance d of the middles, the diagonal c of the smallest
    box around both, v = 4 / pi^2 (arctan(w2 / h2) - arctan(w1 / h1))^2, and
    alpha = v / (v - iou + 1). Zheng et al., "Distance-IoU loss", AAAI 2020.

    Args:
        boxes1, boxes2: (..., 4).
        bounding_box_format: of both.
        image_shape: (height, width, channels), for relative formats.

    Raises ValueError for relative boxes without `image_shape`.
    """
    a, b = (_corners("compute_ciou", x, bounding_box_format, image_shape) for x in (boxes1, boxes2))
    xp, tiny = namespace(a, b), config.epsilon()
    w1, w2 = (x[..., 2] - x[..., 0] for x in (a, b))
    h1, h2 = (x[..., 3] - x[..., 1] + tiny for x in (a, b))
    shared = _shared_area(xp, a, b)
    iou = shared / (w1 * h1 + w2 * h2 - shared + 2 * tiny)
    around = xp.maximum(a[..., 2:], b[..., 2:]) - xp.minimum(a[..., :2], b[..., :2])
    diagonal = xp.sum(around * around, axis=-1) + tiny
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    distance = xp.sum(apart * apart, axis=-1)
    turn = xp.atan(w2 / h2) - xp.atan(w1 / h1)
    v = 4 / math.pi**2 * turn * turn
    return iou - (distance / diagonal + v * (v / (v - iou + (1 + tiny))))
