"""The same work by gpulayers, by hand in NumPy, by PyTorch, and by Keras: what `compare.py` times.

`python contestants.py NAME` prints, as JSON, the cases that it knows; then it reads lines
"case number", does the case so many times, and prints the seconds that each took.  It needs nothing
but the contestant's own packages, so that each may run in an interpreter of its own.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import pairwise
from time import perf_counter

import numpy as np

CALL, PREDICT = "model(x), one row", "predict, one row"
STEP, FIT = "training step, one batch", "training step, in an epoch"
TAPE = "operation recorded and run backwards"

BATCH, STEPS, OPERATIONS = 32, 100, 90
SIZES = (64, 128, 64, 10)
PARTS = {FIT: STEPS, TAPE: OPERATIONS}  # How many of its kind one call of a case does.


def images(rows: int):
    """Inputs (rows, 64) and labels (rows,)."""
    x = np.random.default_rng(0).normal(size=(rows, SIZES[0])).astype("float32")
    return x, x[:, : SIZES[-1]].argmax(axis=1).astype("int32")


def by_hand(softmax: bool):
    """A forward pass in NumPy: three products, with what stands between them."""
    rng = np.random.default_rng(0)
    a, c, e = (rng.normal(size=sizes).astype("float32") for sizes in pairwise(SIZES))
    b, d, f = (np.zeros(size, "float32") for size in SIZES[1:])
    x = images(1)[0]

    def call():
        y = np.maximum(x @ a + b, 0)
        y = np.maximum(y @ c + d, 0)
        y = y @ e + f
        if not softmax:
            return y
        y = np.exp(y - y.max(axis=-1, keepdims=True))
        return y / y.sum(axis=-1, keepdims=True)

    return {CALL: call, PREDICT: call}, [np]


def keras_model(keras):
    """The classifier, as one writes it for Keras; gpulayers takes the same lines."""
    Dense = keras.layers.Dense
    model = keras.Sequential(
        [
            keras.layers.Input((SIZES[0],)),
            Dense(SIZES[1], activation="relu"),
            Dense(SIZES[2], activation="relu"),
            Dense(SIZES[3], activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def keras_cases(keras):
    """The cases that are written alike for Keras and for gpulayers."""
    model, row = keras_model(keras), images(1)[0]
    x, y = images(BATCH)
    many = images(BATCH * STEPS)
    cases = {CALL: lambda: np.asarray(model(row)), PREDICT: lambda: model.predict(row, verbose=0)}
    try:
        model.train_on_batch(x, y)
    except NotImplementedError:  # Keras does not train on its NumPy backend.
        return cases
    cases[STEP] = lambda: model.train_on_batch(x, y)
    cases[FIT] = lambda: model.fit(*many, batch_size=BATCH, verbose=0)
    return cases


def gpulayers():
    import gpulayers as gl

    weight, x = gl.Variable(np.linspace(0, 1, 8)), np.linspace(1, 2, 8)

    def tape():
        with gl.Tape() as record:
            y = weight.value
            xp = gl.namespace(y)
            for _ in range(OPERATIONS // 3):
                y = xp.tanh(y * x + x)
        return record.gradient(y, weight)

    return {**keras_cases(gl), TAPE: tape}, [gl]


def keras(backend: str):
    os.environ["KERAS_BACKEND"] = backend
    import keras

    def plain(output):  # An answer that is there, as NumPy has it.
        return keras.ops.convert_to_numpy(output)

    cases = keras_cases(keras)
    model, row = keras_model(keras), images(1)[0]
    cases[CALL] = lambda: plain(model(row))
    return cases, [keras, sys.modules[backend]]


def torch():
    """PyTorch as its users write it: an eager model and a plain loop."""
    import torch
    from torch import nn

    a, b, c, d = SIZES
    model = nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c), nn.ReLU(), nn.Linear(c, d))
    adam, loss_of = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    row = torch.from_numpy(images(1)[0])
    x, y = map(torch.from_numpy, images(BATCH * STEPS))
    y = y.long()

    def call():
        with torch.no_grad():
            return torch.softmax(model(row), -1).numpy()

    def step(x, y):
        adam.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        adam.step()
        return loss.detach()

    def epoch():
        total = 0.0
        for rows in torch.randperm(len(x)).split(BATCH):
            total = total + step(x[rows], y[rows])
        return float(total)

    weight = torch.linspace(0, 1, 8, dtype=torch.float64, requires_grad=True)
    other = torch.linspace(1, 2, 8, dtype=torch.float64)

    def tape():
        y = weight
        for _ in range(OPERATIONS // 3):
            y = torch.tanh(y * other + other)
        return torch.autograd.grad(y.sum(), weight)

    first = x[:BATCH], y[:BATCH]
    cases = {CALL: call, PREDICT: call, STEP: lambda: float(step(*first)), FIT: epoch, TAPE: tape}
    return cases, [torch]


CONTESTANTS = {
    "NumPy by hand": lambda: by_hand(softmax=False),
    "NumPy by hand, with softmax": lambda: by_hand(softmax=True),
    "gpulayers": gpulayers,
    "PyTorch": torch,
    "Keras on torch": lambda: keras("torch"),
    "Keras on jax": lambda: keras("jax"),
    "Keras on numpy": lambda: keras("numpy"),
}


def main(name: str) -> None:
    """Answer on standard output until standard input ends."""
    try:
        cases, packages = CONTESTANTS[name]()
    except ImportError as error:
        print(json.dumps({"absent": str(error)}), flush=True)
        return
    for case in cases.values():
        for _ in range(10):
            case()
    versions = [f"{package.__name__} {package.__version__}" for package in packages]
    print(json.dumps({"cases": list(cases), "versions": versions}), flush=True)
    for line in sys.stdin:
        case, number = json.loads(line)
        do = cases[case]
        start = perf_counter()
        for _ in range(number):
            do()
        seconds = perf_counter() - start
        print(seconds / number / PARTS.get(case, 1), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
