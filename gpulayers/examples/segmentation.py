"""Find shapes in noisy pictures, pixel by pixel: `python -m gpulayers.examples.segmentation`.

It draws its own pictures: discs and polygons in colours, on a ground of grey patches, under noise.
The model learns which pixels belong to a shape.  It runs on the GPU if CuPy finds one, else on the
CPU, in about a minute; it prints how well the answers cover the shapes of pictures that it was not
trained with, and saves some of these beside the truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gpulayers as gl
from gpulayers import layers

BATCH = 8
UNSEEN = 40  # pictures that only measure
SIDES = (3, 4, 6, 60)  # of the shapes; with 60 it is a disc for the eye


def shape(rng: np.random.Generator, size: int):
    """Where a regular polygon of random place, size and turn is: booleans (size, size)."""
    sides, radius = rng.choice(SIDES), rng.uniform(0.12, 0.25) * size
    center, turn = rng.uniform(0.15, 0.85, 2) * size, rng.uniform(0, 2 * np.pi)
    angles = turn + 2 * np.pi * np.arange(sides) / sides
    directions = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    places = np.moveaxis(np.mgrid[:size, :size] + 0.5, 0, -1) - center
    return (places @ directions.T).max(axis=-1) <= radius * np.cos(np.pi / sides)


def pictures(rng: np.random.Generator, count: int, size: int):
    """Pictures (count, size, size, 3) in [0, 1], and 1 where a shape is: (count, size, size, 1)."""
    images = np.empty((count, size, size, 3), "float32")
    truths = np.zeros((count, size, size, 1), "float32")
    for image, truth in zip(images, truths, strict=True):
        patches = rng.normal(rng.uniform(0.2, 0.8), 0.2, (size // 4, size // 4, 1))
        image[...] = patches.repeat(4, axis=0).repeat(4, axis=1)
        for _ in range(rng.integers(1, 4)):
            inside = shape(rng, size)
            image[inside], truth[inside] = rng.uniform(0, 1, 3), 1
        image += rng.normal(0, 0.1, image.shape)
    return images.clip(0, 1), truths


def build(size: int, steps: int) -> gl.Sequential:
    """The network, compiled for so many training steps.

    Pooling halves the picture twice, and transposed convolutions double it to its size again.
    """

    usual = {"activation": "relu", "padding": "same", "kernel_initializer": "he_normal"}

    def convolution(filters):
        return layers.Conv2D(filters, (3, 3), **usual)

    def doubling(filters):
        return layers.Conv2DTranspose(filters, (3, 3), strides=2, **usual)

    model = gl.Sequential(
        [
            layers.Input(shape=(size, size, 3)),
            convolution(64),
            convolution(64),
            layers.MaxPooling2D(pool_size=(2, 2)),
            convolution(128),
            convolution(128),
            layers.MaxPooling2D(pool_size=(2, 2)),
            doubling(64),
            doubling(32),
            layers.Conv2D(1, (1, 1), activation="sigmoid", padding="same"),
        ],
        name="segmentation",
    )
    iou = gl.metrics.BinaryIoU(target_class_ids=[1], name="iou")
    model.compile(
        optimizer=gl.optimizers.Adam(gl.optimizers.schedules.CosineDecay(2e-3, steps)),
        loss="binary_crossentropy",
        metrics=["accuracy", iou],
    )
    return model


def draw(images, truths, probabilities, path: Path) -> None:
    """Save pictures above what is to be found in them, and what the model found."""
    try:
        import matplotlib
    except ImportError:
        print("No picture: pip install matplotlib for one.")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, len(images), figsize=(1.6 * len(images), 5.2))
    rows = {"input": images, "truth": truths, "prediction": probabilities}
    for row, (name, arrays) in zip(axes, rows.items(), strict=True):
        for axis, array in zip(row, arrays, strict=True):
            axis.imshow(array, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(name)
    figure.suptitle("Shapes in pictures that the model has not seen")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"Picture of predictions: {path.resolve()}")


def main(arguments: list[str] | None = None) -> float:
    """Train, test and draw; gives the intersection over union on unseen pictures."""
    options = parse(arguments)
    if options.device:
        gl.config.set_device(options.device)
    gl.utils.set_random_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    x_train, y_train = pictures(rng, options.pictures, options.size)
    x_test, y_test = pictures(rng, UNSEEN, options.size)
    model = build(options.size, steps=options.epochs * -(-options.pictures // BATCH))
    model.summary()
    print(f"Training on {gl.config.device()} with {options.pictures} pictures drawn just now.")
    model.fit(x_train, y_train, batch_size=BATCH, epochs=options.epochs)
    _, accuracy, iou = model.evaluate(x_test, y_test, batch_size=BATCH, verbose=0)
    print(f"On {UNSEEN} pictures that it has not seen: {accuracy:.4f} of the pixels are right;")
    print(f"what it found and what was there have {iou:.4f} of their union in common.")
    shown = x_test[:8]
    draw(shown, y_test[:8], model.predict(shown, verbose=0), options.picture)
    return iou


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--pictures", type=int, default=400, help="to train with")
    parser.add_argument("--size", type=int, default=48, help="of their sides, a multiple of 4")
    parser.add_argument("--seed", type=int, default=1, help="of the pictures and of the training")
    parser.add_argument("--device", help='"cpu", "gpu" or "gpu:1"; the GPU if there is one')
    parser.add_argument("--picture", type=Path, default=Path("segmentation.png"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
