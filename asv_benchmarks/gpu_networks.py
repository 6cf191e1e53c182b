"""Whole networks on a GPU: steps of training, inference, and `predict` of one row, each by Python
and as a CUDA graph; and what inference does between products and instead of them.

PyTorch is eager, with its own automatic mixed precision, images with channels last, and fused Adam.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gpu_cases import Case, Floats, Operation, passes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


@dataclass(frozen=True)
class Network:
    """A network of `benchmarks/networks.py`, as it is timed.

    `tiny` are options of a dry run; `by` says how many times as fast as PyTorch its steps of
    training are to be, by Python and as graphs.
    """

    name: str
    batch: int
    dtype: str = "float32"
    options: dict = field(default_factory=dict)
    tiny: dict = field(default_factory=dict)
    by: tuple[float, float] | None = None

    def cases(self, is_tiny: bool) -> Iterator[Case]:
        """Training and inference, each in two ways."""
        batch = min(self.batch, 2) if is_tiny else self.batch
        for work, peer in (("training", torch_training), ("inference", torch_inference)):
            for way in ("eager", "captured"):
                ours = Ours(self, work, way == "captured", is_tiny, batch)
                what = f"{self.name} of {self.batch}, {work}, {way}"
                yield Case(
                    "networks", what, (batch,), self.dtype, 0, 0, ours,
                    lambda torch, peer=peer: peer(torch, self, batch), whole_step=True,
                )  # fmt: skip


INVERTED = ((1, 8, 1, 1), (2, 8, 2, 2))
NETWORKS = (
    Network(
        "ResNet-50", 64, "float16", by=(0.8, 1.0),
        tiny={"size": 16, "filters": 4, "stages": (1, 2), "classes": 10},
    ),
    Network(
        "transformer", 16, "bfloat16", {"length": 1024}, by=(0.8, 1.0),
        tiny={"length": 8, "width": 16, "depth": 1, "heads": 2},
    ),
    Network("LSTM", 32, tiny={"length": 4, "features": 3, "units": 8}, by=(2.0, 2.0)),
    Network("MLP", 64, tiny={"features": 9, "units": 16}, by=(2.0, 2.0)),
    Network("MLP", 1, tiny={"features": 9, "units": 16}, by=(2.0, 2.0)),
    Network("digits", 32),
    Network(
        "MobileNetV2", 64, "float16",
        tiny={"size": 8, "inverted": INVERTED, "end": 16, "classes": 10},
    ),
    Network("U-Net", 16, "float16", tiny={"size": 16, "filters": 2}),
)  # fmt: skip


# Of which a single row is predicted, from NumPy to NumPy.
ROWS = (
    Network("classifier", 1),
    Network("MLP", 1, tiny={"features": 9, "units": 16}),
    Network("digits", 1),
    Network("LSTM", 1, tiny={"length": 4, "features": 3, "units": 8}),
)


def networks(tiny: bool = False) -> Iterator[Case]:
    """All of them, those with goals first."""
    for network in NETWORKS:
        yield from network.cases(tiny)
    for network in ROWS:
        for way in ("eager", "captured"):
            yield Case(
                "networks", f"{network.name}, predict of one row, {way}", (1,), network.dtype,
                0, 0, Ours(network, "one row", way == "captured", tiny, 1),
                partial(torch_row, network=network), whole_step=True,
            )  # fmt: skip


def goals() -> dict[str, tuple[None, float]]:
    """What is asked of steps of training, as the table has it."""
    return {
        f"{network.name} of {network.batch}, training, {way}": (None, ratio)
        for network in NETWORKS
        if network.by is not None
        for way, ratio in zip(("eager", "captured"), network.by, strict=True)
    }


@dataclass(frozen=True)
class Ours:
    """A network of gpulayers, ready for a step."""

    network: Network
    work: str
    captured: bool
    tiny: bool
    batch: int

    def __call__(self, cupy) -> Callable:
        import gpulayers as gl
        from asv_benchmarks.benchmarks import networks

        if self.captured:
            from gpulayers.cuda import capture  # noqa: F401  (an ImportError says: not there)
        before, short = gl.config.dtype_policy(), self.network.dtype
        gl.config.set_dtype_policy(short if short == "float32" else f"mixed_{short}")
        try:
            known = networks.NETWORKS[self.network.name]
            model = known.build(**(self.network.tiny if self.tiny else self.network.options))
        finally:
            gl.config.set_dtype_policy(before)
        losses = gl.losses.SparseCategoricalCrossentropy, gl.losses.BinaryCrossentropy
        loss = losses[known.pixels](from_logits=self.network.name != "digits")
        model.compile(gl.optimizers.Adam(1e-3), loss, jit_compile=self.captured)
        x, y = networks.data(model, self.batch)
        if self.work == "one row":
            for _ in range(4):  # By the loop, twice; by a plan; and as it is remembered.
                model.predict(x, verbose=0)
            return lambda: model.predict(x, verbose=0)
        x, y = cupy.asarray(x), cupy.asarray(y)
        if self.work == "training":
            step = model._silent_function("train")  # As `fit` takes it.
            return lambda: step((x, y))
        if self.captured:
            predict = model.make_predict_function()
            return lambda: predict(x)
        return lambda: model(x, training=False)


def between_products() -> Iterator[Operation]:
    """What plans of inference do with residuals."""
    from gpulayers.ops.rectifier import relu

    def two(*shape):
        return [Floats(shape), Floats(shape)]

    def sum_and_relu(x, other):
        from gpulayers.cuda.inference import curve, summed

        return summed([x, other], curve(relu), None)

    def sum_and_norm(x, other):
        from gpulayers.cuda.inference import normalized

        options = {"axes": (x.ndim - 1,), "epsilon": 1e-5, "kind": "layer"}
        return normalized(options)[1](x, other, None, None)

    def norm_by_torch(F, x, other):
        total = x + other
        return F.layer_norm(total, total.shape[-1:])

    def twice_as_large(n, h, w, c):
        return [Floats((n, h, w, c)), Floats((2, 2, c // 2, c)), Floats((c // 2,))]

    def transposed_and_relu(x, kernel, bias):
        from gpulayers.cuda.inference import curve, transposed

        sizes = {"sizes": (2 * x.shape[1], 2 * x.shape[2]), "padding": ((0, 0), (0, 0))}
        return transposed(curve(relu), {**sizes, "strides": (2, 2), "dilations": (1, 1)})(
            x, kernel, bias
        )

    def transposed_by_torch(F, x, kernel, bias):
        x, kernel = x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1)
        return F.relu(F.conv_transpose2d(x, kernel, bias, stride=2))

    once = {"directions": ("forward",)}
    yield Operation(
        "inference", "transposed convolution + bias + relu", ((16, 64, 64, 64),), twice_as_large,
        lambda e, n, h, w, c: (e * (3 * n * h * w * c + 2 * c * c), 0), transposed_and_relu,
        transposed_by_torch, flops=lambda n, h, w, c: (4 * n * h * w * c * c, 0), **once,
    )  # fmt: skip
    yield Operation(
        "inference", "sum + relu", ((64, 56, 56, 256),), two, passes(3, 0), sum_and_relu,
        lambda F, x, other: F.relu(x + other), **once,
    )  # fmt: skip
    yield Operation(
        "inference", "sum + layer normalization", ((16384, 1024),), two, passes(4, 0),
        sum_and_norm, norm_by_torch, **once,
    )  # fmt: skip


def torch_network(torch, network: Network, batch: int, device: str = "cuda"):
    """The same network there, its data, and the context in which it computes."""
    from asv_benchmarks.benchmarks import networks
    from asv_benchmarks.compare.torch_networks import NETWORKS as THERE

    model = THERE[network.name]().to(device, memory_format=torch.channels_last)
    shapes = {  # Of inputs and outputs, a batch in front; of models with words (length, words).
        "digits": ((8, 8, 1), (10,)),
        "ResNet-50": ((224, 224, 3), (1000,)),
        "MobileNetV2": ((224, 224, 3), (1000,)),
        "U-Net": ((128, 128, 3), (128, 128, 1)),
        "transformer": ((1024,), (1024, networks.WORDS)),
        "LSTM": ((100, 32), (10,)),
        "MLP": ((784,), (10,)),
        "classifier": ((64,), (10,)),
    }
    x, y = networks.data(Shapes(*shapes[network.name]), batch)
    x, y = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        y = y.permute(0, 3, 1, 2) if y.ndim == 4 else y
    y = y if y.dtype == torch.float32 else y.long()
    short = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(network.dtype)
    return model, x, y, torch.autocast(device, short or torch.bfloat16, enabled=short is not None)


class Shapes:
    """What `networks.data` asks of a model."""

    def __init__(self, inputs, outputs):
        self.input_shape, self.output_shape = (None, *inputs), (None, *outputs)


def torch_training(torch, network: Network, batch: int, device: str = "cuda") -> Callable:
    """A step of training, with scaled losses in float16."""
    functional = torch.nn.functional
    model, x, y, short = torch_network(torch, network, batch, device)
    adam = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    scaler = torch.amp.GradScaler(device, enabled=network.dtype == "float16")
    model.train()

    def step():
        adam.zero_grad(set_to_none=True)
        with short:
            out = model(x)
            if y.dtype == torch.float32:
                loss = functional.binary_cross_entropy_with_logits(out, y)
            else:
                loss = functional.cross_entropy(out.flatten(0, -2), y.flatten())
        scaler.scale(loss).backward()
        scaler.step(adam)
        scaler.update()
        return loss

    return step


def torch_inference(torch, network: Network, batch: int, device: str = "cuda") -> Callable:
    """A forward pass."""
    model, x, _, short = torch_network(torch, network, batch, device)
    model.eval()

    def forward():
        with torch.inference_mode(), short:
            return model(x)

    return forward


def torch_row(torch, network: Network, device: str = "cuda") -> Callable:
    """A forward pass for an array of NumPy, and its result as another."""
    model, x, _, _ = torch_network(torch, network, 1, device)
    model.eval()
    x = x.cpu().numpy()

    def predict():
        with torch.inference_mode():
            return model(torch.from_numpy(x).to(device)).cpu().numpy()

    return predict
