"""The layers.  The names of `keras.layers`."""

from .. import registry
from .activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from .core import Identity, Lambda, Masking, Wrapper
from .cropping import Cropping1D, Cropping2D, Cropping3D
from .dense import Dense
from .einsum_dense import EinsumDense
from .embedding import Embedding, ReversibleEmbedding
from .input_layer import Input, InputLayer
from .input_spec import InputSpec
from .joining import Concatenate, Dot, concatenate, dot
from .layer import Layer
from .merging import (
    Add,
    Average,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    maximum,
    minimum,
    multiply,
    subtract,
)
from .padding import ZeroPadding1D, ZeroPadding2D, ZeroPadding3D
from .regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from .reshaping import Flatten, Permute, RepeatVector, Reshape
from .upsampling import UpSampling1D, UpSampling2D, UpSampling3D

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "Concatenate",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dense",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "Lambda",
    "Layer",
    "LeakyReLU",
    "Masking",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Reshape",
    "ReversibleEmbedding",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "Subtract",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]

serialize = registry.serialize


def deserialize(config, custom_objects=None):
    """The layer that `serialize` described."""
    return registry.deserialize(config, custom_objects, kind="layers")
