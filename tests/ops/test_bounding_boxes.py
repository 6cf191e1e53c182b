"""Bounding boxes: what formats mean, and what is refused."""

import numpy as np
import pytest

from gpulayers.ops.box_formats import FORMATS, densified
from gpulayers.utils import bounding_boxes as boxes_of

BOX = np.array([[10.0, 20, 30, 60]], np.float32)  # Left, top, right, bottom.
AS = {
    "xyxy": [10, 20, 30, 60],
    "yxyx": [20, 10, 60, 30],
    "xywh": [10, 20, 20, 40],
    "center_xywh": [20, 40, 20, 40],
    "center_yxhw": [40, 20, 40, 20],
    "rel_xyxy": [0.1, 0.1, 0.3, 0.3],
    "rel_yxyx": [0.1, 0.1, 0.3, 0.3],
    "rel_xywh": [0.1, 0.1, 0.2, 0.2],
    "rel_center_xywh": [0.2, 0.2, 0.2, 0.2],
}


@pytest.mark.parametrize("name", FORMATS)
def test_what_formats_mean(name):
    sizes = {"height": 200, "width": 100}
    there = boxes_of.convert_format(BOX, "xyxy", name.upper(), **sizes)
    np.testing.assert_allclose(there, [AS[name]], atol=1e-6)
    back = boxes_of.convert_format({"boxes": there, "labels": [1]}, name, "xyxy", **sizes)
    np.testing.assert_allclose(back["boxes"], BOX, atol=1e-5)
    assert back["labels"] == [1]


def test_clipping_labels_what_is_gone():
    given = {"boxes": np.float32([[-5, -5, 5, 5], [200, 0, 300, 5]]), "labels": np.array([3, 4])}
    clipped = boxes_of.clip_to_image_size(given, height=100, width=100)
    np.testing.assert_array_equal(clipped["boxes"], [[0, 0, 5, 5], [100, 0, 100, 5]])
    assert clipped["labels"].tolist() == [3, -1]
    hot = {**given, "labels": np.eye(2)}
    clipped = boxes_of.clip_to_image_size(hot, height=100, width=100)
    np.testing.assert_array_equal(clipped["labels"], [[1, 0], [-1, -1]])
    relative = {"boxes": given["boxes"] / 100}
    clipped = boxes_of.clip_to_image_size(relative, bounding_box_format="rel_xyxy")
    np.testing.assert_allclose(clipped["boxes"], [[0, 0, 0.05, 0.05], [1, 0, 1, 0.05]])


def test_overlap():
    one, two = np.float32([[0, 0, 2, 2], [0, 0, 1, 1]]), np.float32([[1, 0, 3, 2], [5, 5, 6, 6]])
    np.testing.assert_allclose(
        boxes_of.compute_iou(one, two, "xyxy"), [[1 / 3, 0], [0, 0]], atol=1e-6
    )
    gone = np.float32([[-1, -1, -1, -1], [1, 0, 3, 2]])
    masked = boxes_of.compute_iou(one, gone, "xyxy", use_masking=True, mask_val=-7)
    np.testing.assert_allclose(masked, [[-7, 1 / 3], [-7, 0]], atol=1e-6)
    same = boxes_of.compute_ciou(one, one, "xyxy")
    np.testing.assert_allclose(same, [1, 1], atol=1e-5)


def test_deltas_go_there_and_back():
    anchors, boxes = BOX + np.float32([1, 2, 3, 4]), BOX[None]
    how = {"variance": [0.1, 0.1, 0.2, 0.2], "image_shape": (200, 100, 3)}
    for name in ("xyxy", "rel_xywh"):
        given = boxes_of.convert_format(boxes, "xyxy", name, height=200, width=100)
        deltas = boxes_of.encode_box_to_deltas(anchors, given, "xyxy", name, **how)
        back = boxes_of.decode_deltas_to_boxes(anchors, deltas, "xyxy", name, **how)
        np.testing.assert_allclose(back, given, rtol=1e-5)
    levels = boxes_of.decode_deltas_to_boxes({"a": anchors}, {"a": deltas}, "xyxy", name, **how)
    np.testing.assert_array_equal(levels["a"], back)


def test_lists_are_filled_up():
    made = densified({"boxes": [[], [[1, 2, 3, 4], [0, 0, 1, 1]]], "labels": [[], [1, 2]]})
    assert made["boxes"].shape == (2, 2, 4) and made["labels"].tolist() == [[-1, -1], [1, 2]]
    assert densified({"boxes": [[1, 2, 3, 4]], "labels": [5]})["boxes"].shape == (1, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: boxes_of.convert_format(BOX, "xyxy", "xywy"), ValueError, "must be one of"),
        (lambda: boxes_of.convert_format(BOX[:, :3], "xyxy", "xywh"), ValueError, "4 numbers"),
        (lambda: boxes_of.convert_format(BOX, "xyxy", "rel_xywh"), ValueError, "height and width"),
        (lambda: boxes_of.clip_to_image_size({"boxes": BOX}), ValueError, "height and width"),
        (lambda: boxes_of.clip_to_image_size({"boxes": BOX}, 1, 1, "xywh"), NotImplementedError,
         "'xyxy' or 'rel_xyxy'"),
        (lambda: boxes_of.crop(BOX, 0, 0, 1, 1, "xywh"), NotImplementedError, "must be 'xyxy'"),
        (lambda: boxes_of.pad(BOX, 0, 0, bounding_box_format="yxyx"), NotImplementedError, "pad"),
        (lambda: boxes_of.compute_iou(BOX[0], BOX, "xyxy"), ValueError, "rank 2 or 3"),
        (lambda: boxes_of.compute_iou(BOX, BOX, "rel_xyxy"), ValueError, "image_shape"),
        (lambda: boxes_of.encode_box_to_deltas(BOX, BOX, "xyxy", "xyxy", "xyxy"), ValueError,
         "encoding must be"),
        (lambda: boxes_of.encode_box_to_deltas(BOX, BOX, "xyxy", "xyxy", variance=[1, 1]),
         ValueError, "four numbers"),
        (lambda: densified({"boxes": [[1, 2, 3, 4]], "labels": []}), ValueError, "as many"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
