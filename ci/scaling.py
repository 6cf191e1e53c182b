"""Time and memory against batch, length, width and depth: `python ci/scaling.py FOLDER`.

For each family of layers it measures forward and training steps on the CPU, doubles one size at a
time, and saves a picture with the exponents that fit: 1 is linear, 2 quadratic.  It needs
matplotlib.  `tests/test_scaling.py` holds operations and bytes to the exponents of `EXPECTED`.

Memory that is freed is kept for what comes next: where the C library gives it back to the system,
as it does with large arrays, a step takes several times as long from some size on.
"""

from __future__ import annotations

import argparse
import os
import sys
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


def normal(shape) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def words(shape) -> np.ndarray:
    """Numbers of words."""
    return np.random.default_rng(0).integers(0, 1000, shape).astype("int32")


def texts(shape) -> np.ndarray:
    """As many texts, of so many words, as the shape says."""
    return np.array([" ".join(map(str, row)) for row in words(shape)], object)


@dataclass(frozen=True)
class Family:
    """Layers of a kind, and inputs for them."""

    layer: Callable  # Of the sizes; gives a layer whose output has the shape of its input.
    shape: Callable  # Of the sizes; gives that shape.
    axes: tuple[str, ...] = ("batch", "length", "width", "depth")
    inputs: Callable = normal  # Of the shape; gives the inputs.
    learns: bool = True  # Whether gradients go through it.
    sizes: Sizes = Sizes()  # From where each axis is doubled, while the others stay.

    def made(self, sizes: Sizes):
        """The layers, built, and their input."""
        x = y = self.inputs(self.shape(sizes))
        chain = [self.layer(sizes) for _ in range(sizes.depth)]
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


class Doubled(layers.Layer):
    """An array added to itself."""

    def call(self, x):
        return layers.add([x, x])


class Padded(layers.Layer):
    """An array with zeros around it, which are cut off again."""

    def call(self, x):
        return layers.Cropping1D(1)(layers.ZeroPadding1D(1)(x))


class Block(layers.Layer):
    """A block of a transformer, norms in front."""

    def __init__(self, width):
        super().__init__()
        self.norms = layers.LayerNormalization(), layers.LayerNormalization()
        self.attention = SelfAttention(2, width // 2)
        self.inner, self.outer = layers.Dense(4 * width, "gelu"), layers.Dense(width)

    def call(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.outer(self.inner(self.norms[1](x)))


def sequence(s: Sizes):
    return s.batch, s.length, s.width


def image(s: Sizes):
    return s.batch, s.length, 16, s.width


def photograph(s: Sizes):
    return s.batch, s.length, 64, 3


BATCH_AND = ("batch", "length")
LARGE = {"sizes": Sizes(batch=32, length=128)}  # For layers that do little with each number.
FAMILIES = {
    "dense": Family(
        lambda s: layers.Dense(s.width, "relu"),
        lambda s: (s.batch, s.width),
        ("batch", "width", "depth"),
        sizes=Sizes(batch=256, width=256),
    ),
    "embedding": Family(
        lambda s: layers.Embedding(1000, s.width), lambda s: (s.batch, s.length),
        (*BATCH_AND, "width"), words, **LARGE,
    ),
    "activation": Family(lambda s: layers.Activation("gelu"), sequence, **LARGE),
    "normalization": Family(lambda s: layers.LayerNormalization(), sequence, **LARGE),
    "batch normalization": Family(lambda s: layers.BatchNormalization(), sequence, **LARGE),
    "dropout": Family(lambda s: layers.Dropout(0.1), sequence, **LARGE),
    "merging": Family(lambda s: Doubled(), sequence, **LARGE),
    "reshaping": Family(lambda s: Padded(), sequence, **LARGE),
    "convolution": Family(lambda s: layers.Conv2D(s.width, 3, padding="same"), image),
    "depthwise convolution": Family(lambda s: layers.DepthwiseConv2D(3, padding="same"), image),
    "pooling": Family(lambda s: layers.MaxPooling2D(3, 1, "same"), image),
    "recurrent": Family(lambda s: layers.LSTM(s.width, return_sequences=True), sequence),
    "attention": Family(lambda s: SelfAttention(2, s.width // 2), sequence),
    "transformer": Family(lambda s: Block(s.width), sequence),
    "numbers": Family(
        lambda s: layers.Normalization(mean=0.0, variance=1.0), sequence, learns=False, **LARGE,
    ),
    "texts": Family(
        lambda s: layers.TextVectorization(vocabulary=[*map(str, range(1000))]),
        lambda s: (s.batch, s.length), BATCH_AND, texts, learns=False, **LARGE,
    ),
    "images": Family(
        lambda s: layers.RandomRotation(0.2), photograph, (*BATCH_AND, "depth"), learns=False
    ),
    "colours": Family(
        lambda s: layers.RandomContrast(0.2), photograph, (*BATCH_AND, "depth"), learns=False
    ),
    "sounds": Family(
        lambda s: layers.STFTSpectrogram(frame_length=64, frame_step=32),
        lambda s: (s.batch, 64 * s.length, 1), BATCH_AND,
    ),
}  # fmt: skip
DOUBLINGS = 4
KEEPING = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**31 - 1))
# Exponents of arithmetic, where sizes are large; those of memory are at most 1, but for the squares
# of weights in a width.
EXPECTED = {
    "dense": {"batch": 1, "width": 2, "depth": 1},
    "convolution": {"batch": 1, "length": 1, "width": 2, "depth": 1},
    "recurrent": {"batch": 1, "length": 1, "width": 2, "depth": 1},
    "attention": {"batch": 1, "length": 2, "width": 2, "depth": 1},
    "transformer": {"batch": 1, "length": 2, "width": 2, "depth": 1},
}
LINEAR = {"batch": 1, "length": 1, "width": 1, "depth": 1}


def expected(family: str, axis: str) -> int:
    return EXPECTED.get(family, LINEAR)[axis]


def forward(family: Family, chain, x):
    for layer in chain:
        x = layer(x) if family.learns else layer(x, training=False)
    return x


def training(family: Family, chain, x):
    """Forward and backward; what learns nothing is only called, as in training."""
    if not family.learns:
        for layer in chain:
            x = layer(x, training=True)
        return x
    with Tape() as tape:
        floats = x.dtype.kind == "f"
        y = tape.watch(x) if floats else x
        for layer in chain:
            y = layer(y, training=True)
    weights = [w for layer in chain for w in layer.trainable_variables]
    return tape.gradient(y, [x, *weights] if floats else weights)


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
        chain, x = family.made(replace(family.sizes, **{axis: size}))
        return (
            size,
            seconds(lambda: forward(family, chain, x)),
            seconds(lambda: training(family, chain, x)),
            held(lambda: training(family, chain, x))[1],
        )

    least = getattr(family.sizes, axis)
    found = [costs(least * 2**i) for i in range(doublings + 1)]
    return tuple(map(np.array, zip(*found, strict=True)))


UNITS = {"batch": "samples", "length": "steps, or rows of pixels", "width": "features, or filters"}
UNITS["depth"] = "layers"


def draw(name: str, found: dict, path: Path) -> None:
    """A picture of a family: time above, memory below, a column for each axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    figure, axes = plt.subplots(
        2,
        len(found),
        figsize=(3.9 * len(found), 6.6),
        squeeze=False,
        sharey="row",
        layout="constrained",
    )
    for column, (axis, (sizes, called, trained, memory)) in enumerate(found.items()):
        above, below = axes[:, column]
        wanted = expected(name, axis)
        line(above, sizes, 1e3 * trained, "training step", "tab:orange")
        line(above, sizes, 1e3 * called, "forward", "tab:blue")
        line(below, sizes, memory / 2**20, "training step", "tab:orange")
        slope(above, sizes, 1e3 * trained, wanted)
        slope(below, sizes, memory / 2**20, 1)
        for each in (above, below):
            each.set_xticks(sizes, [f"{n}" for n in sizes])
            each.xaxis.minorticks_off()
            each.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            each.yaxis.set_major_formatter("{x:g}")
            each.yaxis.set_minor_formatter("")
            each.legend(fontsize="small")
            each.grid(alpha=0.3)
        below.set_xlabel(f"{axis} ({UNITS[axis]})")
    axes[0, 0].set_ylabel("time in milliseconds")
    axes[1, 0].set_ylabel("memory at the peak in MiB")
    sizes = FAMILIES[name].sizes
    others = ", ".join(f"{axis} {getattr(sizes, axis)}" for axis in found)
    figure.suptitle(f"{name[0].upper()}{name[1:]}: each size by itself; the others are {others}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def line(axes, sizes, values, label: str, color: str) -> None:
    """Measured values, and the exponent of the larger half: calls by themselves cost the rest."""
    label = f"{label}, exponent {exponent(sizes[-3:], values[-3:]):.2f}"
    axes.loglog(sizes, values, "o-", label=label, color=color)


def slope(axes, sizes, values, wanted: int) -> None:
    """What an exponent looks like, beside values that end in the same place."""
    ends = values[-1] * (sizes[-3:] / sizes[-1]) ** wanted
    axes.loglog(sizes[-3:], 1.6 * ends, "--", label=f"exponent {wanted}", color="gray")


def main() -> None:
    """Measure and draw."""
    if sys.platform == "linux" and not os.environ.keys() >= KEEPING.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEEPING})
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
