"""The same work by gpulayers and by others, each in a process: `contestants NAME FOLDER`.

A contestant answers, in JSON, what it is asked by lines of standard input: to make a network, to do
a work so many times, to show what came of it.  gpulayers is asked first, and leaves in the folder
what the others read: weights, data, `.keras` and `.onnx` files.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from itertools import count
from pathlib import Path
from time import perf_counter

import numpy as np


def inference(rows: int) -> str:
    return f"batch of {rows}"


INFERENCE, ROW, CALL = inference(8), "one row", "`model(x)` of one row"
STEP, EPOCH = "training step", "step of an epoch"
TAPE = "an operation, there and back"
STEPS, OPERATIONS = 10, 90  # of an epoch; of a chain on a tape
PARTS = {EPOCH: STEPS, TAPE: OPERATIONS}  # How many of its kind one call of a work does.
PR_SET_PDEATHSIG = 1  # Of Linux's prctl.
EPOCHS_BELOW = 1_000_000  # weights


class Contestant:
    """Who works; a subclass says how."""

    packages: list
    trains = True
    tape = None  # A function that records operations, and goes back through them.

    def __init__(self, folder: Path):
        self.folder = folder

    def works(self, name: str) -> dict:
        """Functions by the work that they do."""
        if self.load(name) is None:
            return {}
        arrays = np.load(self.folder / f"{name} data.npz")
        x, y, many = arrays["x"], arrays["y"], (arrays["many_x"], arrays["many_y"])
        sizes = (1, 8, 64) if name == "MLP" else (8,)
        found = {inference(n): self.forward(many[0][:n]) for n in sizes}
        found |= {ROW: self.forward(x[:1]), CALL: self.call(x[:1])}
        if self.trains:
            found[STEP] = self.step(x, y)
            if len(many[0]) == STEPS * len(x):
                found[EPOCH] = self.epoch(*many, len(x))
        if name == "classifier" and self.tape:
            found[TAPE] = self.tape
        return found

    def call(self, x):
        return self.forward(x)


class Gpulayers(Contestant):
    """As its users write it, the same lines as for Keras."""

    exporting = True  # Whether ONNX files are left, too.
    small = False  # Whether inputs are.
    plain = staticmethod(np.asarray)

    def __init__(self, folder: Path):
        super().__init__(folder)
        import gpulayers as gl

        self.packages = [gl]

    def load(self, name: str):
        from ..benchmarks.networks import NETWORKS, data

        network = NETWORKS[name]
        model = self.model = network.make(self.small)
        np.savez(self.folder / f"{name}.npz", **weights_of(model))
        many = max(8, network.batch * (STEPS if model.count_params() < EPOCHS_BELOW else 1))
        (x, y), (many_x, many_y) = data(model, network.batch), data(model, many)
        np.savez(self.folder / f"{name} data.npz", x=x, y=y, many_x=many_x, many_y=many_y)
        model.save(self.folder / f"{name}.keras")
        if self.exporting:
            try:
                model.export(self.folder / f"{name}.onnx", verbose=False)
            except ImportError:  # onnx is not there.
                self.exporting = False
        return model

    def forward(self, x):
        return lambda: self.model.predict(x, batch_size=64, verbose=0)

    def call(self, x):
        return lambda: self.plain(self.model(x))

    def step(self, x, y):
        return lambda: self.model.train_on_batch(x, y)

    def epoch(self, x, y, batch):
        return lambda: self.model.fit(x, y, batch_size=batch, verbose=0)

    def tape(self):
        (gl,) = self.packages
        weight, x = gl.Variable(np.linspace(0, 1, 8)), np.linspace(1, 2, 8)
        with gl.Tape() as record:
            y = weight.value
            xp = gl.namespace(y)
            for _ in range(OPERATIONS // 3):
                y = xp.tanh(y * x + x)
        return record.gradient(y, weight)


def weights_of(model) -> dict[str, np.ndarray]:
    """By "kind/number/place": of layers of a kind, the one made first has number 0."""
    numbers, arrays = {}, {}
    for layer in sorted(model.layers, key=made_as):
        kind = type(layer).__name__
        number = numbers[kind] = numbers.get(kind, -1) + 1
        arrays |= {f"{kind}/{number}/{i}": w.numpy() for i, w in enumerate(layer.weights)}
    return arrays


def made_as(layer) -> int:
    """The number in a layer's name: of "dense_12", 12."""
    last = layer.name.rpartition("_")[2]
    return int(last) if last.isdigit() else 0


class Keras(Gpulayers):
    """On one of its backends."""

    tape = None

    def __init__(self, folder: Path, backend: str):
        Contestant.__init__(self, folder)
        os.environ["KERAS_BACKEND"] = backend
        import keras

        self.packages, self.plain = [keras, sys.modules[backend]], keras.ops.convert_to_numpy
        self.trains = backend != "numpy"  # Keras does not train there.

    def load(self, name: str):
        self.model = self.packages[0].saving.load_model(self.folder / f"{name}.keras")
        return self.model


class OnnxRuntime(Contestant):
    """Files that gpulayers exports; inference alone."""

    trains = False

    def __init__(self, folder: Path):
        super().__init__(folder)
        import onnxruntime

        self.packages = [onnxruntime]

    def load(self, name: str):
        path = self.folder / f"{name}.onnx"
        if not path.exists():
            return None
        options = self.packages[0].SessionOptions()
        options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        session = self.packages[0].InferenceSession(path, options, ["CPUExecutionProvider"])
        self.session, self.name = session, session.get_inputs()[0].name
        return session

    def forward(self, x):
        session, given = self.session, {self.name: x}
        return lambda: session.run(None, given)[0]


class ByHand(Contestant):
    """Products, sums and maxima of NumPy's, for dense networks."""

    trains, packages = False, [np]

    def load(self, name: str):
        if name not in ("MLP", "classifier"):
            return None
        arrays = np.load(self.folder / f"{name}.npz")
        self.layers = [[arrays[f"Dense/{i}/{j}"] for j in (0, 1)] for i in range(3)]
        return self.layers

    def forward(self, x):
        (a, b), (c, d), (e, f) = self.layers

        def work():
            y = np.maximum(x @ a + b, 0)
            y = np.maximum(y @ c + d, 0)
            return y @ e + f

        return work


def torch(folder: Path) -> Contestant:
    from .torch_contestant import Torch

    return Torch(folder)


CONTESTANTS = {
    "gpulayers": Gpulayers,
    "PyTorch": torch,
    "Keras on PyTorch": lambda folder: Keras(folder, "torch"),
    "Keras on JAX": lambda folder: Keras(folder, "jax"),
    "Keras on NumPy": lambda folder: Keras(folder, "numpy"),
    "ONNX Runtime": OnnxRuntime,
    "NumPy by hand": ByHand,
}


def answer(contestant: Contestant, works: dict, question: dict, numbers=count()):
    """What a question is answered with; `works` holds what was made."""
    if question["do"] == "make":
        works.clear()
        gc.collect()
        if question["network"]:
            works.update(contestant.works(question["network"]))
        return list(works)
    work = works[question["work"]]
    if question["do"] == "show":
        path = contestant.folder / f"{os.getpid()}-{next(numbers)}.npy"
        np.save(path, np.asarray(work()))
        return str(path)
    start = perf_counter()
    for _ in range(question["number"]):
        work()
    return (perf_counter() - start) / question["number"] / PARTS.get(question["work"], 1)


def end_with_parent() -> None:
    """Have Linux end this process when who started it is killed, for it may be stopped then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(name: str, folder: str) -> None:
    """Answer on standard output until standard input ends."""
    end_with_parent()
    channel, sys.stdout = sys.stdout, sys.stderr  # What libraries print disturbs no answer.

    def say(what):
        print(json.dumps(what), file=channel, flush=True)

    try:
        contestant, works = CONTESTANTS[name](Path(folder)), {}
    except Exception as error:  # Not installed, or not as a library needs it.
        say({"absent": f"{error}".partition("\n")[0] or type(error).__name__})
        return
    say({"versions": [f"{found.__name__} {found.__version__}" for found in contestant.packages]})
    for line in sys.stdin:
        try:
            say({"is": answer(contestant, works, json.loads(line))})
        except Exception as error:
            traceback.print_exc()
            say({"failed": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main(*sys.argv[1:])
