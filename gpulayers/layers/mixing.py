"""Images mixed with others of their batch, and their labels as far."""

from __future__ import annotations

import numpy as np

from ..arrays import dtypes, namespace, random
from ..arrays.short_floats import cast
from ..ops.mixing import mixed, pasted
from .erasing import boxes_beside, drawn_box
from .image_layer import ImageLayer, beside, per_image


class _MixingLayer(ImageLayer):
    """A layer that gives each image a partner out of the batch."""

    def _partners(self, data, seed):
        """The images' numbers in another order."""
        count = np.arange(self._count(data), dtype=np.int64)
        return random.shuffle(count, seed=self.generator if seed is None else seed)

    def _beta(self, data, alpha, seed):
        seed = self.generator if seed is None else seed
        return random.beta((self._count(data),), alpha, alpha, "float32", seed)

    def _partner(self, x, transformation):
        """The partner of each image, or of what belongs to it."""
        order = beside(transformation["permutation_order"], x)
        return namespace(x, order).take(x, order, axis=0)

    def _weighted(self, x, transformation):
        """weight x + (1 - weight) partner, as floats."""
        if not dtypes.is_floating(x.dtype):
            x = cast(x, "float32")
        weight = cast(per_image(transformation["mix_weight"], x), dtypes.name(x.dtype))
        return mixed(x, beside(transformation["permutation_order"], x), weight)

    def transform_labels(self, labels, transformation, training=True):
        """Labels, one-hot or numbers, mixed as far as the images are."""
        if not training or transformation is None:
            return labels
        return self._weighted(labels, transformation)


class MixUp(_MixingLayer):
    """Mix each image, and its label, with another of the batch, only in training.

    w x + (1 - w) y, with w drawn for each image from the Beta distribution (alpha, alpha). Zhang,
    Cisse, Dauphin and Lopez-Paz, "mixup: beyond empirical risk minimization", 2017.

    Args:
        alpha: greater than 0: the smaller, the less is mixed. 0.2 by default.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Takes a batch of images, or a dict of them and what belongs to them: see `RandomFlip`. Labels
    and segmentation masks (one-hot ones, for the numbers of classes have no mean) are mixed in the
    same way; an image gets the boxes of both. (In Keras 3.15 the labels of the boxes become a
    longer batch instead, and the pixels of masks change places.)
    """

    def __init__(self, alpha=0.2, data_format=None, seed=None, **kwargs):
        super().__init__(data_format=data_format, seed=seed, **kwargs)
        if not isinstance(alpha, (int, float)) or alpha <= 0:
            raise ValueError(f"MixUp: alpha must be a positive number, got {alpha!r}.")
        self.alpha = alpha

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        order = self._partners(data, seed)
        return {"mix_weight": self._beta(data, self.alpha, seed), "permutation_order": order}

    def transform_images(self, images, transformation, training=True):
        """A batch of images: mixed, and in the compute dtype, if `training`."""
        if not training or transformation is None:
            return images
        return super().transform_images(images, transformation, training)

    def augment_images(self, images, transformation):
        return self._weighted(images, transformation)

    def transform_segmentation_masks(self, segmentation_masks, transformation, training=True):
        if not training or transformation is None:
            return segmentation_masks
        return self._weighted(segmentation_masks, transformation)

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        if not training or transformation is None:
            return bounding_boxes
        made = dict(bounding_boxes)
        for name in ("boxes", "labels"):
            x = bounding_boxes[name]
            both = [x, self._partner(x, transformation)]
            made[name] = namespace(x).concat(both, axis=min(1, x.ndim - 1))
        return made

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}


class CutMix(_MixingLayer):
    """Put a rectangle of another image of the batch into each, only in training.

    The rectangle has the shape of the image and the part 1 - w of its area, with w drawn for each
    image from the Beta distribution (f, f); labels are mixed by areas. Yun, Han, Oh, Chun, Choe
    and Yoo, "CutMix: regularization strategy to train strong classifiers with localizable
    features", 2019.

    Args:
        factor: a number f from 0 to 1, or two between which f is drawn for the batch; a single one
            stands for 0 ... f. 1 by default.
        seed: a whole number for a repeatable sequence of draws.
        data_format: `config.image_data_format()` by default.

    Takes a batch of images, or a dict of them and what belongs to them: see `RandomFlip`. A single
    image stays as it is. Raises NotImplementedError for bounding boxes, as in Keras.
    """

    factor_bounds = (0, 1)

    def __init__(self, factor=1.0, seed=None, data_format=None, **kwargs):
        super().__init__(factor=factor, data_format=data_format, seed=seed, **kwargs)

    def get_random_transformation(self, data, training=True, seed=None):
        """The partners, the rectangles' sides, and how much of each image is left."""
        if not training or self._is_single(self._images_of(data)):
            return None
        alpha = float(self._uniform((), *self.factor, seed)) + 1e-6
        part = np.sqrt(1 - self._beta(data, alpha, seed))
        height, width = self._size(data)
        x0, x1 = drawn_box(self, width, part, seed)
        y0, y1 = drawn_box(self, height, part, seed)
        return {
            "boxes": [x0, x1, y0, y1],
            "mix_weight": 1 - (x1 - x0) * (y1 - y0) / np.float32(width * height),
            "permutation_order": self._partners(data, seed),
        }

    def augment_images(self, images, transformation):
        boxes = boxes_beside(transformation["boxes"], images)
        first = self.data_format == "channels_first"
        return pasted(images, self._partner(images, transformation), boxes, first=first)

    def transform_segmentation_masks(self, segmentation_masks, transformation, training=True):
        return self.transform_images(segmentation_masks, transformation, training)

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        raise NotImplementedError(
            "CutMix cannot say what becomes of bounding boxes: part of an object may be covered."
        )
