"""Bounding boxes of objects in images: the names of `keras.utils.bounding_boxes`.

Boxes are arrays (..., boxes, 4), or dicts {"boxes": ..., "labels": ...}, in one of the formats
that `box_formats` describes.
"""

from __future__ import annotations

from .box_formats import clip_to_image_size, convert_format
from .box_moves import affine_transform, crop, decode_deltas_to_boxes, encode_box_to_deltas, pad
from .box_overlap import compute_ciou, compute_iou

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "compute_ciou",
    "compute_iou",
    "convert_format",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "pad",
]
