"""What image layers are asked to do, with given draws, in Keras and here."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

SHAPE = (2, 12, 12, 3)
BOXES = np.array([[[1, 2, 7, 9], [0, 0, 4, 3], [6, 5, 12, 12]],
                  [[3, 1, 5, 11], [8, 8, 11, 10], [2, 2, 3, 3]]], np.float32)  # fmt: skip
LABELS = np.array([[0, 1, 2], [3, 4, 5]])
FORMATS = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx",
           "rel_xywh", "rel_center_xywh")  # fmt: skip


class LayerCall(NamedTuple):
    """A layer, what it has drawn, and which of its methods is called on what."""

    key: str
    layer: str
    options: dict[str, Any]
    drawn: Any
    method: str
    value: Any


class BoxCall(NamedTuple):
    """A function of `utils.bounding_boxes` and its arguments."""

    key: str
    function: str
    arguments: tuple
    options: dict[str, Any]


def images(dtype="float32", shape=SHAPE):
    random = np.random.default_rng(7)
    return random.integers(0, 256, shape).astype(dtype)


def _drawn() -> dict:
    """Layers with draws that leave some boxes inside, and some partly outside."""
    degrees = np.array([25.0, -140.0], np.float32)
    angle = degrees * np.float32(np.pi / 180)
    cos, sin, mid = np.cos(angle), np.sin(angle), np.float32(5.5)
    turn = [cos, -sin, mid - mid * cos + mid * sin, sin, cos, mid - mid * sin - mid * cos,
            0 * cos, 0 * cos]  # fmt: skip
    start = np.tile(np.array([[0, 0], [11, 0], [0, 11], [11, 11]], np.float32), (2, 1, 1))
    end = start * np.array([[[1, 1], [0.8, 1], [1, 1.2], [0.7, 0.9]],
                            [[1, 1], [1.3, 1], [1, 0.9], [1.1, 1.2]]], np.float32)  # fmt: skip
    shape = {"input_shape": SHAPE}
    return {
        "RandomFlip": ({}, {"flips": np.array([True, False]).reshape(2, 1, 1, 1), **shape}),
        "RandomTranslation": (
            {"height_factor": 0.3, "width_factor": 0.3},
            {"translations": np.array([[2.25, -3.125], [-1.75, 4]], np.float32), **shape},
        ),
        "RandomRotation": (
            {"factor": 0.4},
            {"angle": degrees, "rotation_matrix": np.stack(turn, 1).astype(np.float32),
             "image_height": 12, "image_width": 12, "batch_size": 2, **shape},
        ),
        "RandomZoom": (
            {"height_factor": 0.5, "width_factor": 0.5},
            {"height_zoom": np.array([[0.6], [1.3]], np.float32),
             "width_zoom": np.array([[1.1], [0.7]], np.float32), **shape},
        ),
        "RandomShear": (
            {"x_factor": 0.5, "y_factor": 0.5},
            {"shear_factor": np.array([[0.3, 0.0], [-0.2, 0.0]], np.float32), **shape},
        ),
        "RandomPerspective": (
            {"factor": 1.0},
            {"apply_perspective": np.array([True, True]), "start_points": start,
             "end_points": end.astype(np.float32), **shape},
        ),
    }  # fmt: skip


def _geometry():
    for name, (options, drawn) in _drawn().items():
        has_mode = name not in ("RandomFlip", "RandomPerspective")
        modes = ("reflect", "wrap", "constant", "nearest") if has_mode else (None,)
        for mode, dtype in product(modes, ("uint8", "float32")):
            given = options | ({"fill_mode": mode, "fill_value": 7.0} if mode else {})
            key = f"{name}-{mode}-{dtype}"
            yield LayerCall(f"{key}-images", name, given, drawn, "images", images(dtype))
        masks = images("int32")[..., :1] % 5
        yield LayerCall(f"{name}-masks", name, options, drawn, "segmentation_masks", masks)
        boxed = options | {"bounding_box_format": "xyxy"}
        boxes = {"boxes": BOXES, "labels": LABELS}
        yield LayerCall(f"{name}-boxes", name, boxed, drawn, "bounding_boxes", boxes)


def _sizes():
    boxes = {"boxes": BOXES, "labels": LABELS}
    ways = ({}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True})
    for (i, way), (height, width) in product(enumerate(ways), ((6, 18), (20, 8))):
        options = {"height": height, "width": width, "bounding_box_format": "xywh", **way}
        key = f"Resizing-{i}-{height}-{width}"
        yield LayerCall(f"{key}-boxes", "Resizing", options, (12, 12), "bounding_boxes", boxes)
        masks = images("int32")[..., :1]
        yield LayerCall(f"{key}-masks", "Resizing", options, None, "segmentation_masks", masks)
    kinds = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
    for kind, antialias, dtype in product(kinds, (False, True), ("uint8", "float32")):
        options = {"height": 9, "width": 7, "interpolation": kind, "antialias": antialias}
        large = images(dtype, (1, 30, 25, 3))
        key = f"Resizing-{kind}-{antialias}-{dtype}"
        yield LayerCall(key, "Resizing", options, None, "images", large)
    for height, width in ((7, 5), (16, 10), (9, 20)):
        options = {"height": height, "width": width, "bounding_box_format": "center_xywh"}
        key, drawn = f"CenterCrop-{height}-{width}", {"input_shape": SHAPE}
        yield LayerCall(f"{key}-images", "CenterCrop", options, drawn, "images", images())
        yield LayerCall(f"{key}-boxes", "CenterCrop", options, drawn, "bounding_boxes", boxes)
    for number in (2, 5):
        options = {"max_number": number, "bounding_box_format": "xyxy"}
        key = f"MaxNumBoundingBoxes-{number}"
        yield LayerCall(key, "MaxNumBoundingBoxes", options, None, "bounding_boxes", boxes)


def layer_calls() -> list[LayerCall]:
    return [*_geometry(), *_sizes()]


def box_calls() -> list[BoxCall]:
    calls = []
    sizes = {"height": 24.0, "width": 16.0}
    for source, target in product(FORMATS, FORMATS):
        given = BOXES / 16 if source.startswith("rel") else BOXES
        how = {"source": source, "target": target, **sizes}
        calls.append(BoxCall(f"{source}-{target}", "convert_format", (given,), how))
    for number, kind in enumerate(("xyxy", "xywh")):
        one, two = BOXES, BOXES[::-1, :2]
        calls.append(BoxCall(f"iou-{kind}", "compute_iou", (one, two, kind), {}))
        calls.append(BoxCall(f"iou-single-{kind}", "compute_iou", (one[0], two[0], kind), {}))
        calls.append(BoxCall(f"ciou-{kind}", "compute_ciou", (one[0], one[1], kind), {}))
        for encoding in ("center_yxhw", "center_xywh"):
            how = (kind, "xyxy", encoding, None if number else [0.1, 0.1, 0.2, 0.2])
            key = f"{kind}-{encoding}"
            call = BoxCall(f"encode-{key}", "encode_box_to_deltas", (one[0], one, *how), {})
            calls.append(call)
            deltas = (BOXES / 40 - 0.1).astype(np.float32)
            call = BoxCall(f"decode-{key}", "decode_deltas_to_boxes", (one[0], deltas, *how), {})
            calls.append(call)
    turns = (np.float32([20, -70]), np.float32([0.1, -0.2]), np.float32([0, 0.3]),
             np.float32([1, 0.8]), np.float32([0, 10]), np.float32([5, 0]))  # fmt: skip
    calls.append(BoxCall("affine", "affine_transform", (BOXES, *turns, 12, 12), {}))
    calls.append(BoxCall("crop", "crop", (BOXES, 2, 3, 6, 5), {}))
    calls.append(BoxCall("pad", "pad", (BOXES, 2, 3), {}))
    return calls
