"""Image layers that move and resize, beside Keras and Pillow.

For an interpreter that has Keras 3.15, PyTorch, Pillow and what gpulayers needs.  Each contestant
runs in a process of its own, on the same 16 images of 224 x 224 x 3, and is timed by the least of
several runs.  `--layers` names some of them, `--images` says how many there are; `--resizing`
compares sizes with Pillow instead.

Two cores of an EPYC of the Zen 5 kind (AVX-512), NumPy 2.4.6 with OpenBLAS, Keras 3.15.1, PyTorch
2.13, Pillow 13.0, nothing else at work.  The last column: how many times as fast gpulayers is as
Keras on NumPy, and on PyTorch.

Keras casts, or copies, whole images first and gives a view of these, all of a batch cut in one
place.  Here only what is wanted is cast, into an array of its own, and RandomCrop cuts each image
elsewhere; only CenterCrop of floats gives a view, and that of the images themselves, so that its
time says nothing about copying.  Of 16 images of bytes the copy takes 0.056 of the 0.08 ms, which
is what one core writes at (88 GB/s).  Without Numba RandomCrop and CenterCrop of 16 images of bytes
take 0.13 and 0.11 ms: 2.9 and 2.8 times as fast as Keras on NumPy, 2.4 and 2.0 times as on PyTorch,
whose times differ up to tenfold from run to run (the least are given):

| images | dtype | layer | gpulayers, ms | Keras on NumPy | on PyTorch | times as fast as these |
| ---: | --- | --- | ---: | ---: | ---: | ---: |
| 1 | uint8 | RandomCrop | 0.02 | 0.14 | 0.18 | 6.4 and 8.3 |
| 1 | uint8 | CenterCrop | 0.01 | 0.07 | 0.09 | 5.3 and 6.9 |
| 8 | uint8 | RandomCrop | 0.06 | 0.25 | 0.25 | 4.5 and 4.5 |
| 8 | uint8 | CenterCrop | 0.05 | 0.18 | 0.16 | 4.0 and 3.4 |
| 8 | float32 | RandomCrop | 0.07 | 0.31 | 0.27 | 4.4 and 3.8 |
| 32 | uint8 | RandomCrop | 0.14 | 0.86 | 0.62 | 6.0 and 4.3 |
| 32 | uint8 | CenterCrop | 0.14 | 0.77 | 0.47 | 5.6 and 3.5 |
| 32 | float32 | RandomCrop | 0.25 | 4.98 | 0.85 | 19.9 and 3.4 |
| 64 | uint8 | RandomCrop | 0.36 | 4.13 | 18.64 | 11.4 and 51.5 |
| 64 | uint8 | CenterCrop | 0.31 | 3.94 | 18.39 | 12.6 and 58.8 |
| 64 | float32 | RandomCrop | 0.81 | 8.47 | 5.13 | 10.4 and 6.3 |

| uint8 | gpulayers, ms | Keras on NumPy | on PyTorch | times as fast as these |
| --- | ---: | ---: | ---: | ---: |
| RandomFlip | 0.30 | 16.89 | 3.68 | 56.9 and 12.4 |
| RandomCrop | 0.08 | 0.38 | 0.31 | 4.6 and 3.8 |
| CenterCrop | 0.07 | 0.30 | 0.21 | 4.2 and 3.0 |
| RandomTranslation | 7.95 | 258.40 | 109.84 | 32.5 and 13.8 |
| RandomRotation | 8.45 | 268.14 | 118.55 | 31.7 and 14.0 |
| RandomZoom | 7.98 | 248.60 | 108.41 | 31.2 and 13.6 |
| RandomShear | 8.12 | 257.89 | 109.27 | 31.8 and 13.5 |
| RandomPerspective | 7.63 | fails | 41.00 | 5.4 |
| RandomElasticTransform | 19.34 | 1599.70 | 253.41 | 82.7 and 13.1 |

| float32 | gpulayers, ms | Keras on NumPy | on PyTorch | times as fast as these |
| --- | ---: | ---: | ---: | ---: |
| RandomFlip | 0.33 | 15.55 | 2.75 | 46.7 and 8.2 |
| RandomCrop | 0.13 | 0.77 | 0.40 | 6.1 and 3.2 |
| CenterCrop, a view | 0.00 | 0.62 | 0.28 | 133.3 and 60.1 |
| RandomTranslation | 12.81 | 265.57 | 124.11 | 20.7 and 9.7 |
| RandomRotation | 12.63 | 275.86 | 133.22 | 21.8 and 10.5 |
| RandomZoom | 11.93 | 266.36 | 113.68 | 22.3 and 9.5 |
| RandomShear | 12.81 | 275.49 | 122.22 | 21.5 and 9.5 |
| RandomPerspective | 12.68 | fails | 47.21 | 3.7 |
| RandomElasticTransform | 27.28 | 1619.57 | 247.79 | 59.4 and 9.1 |

Pillow resizes on one core; gpulayers did on one and on two (OPENBLAS_NUM_THREADS).  A share is the
part of Pillow's time, measured beside it, that gpulayers takes.

| 16 images | filter | dtype | Pillow, ms | one thread, ms | share | two, ms | share |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
| 224 x 224 to 112 x 112 | nearest | uint8 | 0.23 | 0.33 | 1.43 | 0.23 | 0.99 |
| 224 x 224 to 112 x 112 | bilinear | uint8 | 3.32 | 2.59 | 0.78 | 1.49 | 0.44 |
| 224 x 224 to 112 x 112 | bicubic | uint8 | 5.61 | 2.73 | 0.49 | 1.56 | 0.28 |
| 224 x 224 to 112 x 112 | lanczos3 | uint8 | 8.44 | 2.84 | 0.34 | 1.58 | 0.19 |
| 224 x 224 to 112 x 112 | area | uint8 | 2.27 | 2.61 | 1.15 | 1.55 | 0.71 |
| 224 x 224 to 112 x 112 | nearest | float32 | 0.57 | 0.39 | 0.68 | 0.29 | 0.49 |
| 224 x 224 to 112 x 112 | bilinear | float32 | 3.48 | 2.55 | 0.73 | 1.25 | 0.36 |
| 224 x 224 to 112 x 112 | bicubic | float32 | 5.62 | 2.64 | 0.47 | 1.30 | 0.23 |
| 224 x 224 to 112 x 112 | lanczos3 | float32 | 9.84 | 2.86 | 0.29 | 1.37 | 0.14 |
| 224 x 224 to 112 x 112 | area | float32 | 2.90 | 2.57 | 0.89 | 1.20 | 0.43 |
| 375 x 500 to 224 x 224 | nearest | uint8 | 0.87 | 1.01 | 1.16 | 0.58 | 0.74 |
| 375 x 500 to 224 x 224 | bilinear | uint8 | 12.07 | 10.41 | 0.86 | 5.54 | 0.47 |
| 375 x 500 to 224 x 224 | bicubic | uint8 | 20.44 | 10.89 | 0.53 | 5.71 | 0.28 |
| 375 x 500 to 224 x 224 | lanczos3 | uint8 | 28.41 | 10.99 | 0.39 | 5.75 | 0.20 |
| 375 x 500 to 224 x 224 | area | uint8 | 7.70 | 9.98 | 1.30 | 5.26 | 0.67 |
| 375 x 500 to 224 x 224 | nearest | float32 | 4.69 | 2.24 | 0.48 | 1.19 | 0.29 |
| 375 x 500 to 224 x 224 | bilinear | float32 | 11.71 | 10.52 | 0.90 | 5.70 | 0.47 |
| 375 x 500 to 224 x 224 | bicubic | float32 | 19.60 | 11.13 | 0.57 | 5.97 | 0.30 |
| 375 x 500 to 224 x 224 | lanczos3 | float32 | 31.21 | 11.62 | 0.37 | 6.16 | 0.20 |
| 375 x 500 to 224 x 224 | area | float32 | 8.68 | 10.74 | 1.24 | 5.66 | 0.65 |
| 112 x 112 to 224 x 224 | nearest | uint8 | 0.64 | 0.93 | 1.44 | 0.89 | 1.36 |
| 112 x 112 to 224 x 224 | bilinear | uint8 | 4.28 | 2.46 | 0.57 | 1.74 | 0.40 |
| 112 x 112 to 224 x 224 | bicubic | uint8 | 6.25 | 2.52 | 0.40 | 1.75 | 0.28 |
| 112 x 112 to 224 x 224 | lanczos3 | uint8 | 8.77 | 2.70 | 0.31 | 1.86 | 0.20 |
| 112 x 112 to 224 x 224 | area | uint8 | 3.68 | 2.28 | 0.62 | 1.75 | 0.48 |
| 112 x 112 to 224 x 224 | nearest | float32 | 1.42 | 0.97 | 0.68 | 0.96 | 0.64 |
| 112 x 112 to 224 x 224 | bilinear | float32 | 5.45 | 2.02 | 0.37 | 1.43 | 0.27 |
| 112 x 112 to 224 x 224 | bicubic | float32 | 6.70 | 2.11 | 0.32 | 1.36 | 0.21 |
| 112 x 112 to 224 x 224 | lanczos3 | float32 | 11.10 | 2.32 | 0.21 | 1.43 | 0.13 |
| 112 x 112 to 224 x 224 | area | float32 | 3.65 | 1.92 | 0.53 | 1.16 | 0.32 |
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial

import numpy as np

COUNT, IMAGE = 16, (224, 224, 3)
SECONDS = 0.3  # Of runs of one layer, after the first.
LAYERS = {
    "RandomFlip": {},
    "RandomCrop": {"height": 160, "width": 160},
    "CenterCrop": {"height": 160, "width": 160},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomRotation": {"factor": 0.2},
    "RandomZoom": {"height_factor": 0.3},
    "RandomShear": {"x_factor": 0.2, "y_factor": 0.2},
    "RandomPerspective": {},
    "RandomElasticTransform": {"scale": [0.5, 0.5]},
}
SIZES = (((224, 224), (112, 112)), ((375, 500), (224, 224)), ((112, 112), (224, 224)))
CONTESTANTS = ("gpulayers", "numpy", "torch")  # The last two are backends of Keras.


def least(function) -> float:
    """The least time of several runs, in milliseconds."""
    function()
    best, until = float("inf"), time.perf_counter() + SECONDS
    while True:
        start = time.perf_counter()
        function()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > until:
            return 1e3 * best


def images(count: int, dtype: str) -> np.ndarray:
    """The same ones for all."""
    return np.random.default_rng(0).integers(0, 256, (count, *IMAGE)).astype(dtype)


def compete(contestant: str, dtype: str, count: int, names) -> None:
    """Time layers, and print what each took as a line of JSON; None for what fails."""
    if contestant == "gpulayers":
        from gpulayers import layers
    else:
        os.environ["KERAS_BACKEND"] = contestant
        from keras import layers
    x = images(count, dtype)
    for name in names:
        layer = getattr(layers, name)(**LAYERS[name])
        try:
            took = least(partial(layer, x, training=True))
        except RuntimeError:  # RandomPerspective of Keras on NumPy.
            took = None
        print(json.dumps([name, took]), flush=True)


def compare(dtype: str, count: int, names) -> None:
    """Print a table of what each contestant took, and how many times as fast gpulayers is."""
    times = {}
    for contestant in CONTESTANTS:
        command = [sys.executable, "-m", __spec__.name, "--contestant", contestant]
        command += ["--dtype", dtype, "--layers", ",".join(names), "--images", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
        times[contestant] = dict(map(json.loads, lines))
    print(f"| {dtype} | gpulayers, ms | Keras on NumPy | on PyTorch | times as fast as these |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in names:
        ours, *others = (times[c].get(name) for c in CONTESTANTS)
        cells = ["fails" if t is None else f"{t:.2f}" for t in (ours, *others)]
        ratios = ["" if t is None or ours is None else f"{t / ours:.1f}" for t in others]
        print(f"| {name} | {' | '.join(cells)} | {' and '.join(filter(None, ratios))} |")


def compare_resizing() -> None:
    """Print a table of resizing beside Pillow, whose filters widen as ours do with antialias."""
    from PIL import Image

    from gpulayers.ops.resize import resize

    filters = {"nearest": "NEAREST", "bilinear": "BILINEAR", "bicubic": "BICUBIC",
               "lanczos3": "LANCZOS", "area": "BOX"}  # fmt: skip
    print("| 16 images | filter | dtype | gpulayers, ms | Pillow, ms | share |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for (h, w), size in SIZES:
        x = np.random.default_rng(0).integers(0, 256, (16, h, w, 3), np.uint8)
        for dtype, (name, filter_name) in (
            (dtype, pair) for dtype in ("uint8", "float32") for pair in filters.items()
        ):
            given, kind = x.astype(dtype), getattr(Image.Resampling, filter_name)
            planes = given if dtype == "uint8" else np.moveaxis(given, 3, 1).reshape(-1, h, w)
            pictures = [Image.fromarray(np.ascontiguousarray(p)) for p in planes]
            ours = least(partial(resize, given, size, name, antialias=True))
            theirs = least(partial(resized, pictures, size, kind))
            cells = f"{ours:.2f} | {theirs:.2f} | {ours / theirs:.2f}"
            print(f"| {h} x {w} to {size[0]} x {size[1]} | {name} | {dtype} | {cells} |")


def resized(pictures, size, kind):
    """Pictures of Pillow's in another size, as arrays."""
    return [np.asarray(p.resize(size[::-1], kind)) for p in pictures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--layers", default=",".join(LAYERS), help="with commas between")
    parser.add_argument("--dtype", default="uint8", help="of the images")
    parser.add_argument("--images", type=int, default=COUNT, help="how many there are")
    parser.add_argument("--resizing", action="store_true", help="sizes, beside Pillow")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.resizing:
        compare_resizing()
    elif chosen.contestant:
        compete(chosen.contestant, chosen.dtype, chosen.images, chosen.layers.split(","))
    else:
        compare(chosen.dtype, chosen.images, chosen.layers.split(","))


if __name__ == "__main__":
    main()
