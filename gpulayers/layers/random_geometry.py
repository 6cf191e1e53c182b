"""Images moved, turned, stretched and sheared by random amounts."""

from __future__ import annotations

import numpy as np

from ..arrays import devices, plain
from ..ops.box_formats import clip_to_image_size, convert_format
from ..ops.box_moves import moved_boxes
from ..ops.warping import Geometry, warp
from .image_layer import ImageLayer, beside

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")


class GeometricLayer(ImageLayer):
    """A layer that reads images at other places.

    A subclass defines `get_random_transformation`, which gives a dict with the "input_shape" among
    others, and `geometry`. Segmentation masks are read at the nearest pixels, and keep their dtype;
    boxes become the smallest ones around their corners, moved as the pixels are, and are clipped
    to the images. (Keras 3.15 does not convert boxes from other formats than "xyxy" in
    RandomRotation, nor back to them in RandomPerspective, and shears boxes by what is right for
    square images only.)

    Args:
        fill_mode: what lies outside: "reflect" (d c b a | a b c d | d c b a), "wrap"
            (a b c d | a b c d | a b c d), "nearest" (a a a a | a b c d | d d d d) or "constant"
            for `fill_value`.
        interpolation: "bilinear" or "nearest".
    """

    fill_modes = FILL_MODES
    fill_mode = "constant"

    def __init__(self, fill_mode, interpolation, fill_value, **kwargs):
        super().__init__(**kwargs)
        if fill_mode is not None:
            self._require("fill_mode", fill_mode, self.fill_modes)
            self.fill_mode = fill_mode
        self._require("interpolation", interpolation, INTERPOLATIONS)
        self.interpolation = interpolation
        self.fill_value = fill_value

    def _require(self, name, value, allowed):
        if value not in allowed:
            raise NotImplementedError(
                f"{type(self).__name__}: {name} must be one of {', '.join(allowed)}, got {value!r}."
            )

    def _factor(self, name: str, value, allowed) -> tuple[float, float]:
        """The bounds of a factor; both numbers of a pair must be allowed."""
        if isinstance(value, (tuple, list)):
            for one in value:
                self._bounds(name, one, allowed)
        return self._bounds(name, value, allowed)

    def transform_images(self, images, transformation, training=True):
        if training and transformation is not None:  # In the compute dtype as they are read.
            return self._read(images, transformation, self._output_dtype(images))
        return self._as_computed(images)

    def _read(self, images, transformation, dtype=None, **changes):
        height, width = self._size(images)
        geometry = self.geometry(transformation, height, width)._replace(**changes)
        return warp(images, geometry, dtype=dtype, data_format=self.data_format)

    def transform_segmentation_masks(self, segmentation_masks, transformation, training=True):
        if not training or transformation is None:
            return segmentation_masks
        return self._read(segmentation_masks, transformation, interpolation="nearest")

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        if not training or transformation is None:
            return bounding_boxes
        height, width = self._size_of(transformation["input_shape"])
        sizes = {"height": height, "width": width}
        boxes = convert_format(bounding_boxes, self.bounding_box_format, "xyxy", **sizes)
        matrix = self.geometry(transformation, height, width).matrix
        inverse = np.linalg.inv(matrix.astype(np.float64)).astype(np.float32)
        boxes["boxes"] = moved_boxes(boxes["boxes"], beside(inverse, boxes["boxes"]))
        boxes = clip_to_image_size(boxes, **sizes)
        return convert_format(boxes, "xyxy", self.bounding_box_format, **sizes)

    def _geometry(self, matrix, exact=False) -> Geometry:
        how = (self.interpolation, self.fill_mode, self.fill_value)
        return Geometry(np.ascontiguousarray(matrix, np.float32), exact, None, *how)

    def get_config(self):
        own = {"fill_mode": self.fill_mode, "fill_value": self.fill_value}
        return {**super().get_config(), **own, "interpolation": self.interpolation}


def host(values) -> np.ndarray:
    """What was drawn, as float32 on the CPU."""
    return np.asarray(devices.to_numpy(plain(values)), np.float32)


def identities(count: int) -> np.ndarray:
    """Matrices (N, 3, 3) that leave images as they are."""
    return np.tile(np.eye(3, dtype=np.float32), (count, 1, 1))


class RandomTranslation(GeometricLayer):
    """Move images down and to the right by random parts of their sizes, in training only.

    Args:
        height_factor, width_factor: the parts; a number f for -f ... f, or two numbers, from -1
            to 1. Negative ones move up and to the left.
        fill_mode: what fills the gap: "reflect" (the default), "wrap", "nearest" or "constant".
        interpolation: "bilinear" (the default) or "nearest".
        seed: a whole number for a repeatable sequence of draws.
        fill_value: for "constant".
        data_format: `config.image_data_format()` by default.

    Raises ValueError for a factor out of range, NotImplementedError for another mode.
    """

    def __init__(
        self,
        height_factor,
        width_factor,
        fill_mode="reflect",
        interpolation="bilinear",
        seed=None,
        fill_value=0.0,
        data_format=None,
        **kwargs,
    ):
        super().__init__(
            fill_mode, interpolation, fill_value, seed=seed, data_format=data_format, **kwargs
        )
        self.height_factor, self.width_factor = height_factor, width_factor
        self._down = self._factor("height_factor", height_factor, (-1, 1))
        self._across = self._factor("width_factor", width_factor, (-1, 1))

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        n, (height, width) = self._count(data), self._size(data)
        down = self._uniform((n, 1), *self._down, seed) * np.float32(height)
        across = self._uniform((n, 1), *self._across, seed) * np.float32(width)
        shape = tuple(self._images_of(data).shape)
        return {"translations": np.concatenate([across, down], axis=1), "input_shape": shape}

    def geometry(self, transformation, height, width):
        moves = host(transformation["translations"])
        matrix = identities(len(moves))
        matrix[:, :2, 2] = -moves
        return self._geometry(matrix)

    def get_config(self):
        own = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**super().get_config(), **own}


class RandomRotation(GeometricLayer):
    """Turn images around their middle by random angles, in training only.

    Args:
        factor: the angle as a part of a whole turn, counter-clockwise if positive; a number f for
            -f ... f, or two numbers, from -1 to 1.
        fill_mode: what fills the corners: "reflect" (the default), "wrap", "nearest" or
            "constant".
        interpolation: "bilinear" (the default) or "nearest".
        seed: a whole number for a repeatable sequence of draws.
        fill_value: for "constant".
        data_format: `config.image_data_format()` by default.

    Raises ValueError for a factor out of range, NotImplementedError for another mode.
    """

    factor_bounds = (-1, 1)

    def __init__(
        self,
        factor,
        fill_mode="reflect",
        interpolation="bilinear",
        seed=None,
        fill_value=0.0,
        data_format=None,
        **kwargs,
    ):
        how = {"factor": factor, "seed": seed, "data_format": data_format}
        super().__init__(fill_mode, interpolation, fill_value, **how, **kwargs)

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        low, high = self.factor
        angle = self._uniform((self._count(data),), low * 360.0, high * 360.0, seed)
        height, width = self._size(data)
        shape = tuple(self._images_of(data).shape)
        matrix = _rotations(angle, height, width)
        return {"angle": angle, "rotation_matrix": matrix, "input_shape": shape}

    def geometry(self, transformation, height, width):
        parameters = host(transformation["rotation_matrix"]).reshape(-1, 8)
        matrix = identities(len(parameters))
        matrix[:, :2] = parameters[:, :6].reshape(-1, 2, 3)
        return self._geometry(matrix)


def _rotations(degrees, height, width) -> np.ndarray:
    """Turns around the middle by angles (N,), as parameters (N, 8) of `affine_transform`."""
    angle = degrees * np.float32(np.pi / 180)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = np.float32(0.5 * (width - 1)), np.float32(0.5 * (height - 1))
    zero = np.zeros_like(cos)
    right, below = x - x * cos + y * sin, y - x * sin - y * cos
    return np.stack([cos, -sin, right, sin, cos, below, zero, zero], axis=1)


class RandomZoom(GeometricLayer):
    """Make images larger or smaller around their middle, in training only.

    Args:
        height_factor: by how much more of the height is seen; a number f for -f ... f, or two
            numbers, above -1 and up to 1. 0.2 shrinks what is seen by a fifth, -0.2 enlarges it.
        width_factor: the same for the width; None (the default) keeps the ratio of the sizes.
        fill_mode: what fills the margin: "reflect" (the default), "wrap", "nearest" or "constant".
        interpolation: "bilinear" (the default) or "nearest".
        seed: a whole number for a repeatable sequence of draws.
        fill_value: for "constant".
        data_format: `config.image_data_format()` by default.

    Raises ValueError for a factor out of range, NotImplementedError for another mode.
    """

    def __init__(
        self,
        height_factor,
        width_factor=None,
        fill_mode="reflect",
        interpolation="bilinear",
        seed=None,
        fill_value=0.0,
        data_format=None,
        **kwargs,
    ):
        how = {"seed": seed, "data_format": data_format}
        super().__init__(fill_mode, interpolation, fill_value, **how, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._down = self._zoom("height_factor", height_factor)
        self._across = None
        if width_factor is not None:
            self._across = self._zoom("width_factor", width_factor)

    def _zoom(self, name, value):
        low, high = self._factor(name, value, (-1, 1))
        if low <= -1 and (isinstance(value, (tuple, list)) or value < 0):
            raise ValueError(f"RandomZoom: {name} must be above -1, got {value!r}.")
        return low, high

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        count = self._count(data)
        down, across = (
            None if part is None else self._uniform((count, 1), 1 + part[0], 1 + part[1], seed)
            for part in (self._down, self._across)
        )
        across = down if across is None else across
        shape = tuple(self._images_of(data).shape)
        return {"height_zoom": down, "width_zoom": across, "input_shape": shape}

    def geometry(self, transformation, height, width):
        zooms = [host(transformation[f"{side}_zoom"]).reshape(-1) for side in ("width", "height")]
        matrix = identities(len(zooms[0]))
        for axis, (zoom, size) in enumerate(zip(zooms, (width, height), strict=True)):
            matrix[:, axis, axis] = zoom
            matrix[:, axis, 2] = np.float32((size - 1) / 2) * (1 - zoom)
        return self._geometry(matrix)

    def get_config(self):
        own = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**super().get_config(), **own}


class RandomShear(GeometricLayer):
    """Slant images: each row is moved to the side by how far down it is, times a random factor.

    In training only. Half of the images are slanted to one side, half to the other.

    Args:
        x_factor: by how much rows are moved; a number from 0 to 1, or two between which it is
            drawn.
        y_factor: the same for columns, which are moved up or down by how far to the right they
            are.
        interpolation: "bilinear" (the default) or "nearest".
        fill_mode: what fills the gaps: "reflect" (the default), "wrap", "nearest" or "constant".
        fill_value: for "constant".
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Raises ValueError for a factor out of range, NotImplementedError for another mode.
    """

    def __init__(
        self,
        x_factor=0.0,
        y_factor=0.0,
        interpolation="bilinear",
        fill_mode="reflect",
        fill_value=0.0,
        data_format=None,
        seed=None,
        **kwargs,
    ):
        how = {"seed": seed, "data_format": data_format}
        super().__init__(fill_mode, interpolation, fill_value, **how, **kwargs)
        self.x_factor = self._shear("x_factor", x_factor)
        self.y_factor = self._shear("y_factor", y_factor)

    def _shear(self, name, value):
        """A single number f stands for -f ... f, which configs hold as a pair."""
        if isinstance(value, (int, float)):
            self._factor(name, value, (0, 1))
        elif isinstance(value, (tuple, list)) and len(value) == 2 and value[0] != -value[1]:
            return self._factor(name, value, (0, 1))
        return self._factor(name, value, (-1, 1))

    def get_random_transformation(self, data, training=True, seed=None):
        if not training:
            return None
        shape = (self._count(data), 1)
        side = np.where(self._uniform(shape, 0.0, 1.0, seed) > 0.5, -1, 1).astype(np.float32)
        down, across = (self._uniform(shape, *f, seed) for f in (self.y_factor, self.x_factor))
        shear = np.concatenate([across, down], axis=1) * side
        return {"shear_factor": shear, "input_shape": tuple(self._images_of(data).shape)}

    def geometry(self, transformation, height, width):
        shear = host(transformation["shear_factor"])
        matrix = identities(len(shear))
        matrix[:, 0, 1], matrix[:, 1, 0] = shear[:, 0], shear[:, 1]
        return self._geometry(matrix)

    def get_config(self):
        return {**super().get_config(), "x_factor": self.x_factor, "y_factor": self.y_factor}
