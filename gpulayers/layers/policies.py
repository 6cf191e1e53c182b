"""Several changes of images by one rule: RandAugment and AugMix."""

from __future__ import annotations

import numpy as np

from ..arrays import dtypes, namespace, random
from ..arrays.short_floats import cast
from . import arguments
from .color_layer import ColorLayer
from .color_mixing import RandomBrightness, RandomColorDegeneration, RandomContrast
from .random_geometry import RandomRotation, RandomShear, RandomTranslation
from .sharpness import RandomSharpness
from .tone import AutoContrast, Equalization, RandomPosterization, Solarization

GEOMETRY = ("random_shear", "random_translation", "random_rotation")
TONES = ("random_posterization", "solarization", "auto_contrast", "equalization")
COLOURS = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")


class _Policy(ColorLayer):
    """A layer with others among which it chooses."""

    factor_bounds = (0, 1)
    computed_always = True

    def __init__(self, value_range, factor, interpolation, names, data_format, seed, **kwargs):
        super().__init__(
            value_range=value_range, factor=factor, data_format=data_format, seed=seed, **kwargs
        )
        self.interpolation = interpolation
        self._choices = {name: self._made(name) for name in names}

    def _made(self, name):
        """A layer of the strength `factor`."""
        factor = self.factor
        how = {"data_format": self.data_format, "dtype": self.dtype_policy}
        if self.bounding_box_format is not None:
            how["bounding_box_format"] = self.bounding_box_format
        if name in GEOMETRY:
            kind, given = {
                "random_shear": (RandomShear, {"x_factor": factor, "y_factor": factor}),
                "random_translation": (
                    RandomTranslation, {"height_factor": factor, "width_factor": factor}
                ),
                "random_rotation": (RandomRotation, {"factor": factor}),
            }[name]  # fmt: skip
            return kind(**given, interpolation=self.interpolation, **how)
        how["value_range"] = self.value_range
        kind, given = {
            "random_brightness": (RandomBrightness, {"factor": factor}),
            "random_color_degeneration": (RandomColorDegeneration, {"factor": factor}),
            "random_contrast": (RandomContrast, {"factor": factor}),
            "random_sharpness": (RandomSharpness, {"factor": factor}),
            "solarization": (
                Solarization, {"addition_factor": factor, "threshold_factor": factor}
            ),
            "random_posterization": (RandomPosterization, {"factor": max(1, int(8 * factor[1]))}),
            "auto_contrast": (AutoContrast, {}),
            "equalization": (Equalization, {}),
        }[name]  # fmt: skip
        return kind(**given, **how)

    def _chosen_layer(self, data, number, seed):
        """The choice of that number, and what is drawn for it."""
        name = list(self._choices)[number]
        return name, self._choices[name].get_random_transformation(data, seed=seed)

    def get_config(self):
        return {**super().get_config(), "interpolation": self.interpolation}


class RandAugment(_Policy):
    """Change a batch of images in a few of eleven ways, drawn for the batch, only in training.

    They are shear, translation, rotation, brightness, degeneration of colours, contrast, sharpness,
    posterization, solarization, automatic contrast and equalization. Cubuk, Zoph, Shlens and Le,
    "RandAugment: practical automated data augmentation with a reduced search space", 2019.

    Args:
        value_range: the numbers between which the values of images are, (0, 255) by default.
        num_ops: how many ways are drawn, one after the other, 2 by default.
        factor: how strong they are, from 0 to 1, or two numbers, for each image's draws; a single
            f stands for 0 ... f. 0.5 by default.
        interpolation: "bilinear" (the default) or "nearest".
        seed: a whole number for a repeatable sequence of draws.
        data_format: `config.image_data_format()` by default.

    Takes images of 3 channels, or a dict of them and what belongs to them, which moves with them:
    see `RandomFlip`.
    """

    def __init__(
        self,
        value_range=(0, 255),
        num_ops=2,
        factor=0.5,
        interpolation="bilinear",
        seed=None,
        data_format=None,
        **kwargs,
    ):
        names = (*GEOMETRY, *COLOURS, *TONES)
        super().__init__(value_range, factor, interpolation, names, data_format, seed, **kwargs)
        self.num_ops = num_ops

    def get_random_transformation(self, data, training=True, seed=None):
        """The names of the ways in their order, and what is drawn for each."""
        if not training:
            return None
        seed = self.generator if seed is None else seed
        numbers = random.randint((self.num_ops,), 0, len(self._choices), seed=seed)
        return [self._chosen_layer(data, int(number), seed) for number in numbers]

    def augment_images(self, images, transformation):
        for name, drawn in transformation:
            images = self._choices[name].transform_images(images, drawn)
        return self._as_computed(images)

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        for name, drawn in transformation or () if training else ():
            layer = self._choices[name]
            bounding_boxes = layer.transform_bounding_boxes(bounding_boxes, drawn)
        return bounding_boxes

    def transform_segmentation_masks(self, segmentation_masks, transformation, training=True):
        for name, drawn in transformation or () if training else ():
            layer = self._choices[name]
            segmentation_masks = layer.transform_segmentation_masks(segmentation_masks, drawn)
        return segmentation_masks

    def get_config(self):
        return {**super().get_config(), "num_ops": self.num_ops}


class AugMix(_Policy):
    """Mix images with a mixture of what they become in several chains of changes, in training.

    w x + (1 - w) (m1 c1(x) + m2 c2(x) + ...), clipped to the range of values: w is drawn from the
    Beta, the parts m from the Dirichlet distribution, and each chain has so many of the changes of
    `RandAugment` one after the other, or none in the place of one; all of it is drawn for the
    batch. Hendrycks, Mu, Cubuk, Zoph, Gilmer and Lakshminarayanan, "AugMix: a simple data
    processing method to improve robustness and uncertainty", 2019.

    Args:
        value_range: the numbers between which the values of images are, (0, 255) by default.
        num_chains: how many chains there are, 3 by default.
        chain_depth: the most changes in one, 3 by default.
        factor: how strong they are, from 0 to 1, or two numbers, for each image's draws; a single
            f stands for 0 ... f. 0.3 by default.
        alpha: of the two distributions, 1 by default.
        all_ops: whether brightness, degeneration of colours, contrast and sharpness are among the
            changes.
        interpolation: "bilinear" (the default) or "nearest".
        seed: a whole number for a repeatable sequence of draws.
        data_format: `config.image_data_format()` by default.

    Takes images of 3 channels, or a dict of them and what belongs to them: see `RandomFlip`. Masks
    are mixed as the images are; boxes stay where they are, as in Keras. Raises ValueError unless
    `num_chains` and `chain_depth` are positive.
    """

    def __init__(
        self,
        value_range=(0, 255),
        num_chains=3,
        chain_depth=3,
        factor=0.3,
        alpha=1.0,
        all_ops=True,
        interpolation="bilinear",
        seed=None,
        data_format=None,
        **kwargs,
    ):
        names = (*GEOMETRY, *TONES, *(COLOURS if all_ops else ()))
        super().__init__(value_range, factor, interpolation, names, data_format, seed, **kwargs)
        self.num_chains = arguments.whole("AugMix", "num_chains", num_chains)
        self.chain_depth = arguments.whole("AugMix", "chain_depth", chain_depth)
        self.alpha, self.all_ops = alpha, all_ops

    def get_random_transformation(self, data, training=True, seed=None):
        """The chains' parts, that of the images themselves, and each chain's changes."""
        if not training:
            return None
        seed = self.generator if seed is None else seed
        parts = random.gamma((self.num_chains,), self.alpha, "float32", seed)
        own = random.beta((), self.alpha, self.alpha, "float32", seed)
        shape = (self.num_chains, self.chain_depth)
        numbers = random.randint(shape, 0, len(self._choices) + 1, seed=seed)
        chains = [
            [self._chosen_layer(data, n, seed) for n in chain if n < len(self._choices)]
            for chain in np.asarray(numbers).tolist()
        ]
        return {
            "chain_mixing_weights": parts / parts.sum(),
            "weight_sample": float(own),
            "chain_transforms": chains,
        }

    def augment_images(self, images, transformation):
        images = self._as_computed(images)
        made = self._mixed(images, transformation, "transform_images")
        return namespace(made).clip(made, *map(float, self.value_range))

    def transform_segmentation_masks(self, segmentation_masks, transformation, training=True):
        if not training or transformation is None:
            return segmentation_masks
        return self._mixed(segmentation_masks, transformation, "transform_segmentation_masks")

    def _mixed(self, images, transformation, method):
        own, total = transformation["weight_sample"], None
        if not dtypes.is_floating(images.dtype):
            images = cast(images, "float32")
        weights = transformation["chain_mixing_weights"]
        for weight, chain in zip(weights, transformation["chain_transforms"], strict=True):
            made = images
            for name, drawn in chain:
                made = getattr(self._choices[name], method)(made, drawn)
            part = made * ((1 - own) * float(weight))
            total = part if total is None else total + part
        return images * own + total

    def get_config(self):
        config = {
            "num_chains": self.num_chains,
            "chain_depth": self.chain_depth,
            "alpha": self.alpha,
            "all_ops": self.all_ops,
        }
        return {**super().get_config(), **config}
