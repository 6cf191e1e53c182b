"""Train a convolutional classifier of handwritten digits: `python -m gpulayers.examples.digits`.

The data are the 1,797 real digits, of 8 x 8 pixels, that come with scikit-learn (Alpaydin and
Kaynak, UCI Machine Learning Repository, 1998).  It runs on the GPU if CuPy finds one, else on the
CPU, in seconds; it prints the accuracy on digits that it was not trained with, and saves a picture
of some of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gpulayers as gl
from gpulayers import layers

BATCH = 32
VALIDATION = 0.1  # the part of the training data that only measures


def load(seed: int):
    """Training and test images (samples, 8, 8, 1) in [0, 1], and their labels (samples,)."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise SystemExit("This example needs: pip install 'gpulayers[examples]'") from None
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    return train_test_split(images, labels, test_size=0.25, random_state=seed, stratify=labels)


def build(steps: int) -> gl.Sequential:
    """A convolutional network, compiled for so many training steps.

    Noise on the pixels and dropout keep it from learning 1,200 images by heart; the learning rate
    falls to zero along a cosine.
    """

    def convolution(filters):
        return layers.Conv2D(filters, 3, padding="same", activation="relu")

    model = gl.Sequential(
        [
            layers.Input(shape=(8, 8, 1)),
            layers.GaussianNoise(0.1),
            convolution(32),
            layers.BatchNormalization(),
            convolution(32),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            convolution(64),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    model.compile(
        optimizer=gl.optimizers.Adam(gl.optimizers.schedules.CosineDecay(2e-3, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def draw(images, labels, probabilities, path: Path) -> None:
    """Save a picture of digits, each with the model's answer; mistakes come first, in red."""
    try:
        import matplotlib
    except ImportError:
        print("No picture: pip install matplotlib for one.")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    answers = probabilities.argmax(axis=1)
    order = np.argsort(answers == labels, kind="stable")[:40]
    figure, axes = plt.subplots(5, 8, figsize=(9, 6.4))
    for axis, i in zip(axes.flat, order, strict=True):
        right = answers[i] == labels[i]
        axis.imshow(images[i, :, :, 0], cmap="gray_r", interpolation="nearest")
        text = f"{answers[i]}" if right else f"{answers[i]}, is {labels[i]}"
        axis.set_title(
            f"{text}  ({probabilities[i, answers[i]]:.0%})",
            fontsize=9,
            color="black" if right else "crimson",
        )
        axis.set_axis_off()
    wrong = int((answers != labels).sum())
    figure.suptitle(f"Digits that the model has not seen: {wrong} of {len(labels)} wrong")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"Picture of predictions: {path.resolve()}")


def main(arguments: list[str] | None = None) -> float:
    """Train, test and draw; gives the test accuracy."""
    options = parse(arguments)
    if options.device:
        gl.config.set_device(options.device)
    gl.utils.set_random_seed(options.seed)
    x_train, x_test, y_train, y_test = load(options.seed)
    model = build(steps=options.epochs * round(len(x_train) * (1 - VALIDATION) / BATCH))
    model.summary()
    print(f"Training on {gl.config.device()} with {len(x_train)} real handwritten digits.")
    model.fit(
        x_train, y_train, batch_size=BATCH, epochs=options.epochs, validation_split=VALIDATION
    )
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"Test accuracy: {accuracy:.4f} on {len(x_test)} digits that it has not seen.")
    draw(x_test, y_test, model.predict(x_test, verbose=0), options.picture)
    return accuracy


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1, help="of the split and of the training")
    parser.add_argument("--device", help='"cpu", "gpu" or "gpu:1"; the GPU if there is one')
    parser.add_argument("--picture", type=Path, default=Path("digits.png"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
