"""Layers one after another, images in as few passes as they allow."""

from __future__ import annotations

from .. import registry
from .image_layer import ImageLayer
from .image_passes import through
from .layer import Layer


class Pipeline(Layer):
    """Layers one after another, such as those that augment images.

    It is a layer, not a model: it has no `fit`. In training, image layers next to each other that
    move pixels or change each pixel's colour share one pass over the images: flips, crops,
    rotations, zooms, brightness, contrast and others.

    Args:
        layers: a list of layers, each of which takes what the one before gives.
        name: of the layer.

    Takes what the first layer takes; `training` goes to all that take it, and is True by default.
    Raises TypeError for what are no layers.
    """

    def __init__(self, layers, name=None):
        super().__init__(name=name, autocast=False)  # Its layers do that.
        wrong = [layer for layer in layers if not isinstance(layer, Layer)]
        if wrong:
            raise TypeError(f"Pipeline: expected a list of layers, got {wrong[0]!r:.80} in it.")
        self._pipeline_layers = list(layers)

    def __call__(self, inputs, **kwargs):
        first = self.layers[0] if self.layers else None
        if isinstance(inputs, dict) and isinstance(first, ImageLayer):
            known = first.ready(inputs)
            return {**inputs, **super().__call__(known, **kwargs)}
        return super().__call__(inputs, **kwargs)

    @property
    def _takes_text(self) -> bool:
        return bool(self.layers) and self.layers[0]._takes_text

    @property
    def layers(self) -> list:
        """The layers, in their order."""
        return self._pipeline_layers

    def call(self, inputs, training=True, mask=None):
        return through(self.layers, inputs, training)

    def compute_output_shape(self, input_shape):
        for layer in self.layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def get_config(self):
        layers = [registry.serialize(layer) for layer in self.layers]
        return {"name": self.name, "layers": layers}

    @classmethod
    def from_config(cls, config):
        """A pipeline from what `get_config` gave.  Raises ValueError if there are no layers."""
        layers = config.get("layers")
        if not isinstance(layers, (list, tuple)):
            raise ValueError(f"Pipeline: a description needs a list of layers, got {layers!r}.")
        return cls(**{**config, "layers": [registry.deserialize(layer) for layer in layers]})
