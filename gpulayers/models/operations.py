"""Functions in graphs, as Keras's files describe them: objects of a class named after each.

Keras divides the arguments of `mean(x, axis=1)`: what may be an array is an argument of the call,
all else (`axis`) belongs to the object. A graph of ours holds functions of `gpulayers.ops`, which
have Keras's names and arguments, and functions of the array API, which operators become too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import Parameter, signature
from itertools import takewhile
from typing import Any

from .. import ops, registry
from ..arrays.functions import TABLE
from ..arrays.symbolic import Function

# Parameters of Keras's functions that belong to the call, but for those of a few functions.
_OF_CALLS = frozenset(
    """
    a abs_ angle array arrays atol b beta bias bins branches choicelist condition condlist
    constant_values coordinates data default depthwise_kernel end_points fill_value gamma image1
    image2 images index indices inputs kernel key mask mean offset operands output output_length
    pattern pointwise_kernel predictions q query rtol scale segment_ids sequence_lengths
    sorted_sequence start start_indices start_points step stop target target_length targets tensor
    transform translation updates value values variable variance weights x x1 x2 xi xs y
    """.split()
)
_OPTIONS_OF = {
    "allclose": {"rtol", "atol"}, "bincount": {"weights"}, "diagonal": {"offset"},
    "trace": {"offset"}, "trapezoid": {"x"}, "histogram": {"bins"}, "squareplus": {"b"},
    "affine_transform": {"fill_value"}, "elastic_transform": {"fill_value"},
    "map_coordinates": {"fill_value"}, "perspective_transform": {"fill_value"},
    "resize": {"fill_value"},
}  # fmt: skip

# Functions of the array API: Keras's name, how many arrays come first, then the other arguments,
# with Keras's names where these differ.
_STANDARD = {
    line.split()[0]: line.split()[1:]
    for line in """
    abs absolute 1
    acos arccos 1
    acosh arccosh 1
    all all 1 axis keepdims
    any any 1 axis keepdims
    argmax argmax 1 axis keepdims
    argmin argmin 1 axis keepdims
    argsort argsort 1 axis
    asin arcsin 1
    asinh arcsinh 1
    astype cast 1 dtype
    atan arctan 1
    atan2 arctan2 2
    atanh arctanh 1
    bitwise_invert bitwise_not 1
    broadcast_to broadcast_to 1 shape
    clip clip 1 min=x_min max=x_max
    concat concatenate 1 axis
    cumulative_prod cumprod 1 axis
    cumulative_sum cumsum 1 axis
    divide true_divide 2
    expand_dims expand_dims 1 axis
    flip flip 1 axis
    getitem get_item 2
    max max 1 axis keepdims
    mean mean 1 axis keepdims
    min min 1 axis keepdims
    moveaxis moveaxis 1 source destination
    permute_dims transpose 1 axes
    pow power 2
    prod prod 1 axis keepdims
    remainder mod 2
    repeat repeat 1 repeats axis
    reshape reshape 1 shape=newshape
    roll roll 1 shift axis
    sort sort 1 axis
    squeeze squeeze 1 axis
    stack stack 1 axis
    std std 1 axis keepdims
    sum sum 1 axis keepdims
    take take 2 axis
    take_along_axis take_along_axis 2 axis
    tensordot tensordot 2 axes
    tile tile 1 repetitions=repeats
    tril tril 1 k
    triu triu 1 k
    var var 1 axis keepdims
    """.strip().splitlines()
}
# Of functions with several names, those that Keras gives to operators.
_ALIASES = {"abs": "absolute", "bitwise_invert": "bitwise_not", "divide": "true_divide"}
_BY_POSITION = {"dtype", "repeats", "repetitions", "source", "destination"}
_PLACES = {  # In which of Keras's modules functions are, but for those in "numpy".
    "core": """
        cast convert_to_tensor saturate_cast scatter scatter_update slice slice_update stop_gradient
        unstack
    """,
    "einops": "rearrange",
    "image": """
        affine_transform crop_images elastic_transform extract_patches gaussian_blur hsv_to_rgb
        map_coordinates pad_images perspective_transform resize rgb_to_grayscale rgb_to_hsv
        scale_and_translate sobel_edges ssim
    """,
    "linalg": """
        cholesky cholesky_inverse det eig eigh inv lstsq lu_factor matrix_rank norm pinv qr solve
        solve_triangular svd
    """,
    "math": """
        cdist erf erfc erfinv extract_sequences fft fft2 ifft2 in_top_k irfft istft logdet logsumexp
        rfft rsqrt segment_max segment_min segment_prod segment_sum stft top_k view_as_complex
        view_as_real
    """,
    "nn": """
        adaptive_average_pool adaptive_max_pool average_pool batch_normalization binary_crossentropy
        categorical_crossentropy celu conv conv_transpose ctc_decode ctc_loss depth_to_space
        depthwise_conv dot_product_attention elu fold gelu glu hard_shrink hard_sigmoid hard_silu
        hard_tanh layer_normalization leaky_relu log_sigmoid log_softmax max_pool moments multi_hot
        normalize one_hot polar psnr relu relu6 rms_normalization selu separable_conv sigmoid silu
        soft_shrink softmax softplus softsign space_to_depth sparse_categorical_crossentropy
        sparse_plus sparse_sigmoid sparsemax squareplus tanh_shrink threshold unfold
    """,
}
_CLASSES = {  # Classes that are not the names of functions in camel case.
    "allclose": "AllClose", "batch_normalization": "BatchNorm", "cdist": "CDist",
    "ctc_decode": "CTCDecode", "ctc_loss": "CTCLoss", "fft": "FFT", "fft2": "FFT2",
    "hsv_to_rgb": "HSVToRGB", "ifft2": "IFFT2", "irfft": "IRFFT", "isin": "IsIn",
    "istft": "ISTFT", "layer_normalization": "LayerNorm", "psnr": "PSNR", "rfft": "RFFT",
    "rgb_to_grayscale": "RGBToGrayscale", "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm", "searchsorted": "SearchSorted", "ssim": "SSIM",
    "stft": "STFT", "svd": "SVD",
}  # fmt: skip


# Describing.


def name_of(function) -> str:
    """Keras's name of a function in a graph."""
    if isinstance(function, Function):
        return _STANDARD.get(function.name, [function.name.rpartition(".")[2]])[0]
    name = function.__name__
    alias = _ALIASES.get(name)
    return alias if alias is not None and getattr(ops, alias, None) is function else name


def describe(node, name: str) -> tuple[dict, list, dict]:
    """The object that stands for a node's function, and the arguments of the call.

    Raises TypeError for a function that is none of ours.
    """
    function, keras = node.operation, name_of(node.operation)
    if isinstance(function, Function):
        options, args, kwargs = _divide_standard(function, list(node.args), dict(node.kwargs))
    elif function in (getattr(ops, keras, None), getattr(ops.image, keras, None)):
        options, args, kwargs = _divide(function, node)
    else:
        return _as_layer(function, node, name)
    return _entry(keras, name, options), args, kwargs


def class_of(keras: str) -> str:
    """The class that a function of that name has in Keras's descriptions."""
    return _CLASSES.get(keras) or "".join(part.capitalize() for part in keras.split("_"))


def _entry(keras, name, options) -> dict:
    cls = class_of(keras)
    place = next((place for place, known in _PLACES.items() if keras in known.split()), "numpy")
    return {
        "module": f"keras.src.ops.{place}",
        "class_name": cls,
        "config": {"name": name, **registry.serialize(options)},
        "registered_name": cls,
    }


def _divide(function, node):
    given = signature(function).bind(*node.args, **node.kwargs)
    options, args, kwargs = {}, [], {}
    for key, parameter in given.signature.parameters.items():
        if parameter.kind is Parameter.VAR_POSITIONAL:
            args.extend(given.arguments.get(key, ()))
        elif parameter.kind is Parameter.VAR_KEYWORD:
            kwargs = given.arguments.get(key, {})
        elif key in _OF_CALLS and key not in _OPTIONS_OF.get(function.__name__, ()):
            if key in given.arguments or parameter.default is None:  # Keras wants None as well.
                args.append(given.arguments.get(key))
        elif key in given.arguments:
            options[key] = given.arguments[key]
    return options, args, kwargs


def _divide_standard(function, args, kwargs):
    _, count, names = _standard(function.name)
    if count is None:
        return {}, args, kwargs
    given = dict(zip(names, args[count:], strict=False)) | kwargs
    if set(given) <= set(names):
        return {names[key]: value for key, value in given.items()}, args[:count], {}
    return {}, args, kwargs


def _standard(name: str) -> tuple[str, int | None, dict[str, str]]:
    """Keras's name, number of arrays, and parameters with Keras's names of a standard function."""
    if name not in _STANDARD:
        return name, None, {}
    keras, count, *rest = _STANDARD[name]
    pairs = [part.partition("=") for part in rest]
    return keras, int(count), {ours: theirs or ours for ours, _, theirs in pairs}


def _as_layer(function, node, name):
    """Keras has layers for those activations that are no functions of its `ops`."""
    known = registry.exported("activations")
    if function not in known.values() or len(node.args) != 1 or node.kwargs:
        raise TypeError(
            f"the function {getattr(function, '__name__', function)!r} of this graph has no "
            "description for files: call it inside a layer of your own."
        )
    entry = {
        "module": "keras.layers",
        "class_name": "Activation",
        "config": {"name": name, "activation": function.__name__},
        "registered_name": None,
    }
    return entry, list(node.args), {}


# Making.


def function_of(entry: dict) -> Callable | None:
    """The function that such a description means; None if it is no function's, but a layer's.

    Raises ValueError for functions that are not known.
    """
    module, name = entry.get("module"), entry.get("class_name")
    if not isinstance(module, str) or not module.startswith("keras.src.ops"):
        return None
    config = entry.get("config")
    if not isinstance(name, str) or not isinstance(config, dict):
        raise ValueError(f"expected the description of a function, got {entry!r:.80}.")
    options = {key: _tuples(value) for key, value in config.items() if key != "name"}
    found, renamed = _known().get(_squeezed(name), (None, {}))
    if found is None:
        raise registry.UnknownNameError(f"unknown function {name!r} (module {module!r}).")
    options = {renamed.get(key, key): value for key, value in options.items()}
    return _with_options(found, options)


def _with_options(function, options):
    if not isinstance(function, Function):
        return _of_call(function, options)
    if not options:
        return function
    last = [value for key, value in options.items() if key in _BY_POSITION]
    named = {key: value for key, value in options.items() if key not in _BY_POSITION}
    return lambda *args: function(*args, *last, **named)


def _of_call(function, options):
    """A function of ours with the arguments of the call alone, which may stand between others."""
    parameters = list(signature(function).parameters)
    kept = _OPTIONS_OF.get(function.__name__, ())
    names = [name for name in parameters if name in _OF_CALLS and name not in kept]
    if not options and names == parameters[: len(names)]:
        return function

    def call(*args, **kwargs):
        if len(args) > len(names):  # As many arrays as there are.
            first = list(takewhile(options.__contains__, parameters))
            rest = {key: value for key, value in options.items() if key not in first}
            return function(*(options[name] for name in first), *args, **rest, **kwargs)
        return function(**dict(zip(names, args, strict=False)), **options, **kwargs)

    return call


@cache
def _known() -> dict[str, tuple[Callable, dict[str, str]]]:
    """Functions by their names without underscores, and their parameters by Keras's names."""
    found: dict[str, tuple[Callable, dict[str, str]]] = {}
    for name, entry in TABLE.items():
        if entry.kind == "array":
            keras, _, names = _standard(name)
            theirs = {keras_name: ours for ours, keras_name in names.items()}
            found[_squeezed(keras)] = found[_squeezed(name)] = (Function(name), theirs)
    for name, function in (registry.exported("ops") | registry.exported("ops.image")).items():
        found[_squeezed(name)] = found[_squeezed(_CLASSES.get(name, name))] = (function, {})
    return found


def _squeezed(name: str) -> str:
    return name.replace("_", "").replace(".", "").lower()


def _tuples(value: Any):
    return tuple(map(_tuples, value)) if isinstance(value, list) else registry.deserialize(value)
