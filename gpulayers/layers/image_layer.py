"""What layers of images have in common: what they take, when they act, where chance comes from."""

from __future__ import annotations

import numpy as np

from .. import config, tree
from ..arrays import Abstract, as_array, devices, dtypes, namespace, plain, random
from ..arrays.short_floats import cast
from ..ops.box_formats import densified
from . import arguments
from .layer import Layer


class ImageLayer(Layer):
    """A layer that takes images, alone or with what belongs to them, and changes all of it alike.

    It takes one image (height, width, channels) or a batch of them, or channels first, or a dict
    {"images", "labels", "bounding_boxes", "segmentation_masks"} with some of these, and gives the
    same. Images come out in the compute dtype of the layer.

    A subclass defines
        get_random_transformation(data, training, seed): what is drawn for each image of a batch;
            by default None, as always in inference;
        augment_images(images, transformation): a batch in training, in the compute dtype;
        transform_labels, transform_bounding_boxes, transform_segmentation_masks(x,
            transformation, training): what it does to these, if anything. The boxes are a dict of
            arrays in `bounding_box_format`.
    and, if it can be done with others in one pass over the images,
        geometry(transformation, height, width): what it does to places, as a `Geometry`;
        colour(transformation, channels): what it does to each pixel, as a `Colour`.

    Args:
        factor: a number, or the two between which numbers are drawn, within `factor_bounds`; only
            for classes that set these. A single f stands for -f ... f, within the bounds.
        bounding_box_format: of boxes in the inputs, see `utils.bounding_boxes`.
        data_format: `config.image_data_format()` by default.
        seed: a whole number for a repeatable sequence of draws.

    Raises ValueError for a factor out of bounds.
    """

    factor_bounds: tuple[float, float] | None = None  # None: the class takes no factor.
    is_random = True
    keeps_integers = False  # Whether images of integers are changed, and stay, as such.

    def __init__(
        self, factor=None, bounding_box_format=None, data_format=None, seed=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.bounding_box_format = bounding_box_format
        self.data_format = config.standardize_data_format(data_format)
        if self.factor_bounds is not None:
            self.factor = self._bounds("factor", factor or 0.0, self.factor_bounds)
        elif factor is not None:
            raise ValueError(f"{type(self).__name__} takes no factor, got {factor!r}.")
        if self.is_random:
            self.seed = seed
            self.generator = random.SeedGenerator(seed)

    def _bounds(self, name: str, value, allowed) -> tuple[float, float]:
        """The two numbers, in order, between which a factor is drawn."""
        low, high = allowed
        if _is_number(value) and low <= value <= high:
            return max(-abs(value), low), abs(value)
        if isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_number, value)):
            first, second = sorted(value)
            if first <= high and second >= low:
                return first, second
        raise ValueError(
            f"{type(self).__name__}: {name} must be a number, or two numbers, from {low} to "
            f"{high}, got {value!r}."
        )

    # What subclasses define.

    def get_random_transformation(self, data, training=True, seed=None):
        """What is drawn for the images in `data`; None if nothing is, as in inference."""
        return None

    def augment_images(self, images, transformation):
        """A batch of images in the compute dtype, changed as was drawn; unchanged by default."""
        return images

    def transform_images(self, images, transformation, training=True):
        """A batch of images, changed as was drawn if `training`, in the compute dtype."""
        images = self._as_computed(images)
        if training and transformation is not None:
            return self.augment_images(images, transformation)
        return images

    def transform_labels(self, labels, transformation, training=True):
        """The labels that belong to a batch of images; unchanged by default."""
        return labels

    def transform_bounding_boxes(self, bounding_boxes, transformation, training=True):
        """The boxes of a batch of images, a dict of arrays; unchanged by default."""
        return bounding_boxes

    def transform_segmentation_masks(self, segmentation_masks, transformation, training=True):
        """The classes of the pixels of a batch of images; unchanged by default."""
        return segmentation_masks

    def geometry(self, transformation, height: int, width: int):
        """The places that images (height, width) are read at, as a `Geometry`; None by default."""
        return None

    def colour(self, transformation, channels: int):
        """What becomes of each pixel's colour, as a `Colour`; None by default."""
        return None

    # One image.

    def transform_single_image(self, image, transformation, training=True):
        """`transform_images` of one image."""
        return self.transform_images(image[None, ...], transformation, training)[0, ...]

    def transform_single_label(self, label, transformation, training=True):
        """`transform_labels` of one image's label."""
        return self.transform_labels(label[None, ...], transformation, training)[0, ...]

    def transform_single_bounding_box(self, bounding_box, transformation, training=True):
        """`transform_bounding_boxes` of one image's boxes."""
        batch = {key: value[None, ...] for key, value in bounding_box.items()}
        made = self.transform_bounding_boxes(batch, transformation, training)
        return {key: value[0, ...] for key, value in made.items()}

    def transform_single_segmentation_mask(self, segmentation_mask, transformation, training=True):
        """`transform_segmentation_masks` of one image's mask."""
        mask = segmentation_mask[None, ...]
        return self.transform_segmentation_masks(mask, transformation, training)[0, ...]

    # Calling.

    def __call__(self, data, **kwargs):
        if not isinstance(data, dict):
            return super().__call__(data, **kwargs)
        return {**data, **super().__call__(self.ready(data), **kwargs)}

    def ready(self, data: dict) -> dict:
        """What belongs to images in `data`, with arrays in the place of lists."""
        return {key: self._ready(key, data[key]) for key in SINGLE if key in data}

    def _ready(self, key, value):
        """A part of `data` with arrays in the place of lists."""
        if key == "bounding_boxes":
            self._require_box_format()
            return value if _has_arrays(value) else densified(value)
        return value if hasattr(value, "shape") else as_array(value)

    def _require_box_format(self) -> None:
        if not self.bounding_box_format:
            raise ValueError(
                f"{type(self).__name__}: inputs with 'bounding_boxes' need the layer to be given "
                "bounding_box_format, for instance bounding_box_format='xyxy'."
            )

    def call(self, data, training=True):
        single = self._is_single(self._images_of(data))
        transformation = self.get_random_transformation(data, training=training)
        if not isinstance(data, dict):
            change = self.transform_single_image if single else self.transform_images
            return change(data, transformation=transformation, training=training)
        made = dict(data)
        for key in ("images", "bounding_boxes", "labels", "segmentation_masks"):
            if key in data:
                made[key] = self._of_each(data[key], key, single, transformation, training)
        return made

    def _of_each(self, value, key, single, transformation, training):
        """What becomes of the images, labels, ... of `data`."""
        if key == "bounding_boxes":
            self._require_box_format()
            value = densified(value)
        method = SINGLE[key] if single else f"transform_{key}"
        return getattr(self, method)(value, transformation=transformation, training=training)

    def _is_single(self, images) -> bool:
        self._check_rank(images.shape)
        return len(images.shape) == 3

    def _check_rank(self, shape) -> None:
        if len(shape) not in (3, 4):
            raise ValueError(
                f"{type(self).__name__}: images must have rank 3 (one image) or 4 (a batch), got "
                f"an array of shape {tuple(shape)}."
            )

    def _compute(self, args, kwargs, arrays):
        data = args[0] if args else kwargs["data"]
        if any(type(x) is Abstract for x in tree.leaves(data)):
            return self._abstract(data)
        return super()._compute(args, kwargs, arrays)

    def _abstract(self, data):
        """What `call` gives for arrays of which only shapes and dtypes are known."""
        if isinstance(data, dict):
            images = {key: data[key] for key in ("images", "segmentation_masks") if key in data}
            return {**data, **{key: self._abstract(value) for key, value in images.items()}}
        self._is_single(data)
        shape = tuple(self.compute_output_shape(tuple(data.shape)))
        return Abstract(shape, self._output_dtype(data))

    def _output_dtype(self, images) -> str:
        """The dtype of the images that come out."""
        if self.keeps_integers and dtypes.is_integer(images.dtype):
            return dtypes.name(images.dtype)
        return self._working_dtype([images]) or self.compute_dtype

    def compute_output_shape(self, input_shape):
        return input_shape

    # For subclasses.

    def _as_computed(self, images):
        """Images in the compute dtype of the layer."""
        return as_array(images, dtype=self._working_dtype([images]) or self.compute_dtype)

    def _images_of(self, data):
        return data["images"] if isinstance(data, dict) else data

    def _count(self, data) -> int:
        """How many images there are."""
        shape = self._images_of(data).shape
        return shape[0] if len(shape) == 4 else 1

    def _size(self, data) -> tuple[int, int]:
        """Height and width of the images."""
        return self._size_of(self._images_of(data).shape)

    def _size_of(self, shape) -> tuple[int, int]:
        """Height and width of images of a shape."""
        shape = tuple(shape)
        return shape[-2:] if self.data_format == "channels_first" else shape[-3:-1]

    def _uniform(self, shape, low, high, seed=None):
        """Random float32 numbers, low <= x < high (x = low if they are equal), on the CPU.

        They are drawn there for arrays of every library: few numbers, the same everywhere.
        """
        return random.uniform(shape, low, high, "float32", self.generator if seed is None else seed)

    def _chosen(self, data, seed=None):
        """Which images a layer acts on (N,), whose factors are how probable that is."""
        probable = self._uniform((self._count(data),), *self.factor, seed)
        return self._uniform((self._count(data),), 0.0, 1.0, seed) < probable

    def get_config(self):
        own = {"data_format": self.data_format}
        if self.bounding_box_format is not None:
            own["bounding_box_format"] = self.bounding_box_format
        if self.factor_bounds is not None:
            own["factor"] = self.factor
        if self.is_random:
            own["seed"] = self.seed
        return {**super().get_config(), **own}


class SizedLayer(ImageLayer):
    """An image layer whose images have one size.

    Args:
        height, width: that size. Raises TypeError unless they are integers, ValueError unless they
            are positive.
    """

    def __init__(self, height, width, **kwargs):
        super().__init__(**kwargs)
        who = type(self).__name__
        self.height = arguments.whole(who, "height", height)
        self.width = arguments.whole(who, "width", width)

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        self._check_rank(shape)
        rows = -2 if self.data_format == "channels_first" else -3
        shape[rows], shape[rows + 1] = self.height, self.width
        return tuple(shape)

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width}


SINGLE = {
    "images": "transform_single_image",
    "labels": "transform_single_label",
    "bounding_boxes": "transform_single_bounding_box",
    "segmentation_masks": "transform_single_segmentation_mask",
}


def _has_arrays(bounding_boxes) -> bool:
    return isinstance(bounding_boxes, dict) and all(
        hasattr(bounding_boxes.get(key), "shape") for key in ("boxes", "labels")
    )


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def beside(values, like):
    """Drawn numbers, which are NumPy's, as an array that lives where another one does."""
    if type(values) is np.ndarray:
        return devices.put(values, devices.home_of(plain(like)))
    return as_array(values, like=like)


def per_image(values, images):
    """Drawn numbers (N,), or (N, ...), beside images (N, ., ., .), as they broadcast with them."""
    values = beside(values, images)
    xp = namespace(values)
    return xp.reshape(values, tuple(values.shape) + (1,) * (images.ndim - values.ndim))


def in_range(images, source, target, dtype: str = "float32"):
    """Images whose values have the range `source`, with the range `target`: two numbers each."""
    if tuple(source) == tuple(target):
        return images
    images = images if dtypes.name(images.dtype) == dtype else cast(images, dtype)
    (a, b), (c, d) = source, target
    return (images - a) / (b - a) * (d - c) + c
