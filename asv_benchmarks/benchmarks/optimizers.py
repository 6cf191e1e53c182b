"""Optimizers: a step over the weights of a small network, and of a larger one."""

from __future__ import annotations

from functools import cache

from gpulayers import Variable, optimizers

from .libraries import LIBRARIES, QUICK, finish, normal, peak, to_library

NAMES = ("SGD", "RMSprop", "Adam", "AdamW", "Lion", "Adafactor", "Muon", "Lamb")
SHAPES = {
    "64-128-64-10": ((64, 128), (128,), (128, 64), (64,), (64, 10), (10,)),
    "4 of 512 x 512": ((512, 512),) * 4,
}
if QUICK:
    SHAPES.popitem()


@cache
def made(library: str, name: str, network: str):
    """An optimizer that has made a step, its variables, and gradients."""
    values = [normal(*shape) for shape in SHAPES[network]]
    variables = [Variable(value) for value in to_library(library, *values)]
    gradients = to_library(library, *values)
    optimizer = getattr(optimizers, name)(learning_rate=1e-6)
    optimizer.apply(gradients, variables)
    return optimizer, variables, gradients


class Optimizers:
    params = (LIBRARIES, NAMES, tuple(SHAPES))
    param_names = ("library", "optimizer", "network")

    def setup(self, *case):
        self.optimizer, self.variables, self.gradients = made(*case)

    def time_training_step(self, library, name, network):
        self.optimizer.apply(self.gradients, self.variables)
        finish(library)

    def track_peak_of_training(self, library, name, network):
        return peak(library, lambda: self.time_training_step(library, name, network))

    track_peak_of_training.unit = "bytes"
