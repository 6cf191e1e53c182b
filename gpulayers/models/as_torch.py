"""Layers and models as modules of PyTorch."""

from __future__ import annotations

import numpy as np

from .. import tree
from ..arrays import Tape, is_recorded, plain
from ..arrays.exchange import from_torch, to_torch
from ..layers.layer import Layer


def as_torch_module(layer):
    """A layer, or model, as a `torch.nn.Module`: it works in PyTorch's training, with gradients.

    The layer's trainable weights are the module's parameters, its others are buffers; they are
    copied, and from then on the module's count: the layer has them too whenever the module has been
    called.  Tensors go to the layer and back without copies, on the CPU and on GPUs.

    Args:
        layer: a layer or a model that is built.

    Gives a module; it takes tensors as the layer takes arrays, and gives tensors.  In training mode
    it calls the layer with training=True.  `module.layer` is the layer.

    Raises TypeError for something else than a layer, ValueError for one that is not built.
    """
    import torch

    if not isinstance(layer, Layer):
        raise TypeError(f"as_torch_module: expected a layer or model, got {type(layer).__name__}.")
    if not layer.built:
        raise ValueError(f"as_torch_module: {layer.name!r} is not built: call it on data first.")

    class Through(torch.autograd.Function):
        """One call of the layer, recorded on a tape."""

        @staticmethod
        def forward(ctx, call, count, *tensors):
            ctx.call, outputs = call, call.forward(tensors[:count], tensors[count:])
            ends = [to_torch(np.asarray(y) if np.isscalar(y) else y) for y in outputs]
            ctx.mark_non_differentiable(*(y for y in ends if not y.is_floating_point()))
            return tuple(ends)

        @staticmethod
        def backward(ctx, *grads):
            return None, None, *ctx.call.backward(grads)

    class GpulayersModule(torch.nn.Module):
        __doc__ = f"The layer {layer.name!r} of gpulayers."

        def __init__(self):
            super().__init__()
            self.layer = layer
            self._own, self._kept = {}, {}
            for variable in layer.variables:
                name = variable.path.replace("/", "_").replace(".", "_")
                while name in self._own or name in self._kept:
                    name += "_"
                value = to_torch(np.array(variable.numpy()))
                if variable.trainable and value.is_floating_point():
                    self._own[name] = variable
                    self.register_parameter(name, torch.nn.Parameter(value))
                else:
                    self._kept[name] = variable
                    self.register_buffer(name, value)

        def forward(self, *args, **kwargs):
            for name, variable in {**self._own, **self._kept}.items():
                variable.assign(from_torch(getattr(self, name)))
            parameters = [getattr(self, name) for name in self._own]
            call = _Call(self, [list(args), kwargs], torch.is_grad_enabled())
            outputs = Through.apply(call, len(call.tensors), *call.tensors, *parameters)
            for name, variable in self._kept.items():
                getattr(self, name).copy_(to_torch(np.array(variable.numpy())))
            return tree.pack_sequence_as(call.outputs, list(outputs))

    return GpulayersModule()


class _Call:
    """One call of a layer with tensors, and its gradients."""

    def __init__(self, module, arguments, recorded: bool):
        import torch

        self.module, self.arguments, self.recorded = module, arguments, recorded
        self._flat = tree.flatten(arguments)
        self._places = [i for i, x in enumerate(self._flat) if isinstance(x, torch.Tensor)]
        self.tensors = [self._flat[i] for i in self._places]
        self.outputs = self._tape = None

    def forward(self, tensors, parameters) -> list:
        """The outputs as flat arrays."""
        layer, inputs = self.module.layer, [from_torch(t) for t in tensors]
        if not self.recorded:
            self.outputs = self._called(layer, inputs)
            return tree.flatten(self.outputs)
        with Tape() as self._tape:
            self._inputs = [self._tape.watch(x) for x in inputs]
            self.outputs = self._called(layer, self._inputs)
        self._ends = tree.flatten(self.outputs)
        return [plain(y) for y in self._ends]

    def _called(self, layer, arrays):
        flat = list(self._flat)
        for i, x in zip(self._places, arrays, strict=True):
            flat[i] = x
        args, kwargs = tree.pack_sequence_as(self.arguments, flat)
        return layer(*args, **{"training": self.module.training, **kwargs})

    def backward(self, grads) -> list:
        """The gradients of inputs and parameters as tensors, None where there are none."""
        pairs = [(y, g) for y, g in zip(self._ends, grads, strict=True) if g is not None]
        ends = [y for y, _ in pairs if is_recorded(y)]
        given = [from_torch(g) for y, g in pairs if is_recorded(y)]
        sources = [*self._inputs, *self.module._own.values()]
        if not ends:
            return [None] * len(sources)
        found = self._tape.gradient(ends, sources, output_gradients=given)
        return [None if g is None else to_torch(g) for g in found]
