"""Time and memory against batch, length, width and depth: `python ci/scaling.py FOLDER`.

For each family of layers it measures forward and training steps on the CPU, doubles one size at a
time, and saves a picture with the exponents that fit: 1 is linear, 2 quadratic.  It needs
matplotlib.  `tests/test_scaling.py` holds operations and bytes to the exponents of `EXPECTED`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gpulayers import Tape, layers


@dataclass(frozen=True)
class Sizes:
    """How large an input is, and how many layers of a kind follow each other."""

    batch: int = 8
    length: int = 64
    width: int = 64
    depth: int = 1


@dataclass(frozen=True)
class Family:
    """Layers of a kind, and inputs for them."""

    layer: Callable  # Of the sizes; gives a layer whose output has the shape of its input.
    shape: Callable  # Of the sizes; gives that shape.
    axes: tuple[str, ...] = ("batch", "length", "width", "depth")
    words: int = 0  # Inputs are whole numbers below this; 0 for floats.
    learns: bool = True

    def made(self, sizes: Sizes):
        """The layers, built, and their input."""
        rng = np.random.default_rng(0)
        shape = self.shape(sizes)
        x = rng.normal(size=shape).astype("float32")
        if self.words:
            x = rng.integers(0, self.words, shape).astype("int32")
        chain, y = [self.layer(sizes) for _ in range(sizes.depth)], x
        for layer in chain:
            y = layer(y)
        return chain, x


class SelfAttention(layers.Layer):
    """Attention of a sequence to itself."""

    def __init__(self, *args):
        super().__init__()
        self.inner = layers.MultiHeadAttention(*args)

    def call(self, x):
        return self.inner(x, x)


FLAT = ("batch", "width", "depth")
FAMILIES = {
    "dense": Family(lambda s: layers.Dense(s.width, "relu"), lambda s: (s.batch, s.width), FLAT),
    "activation": Family(
        lambda s: layers.Activation("gelu"), lambda s: (s.batch, s.length, s.width)
    ),
    "normalization": Family(
        lambda s: layers.LayerNormalization(), lambda s: (s.batch, s.length, s.width)
    ),
    "batch normalization": Family(
        lambda s: layers.BatchNormalization(), lambda s: (s.batch, s.length, s.width)
    ),
    "dropout": Family(lambda s: layers.Dropout(0.1), lambda s: (s.batch, s.length, s.width)),
    "convolution": Family(
        lambda s: layers.Conv2D(s.width, 3, padding="same"),
        lambda s: (s.batch, s.length, 16, s.width),
    ),
    "depthwise convolution": Family(
        lambda s: layers.DepthwiseConv2D(3, padding="same"),
        lambda s: (s.batch, s.length, 16, s.width),
    ),
    "pooling": Family(
        lambda s: layers.MaxPooling2D(3, 1, "same"), lambda s: (s.batch, s.length, 16, s.width)
    ),
    "recurrent": Family(
        lambda s: layers.LSTM(s.width, return_sequences=True),
        lambda s: (s.batch, s.length, s.width),
    ),
    "attention": Family(
        lambda s: SelfAttention(2, s.width // 2), lambda s: (s.batch, s.length, s.width)
    ),
    "embedding": Family(
        lambda s: layers.Embedding(1000, s.width),
        lambda s: (s.batch, s.length),
        ("batch", "length", "width"),
        words=1000,
    ),
    "images": Family(
        lambda s: layers.RandomRotation(0.2),
        lambda s: (s.batch, s.length, 64, 3),
        ("batch", "length", "depth"),
        learns=False,
    ),
}
# From where each axis is doubled, and how often; the other sizes stay as in `Sizes`.
FROM = {"batch": 8, "length": 64, "width": 64, "depth": 1}
DOUBLINGS = 4
# Exponents of arithmetic, where sizes are large; those of memory are at most 1 in a batch, a
# length and a depth, always.
EXPECTED = {
    "dense": {"batch": 1, "width": 2, "depth": 1},
    "convolution": {"batch": 1, "length": 1, "width": 2, "depth": 1},
    "recurrent": {"batch": 1, "length": 1, "width": 2, "depth": 1},
    "attention": {"batch": 1, "length": 2, "width": 2, "depth": 1},
}
LINEAR = {"batch": 1, "length": 1, "width": 1, "depth": 1}


def expected(family: str, axis: str) -> int:
    return EXPECTED.get(family, LINEAR)[axis]


def forward(chain, x):
    for layer in chain:
        x = layer(x, training=False) if isinstance(layer, layers.RandomRotation) else layer(x)
    return x


def training(family: Family, chain, x):
    """Forward and backward; what learns nothing is only called, as in training."""
    if not family.learns:
        for layer in chain:
            x = layer(x, training=True)
        return x
    with Tape() as tape:
        y = x if family.words else tape.watch(x)
        for layer in chain:
            y = layer(y, training=True)
    weights = [w for layer in chain for w in layer.trainable_variables]
    return tape.gradient(y, weights if family.words else [x, *weights])


def exponent(sizes, costs) -> float:
    """The slope of a line through logarithms, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def seconds(action, least: float = 0.05) -> float:
    """The shortest time of several calls."""
    action()
    found, end = [], time.perf_counter() + least
    while len(found) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return min(found)


def measured(family: Family, axis: str, doublings: int = DOUBLINGS):
    """(sizes, seconds of forward, seconds of training, bytes of training) along an axis."""
    from benchmarks.libraries import held

    def costs(size):
        chain, x = family.made(replace(Sizes(), **{axis: size}))
        return (
            size,
            seconds(lambda: forward(chain, x)),
            seconds(lambda: training(family, chain, x)),
            held(lambda: training(family, chain, x))[1],
        )

    found = [costs(FROM[axis] * 2**i) for i in range(doublings + 1)]
    return tuple(map(np.array, zip(*found, strict=True)))


def draw(name: str, found: dict, path: Path) -> None:
    """A picture of a family: time above, memory below, a column for each axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2,
        len(found),
        figsize=(3.6 * len(found), 6),
        squeeze=False,
        sharey="row",
        layout="constrained",
    )
    for column, (axis, (sizes, called, trained, memory)) in enumerate(found.items()):
        lines = ((0, 1e3 * called, "forward"), (0, 1e3 * trained, "training"))
        for row, values, label in (*lines, (1, memory / 2**20, "training")):
            # The larger half: what calls cost by themselves stands at the other end.
            slope = exponent(sizes[-3:], values[-3:])
            axes[row, column].loglog(sizes, values, "o-", label=f"{label}: {slope:.2f}", base=2)
        for row in (0, 1):
            axes[row, column].set_xticks(sizes, [f"{n}" for n in sizes])
            axes[row, column].legend(title="exponent at the end")
            axes[row, column].grid(alpha=0.3)
        axes[1, column].set_xlabel(axis)
    axes[0, 0].set_ylabel("milliseconds")
    axes[1, 0].set_ylabel("MiB at the peak")
    figure.suptitle(name)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure and draw."""
    import sys

    sys.path.insert(0, str(Path(__file__).parent.parent / "asv_benchmarks"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="for the pictures")
    parser.add_argument("--only", default="", help="families with this in their names")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print("| family | axis | forward | training | memory |\n| --- | --- | ---: | ---: | ---: |")
    for name, family in FAMILIES.items():
        if options.only not in name:
            continue
        found = {axis: measured(family, axis) for axis in family.axes}
        for axis, (sizes, *costs) in found.items():
            slopes = " | ".join(f"{exponent(sizes[-3:], cost[-3:]):.2f}" for cost in costs)
            print(f"| {name} | {axis} | {slopes} |", flush=True)
        draw(name, found, options.folder / f"{name.replace(' ', '_')}.png")


if __name__ == "__main__":
    main()
