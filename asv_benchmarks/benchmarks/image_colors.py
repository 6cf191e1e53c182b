"""Layers that change the colours of images, and mix images."""

from __future__ import annotations

from gpulayers import layers

from . import layer
from .libraries import integers


def photographs():
    """16 of 224 x 224 pixels."""
    return integers(256, 16, 224, 224, 3).astype("uint8")


def of(kinds: dict[str, dict]):
    """Layers with these options."""
    return {
        name: lambda name=name, options=options: (
            getattr(layers, name)(**options),
            photographs(),
        )
        for name, options in kinds.items()
    }


class Matrices(layer.PreprocessingBenchmark):
    """Sums of colours."""

    cases = of(
        {
            "RandomBrightness": {"factor": 0.2},
            "RandomContrast": {"factor": 0.2},
            "RandomColorDegeneration": {"factor": 0.5},
            "RandomGrayscale": {},
            "RandomInvert": {},
        }
    )


class Pixels(layer.PreprocessingBenchmark):
    """Pixel by pixel."""

    cases = of(
        {
            "RandomHue": {"factor": 0.2},
            "RandomSaturation": {"factor": 0.2},
            "RandomColorJitter": {"brightness_factor": 0.2, "hue_factor": 0.2},
            "RandomPosterization": {"factor": 4},
            "Solarization": {"threshold_factor": 0.5},
        }
    )


class Neighbours(layer.PreprocessingBenchmark):
    """By what is around each pixel, or in the whole image."""

    cases = of(
        {
            "RandomSharpness": {"factor": 0.5},
            "RandomGaussianBlur": {"kernel_size": 5},
            "AutoContrast": {},
            "Equalization": {},
            "ContrastLimitedAdaptiveHistogramEqualization": {},
            "RandomErasing": {},
        }
    )


class Mixtures(layer.PreprocessingBenchmark):
    """With others of the batch, and by rules; several layers in one pass."""

    cases = of({"MixUp": {}, "CutMix": {}, "RandAugment": {"seed": 1}, "AugMix": {"seed": 1}})
    cases |= {
        "Pipeline": lambda: (
            layers.Pipeline(
                [layers.RandomFlip(), layers.RandomRotation(0.2), layers.RandomContrast(0.5)]
            ),
            photographs(),
        )
    }
