"""What a benchmark of layers is: forward alone, both directions as in training, and memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache

from gpulayers import tree
from gpulayers.arrays import Tape

from .libraries import LIBRARIES, QUICK, finish, namespace, peak


class LayerBenchmark(ABC):
    """Measures layers of a kind; a subclass says which, and on what."""

    libraries = LIBRARIES
    param_names = ("library", "layer")

    @property
    @abstractmethod
    def cases(self) -> dict:
        """Functions by name; each gives a layer and its inputs in NumPy, an array or several."""

    def __init_subclass__(cls):
        cls.params = (cls.libraries, tuple(cls.cases) if isinstance(cls.cases, dict) else ())

    def setup(self, library, name):
        self.layer, self.inputs = made(type(self), library, name)

    def time_forward(self, library, name):
        self.layer(self.inputs)
        finish(library)

    def time_training_step(self, library, name):
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

    def track_peak_of_training(self, library, name):
        """Bytes, beyond the weights and the inputs."""
        return peak(library, lambda: self.time_training_step(library, name))

    track_peak_of_training.unit = "bytes"


class PreprocessingBenchmark(LayerBenchmark):
    """Of layers through which nothing goes backwards: in training they are called, and may draw."""

    def time_training_step(self, library, name):
        self.layer(self.inputs, training=True)
        finish(library)


@cache
def made(benchmark: type[LayerBenchmark], library: str, name: str):
    """A layer of a benchmark, built, and its inputs in that library; in a quick run, few rows."""
    layer, inputs = benchmark.cases[name]()
    if QUICK:
        inputs = tree.map_structure(lambda x: x[:2], inputs)
    if library != "numpy":
        inputs = tree.map_structure(namespace(library).asarray, inputs)
    layer(inputs)
    return layer, inputs
