"""PyTorch modules as layers."""

from __future__ import annotations

import base64
import io

import numpy as np

from .. import registry, tree
from ..arrays import Abstract, devices, dtypes
from ..arrays.exchange import from_torch, to_torch
from .foreign import ForeignLayer

__all__ = ["TorchModuleWrapper"]


class TorchModuleWrapper(ForeignLayer):
    """Any `torch.nn.Module` as a layer: what it computes, and gradients through it.

    Its parameters and buffers become weights of this layer, copied when it is made; from then on
    the layer's are those that count (`module` has them again).  Arrays go to PyTorch and back
    without copies, on the CPU and on GPUs.  Unlike in Keras, no backend needs to be PyTorch.

    Args:
        module: the module; a lazy one after its first call.
        output_shape: the shape of what it gives, if that cannot be found by running the module on
            PyTorch's "meta" device or on zeros.

    Call arguments:
        those of `module.forward`: arrays become tensors, anything else stays as it is.
        training: as in Keras, `module` is in evaluation mode for False only.

    Raises TypeError for something else than a module, ValueError for a lazy one without parameters.
    Files hold the module as PyTorch pickles it, which loads with `safe_mode=False` only.
    """

    def __init__(self, module, name=None, output_shape=None, **kwargs):
        super().__init__(name=name, **kwargs)
        import torch

        if not isinstance(module, torch.nn.Module):
            raise TypeError(
                f"TorchModuleWrapper: expected a torch.nn.Module, got {type(module).__name__}."
            )
        if any(torch.nn.parameter.is_lazy(p) for p in module.parameters()):
            raise ValueError(
                "TorchModuleWrapper: the module is lazy and has no parameters yet: call it once "
                f"on a tensor first; got {type(module).__name__}."
            )
        self._module, self.output_shape_given = module, output_shape
        self._parameters = {
            key: self._weight_like(_copied(p), key.replace(".", "_"), p.requires_grad)
            for key, p in module.named_parameters()
        }
        self._buffers = {
            key: self._weight_like(_copied(b), key.replace(".", "_"), False)
            for key, b in module.named_buffers()
        }
        self.built = True

    @property
    def module(self):
        """The module, with this layer's weights."""
        self._module.load_state_dict(self._state(), strict=False)
        return self._module

    def parameters(self, recurse: bool = True):
        """The parameters of `module`."""
        return self.module.parameters(recurse=recurse)

    def call(self, *args, training=None, **kwargs):
        if self._module.training != (training is not False):
            self._module.train(training is not False)
        weights = [v.value for v in self._parameters.values()]
        return self._through([list(args), kwargs], weights, training)

    def _run(self, arrays, structure, training, wanted):
        import torch

        tensors = [to_torch(a) for a in arrays]
        device = tensors[0].device if tensors else torch.device("cpu")
        if wanted is not None:
            tensors = [t.requires_grad_() if w else t for t, w in zip(tensors, wanted, strict=True)]
        count = len(arrays) - len(self._parameters)
        args, kwargs = structure(tensors[:count])
        buffers = {k: to_torch(v._value).to(device, copy=True) for k, v in self._buffers.items()}
        values = {**dict(zip(self._parameters, tensors[count:], strict=True)), **buffers}
        with torch.set_grad_enabled(wanted is not None):
            outputs = torch.func.functional_call(self._module, values, tuple(args), kwargs)
        if self._module.training:
            for key, variable in self._buffers.items():
                variable.assign(from_torch(buffers[key]))
        made = _mapped(outputs, lambda t: from_torch(t.detach()))
        if wanted is None:
            return made, None
        ends = _tensors(outputs)

        def pullback(grads):
            pairs = [(y, g) for y, g in zip(ends, grads, strict=True) if y.requires_grad]
            given = [to_torch(g).to(y.dtype) for y, g in pairs]
            asked = [t for t, w in zip(tensors, wanted, strict=True) if w]
            found = iter(
                torch.autograd.grad(
                    [y for y, _ in pairs], asked, given, retain_graph=True, allow_unused=True
                )
                if pairs
                else [None] * len(asked)
            )
            grads = [next(found) if w else None for w in wanted]
            return [None if g is None else from_torch(g) for g in grads]

        return made, pullback

    def _shapes(self, arrays, structure, training):
        import torch

        if self.output_shape_given is not None:
            return Abstract((arrays[0].shape[0], *self.output_shape_given[1:]), arrays[0].dtype)
        state = {**self._parameters, **self._buffers}
        for device in ("meta", "cpu"):

            def tensor(x, device=device):
                kind = _torch_dtype(x.dtype)
                return torch.zeros(tuple(x.shape), dtype=kind, device=device)

            args, kwargs = structure([tensor(x) for x in arrays])
            values = {key: tensor(v) for key, v in state.items()}
            try:
                with torch.no_grad():
                    outputs = torch.func.functional_call(self._module, values, tuple(args), kwargs)
                return _mapped(outputs, lambda t: Abstract(tuple(t.shape), str(t.dtype)[6:]))
            except (NotImplementedError, RuntimeError, TypeError):  # Not all have one for "meta".
                if device == "cpu":
                    raise

    def _state(self) -> dict:
        own = {**self._parameters, **self._buffers}
        return {key: to_torch(np.array(v.numpy())) for key, v in own.items()}

    def save_own_variables(self, store) -> None:
        """Put the module's state dict into `store`, as Keras does."""
        own = {**self._parameters, **self._buffers}
        for key in self._module.state_dict():
            if key in own:
                store[key] = own[key].numpy()

    def load_own_variables(self, store) -> None:
        """Take the weights from a state dict: that of `save_own_variables`, or of Keras.

        Raises ValueError if names are missing.
        """
        own = {**self._parameters, **self._buffers}
        missing = [key for key in self._module.state_dict() if key in own and key not in store]
        if missing:
            raise ValueError(f"TorchModuleWrapper: {', '.join(missing)} are missing.")
        for key in store:
            if key in own:
                own[key].assign(store[key])

    def get_config(self):
        import torch

        buffer = io.BytesIO()
        torch.save(self.module, buffer)
        pickled = base64.b64encode(buffer.getvalue()).decode("ascii")
        own = {"module": pickled, "output_shape": self.output_shape_given}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config):
        if isinstance(config.get("module"), str):
            if registry.in_safe_mode():
                raise ValueError(
                    "TorchModuleWrapper: it holds a pickled torch.nn.Module, which could do "
                    "anything. If you trust where it comes from, load it with safe_mode=False."
                )
            import torch

            buffer = io.BytesIO(base64.b64decode(config["module"].encode("ascii")))
            config = {**config, "module": torch.load(buffer, weights_only=False)}
        elif not callable(config.get("module")):
            raise ValueError("TorchModuleWrapper: it holds no torch.nn.Module.")
        return cls(**config)


def _copied(tensor) -> np.ndarray:
    return np.array(devices.to_numpy(tensor))


def _torch_dtype(dtype):
    import torch

    return getattr(torch, dtypes.name(dtype))


def _tensors(outputs) -> list:
    import torch

    return [t for t in tree.flatten(outputs) if isinstance(t, torch.Tensor)]


def _mapped(outputs, function):
    """The tensors of a structure as something else.  Raises TypeError if there is none."""
    import torch

    if not _tensors(outputs):
        raise TypeError(f"TorchModuleWrapper: the module gave no tensor, but {type(outputs)}.")
    return tree.map_structure(lambda t: function(t) if isinstance(t, torch.Tensor) else t, outputs)
