"""What a benchmark of a layer is: forward alone, both directions as in training, and memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache

from gpulayers import tree
from gpulayers.arrays import Tape

from .libraries import LIBRARIES, finish, namespace, peak


class LayerBenchmark(ABC):
    """Measures one layer; a subclass says which, and on what."""

    params = (LIBRARIES,)
    param_names = ("library",)

    @abstractmethod
    def make(self):
        """The layer, and its inputs in NumPy: one array or a list of them."""

    def setup(self, library):
        self.layer, self.inputs = made(type(self), library)

    def time_forward(self, library):
        self.layer(self.inputs)
        finish(library)

    def time_forward_and_backward(self, library):
        """Gradients of the weights and, as between two layers, of floating point inputs."""
        sources = [*self.layer.trainable_variables]
        with Tape() as tape:
            inputs = tree.map_structure(
                lambda x: tape.watch(x) if x.dtype.kind == "f" else x, self.inputs
            )
            y = self.layer(inputs, training=True)
        sources += [x for x in tree.flatten(self.inputs) if x.dtype.kind == "f"]
        tape.gradient(y, sources)
        finish(library)

    def track_peak_of_both(self, library):
        """Bytes, beyond the weights and the inputs."""
        return peak(library, lambda: self.time_forward_and_backward(library))

    track_peak_of_both.unit = "bytes"


@cache
def made(benchmark: type[LayerBenchmark], library: str):
    """The layer of a benchmark, built, and its inputs in that library."""
    layer, inputs = benchmark().make()
    inputs = tree.map_structure(namespace(library).asarray, inputs)
    layer(inputs)
    return layer, inputs
