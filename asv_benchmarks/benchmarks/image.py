"""Layers that move and resize images, on a batch of bytes as a data pipeline gives them."""

from __future__ import annotations

from gpulayers import layers

from . import layer
from .libraries import integers


def images():
    """32 of 224 x 224 pixels."""
    return integers(256, 32, 224, 224, 3).astype("uint8")


def boxed():
    """Images and six boxes on each."""
    boxes = integers(100, 32, 6, 4).astype("float32")
    boxes[..., 2:] += 100
    labels = {"boxes": boxes, "labels": integers(10, 32, 6)}
    given = {"images": images(), "bounding_boxes": labels}
    return layers.MaxNumBoundingBoxes(4, bounding_box_format="xyxy"), given


ARGUMENTS = {
    "RandomFlip": (),
    "RandomTranslation": (0.2, 0.2),
    "RandomRotation": (0.2,),
    "RandomZoom": (0.3,),
    "RandomShear": (0.2, 0.2),
    "RandomPerspective": (),
    "RandomElasticTransform": (),
    "RandomCrop": (160, 160),
    "CenterCrop": (160, 160),
    "Resizing": (112, 112),
}


class Images(layer.PreprocessingBenchmark):
    cases = {
        name: lambda name=name, given=given: (getattr(layers, name)(*given), images())
        for name, given in ARGUMENTS.items()
    }
    cases |= {
        "Resizing, bicubic": lambda: (
            layers.Resizing(160, 160, "bicubic", antialias=True),
            images(),
        ),
        "MaxNumBoundingBoxes": boxed,
    }
