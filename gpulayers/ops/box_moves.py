"""Bounding boxes moved, turned and cut, and as differences from others."""

from __future__ import annotations

import math

from .. import config
from ..arrays import as_array, namespace
from .box_formats import boxes_of, convert_format, sides, within

__all__ = [
    "affine_transform",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "moved_boxes",
    "pad",
]


def _require_corners(who, bounding_box_format):
    if bounding_box_format != "xyxy":
        raise NotImplementedError(
            f"{who}: bounding_box_format must be 'xyxy', got {bounding_box_format!r}."
        )


def crop(boxes, top, left, height, width, bounding_box_format: str = "xyxy"):
    """Boxes (..., 4) within the part of an image that begins at (top, left), cut to it.

    Args:
        height, width: of the part.
        bounding_box_format: only "xyxy"; others raise NotImplementedError.
    """
    _require_corners("crop", bounding_box_format)
    x1, y1, x2, y2 = sides(as_array(boxes))
    x1, x2 = (within(x - left, 0, width) for x in (x1, x2))
    y1, y2 = (within(y - top, 0, height) for y in (y1, y2))
    return boxes_of(x1, y1, x2, y2)


def pad(boxes, top, left, height=None, width=None, bounding_box_format: str = "xyxy"):
    """Boxes (..., 4) within an image that has got a margin above and on the left.

    `height` and `width` are not needed; other formats than "xyxy" raise NotImplementedError.
    """
    _require_corners("pad", bounding_box_format)
    x1, y1, x2, y2 = sides(as_array(boxes))
    return boxes_of(x1 + left, y1 + top, x2 + left, y2 + top)


def affine_transform(
    boxes,
    angle,
    translate_x,
    translate_y,
    scale,
    shear_x,
    shear_y,
    height,
    width,
    center_x: float | None = None,
    center_y: float | None = None,
    bounding_box_format: str = "xyxy",
):
    """The smallest boxes around others that have been turned, moved, stretched and sheared.

    Args:
        boxes: (N, B, 4) of N images.
        angle, shear_x, shear_y: (N,) degrees.
        translate_x, translate_y: (N,) parts of the width and height.
        scale: (N,).
        height, width: of the images.
        center_x, center_y: the point that stays, as parts of the sizes; the middle by default.
        bounding_box_format: only "xyxy"; others raise NotImplementedError.

    The matrix is that of torchvision's affine transformation, inverted.
    """
    _require_corners("affine_transform", bounding_box_format)
    boxes = as_array(boxes, dtype="float32")
    given = (angle, translate_x, translate_y, scale, shear_x, shear_y)
    angle, tx, ty, scale, shear_x, shear_y = (
        as_array(v, dtype="float32", like=boxes) for v in given
    )
    xp = namespace(boxes, angle)
    cx, cy = (
        (0.5 if c is None else c) * (size - 1)
        for c, size in ((center_x, width), (center_y, height))
    )
    turn, sx, sy = (-v * (math.pi / 180) for v in (angle, shear_x, shear_y))
    a = xp.cos(turn - sy) / xp.cos(sy)
    b = a * xp.tan(sx) + xp.sin(turn)
    c = -xp.sin(turn - sy) / xp.cos(sy)
    d = xp.cos(turn) - c * xp.tan(sx)
    a0, a1, b0, b1 = d * scale, -b * scale, -c * scale, a * scale
    from_x, from_y = cx - tx * (width - 1), cy - ty * (height - 1)
    a2, b2 = cx - a0 * from_x - a1 * from_y, cy - b0 * from_x - b1 * from_y
    zero, one = xp.zeros_like(a0), xp.ones_like(a0)
    matrix = xp.stack([a0, a1, a2, b0, b1, b2, zero, zero, one], axis=-1)
    return moved_boxes(boxes, xp.reshape(matrix, (-1, 3, 3)))


def moved_boxes(boxes, matrix):
    """The smallest boxes (N, B, 4) "xyxy" around what matrices (N, 3, 3) make of others."""
    xp = namespace(boxes, matrix)
    x1, y1, x2, y2 = (boxes[..., k] for k in range(4))
    one = xp.ones_like(x1)
    corners = [xp.stack([x, y, one], axis=-1) for x in (x1, x2) for y in (y1, y2)]
    corners = xp.matmul(xp.stack(corners, axis=-2), xp.matrix_transpose(matrix)[:, None, :, :])
    xs, ys = (corners[..., k] / corners[..., 2] for k in (0, 1))
    least = [xp.min(c, axis=-1, keepdims=True) for c in (xs, ys)]
    return boxes_of(*least, *(xp.max(c, axis=-1, keepdims=True) for c in (xs, ys)))


def encode_box_to_deltas(
    anchors,
    boxes,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance=None,
    image_shape=None,
):
    """Boxes as differences from anchors: of the middles, in sizes of the anchor, and log ratios.

    Args:
        anchors: (B, 4).
        boxes: (B, 4) or (N, B, 4).
        anchor_format, box_format: their formats.
        encoding_format: "center_yxhw" (the default) or "center_xywh".
        variance: four numbers that the differences are divided by; None for 1.
        image_shape: (height, width, channels), for relative formats.

    Raises ValueError for another encoding or number of variances.
    """
    anchors, sizes = _anchors("encode_box_to_deltas", anchors, anchor_format, encoding_format,
                              image_shape)  # fmt: skip
    boxes = convert_format(boxes, box_format, encoding_format, **sizes)
    xp, tiny = namespace(boxes, anchors), config.epsilon()
    anchor_sizes, box_sizes = (xp.clip(b[..., 2:], tiny, None) for b in (anchors, boxes))
    middles = (boxes[..., :2] - anchors[..., :2]) / anchor_sizes
    deltas = xp.concat([middles, xp.log(box_sizes / anchor_sizes)], axis=-1)
    return deltas if variance is None else deltas / _variance(variance, deltas)


def decode_deltas_to_boxes(
    anchors,
    boxes_delta,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance=None,
    image_shape=None,
):
    """The boxes of which `encode_box_to_deltas` gives the differences from anchors.

    Args:
        anchors: (B, 4), or a dict of such arrays.
        boxes_delta: (B, 4) or (N, B, 4), or a dict of such arrays with the same keys.
        anchor_format, box_format: the format of the anchors, and that of the result.
        encoded_format: "center_yxhw" (the default) or "center_xywh".
        variance: four numbers that the differences are multiplied by; None for 1.
        image_shape: (height, width, channels), for relative formats.

    Raises ValueError for another encoding or number of variances.
    """
    if isinstance(anchors, dict) and isinstance(boxes_delta, dict):
        how = (anchor_format, box_format, encoded_format, variance, image_shape)
        return {
            key: decode_deltas_to_boxes(anchor, boxes_delta[key], *how)
            for key, anchor in anchors.items()
        }
    anchors, sizes = _anchors("decode_deltas_to_boxes", anchors, anchor_format, encoded_format,
                              image_shape)  # fmt: skip
    deltas = as_array(boxes_delta, like=anchors)
    if variance is not None:
        deltas = deltas * _variance(variance, deltas)
    xp = namespace(deltas, anchors)
    middles = deltas[..., :2] * anchors[..., 2:] + anchors[..., :2]
    boxes = xp.concat([middles, xp.exp(deltas[..., 2:]) * anchors[..., 2:]], axis=-1)
    return convert_format(boxes, encoded_format, box_format, **sizes)


def _anchors(who, anchors, anchor_format, encoding, image_shape):
    """The anchors in the format of the encoding, and the sizes of the image."""
    if encoding not in ("center_xywh", "center_yxhw"):
        raise ValueError(
            f"{who}: the encoding must be 'center_xywh' or 'center_yxhw', got {encoding!r}."
        )
    height, width = (None, None) if image_shape is None else image_shape[:2]
    sizes = {"height": height, "width": width}
    return convert_format(anchors, anchor_format, encoding, **sizes), sizes


def _variance(variance, like):
    variance = as_array(variance, dtype="float32", like=like)
    if variance.shape[-1] != 4:
        raise ValueError(f"variance must be four numbers, got {variance.shape[-1]}.")
    return variance
