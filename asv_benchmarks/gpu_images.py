"""What is timed of image models on a GPU: ResNet-50's and MobileNet's layers, with bias and relu.

A shape is (batch, height, width, channels, filters), the height and width being those of the input.
float32 may round to TF32 here, as PyTorch's convolutions do by default.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from gpu_cases import Floats, Operation

BATCH = 64
# Of ResNet-50, for each window and stride: (height, channels, filters), the most telling one first.
RESNET = {
    (3, 1): ((14, 256, 256), (56, 64, 64), (28, 128, 128), (7, 512, 512)),
    (1, 1): (
        (56, 64, 256), (28, 512, 128), (14, 256, 1024), (56, 64, 64), (56, 256, 64), (56, 256, 128),
        (28, 128, 512), (28, 512, 256), (14, 1024, 256), (14, 1024, 512), (7, 512, 2048),
        (7, 2048, 512),
    ),
    (3, 2): ((28, 256, 256), (56, 128, 128), (14, 512, 512)),
    (1, 2): ((56, 256, 512), (28, 512, 1024), (14, 1024, 2048)),
    (7, 2): ((224, 3, 64),),
}  # fmt: skip
# Of MobileNet: (height, channels).
DEPTHWISE = {
    1: ((14, 512), (112, 32), (56, 128), (28, 256), (7, 1024)),
    2: ((56, 128), (112, 64), (28, 256), (14, 512)),
}
POINTWISE = (
    (14, 512, 512), (112, 32, 64), (56, 64, 128), (56, 128, 128), (28, 128, 256), (28, 256, 256),
    (14, 256, 512), (7, 512, 1024), (7, 1024, 1024),
)  # fmt: skip


def images() -> list[Operation]:
    """Convolutions with bias and relu, depthwise ones, and pooling, each with its gradient."""
    found = [
        *(_convolution(window, stride, layers) for (window, stride), layers in RESNET.items()),
        replace(_convolution(1, 1, POINTWISE), what="pointwise convolution + relu"),
        *(_depthwise(stride, layers) for stride, layers in DEPTHWISE.items()),
    ]
    return [*found, *_pooling()]


def _shapes(layers):
    return tuple((BATCH, height, height, *channels) for height, *channels in layers)


def _counts(stride, height, width):
    return -(-height // stride), -(-width // stride)


def _margins(window, stride, size):
    """Those of "same" padding in Keras."""
    missing = max((-(-size // stride) - 1) * stride + window - size, 0)
    return missing // 2, missing - missing // 2


def _ours(window, stride, x, kernel, bias, groups=1):
    from gpulayers.ops.convolution import convolution

    padding = tuple(_margins(window, stride, n) for n in x.shape[1:3])
    return convolution(
        x, kernel, bias, strides=(stride, stride), padding=padding, dilations=(1, 1),
        groups=groups, activation="relu",
    )  # fmt: skip


def _torch(window, stride, F, x, kernel, bias, groups=1):
    """Channels last, with margins on both sides."""
    x, kernel = x.permute(0, 3, 1, 2), kernel.permute(0, 3, 1, 2)
    return F.relu(F.conv2d(x, kernel, bias, stride, window // 2, groups=groups))


def _convolution(window, stride, layers):
    def nbytes(e, n, h, w, c, k):
        rows, columns = _counts(stride, h, w)
        x, y, weights = n * h * w * c, n * rows * columns * k, window * window * c * k
        return e * (x + y + weights), e * (2 * x + 2 * y + 2 * weights)  # y and g; x and dx.

    def flops(n, h, w, c, k):
        rows, columns = _counts(stride, h, w)
        forward = 2 * n * rows * columns * window * window * c * k
        return forward, 2 * forward

    name = f"{window} x {window}" + (f" / {stride}" if stride > 1 else "")
    return Operation(
        "convolution", f"convolution {name} + relu", _shapes(layers),
        lambda n, h, w, c, k: [
            Floats((n, h, w, c)), Floats((window, window, c, k)), Floats((k,))
        ],
        nbytes, partial(_ours, window, stride), partial(_torch, window, stride), flops=flops,
        dtypes=("bfloat16", "float32"), precision="high",
        peer_arrays=lambda n, h, w, c, k: [
            Floats((n, h, w, c)), Floats((k, window, window, c)), Floats((k,))
        ],
    )  # fmt: skip


def _depthwise(stride, layers):
    def nbytes(e, n, h, w, c):
        rows, columns = _counts(stride, h, w)
        x, y = n * h * w * c, n * rows * columns * c
        return e * (x + y), e * (2 * x + 2 * y)

    def ours(x, kernel, bias):
        return _ours(3, stride, x, kernel, bias, x.shape[-1])

    def torch(F, x, kernel, bias):
        return _torch(3, stride, F, x, kernel, bias, x.shape[-1])

    name = "3 x 3" + (f" / {stride}" if stride > 1 else "")
    return Operation(
        "depthwise", f"depthwise {name} + relu", _shapes(layers),
        lambda n, h, w, c: [Floats((n, h, w, c)), Floats((3, 3, 1, c)), Floats((c,))],
        nbytes, ours, torch, precision="high",
        peer_arrays=lambda n, h, w, c: [Floats((n, h, w, c)), Floats((c, 3, 3, 1)), Floats((c,))],
    )  # fmt: skip


def _pooling():
    from gpulayers.arrays import namespace
    from gpulayers.ops import pooling

    def nbytes(e, n, h, w, c):
        x, y = n * h * w * c, n * -(-h // 2) * -(-w // 2) * c
        return e * (x + y), e * (x + y) + y  # And positions of 8 bits.

    def ours(function, x):
        padding = tuple(_margins(3, 2, n) for n in x.shape[1:3])
        return function(x, windows=(3, 3), strides=(2, 2), padding=padding)

    def whole(e, n, h, w, c):
        return e * n * (h * w + 1) * c, e * n * (h * w + 1) * c

    def images_of(*shape):
        return [Floats(shape)]

    maps = ((BATCH, 112, 112, 64), (BATCH, 56, 56, 256))
    return [
        Operation(
            "pooling", "max pooling 3 x 3 / 2", maps, images_of, nbytes,
            lambda x: ours(pooling.max_pooling, x),
            lambda F, x: F.max_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1),
        ),
        Operation(
            "pooling", "average pooling 3 x 3 / 2", maps[:1], images_of, nbytes,
            lambda x: ours(pooling.average_pooling, x),
            lambda F, x: F.avg_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1, count_include_pad=False),
        ),
        Operation(
            "reductions", "global average pooling", ((BATCH, 7, 7, 2048), (BATCH, 56, 56, 256)),
            images_of, whole, lambda x: namespace(x).mean(x, axis=(1, 2)),
            lambda F, x: x.mean((1, 2)), directions=("forward",),
        ),
    ]  # fmt: skip
