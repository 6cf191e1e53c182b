"""Image layers that move and resize, beside Keras and Pillow.

Each contestant runs in a process of its own, on the same 16 images of 224 x 224 x 3, and is timed
by the least of several runs.  `--layers` names some of them, `--images` says how many there are;
`--resizing` compares sizes with Pillow instead.
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
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{contestant}: {done.stderr.strip().splitlines()[-1]}")
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
