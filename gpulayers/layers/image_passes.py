"""Several image layers in few passes over the images: what `Pipeline` does.

Layers that say what they do as a `Geometry` or a `Colour` are put together: matrices of places are
multiplied, so that images are read and interpolated once, and colours are changed on the way.
Rescaling by numbers counts as a colour.  Flips, crops and colours give the same as one after the
other. Of several layers that interpolate, the result is sharper, and what fills the margins
differs, since it is read from the images themselves instead of from what an earlier layer has made
of them. Only those of one fill mode and interpolation are put together.
`config.set_fused_augmentation(False)` keeps every layer apart.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np

from .. import config, tree
from ..arrays import Abstract, KerasTensor, dtypes
from ..arrays.short_floats import cast
from ..ops.warping import Colour, Geometry, warp
from .image_layer import SINGLE, ImageLayer
from .scaling import Rescaling


def through(layers, data, training=True):
    """What layers, one after another, make of `data`, which is what an `ImageLayer` takes.

    Args:
        layers: layers of any kind; those of images next to each other share passes.
        data: an array, or a dict {"images", ...}.
        training: handed to the layers that take it.
    """
    layouts = {layer.data_format for layer in layers if isinstance(layer, ImageLayer)}
    layout = layouts.pop() if len(layouts) == 1 else None
    for fusible, group in groupby(layers, key=lambda layer: _is_fusible(layer, data, layout)):
        group = list(group)
        if fusible and len(group) > 1 and any(isinstance(layer, ImageLayer) for layer in group):
            data = _in_passes(group, data, training)
        else:
            for layer in group:
                data = layer(data, training=training) if _takes(layer) else layer(data)
    return data


def _takes(layer) -> bool:
    from .calling import call_signature

    return call_signature(type(layer)).passes_training


def _is_fusible(layer, data, layout) -> bool:
    """Whether a layer may share passes with others of images in one layout."""
    if not config.fused_augmentation() or layout is None:
        return False
    if any(isinstance(x, (Abstract, KerasTensor)) for x in tree.leaves(data)):
        return False
    if layer.compute_dtype not in dtypes.FLOATS:
        return False  # Others round in between.
    if type(layer) is Rescaling:
        numbers = all(isinstance(v, (int, float)) for v in (layer.scale, layer.offset))
        return numbers and not isinstance(data, dict)
    return isinstance(layer, ImageLayer) and type(layer).call is ImageLayer.call


def _in_passes(layers, data, training):
    """What image layers of one data format, and rescaling between them, make of arrays."""
    first = next(layer for layer in layers if isinstance(layer, ImageLayer))
    if isinstance(data, dict):
        known = {key: first._ready(key, data[key]) for key in SINGLE if key in data}
        data = {**data, **first._arrays_of([known], {})[0][0]}
    else:
        data = first._arrays_of([data], {})[0][0]
    parts = data if isinstance(data, dict) else {"images": data}
    single = first._is_single(parts["images"])
    if single:
        known = {key: value for key, value in parts.items() if key in SINGLE}
        parts = {**parts, **tree.map_structure(lambda x: x[None, ...], known)}
    made = _Passes(parts, first.data_format)
    for layer in layers:
        made.add(layer, training)
    made.finish()
    parts = {**made.parts, **_as_given(layers[-1], made.parts)}
    if single:
        known = {key: value for key, value in parts.items() if key in SINGLE}
        parts = {**parts, **tree.map_structure(lambda x: x[0, ...], known)}
    return parts if isinstance(data, dict) else parts["images"]


def _as_given(layer, parts):
    """Images and masks in a 16-bit compute dtype, which the layer's own call would give."""
    short = layer.compute_dtype
    known = {key: parts[key] for key in ("images", "segmentation_masks") if key in parts}
    if short not in dtypes.SHORT_FLOATS:
        return {}
    return {key: cast(x, short) for key, x in known.items() if dtypes.is_floating(x.dtype)}


class _Passes:
    """A batch, and what is still to be done to its images."""

    def __init__(self, parts: dict, data_format: str):
        self.parts, self.data_format = dict(parts), data_format
        self._forget()

    def _forget(self):
        self.geometry, self.colours = None, []
        self.dtype = self.mask_dtype = None

    def _size(self):
        """Height and width of the images, after all that is still to be done."""
        if self.geometry is not None and self.geometry.size is not None:
            return self.geometry.size
        shape = tuple(self.parts["images"].shape)
        return shape[-2:] if self.data_format == "channels_first" else shape[-3:-1]

    def add(self, layer, training) -> None:
        """Let a layer come next."""
        if type(layer) is Rescaling:
            self._rescale(layer)
            return
        cls = type(layer)
        if cls.geometry is ImageLayer.geometry and cls.colour is ImageLayer.colour:
            self.finish()  # It may look at the images.
            shown = self.parts
        else:
            shown = {**self.parts, "images": _Shown(self.parts["images"], self._size(), self)}
        drawn = layer.get_random_transformation(shown, training=training)
        for key in ("bounding_boxes", "labels"):
            if key in self.parts:
                self.parts[key] = layer._of_each(self.parts[key], key, False, drawn, training)
        geometry = colour = None
        dtype = self.dtype or self.parts["images"].dtype
        rounds = layer.keeps_integers and dtypes.is_integer(dtype)
        if training and drawn is not None and not rounds:
            geometry = layer.geometry(drawn, *self._size())
            colour = layer.colour(drawn, self._channels()) if geometry is None else None
        if geometry is not None:
            self._read(layer, geometry)
        elif colour is not None:
            self.colours.append(colour)
        else:
            self.finish()
            for key in ("images", "segmentation_masks"):
                if key in self.parts:
                    value = self.parts[key]
                    self.parts[key] = layer._of_each(value, key, False, drawn, training)
            return
        self.dtype = layer._output_dtype(self.parts["images"])

    def _rescale(self, layer) -> None:
        images = self.parts["images"]
        if self.geometry is None and not self.colours:
            self.parts["images"] = layer(images)
            return
        channels = self._channels()
        matrix = np.zeros((images.shape[0], channels, channels + 1), np.float32)
        matrix[:, range(channels), range(channels)] = layer.scale
        matrix[:, :, channels] = layer.offset
        self.colours.append(Colour(matrix))
        self.dtype = layer._working_dtype([images]) or layer.compute_dtype

    def _channels(self) -> int:
        shape = tuple(self.parts["images"].shape)
        return shape[-3 if self.data_format == "channels_first" else -1]

    def _read(self, layer, geometry) -> None:
        before = self.geometry
        if not self._may_follow(geometry):
            self.finish()
            before = None
        self.geometry = geometry if before is None else _composed(before, geometry)
        if geometry.exact:  # Its masks come out as its images do.
            self.mask_dtype = layer._output_dtype(self.parts["images"])

    def _may_follow(self, geometry) -> bool:
        """Whether what is read there may be read in the same pass as what comes before."""
        before = self.geometry
        if self.colours:
            if not geometry.exact:
                return False
            if geometry.size is not None and any(c.mean is not None for c in self.colours):
                return False
        if before is None or geometry.exact:
            return True
        if before.size is not None:
            return False
        return before.exact or before[3:] == geometry[3:]

    def finish(self) -> None:
        """Make the images that are still to be made."""
        if self.geometry is None and not self.colours:
            return
        how = {"data_format": self.data_format}
        images = self.parts["images"]
        self.parts["images"] = warp(images, self.geometry, self.colours, self.dtype, **how)
        masks = self.parts.get("segmentation_masks")
        if masks is not None and self.geometry is not None:
            geometry = self.geometry._replace(interpolation="nearest")
            made = warp(masks, geometry, dtype=self.mask_dtype, **how)
            self.parts["segmentation_masks"] = made
        self._forget()


class _Shown:
    """Images as a layer sees them that draws before they are made: their shape and dtype."""

    def __init__(self, images, size, passes):
        shape = list(images.shape)
        rows = -2 if passes.data_format == "channels_first" else -3
        shape[rows], shape[rows + 1] = size
        self.shape, self.ndim, self.dtype = tuple(shape), len(shape), images.dtype


def _composed(first: Geometry, second: Geometry) -> Geometry:
    """The geometry of reading what is read there."""
    product = first.matrix.astype(np.float64) @ second.matrix.astype(np.float64)
    how = first if second.exact else second
    size = second.size or first.size
    exact = first.exact and second.exact
    return how._replace(matrix=product.astype(np.float32), exact=exact, size=size)
