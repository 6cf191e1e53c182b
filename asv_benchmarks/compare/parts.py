"""What is compared, with whom, and how fast gpulayers is to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .contestants import CALL, CONTESTANTS, EPOCH, INFERENCE, ROW, STEP, TAPE, inference
from .racing import OURS, Result

LARGE = ("ResNet-50", "U-Net", "MobileNetV2", "transformer")
SMALL = ("LSTM", "MLP", "digits", "classifier")  # Under a million weights.
ROWS = ("LSTM", "small LSTM", "MLP", "digits", "classifier")  # Of which single ones are predicted.
TRAINED = (*LARGE, "LSTM", "MLP", "digits")
ON_KERAS = tuple(name for name in CONTESTANTS if name.startswith("Keras"))
ALL = tuple(CONTESTANTS)[1:]
IMPORTS, MEMORY = "imports", "memory"  # Parts that are measured in ways of their own.
TORCH, ONNX, HAND = "PyTorch", "ONNX Runtime", "NumPy by hand"


@dataclass(frozen=True)
class Part:
    """A table: its lines, as (network, works), and who is in it beside gpulayers."""

    title: str
    lines: tuple
    others: tuple


PARTS = {
    "inference": Part(
        "Inference",
        (
            *((network, (INFERENCE,)) for network in (*LARGE, "LSTM")),
            ("MLP", (inference(1), INFERENCE, inference(64))),
            ("digits", (INFERENCE,)),
        ),
        (TORCH, ONNX),
    ),
    "training": Part("Training", tuple((network, (STEP,)) for network in TRAINED), (TORCH,)),
    "rows": Part("`predict` of one row", tuple((network, (ROW,)) for network in ROWS), ALL),
    "small": Part(
        "Training of small networks",
        tuple((network, (STEP, EPOCH)) for network in SMALL),
        (TORCH, *ON_KERAS),
    ),
    "calls": Part("What calls cost", (("classifier", (CALL, TAPE)),), ALL),
}

INFERENCE_GOALS = {
    "ResNet-50": 0.9, "U-Net": 0.9, "MobileNetV2": 0.4, "transformer": 0.8, "LSTM": 0.7, "MLP": 1,
    "digits": 1,
}  # fmt: skip
TRAINING_GOALS = {"ResNet-50": 0.8, "U-Net": 0.8, "MobileNetV2": 0.35}


def goals(part: str, result: Result) -> Iterator[tuple[str, float]]:
    """Contestants, and how many times as fast as each gpulayers is to be at least."""
    if part == "inference" and result.network in INFERENCE_GOALS:
        yield TORCH, INFERENCE_GOALS[result.network]
    elif part == "training":
        yield TORCH, TRAINING_GOALS.get(result.network, 0.7)
    elif part == "rows":
        yield from ((name, 10) for name in ON_KERAS)
        yield from ((ONNX, 0.5), (HAND, 0.2))
    elif part == "small":
        yield from ((name, 1) for name in ON_KERAS)
    elif part == "calls" and result.work == CALL:
        yield HAND, 0.5


def verdicts(part: str, results: list[Result]) -> Iterator[str]:
    """Each goal, and whether it is met."""
    for result in results:
        for name, goal in goals(part, result):
            if name in result.seconds:
                ratio = result.ratio(name)[0]
                met = "met   " if ratio >= goal else "MISSED"
                what = f"{result.network}, {result.work}: {ratio:.2f} times as fast as {name}"
                yield f"{met}  {what}, goal {goal}"


def names(parts) -> list[str]:
    """The contestants that some parts need, gpulayers first."""
    wanted = {OURS}.union(*(PARTS[part].others for part in parts if part in PARTS))
    if MEMORY in parts:
        wanted.add(TORCH)
    return [name for name in CONTESTANTS if name in wanted]
