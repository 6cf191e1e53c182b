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
    return layers.MaxNumBoundingBoxes(4, bounding_box_format="xyxy"), {
        "images": images(), "bounding_boxes": labels
    }  # fmt: skip


class Images(layer.PreprocessingBenchmark):
    cases = {
        name: lambda kind=kind, args=args: (getattr(layers, kind)(*args), images())
        for name, kind, args in (
            ("RandomFlip", "RandomFlip", ()),
            ("RandomTranslation", "RandomTranslation", (0.2, 0.2)),
            ("RandomRotation", "RandomRotation", (0.2,)),
            ("RandomZoom", "RandomZoom", (0.3,)),
            ("RandomShear", "RandomShear", (0.2, 0.2)),
            ("RandomPerspective", "RandomPerspective", ()),
            ("RandomElasticTransform", "RandomElasticTransform", ()),
            ("RandomCrop", "RandomCrop", (160, 160)),
            ("CenterCrop", "CenterCrop", (160, 160)),
            ("Resizing to half", "Resizing", (112, 112)),
        )
    }
    cases |= {
        "Resizing, bicubic": lambda: (
            layers.Resizing(160, 160, "bicubic", antialias=True),
            images(),
        ),
        "MaxNumBoundingBoxes": boxed,
    }
