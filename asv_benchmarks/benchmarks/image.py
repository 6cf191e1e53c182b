"""Layers of images: forward, on a batch of bytes as a data pipeline gives them."""

from __future__ import annotations

from gpulayers import layers

from .libraries import LIBRARIES, finish, integers, namespace, peak


class Images:
    """Times layers on 32 images of 224 x 224 pixels."""

    params = (
        ("flip", "rotation", "perspective", "crop", "contrast", "several", "half", "smaller"),
        LIBRARIES,
    )
    param_names = ("layer", "library")

    def setup(self, layer, library):
        self.images = namespace(library).asarray(integers(256, 32, 224, 224, 3).astype("uint8"))
        self.layer = made(layer)
        self.layer(self.images, training=True)

    def time_forward(self, layer, library):
        self.layer(self.images, training=True)
        finish(library)

    def track_peak(self, layer, library):
        return peak(library, lambda: self.layer(self.images, training=True))

    track_peak.unit = "bytes"


def made(name):
    """A layer by its short name."""
    makers = {
        "flip": layers.RandomFlip,
        "rotation": lambda: layers.RandomRotation(0.2),
        "perspective": layers.RandomPerspective,
        "crop": lambda: layers.RandomCrop(160, 160),
        "contrast": lambda: layers.RandomContrast(0.5),
        "several": lambda: layers.Pipeline([made("flip"), made("rotation"), made("contrast")]),
        "half": lambda: layers.Resizing(112, 112, antialias=True),
        "smaller": lambda: layers.Resizing(160, 160, "bicubic", antialias=True),
    }
    return makers[name]()
