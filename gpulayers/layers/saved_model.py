"""SavedModels of TensorFlow as layers."""

from __future__ import annotations

import os

import numpy as np

from .. import registry, tree
from ..arrays import Abstract, devices
from .foreign import ForeignLayer

__all__ = ["TFSMLayer"]


class TFSMLayer(ForeignLayer):
    """What a SavedModel of TensorFlow computes, for inference; TensorFlow must be installed.

    Args:
        filepath: the folder of the SavedModel.
        call_endpoint: the name of a function in it, or of one of its signatures.
        call_training_endpoint: the same for calls with training=True; `call_endpoint` by default.
        trainable: accepted as in Keras. Nothing in it is trained here: its variables are no weights
            of this layer, and no gradient passes through.

    Call arguments:
        inputs: an array, or a list, tuple or dict of arrays, as the function takes it.

    Raises ValueError for names of functions that are not there.  A SavedModel is code: files with
    such a layer load with `safe_mode=False` only.
    """

    def __init__(
        self,
        filepath,
        call_endpoint="serve",
        call_training_endpoint=None,
        trainable=True,
        name=None,
        dtype=None,
    ):
        super().__init__(trainable=trainable, name=name, dtype=dtype)
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ImportError("TFSMLayer needs TensorFlow: pip install tensorflow.") from error
        self.filepath = os.fspath(filepath)
        self.call_endpoint, self.call_training_endpoint = call_endpoint, call_training_endpoint
        self._loaded = tf.saved_model.load(self.filepath)
        self._serve = self._endpoint(call_endpoint)
        other = call_training_endpoint
        self._train = self._serve if other is None else self._endpoint(other)
        self.built = True

    def _endpoint(self, name):
        signatures = self._loaded.signatures
        if hasattr(self._loaded, name):
            return getattr(self._loaded, name)
        if name in signatures:
            return _by_name(signatures[name])
        raise ValueError(
            f"TFSMLayer: {self.filepath} has no function and no signature {name!r}; its signatures "
            f"are {', '.join(signatures) or 'none'}."
        )

    def call(self, inputs, training=False):
        return self._through(inputs, [], bool(training))

    def _run(self, arrays, structure, training, wanted):
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(devices.to_numpy(a)) for a in arrays]
        outputs = (self._train if training else self._serve)(structure(tensors))
        home = devices.home_of(arrays[0])
        made = tf.nest.map_structure(lambda y: devices.put(np.array(y.numpy()), home), outputs)

        def pullback(grads):
            return [None] * len(arrays)

        return made, pullback

    def _shapes(self, arrays, structure, training):
        zeros = [np.zeros(tuple(x.shape), x.dtype) for x in arrays]
        outputs, _ = self._run(zeros, structure, training, None)
        return tree.map_structure(lambda y: Abstract(y.shape, y.dtype), outputs)

    def get_config(self):
        return {
            "name": self.name,
            "filepath": self.filepath,
            "call_endpoint": self.call_endpoint,
            "call_training_endpoint": self.call_training_endpoint,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config):
        if registry.in_safe_mode():
            raise ValueError(
                "TFSMLayer: it names a SavedModel on this machine, whose code could do anything. "
                "If you trust where it comes from, load it with safe_mode=False."
            )
        return cls(**config)


def _by_name(signature):
    """A signature, whose tensors have names, as a function of one structure."""
    names = list(signature.structured_input_signature[1])

    def call(inputs):
        if not isinstance(inputs, dict):
            given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
            if len(given) != len(names):
                raise ValueError(
                    f"TFSMLayer: the signature takes {', '.join(names)}, got {len(given)} arrays."
                )
            inputs = dict(zip(names, given, strict=True))
        found = signature(**inputs)
        return next(iter(found.values())) if len(found) == 1 else found

    return call
