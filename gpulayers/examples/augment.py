"""A sheet of what augmentation makes of a photograph: `python -m gpulayers.examples.augment`.

It takes the two photographs that come with scikit-learn, changes them by each layer of the library
that changes images, by several layers in one pass, and saves all of it with the names of the
layers. The bounding box of the pagoda moves along where the pixels do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gpulayers as gl
from gpulayers import layers

PAGODA = (0.0, 0.06, 0.56, 0.9)  # Left, top, right and bottom of it, as parts of the sizes.
COLUMNS = 8


def photographs(size: int):
    """A pagoda and a flower, squares of bytes (2, size, size, 3)."""
    from sklearn.datasets import load_sample_images

    made = [layers.Resizing(size, size, "bicubic", antialias=True, crop_to_aspect_ratio=True)(image)
            for image in load_sample_images().images]  # fmt: skip
    return np.stack(made)


def augmentations(size: int, seed: int) -> dict[str, gl.layers.Layer]:
    """A layer of each kind, by what it is called on the sheet."""
    part, how = size * 2 // 3, {"seed": seed}
    moved = {**how, "bounding_box_format": "xyxy"}
    pixels = [
        layers.CenterCrop(part, part, bounding_box_format="xyxy"),
        layers.RandomCrop(part, part, **moved),
        layers.RandomFlip("horizontal", **moved),
        layers.RandomTranslation((0.2, 0.3), (0.1, 0.2), **moved),
        layers.RandomRotation((0.05, 0.1), "constant", **moved),
        layers.RandomZoom((-0.5, -0.3), **moved),
        layers.RandomShear((0.2, 0.3), **moved),
        layers.RandomPerspective((1.0, 1.0), **moved),
        layers.RandomElasticTransform((1.0, 1.0), (0.6, 0.7), **how),
        layers.RandomErasing((1.0, 1.0), **how),
    ]
    colours = [
        layers.RandomBrightness((0.2, 0.3), **how),
        layers.RandomContrast((0.6, 0.6), **how),
        layers.RandomGrayscale(1.0, **how),
        layers.RandomSaturation((0.8, 0.9), **how),
        layers.RandomHue((0.4, 0.5), **how),
        layers.RandomColorDegeneration((0.7, 0.7), **how),
        layers.RandomColorJitter(brightness_factor=0.3, contrast_factor=0.5, hue_factor=0.4, **how),
        layers.RandomInvert((1.0, 1.0), **how),
        layers.RandomPosterization((2, 2), **how),
        layers.Solarization(0.2, 0.6, **how),
        layers.AutoContrast(),
        layers.Equalization(),
        layers.ContrastLimitedAdaptiveHistogramEqualization(),
        layers.RandomSharpness((0.9, 1.0), **how),
        layers.RandomGaussianBlur((1.0, 1.0), 9, (1.0, 1.0), **how),
        layers.MixUp(4.0, **how),
        layers.CutMix(**how),
        layers.AugMix(**how),
        layers.RandAugment(num_ops=3, factor=0.6, **how),
    ]
    several = layers.Pipeline(
        [
            layers.RandomFlip(**how),
            layers.RandomRotation(0.1, **how),
            layers.RandomZoom(0.3, **how),
            layers.RandomContrast(0.5, **how),
        ]
    )
    return {type(layer).__name__: layer for layer in (*pixels, *colours, several)}


def augmented(layer, images, box):
    """What a layer makes of the photographs and of a box in the first: an image, and a box or None.

    A box that the layer does not move is None, too.
    """
    data = {"images": images, "labels": np.eye(2, dtype="float32")}
    if getattr(layer, "bounding_box_format", None):
        boxes = np.stack([box, box])[:, None]
        data["bounding_boxes"] = {"boxes": boxes, "labels": np.zeros((2, 1), "int32")}
    made = layer(data, training=True)
    image = np.clip(np.asarray(made["images"][0], "float32"), 0, 255).astype("uint8")
    moved = made.get("bounding_boxes")
    return image, None if moved is None else moved["boxes"][0, 0]


def draw(sheet, path: Path) -> None:
    """Save images with their names and boxes: triples (name, image, box or None)."""
    try:
        import matplotlib
    except ImportError:
        print("No picture: pip install matplotlib for one.")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = -(-len(sheet) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(1.9 * COLUMNS, 2.15 * rows))
    for axis in axes.flat:
        axis.axis("off")
    for axis, (name, image, box) in zip(axes.flat, sheet, strict=False):
        axis.imshow(image)
        axis.set_title(name if len(name) < 24 else f"{name[:21]}…", fontsize=8)
        if box is not None:
            left, top, right, bottom = box
            corner, width, height = (left - 0.5, top - 0.5), right - left, bottom - top
            axis.add_patch(plt.Rectangle(corner, width, height, fill=False, color="yellow"))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(f"Contact sheet: {path.resolve()}")


def main(arguments: list[str] | None = None) -> list:
    """Augment and draw; gives (name, image, box or None) for each layer."""
    options = parse(arguments)
    images = photographs(options.size)
    box = np.float32(PAGODA) * options.size
    sheet = [("the photograph", images[0], box)]
    for name, layer in augmentations(options.size, options.seed).items():
        sheet.append((name, *augmented(layer, images, box)))
    print(f"{len(sheet) - 1} layers on photographs of {options.size} x {options.size} pixels.")
    draw(sheet, options.picture)
    return sheet


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", type=int, default=192, help="of the photographs' sides")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--picture", type=Path, default=Path("augment.png"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
