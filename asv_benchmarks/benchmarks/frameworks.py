"""Modules of PyTorch, functions of JAX and Flax and SavedModels as layers, and layers there.

What is not installed is n/a.  Memory is what Python and NumPy hold: frameworks have their own.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from tempfile import mkdtemp

import gpulayers as gl
from gpulayers import layers
from gpulayers.layers import Dense, Input

from . import layer
from .libraries import LIBRARIES, choose, finish, normal, peak, to_library

ROWS, WIDTH, UNITS = 32, 64, 128


def needed(*packages: str) -> None:
    """Raises NotImplementedError, which asv takes for n/a, unless all are installed."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise NotImplementedError(f"{' and '.join(missing)} not installed")


def inputs():
    return normal(ROWS, WIDTH)


def torch_module():
    needed("torch")
    from torch.nn import Linear, ReLU, Sequential

    module = Sequential(Linear(WIDTH, UNITS), ReLU(), Linear(UNITS, WIDTH))
    return layers.TorchModuleWrapper(module), inputs()


def jax_function():
    needed("jax")
    import jax

    def call(params, inputs):
        return jax.nn.relu(inputs @ params["in"]) @ params["out"]

    params = {"in": normal(WIDTH, UNITS), "out": normal(UNITS, WIDTH)}
    return layers.JaxLayer(call, params=params), inputs()


def flax_module():
    needed("jax", "flax")
    from flax import linen

    class Module(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(WIDTH)(linen.relu(linen.Dense(UNITS)(x)))

    return layers.FlaxLayer(Module()), inputs()


class AsLayers(layer.LayerBenchmark):
    """Two products, 64 to 128 and back, and relu between them."""

    cases = {
        "TorchModuleWrapper": torch_module,
        "JaxLayer": jax_function,
        "FlaxLayer": flax_module,
    }


def saved_model():
    needed("tensorflow")
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.weights = [tf.Variable(normal(WIDTH, UNITS)), tf.Variable(normal(UNITS, WIDTH))]

        @tf.function(input_signature=[tf.TensorSpec((None, WIDTH), tf.float32)])
        def serve(self, x):
            return tf.nn.relu(x @ self.weights[0]) @ self.weights[1]

    folder = mkdtemp()
    tf.saved_model.save(Module(), folder)
    return layers.TFSMLayer(folder, "serve"), inputs()


class SavedModels(layer.PreprocessingBenchmark):
    """They go forward alone, as in Keras."""

    cases = {"TFSMLayer": saved_model}


def network():
    """The same two products by layers."""
    return gl.Sequential([Input((WIDTH,)), Dense(UNITS, "relu"), Dense(WIDTH)])


def torch_steps(library):
    """A model as a module of PyTorch, and the gradients of its parameters."""
    needed("torch")
    import torch

    module = gl.utils.as_torch_module(network())
    x = torch.from_dlpack(to_library(library, inputs())[0])

    def step():
        module.zero_grad()
        module(x).sum().backward()

    return lambda: module(x), step


def jax_steps(library):
    """A model as a function of JAX, compiled."""
    needed("jax")
    import jax

    apply, params, state = gl.utils.as_jax_function(network())
    x = jax.dlpack.from_dlpack(to_library(library, inputs())[0])
    forward = jax.jit(lambda params: apply(params, state, x)[0])
    step = jax.jit(jax.grad(lambda params: forward(params).sum()))
    return tuple(lambda f=f: jax.block_until_ready(f(params)) for f in (forward, step))


STEPS = {"as_torch_module": torch_steps, "as_jax_function": jax_steps}


@cache
def steps(library: str, name: str):
    choose(library)
    return STEPS[name](library)


class InFrameworks:
    """Layers where others are at home."""

    params = (LIBRARIES, tuple(STEPS))
    param_names = ("library", "function")

    def setup(self, *case):
        self.forward, self.step = steps(*case)
        self.forward(), self.step()

    def time_forward(self, library, name):
        self.forward()
        finish(library)

    def time_training_step(self, library, name):
        self.step()
        finish(library)

    def track_peak_of_training(self, library, name):
        return peak(library, self.step)

    track_peak_of_training.unit = "bytes"
