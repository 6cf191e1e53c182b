"""Bounding boxes of objects in images: their formats, and what moves with the images.

Boxes are arrays (..., boxes, 4), or dicts {"boxes": ..., "labels": ...} with the classes of the
boxes, (..., boxes). Formats, in pixels or, with "rel_" before them, as parts of width and height:

    xyxy         left, top, right, bottom
    yxyx         top, left, bottom, right
    xywh         left, top, width, height
    center_xywh  horizontal and vertical middle, width, height
    center_yxhw  vertical and horizontal middle, height, width (in pixels only)
"""

from __future__ import annotations

from ..arrays import as_array, namespace
from ..arrays.short_floats import cast

__all__ = ["FORMATS", "clip_to_image_size", "convert_format"]

RELATIVE = ("rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")
FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", *RELATIVE)


def sides(boxes) -> list:
    """The four numbers of boxes (..., 4), as arrays (..., 1)."""
    return [boxes[..., k : k + 1] for k in range(4)]


def boxes_of(x1, y1, x2, y2):
    """Boxes (..., 4) of four arrays (..., 1)."""
    return namespace(x1, y1, x2, y2).concat([x1, y1, x2, y2], axis=-1)


def convert_format(boxes, source: str, target: str, height=None, width=None, dtype="float32"):
    """Boxes in another format.

    Args:
        boxes: an array (..., 4), or a dict with one under "boxes".
        source, target: formats, in upper or lower case.
        height, width: of the images, numbers or arrays that broadcast with (..., 1); needed if one
            of the formats is relative.
        dtype: of the result.

    Gives an array, or a new dict. Raises ValueError for other formats and shapes, and where a size
    is missing.
    """
    if isinstance(boxes, dict):
        made = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return {**boxes, "boxes": made}
    boxes = cast(as_array(boxes), dtype)
    if boxes.shape[-1] != 4:
        raise ValueError(
            f"convert_format: boxes must have 4 numbers each, got the shape {tuple(boxes.shape)}."
        )
    source, target = _format(source), _format(target)
    relative = source.startswith("rel_"), target.startswith("rel_")
    if any(relative) and (height is None or width is None):
        raise ValueError(
            f"convert_format: from {source!r} to {target!r} needs the height and width of the "
            f"images, got {height} and {width}."
        )
    if source == target:
        return boxes
    x1, y1, x2, y2 = _corners(source.removeprefix("rel_"), *sides(boxes))
    if relative[0] != relative[1]:
        across, down = (
            cast(as_array(size, like=boxes), dtype) if hasattr(size, "shape") else float(size)
            for size in (width, height)
        )
        if relative[0]:
            x1, y1, x2, y2 = x1 * across, y1 * down, x2 * across, y2 * down
        else:
            x1, y1, x2, y2 = x1 / across, y1 / down, x2 / across, y2 / down
    return boxes_of(*_from_corners(target.removeprefix("rel_"), x1, y1, x2, y2))


def _format(name):
    found = str(name).lower()
    if found not in FORMATS:
        raise ValueError(
            f"convert_format: the format must be one of {', '.join(FORMATS)}, got {name!r}."
        )
    return found


def _corners(kind, a, b, c, d):
    """Left, top, right and bottom of boxes of a format."""
    if kind.removeprefix("center_").startswith("yx"):
        a, b, c, d = b, a, d, c
    if kind.startswith("center"):
        return a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return (a, b, a + c, b + d) if kind.endswith("wh") else (a, b, c, d)


def _from_corners(kind, x1, y1, x2, y2):
    """The four numbers of a format, from left, top, right and bottom."""
    a, b, c, d = x1, y1, x2, y2
    if kind.endswith(("wh", "hw")):
        c, d = x2 - x1, y2 - y1
    if kind.startswith("center"):
        a, b = a + c / 2, b + d / 2
    upright = kind.removeprefix("center_").startswith("yx")
    return (b, a, d, c) if upright else (a, b, c, d)


def clip_to_image_size(bounding_boxes: dict, height=None, width=None, bounding_box_format="xyxy"):
    """Boxes without what lies outside of the images; boxes without an area get the label -1.

    Args:
        bounding_boxes: a dict with "boxes" and, if there are any, "labels".
        height, width: of the images, numbers or arrays; not needed for "rel_xyxy".
        bounding_box_format: "xyxy" (the default) or "rel_xyxy".

    Gives a new dict. Raises NotImplementedError for other formats, ValueError where a size is
    missing.
    """
    if bounding_box_format not in ("xyxy", "rel_xyxy"):
        raise NotImplementedError(
            "clip_to_image_size: bounding_box_format must be 'xyxy' or 'rel_xyxy', got "
            f"{bounding_box_format!r}."
        )
    if bounding_box_format == "rel_xyxy":
        height = width = 1.0
    elif height is None or width is None:
        raise ValueError("clip_to_image_size: boxes in pixels need the height and width.")
    boxes, labels = as_array(bounding_boxes["boxes"]), bounding_boxes.get("labels")
    x1, y1, x2, y2 = sides(boxes)
    x1, x2 = (within(x, 0, width) for x in (x1, x2))
    y1, y2 = (within(y, 0, height) for y in (y1, y2))
    result = {**bounding_boxes, "boxes": boxes_of(x1, y1, x2, y2)}
    if labels is not None:
        labels = as_array(labels, like=boxes)
        area = ((x2 - x1) * (y2 - y1))[..., 0]
        classes = tuple(labels.shape[:-1]) == tuple(area.shape)  # One-hot labels.
        some = (area > 0)[..., None] if classes else area > 0
        xp = namespace(labels, area)
        result["labels"] = xp.where(some, labels, xp.full_like(labels, -1))
    return result


def within(x, low, high):
    """`x` between two bounds, numbers or arrays that broadcast with it."""
    xp = namespace(x)
    low, high = (as_array(v, dtype=x.dtype, like=x) for v in (low, high))
    return xp.minimum(xp.maximum(x, low), high)


def densified(bounding_boxes) -> dict:
    """Boxes and labels as arrays: lists of different lengths get boxes of 0 with the label -1.

    Raises ValueError unless there are boxes (..., boxes, 4) and labels for them.
    """
    if not isinstance(bounding_boxes, dict) or not {"boxes", "labels"} <= set(bounding_boxes):
        raise ValueError(
            f"bounding_boxes must be a dict with 'boxes' and 'labels', got {bounding_boxes!r:.80}."
        )
    boxes, labels = bounding_boxes["boxes"], bounding_boxes["labels"]
    if isinstance(boxes, list) and len(boxes) != len(labels):
        raise ValueError(
            f"bounding_boxes: as many boxes as labels are needed, got {len(boxes)} and "
            f"{len(labels)}."
        )
    if isinstance(boxes, list) and boxes and _is_list_of_boxes(boxes[0]):
        most = max(map(len, boxes))
        boxes = [[*map(list, some), *[[0, 0, 0, 0]] * (most - len(some))] for some in boxes]
        labels = [[*some, *[-1] * (most - len(some))] for some in labels]
    boxes = as_array(boxes, dtype="float32")
    labels = as_array(labels, like=boxes)
    if boxes.ndim not in (2, 3) or labels.ndim not in (boxes.ndim - 1, boxes.ndim):
        raise ValueError(
            "bounding_boxes: boxes must have the shape (boxes, 4) or (images, boxes, 4), and "
            f"labels one for each, got {tuple(boxes.shape)} and {tuple(labels.shape)}."
        )
    return {**bounding_boxes, "boxes": boxes, "labels": labels}


def _is_list_of_boxes(value) -> bool:
    return len(value) == 0 or hasattr(value[0], "__len__")
