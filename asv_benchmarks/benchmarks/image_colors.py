"""Layers that change the colours of images, in training."""

from __future__ import annotations

from functools import cache

import numpy as np

from gpulayers import layers

from .libraries import LIBRARIES, finish, peak, to_library


@cache
def photographs(library, count=16, size=224):
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
    return to_library(library, images)[0]


class _Colors:
    """Times the layers that `LAYERS` names, on 16 images of 224 x 224 pixels."""

    LAYERS: dict[str, dict] = {}
    param_names = ("library", "layer")

    def setup(self, library, name):
        self.layer, self.images = getattr(layers, name)(**self.LAYERS[name]), photographs(library)
        self.layer(self.images, training=True)

    def time_training(self, library, name):
        self.layer(self.images, training=True)
        finish(library)

    def track_peak(self, library, name):
        return peak(library, lambda: self.layer(self.images, training=True))

    track_peak.unit = "bytes"


class Matrices(_Colors):
    """Sums of colours."""

    LAYERS = {
        "RandomBrightness": {"factor": 0.2},
        "RandomContrast": {"factor": 0.2},
        "RandomColorDegeneration": {"factor": 0.5},
        "RandomInvert": {},
    }
    params = (LIBRARIES, tuple(LAYERS))


class Pixels(_Colors):
    """Pixel by pixel."""

    LAYERS = {
        "RandomHue": {"factor": 0.2},
        "RandomSaturation": {"factor": 0.2},
        "RandomPosterization": {"factor": 4},
        "Solarization": {"threshold_factor": 0.5},
    }
    params = (LIBRARIES, tuple(LAYERS))


class Images(_Colors):
    """By what is around each pixel, or in the whole image."""

    LAYERS = {
        "RandomSharpness": {"factor": 0.5},
        "RandomGaussianBlur": {"kernel_size": 5},
        "AutoContrast": {},
        "Equalization": {},
        "ContrastLimitedAdaptiveHistogramEqualization": {},
        "RandomErasing": {},
    }
    params = (LIBRARIES, tuple(LAYERS))


class Mixtures(_Colors):
    """With others of the batch, and by rules."""

    LAYERS = {"MixUp": {}, "CutMix": {}, "RandAugment": {"seed": 1}, "AugMix": {"seed": 1}}
    params = (LIBRARIES, tuple(LAYERS))
