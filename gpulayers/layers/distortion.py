"""Images distorted at random: seen from another side, or bent."""

from __future__ import annotations

import numpy as np

from ..arrays import namespace
from ..arrays.seeds import draw_seed
from ..ops.image_layout import batch_of
from ..ops.sampling import elastic_moves, moved
from .image_layer import ImageLayer, per_image
from .random_geometry import GeometricLayer, host, identities


class RandomPerspective(GeometricLayer):
    """Show images as seen from random sides, in training only: their corners move.

    Args:
        factor: how likely an image is to be changed, from 0 to 1; of two numbers, one between
            them is drawn for each image, and of one, between 0 and it.
        scale: how far corners move, as a part of the sizes: each by up to half of it either way,
            as far as it is from the upper left one. From 0 to 1.
        interpolation: "bilinear" (the default) or "nearest".
        fill_value: of what lies outside.
        seed: a whole number for a repeatable sequence of draws.
        data_format: `config.image_data_format()` by default.

    Raises ValueError for a factor or scale out of range, NotImplementedError for another
    interpolation.
    """

    factor_bounds = (0, 1)

    def __init__(
        self,
        factor=1.0,
        scale=1.0,
        interpolation="bilinear",
        fill_value=0.0,
        seed=None,
        data_format=None,
        **kwargs,
    ):
        how = {"factor": factor, "seed": seed, "data_format": data_format}
        super().__init__(None, interpolation, fill_value, **how, **kwargs)
        if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 <= scale <= 1:
            raise ValueError(f"RandomPerspective: scale must be from 0 to 1, got {scale!r}.")
        self.scale = scale

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        n, (height, width) = self._count(data), self._size(data)
        likely = self._uniform((n,), *self.factor, seed)
        chosen = self._uniform((n,), 0.0, 1.0, seed) < likely
        moves = self._uniform((n, 4, 2), -0.5 * self.scale, 0.5 * self.scale, seed)
        right, bottom = width - 1, height - 1
        corners = np.array([[0, 0], [right, 0], [0, bottom], [right, bottom]], np.float32)
        start = np.tile(corners, (n, 1, 1))
        return {
            "apply_perspective": chosen,
            "start_points": start,
            "end_points": start + start * moves,
            "input_shape": tuple(self._images_of(data).shape),
        }

    def geometry(self, transformation, height, width):
        start, end = (host(transformation[f"{which}_points"]) for which in ("start", "end"))
        matrix = identities(len(start))
        chosen = host(transformation["apply_perspective"]).astype(bool)
        if chosen.any():
            matrix[chosen] = _homographies(start[chosen], end[chosen])
        return self._geometry(matrix)

    def get_config(self):
        config = {**super().get_config(), "scale": self.scale}
        del config["fill_mode"]
        return config


def _homographies(start, end) -> np.ndarray:
    """The matrices (N, 3, 3) of the maps that take points `end` (N, 4, 2) to `start`."""
    n = len(start)
    equations, targets = np.zeros((n, 8, 8)), start.astype(np.float64).reshape(n, 8)
    points = np.concatenate([end, np.ones((n, 4, 1))], axis=2)
    equations[:, ::2, :3] = equations[:, 1::2, 3:6] = points
    equations[:, :, 6:] = -targets[:, :, None] * np.repeat(end, 2, axis=1)
    solved = np.linalg.solve(equations, targets[:, :, None])[:, :, 0]
    return np.concatenate([solved, np.ones((n, 1))], axis=1).reshape(n, 3, 3)


class RandomElasticTransform(ImageLayer):
    """Bend images at random, in training only, as handwriting differs.

    Every pixel is read as far off as smooth noise says, up to a tenth of the longer side. Simard,
    Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual
    document analysis", 2003.

    Args:
        factor: how likely an image is to be changed, from 0 to 1; of two numbers, one between
            them is drawn for each image, and of one, between 0 and it.
        scale: how strongly, from 0 to 1; of two numbers, one between them is drawn for a batch,
            and of one, between 0 and it.
        interpolation: "bilinear" (the default) or "nearest".
        fill_mode: what lies outside: "reflect" (the default), "wrap", "nearest", "mirror" or
            "constant".
        fill_value: for "constant".
        value_range: what results are clipped to.
        seed: a whole number for a repeatable sequence of draws.
        data_format: `config.image_data_format()` by default.

    Segmentation masks are bent as their images are (in Keras 3.15 by other noise), and keep their
    dtype.

    Raises ValueError for a factor or scale out of range, NotImplementedError for another mode.
    """

    factor_bounds = (0, 1)

    def __init__(
        self,
        factor=1.0,
        scale=1.0,
        interpolation="bilinear",
        fill_mode="reflect",
        fill_value=0.0,
        value_range=(0, 255),
        seed=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(factor=factor, seed=seed, data_format=data_format, **kwargs)
        self.scale = self._bounds("scale", scale, (0, 1))
        modes = ("constant", "nearest", "wrap", "mirror", "reflect")
        kinds = ("nearest", "bilinear")
        for name, value, allowed in (("fill_mode", fill_mode, modes),
                                     ("interpolation", interpolation, kinds)):  # fmt: skip
            if value not in allowed:
                raise NotImplementedError(
                    f"RandomElasticTransform: {name} must be one of {', '.join(allowed)}, got "
                    f"{value!r}."
                )
        self.fill_mode, self.interpolation = fill_mode, interpolation
        self.fill_value, self.value_range = fill_value, value_range

    def get_random_transformation(self, data, training=True, seed=None):
        if not training or self.scale[1] == 0 or self.factor[1] == 0:
            return None
        n = self._count(data)
        likely = self._uniform((n,), *self.factor, seed)
        return {
            "apply_transform": self._uniform((n,), 0.0, 1.0, seed) < likely,
            "distortion_factor": self._uniform((), *self.scale, seed),
            "seed": draw_seed(self.generator if seed is None else seed),
        }

    def augment_images(self, images, transformation):
        low, high = self.value_range
        bent = self._bent(images, transformation, self.interpolation)
        return namespace(bent).clip(bent, low, high)

    def transform_segmentation_masks(self, segmentation_masks, transformation, training=True):
        if not training or transformation is None:
            return segmentation_masks
        return self._bent(segmentation_masks, transformation, "nearest")

    def _bent(self, images, transformation, interpolation):
        batch, restored = batch_of("RandomElasticTransform", images, self.data_format)
        amount = float(host(transformation["distortion_factor"]))
        height, width = batch.shape[1:3]
        moves = elastic_moves(batch, 0.05 * amount * min(height, width), transformation["seed"])
        chosen = host(transformation["apply_transform"])
        moves = moves * per_image(0.1 * amount * max(height, width) * chosen, moves)
        how = {"fill_mode": self.fill_mode, "fill_value": self.fill_value}
        return restored(moved(batch, moves, interpolation=interpolation, **how))

    def get_config(self):
        own = {name: getattr(self, name) for name in ("scale", "interpolation", "fill_mode",
                                                      "fill_value", "value_range")}  # fmt: skip
        return {**super().get_config(), **own}
