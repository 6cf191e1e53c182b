"""What is timed on a GPU: operations of gpulayers, and the same work by PyTorch.

Bytes are the fewest that a perfect kernel moves: each input read once, each result written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np
from gpu_timing import numbers

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
TINY = 16  # No axis is longer in a dry run.


@dataclass(frozen=True)
class Floats:
    """An array of random numbers of size 1, of the case's dtype unless it says otherwise."""

    shape: tuple[int, ...]
    dtype: str | None = None


@dataclass(frozen=True)
class Whole:
    """An array of whole numbers below `below`; `zipf`: small ones much more often, as words are."""

    shape: tuple[int, ...]
    below: int
    zipf: bool = False
    dtype: str = "int32"

    def values(self) -> np.ndarray:
        """The same ones at each call."""
        rng = np.random.default_rng(0)
        if self.zipf:
            return (rng.zipf(1.2, self.shape) % self.below).astype(self.dtype)
        return rng.integers(0, self.below, self.shape).astype(self.dtype)


@dataclass(frozen=True)
class Operation:
    """A function of arrays and its gradient, for several shapes and dtypes.

    `backward` is for functions that are no primitives: it takes (g, *arrays).  `layer` stands for
    `ours`: a layer of the first array, whose weights the peer takes as further arrays.
    `peer_arrays` are the peer's, where they have other shapes; `prepare` gives the tensors that it
    takes, from those; `precision` is that of float32.
    """

    family: str
    what: str
    shapes: tuple[tuple[int, ...], ...]
    arrays: Callable[..., list[Floats | Whole]]
    nbytes: Callable[..., tuple[int, int]]  # Of a shape and an element's size: forward, backward.
    ours: Callable | None = None
    peer: Callable | None = None  # Of torch.nn.functional and tensors.
    backward: Callable | None = None
    layer: Callable | None = None
    prepare: Callable | None = None  # Of torch and tensors.
    flops: Callable[..., tuple[int, int]] = lambda *shape: (0, 0)
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    directions: tuple[str, ...] = ("forward", "backward")
    peer_arrays: Callable[..., list[Floats | Whole]] | None = None
    precision: str = "highest"
    tiny: int = TINY  # The longest axis of a dry run.

    def cases(self, tiny: bool = False) -> Iterator[Case]:
        """Each shape in each dtype, there and back."""
        sizes = self.shapes
        if tiny:
            sizes = [tuple(min(n, self.tiny) for n in shape) for shape in sizes]
        for size in dict.fromkeys(sizes):
            for dtype in self.dtypes:
                moved, flops = self.nbytes(BYTES[dtype], *size), self.flops(*size)
                for i, direction in enumerate(self.directions):
                    what = self.what if direction == "forward" else f"{self.what}, gradient"
                    yield Case(
                        self.family, what, size, dtype, moved[i], flops[i],
                        Ours(self, size, dtype, direction), Peer(self, size, dtype, direction),
                        max(1, round(moved[i] / (BYTES[dtype] * prod(size)))),
                        products="TF32" if self._is_tf32(dtype) else dtype,
                    )  # fmt: skip

    def _is_tf32(self, dtype: str) -> bool:
        return dtype == "float32" and self.precision == "high"


@dataclass(frozen=True)
class Case:
    """One row of the table.

    `ours(cupy)` and `peer(torch)` prepare the work, and give the function that does it.  A whole
    step is timed by the clock on the wall, over many in a row; anything else by the GPU's.
    """

    family: str
    what: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    flops: int = 0
    ours: Callable | None = None
    peer: Callable | None = None
    passes: int = 1  # So many arrays of the size of the largest are moved.
    whole_step: bool = False
    products: str = ""  # Which rate of products is the ceiling.

    @property
    def label(self) -> str:
        """What it is, in a line."""
        return f"{self.what} {' x '.join(map(str, self.shape))} {self.dtype}"


@dataclass(frozen=True)
class Ours:
    """An operation of gpulayers, ready to be done."""

    operation: Operation
    shape: tuple[int, ...]
    dtype: str
    direction: str

    def __call__(self, cupy):
        from gpulayers import config

        def at_its_precision():
            before = config.float32_matmul_precision()
            config.set_float32_matmul_precision(self.operation.precision)
            try:
                return work()
            finally:
                config.set_float32_matmul_precision(before)

        work = self._work(cupy)
        return work if self.operation.precision == "highest" else at_its_precision

    def _work(self, cupy):
        from gpulayers.arrays import Tape

        op = self.operation
        arrays = [
            numbers(cupy, a.shape, a.dtype or self.dtype, seed)
            if isinstance(a, Floats)
            else cupy.asarray(a.values())
            for seed, a in enumerate(op.arrays(*self.shape))
        ]
        function, weights = op.ours, []
        if op.layer is not None:
            policy = self.dtype if self.dtype == "float32" else f"mixed_{self.dtype}"
            made, arrays = op.layer(dtype=policy), arrays[:1]
            made(*arrays, training=True)
            function, weights = lambda x: made(x, training=True), made.trainable_variables
        if self.direction == "forward":
            return lambda: function(*arrays)
        if op.backward is not None:
            g = numbers(cupy, function(*arrays).shape, self.dtype, 9)
            return lambda: op.backward(g, *arrays)
        sources = [x for x, a in zip(arrays, op.arrays(*self.shape)) if isinstance(a, Floats)]
        with Tape(persistent=True) as tape:
            watched = [tape.watch(x) if any(x is s for s in sources) else x for x in arrays]
            y = function(*watched)
        g = numbers(cupy, y.shape, str(y.dtype), 9)
        return lambda: tape.gradient(y, [*sources, *weights], g)


@dataclass(frozen=True)
class Peer:
    """The same by PyTorch."""

    operation: Operation
    shape: tuple[int, ...]
    dtype: str
    direction: str

    def __call__(self, torch):
        F, op = torch.nn.functional, self.operation
        tensors, sources = [], []
        for a in (op.peer_arrays or op.arrays)(*self.shape):
            if isinstance(a, Whole):
                tensor = torch.from_numpy(a.values()).cuda()
                tensors.append(tensor.long() if a.dtype == "int32" else tensor)
                continue
            dtype = getattr(torch, a.dtype or self.dtype)
            x = torch.randn(a.shape, device="cuda", dtype=dtype)
            tensors.append(x.requires_grad_(self.direction == "backward"))
            sources.append(x)
        if op.prepare is not None:
            tensors = sources = op.prepare(torch, *tensors)
        if self.direction == "forward":

            def forward():
                with torch.no_grad():
                    return op.peer(F, *tensors)

            return forward
        y = op.peer(F, *tensors)
        g = torch.randn_like(y)
        return lambda: torch.autograd.grad(y, sources, g, retain_graph=True)


def passes(forward: int, backward: int):
    """`nbytes` of an operation that moves its first array so many times."""
    return lambda e, *shape: (forward * e * prod(shape), backward * e * prod(shape))


def rows_and_weights(*shape):
    """An array, and two weights for its last axis."""
    return [Floats(shape), Floats(shape[-1:]), Floats(shape[-1:])]


def of_numbers(*shape):
    """One array."""
    return [Floats(shape)]


ROWS = ((32768, 1024), (8192, 768), (4096, 4096), (4096, 16384))
IMAGES = ((64, 112, 112, 64), (256, 56, 56, 64), (256, 14, 14, 1024))


def _augmentation(dtype):
    """Random layers that share one pass."""
    from gpulayers.layers import Pipeline, RandomContrast, RandomFlip, RandomRotation, RandomZoom

    how = {"dtype": dtype}
    return Pipeline([RandomFlip(**how), RandomRotation(0.2, **how), RandomZoom(0.3, **how),
                     RandomContrast(0.5, **how)])  # fmt: skip


def _augmentation_by_torch(F, x):
    """The same work: a grid of places for each image, samples there, and contrast."""
    places = (x[:, :2, :3, 0].float() - 127.5) / 255  # As good as random.
    size = (x.shape[0], x.shape[3], *x.shape[1:3])
    grid = F.affine_grid(places, size, align_corners=False)
    images = x.permute(0, 3, 1, 2).float()
    moved = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    mean = moved.mean(dim=(2, 3), keepdim=True)
    factor = places[:, :1, :1, None] + 1
    return ((moved - mean) * factor + mean).clamp(0, 255).permute(0, 2, 3, 1).contiguous()


def operations() -> list[Operation]:
    """All operations, the most telling shape of each first."""
    import gpu_attention

    from gpulayers import layers, ops
    from gpulayers.arrays import namespace, random
    from gpulayers.ops.cross_entropy import sparse_categorical_crossentropy
    from gpulayers.ops.dense import dense
    from gpulayers.ops.dropout import dropout
    from gpulayers.ops.embedding import gather

    def bias_gelu(x, bias):
        from gpulayers.cuda.activation import bias_activation

        return bias_activation(x, bias, "GELU")

    def bias_gelu_gradient(g, x, bias):
        from gpulayers.cuda.activation import bias_activation_backward

        return bias_activation_backward(g, x, bias, "GELU")

    def drawn(x):
        return random.normal(x.shape, seed=(1, 2), like=x)

    def embedding(e, tokens, words, width):
        return e * 2 * tokens * width + 4 * tokens, e * (tokens + words) * width + 4 * tokens

    def affine(e, m, k, n):
        return e * (m * k + k * n + m * n), 2 * e * (m * k + k * n + m * n)

    def ids(zipf):
        return lambda tokens, words, width: [
            Floats((words, width)), Whole((tokens,), words, zipf)
        ]  # fmt: skip

    def batch_norm(F, x, gamma, beta):
        return F.batch_norm(x.permute(0, 3, 1, 2), None, None, gamma, beta, training=True)

    def image_and_weights(*shape):
        return [Floats(shape), Floats(shape[-1:], "float32"), Floats(shape[-1:], "float32")]

    found = [
        Operation(
            "activation", "bias + gelu", ROWS[:2], lambda *s: [Floats(s), Floats(s[-1:])],
            passes(2, 3), bias_gelu, lambda F, x, b: F.gelu(x + b), bias_gelu_gradient,
        ),
        Operation(
            "activation", "silu", ROWS[:1], of_numbers, passes(2, 3), ops.silu,
            lambda F, x: F.silu(x),
        ),
        Operation(
            "softmax", "softmax", (*ROWS, (16384, 65536)), of_numbers, passes(2, 3), ops.softmax,
            lambda F, x: F.softmax(x, -1),
        ),
        Operation(
            "softmax", "log_softmax", ROWS[:1], of_numbers, passes(2, 3), ops.log_softmax,
            lambda F, x: F.log_softmax(x, -1),
        ),
        Operation(
            "cross_entropy", "sparse cross-entropy of logits", ((8192, 32000), (8192, 128256)),
            lambda n, c: [Whole((n,), c), Floats((n, c))], passes(1, 2),
            lambda y, x: sparse_categorical_crossentropy(y, x, from_logits=True),
            lambda F, y, x: F.cross_entropy(x, y, reduction="none"),
        ),
        Operation(
            "normalization", "layer normalization", ROWS, rows_and_weights, passes(2, 3),
            lambda x, gamma, beta: ops.layer_normalization(x, gamma, beta, epsilon=1e-5),
            lambda F, x, gamma, beta: F.layer_norm(x, x.shape[-1:], gamma, beta),
        ),
        Operation(
            "normalization", "RMS normalization", ROWS, lambda *s: rows_and_weights(*s)[:2],
            passes(2, 3), lambda x, scale: ops.rms_normalization(x, scale, epsilon=1e-6),
            lambda F, x, scale: F.rms_norm(x, x.shape[-1:], scale, 1e-6),
        ),
        Operation(
            "dropout", "dropout", ((8192, 8192),), of_numbers, passes(2, 2),
            lambda x: dropout(x, rate=0.1, seed=(1, 2)), lambda F, x: F.dropout(x, 0.1),
        ),
        Operation(
            "random", "normal numbers", ((8192, 8192),), of_numbers, passes(1, 0), drawn,
            lambda F, x: x.normal_(), dtypes=("float32",), directions=("forward",),
        ),
        Operation(
            "reductions", "sum of each row", ROWS[:1], of_numbers, passes(1, 0),
            lambda x: namespace(x).sum(x, axis=-1), lambda F, x: x.sum(-1),
            directions=("forward",),
        ),
        Operation(
            "reductions", "mean of all", ROWS[:1], of_numbers, passes(1, 0),
            lambda x: namespace(x).mean(x), lambda F, x: x.mean(), directions=("forward",),
        ),
        *(
            Operation(
                "embedding", f"embedding, {name} words",
                ((16384, 50257, 768), (16384, 128256, 4096)),
                ids(name == "Zipf's"), embedding, gather,
                lambda F, table, i: F.embedding(i, table),
            )
            for name in ("all", "Zipf's")
        ),
        Operation(
            "dense", "dense + relu", ((8192, 4096, 4096), (64, 1024, 1024)),
            lambda m, k, n: [Floats((m, k)), Floats((k, n)), Floats((n,))], affine,
            lambda x, w, b: dense(x, w, b, activation="relu"),
            lambda F, x, w, b: F.relu(F.linear(x, w.T, b)),
            flops=lambda m, k, n: (2 * m * k * n, 4 * m * k * n),
            dtypes=("bfloat16", "float16", "float32"),
        ),
    ]  # fmt: skip
    found.append(
        Operation(
            "image", "flip + rotation + zoom + contrast of bytes", ((256, 224, 224, 3),),
            lambda *s: [Whole(s, 256, dtype="uint8")], lambda e, *s: ((1 + e) * prod(s), 0),
            layer=_augmentation, peer=_augmentation_by_torch, directions=("forward",),
            dtypes=("float32",),
        )
    )  # fmt: skip
    from gpu_recurrent import operations as recurrent

    found += recurrent(layers)
    found += gpu_attention.operations()
    found += [
        Operation(
            "batch_normalization", "batch normalization", IMAGES, image_and_weights,
            passes(3, 5), peer=batch_norm, layer=layers.BatchNormalization,
        ),
        Operation(
            "batch_normalization", "batch normalization + relu", IMAGES[:2], image_and_weights,
            passes(3, 5), peer=lambda F, *arrays: F.relu(batch_norm(F, *arrays)),
            layer=partial(layers.BatchNormalization, activation="relu"),
        ),
    ]  # fmt: skip
    return found
