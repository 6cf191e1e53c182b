"""Random layers that slide windows, which gpulayers and real Keras are compared on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

COUNT = 80
KINDS = ("Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv", "MaxPooling", "AveragePooling",
         "GlobalMaxPooling", "GlobalAveragePooling", "AdaptiveMaxPooling",
         "AdaptiveAveragePooling")  # fmt: skip
ACTIVATIONS = (None, "relu", "tanh", "sigmoid", "elu")


class ConvolutionCase(NamedTuple):
    """A layer `layers.<name>(**options)` on random inputs of a shape; `key` names its results."""

    key: str
    name: str
    options: dict
    shape: tuple[int, ...]

    def arrays(self, shapes) -> list[np.ndarray]:
        """The inputs, and weights of these shapes: the same ones wherever this runs."""
        rng = np.random.RandomState(int(self.key))
        return [rng.normal(size=shape).astype("float32") for shape in (self.shape, *shapes)]


def cotangent(shape):
    """The weights of a result in the sum whose gradient is compared."""
    return np.cos(np.arange(np.prod(shape))).reshape(shape).astype("float32")


def convolution_cases():
    """All cases: each kind of layer in turn, with arguments drawn at random."""
    rng = np.random.RandomState(7)
    for number in range(COUNT):
        kind = KINDS[number % len(KINDS)]
        two = kind in ("DepthwiseConv", "SeparableConv")
        rank = rng.randint(1, 3 if two else 4)
        tail = "Transpose" if kind.endswith("Transpose") else ""
        layout = str(rng.choice(["channels_last", "channels_last", "channels_first"]))
        groups = rng.randint(1, 4) if kind == "Conv" else 1
        channels = groups * rng.randint(1, 3)
        sizes = tuple(map(int, rng.randint(*{1: (6, 12), 2: (4, 8), 3: (3, 6)}[rank], rank)))
        shape = (2, *sizes, channels) if layout == "channels_last" else (2, channels, *sizes)
        options = {"data_format": layout, **_options(rng, kind, rank, groups)}
        yield ConvolutionCase(
            str(number), f"{kind.removesuffix('Transpose')}{rank}D{tail}"
            if "Conv" in kind else f"{kind}{rank}D", options, shape,
        )  # fmt: skip


def _options(rng, kind, rank, groups) -> dict:
    """Arguments that inputs of these sizes allow."""

    def each(least, most):
        return tuple(int(n) for n in rng.randint(least, most + 1, rank))

    if kind.startswith("Global"):
        return {"keepdims": bool(rng.randint(2))}
    if kind.startswith("Adaptive"):
        return {"output_size": each(1, 4)}
    padding = str(rng.choice(["valid", "same"]))
    if "Pooling" in kind:
        return {"pool_size": each(1, 3), "strides": each(1, 3), "padding": padding}
    options = {"kernel_size": each(1, 3), "strides": each(1, 3), "padding": padding}
    if kind == "DepthwiseConv" or kind == "SeparableConv":  # JAX wants one stride for all axes.
        options |= {"depth_multiplier": int(rng.randint(1, 3)), "strides": int(rng.randint(1, 4))}
    elif rng.randint(3) == 0:
        options |= {"strides": 1, "dilation_rate": 1 + int(rng.randint(2))}
        options["kernel_size"] = tuple(min(k, 2) for k in options["kernel_size"])
    if kind == "Conv":
        options["groups"] = int(groups)
        if rank == 1 and rng.randint(2):
            options["padding"] = "causal"
    if kind != "DepthwiseConv":
        options["filters"] = int(groups * rng.randint(1, 3))
    activation = ACTIVATIONS[rng.randint(len(ACTIVATIONS))]
    return options | {"activation": activation, "use_bias": bool(rng.randint(4))}
