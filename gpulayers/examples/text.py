"""Train a classifier of texts, strings in: `python -m gpulayers.examples.text`.

The texts are real: what the authors of Python's standard library wrote about its modules, classes
and functions, read from the library itself.  The model tells from the text alone whether they are
about networks, files, numbers or programs.  Standardizing, splitting and counting words is its
first layer, so that it takes strings, also after it was saved; it prints the accuracy on texts
that it was not trained with, and what it takes some sentences for.
"""

from __future__ import annotations

import argparse
import ast
import sysconfig
import tempfile
from pathlib import Path

import numpy as np

import gpulayers as gl
from gpulayers import layers

TOPICS = {  # Modules and packages of the standard library.
    "networks": """asyncio email ftplib http imaplib ipaddress poplib selectors smtplib socket
        socketserver ssl urllib wsgiref xmlrpc""",
    "files": """bz2 configparser csv dbm filecmp fileinput glob gzip lzma mailbox mimetypes netrc
        ntpath os pathlib plistlib posixpath shelve shutil tarfile tempfile zipfile _pyio""",
    "numbers": """bisect calendar colorsys datetime fractions heapq numbers random statistics
        zoneinfo _pydatetime _pydecimal""",
    "programs": """ast bdb cProfile dis doctest importlib inspect pdb profile pstats pydoc
        tokenize trace traceback types typing unittest warnings""",
}
SENTENCES = (
    "Send a request to the server and wait for its answer.",
    "The path of a new temporary directory, which is deleted afterwards.",
    "Return the square root, rounded half to even.",
    "A test case that fails if the function raises another exception.",
)
FEWEST = 5  # Words of a text.
WORDS = 10_000  # Different words and pairs of words, those that occur most.
LENGTH = 150  # Of them in a text; the rest of longer ones is not read.
BATCH = 32


def docstrings(path: Path):
    """What a Python file says about itself, its classes and its functions."""
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, described):
            text = ast.get_docstring(node)
            if text and len(text.split()) >= FEWEST:
                yield text


def load(seed: int):
    """Training and test texts (samples, 1) and the numbers of their topics (samples,)."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found = {}
    for topic, modules in enumerate(TOPICS.values()):
        for module in modules.split():
            for path in (library / f"{module}.py", *sorted((library / module).rglob("*.py"))):
                if path.is_file() and "test" not in path.parts:
                    found.update(dict.fromkeys(docstrings(path), topic))
    texts, topics = np.array(list(found), object), np.array(list(found.values()))
    order = np.random.default_rng(seed).permutation(len(texts))
    train, test = order[len(order) // 5 :], order[: len(order) // 5]
    return texts[train, None], texts[test, None], topics[train], topics[test]


def build(texts) -> gl.Sequential:
    """A model of strings, with the words and pairs of words of `texts`, compiled.

    The mean of the vectors of a text's words and pairs decides: `mask_zero` leaves padding out.
    """
    words = layers.TextVectorization(WORDS, ngrams=2, output_sequence_length=LENGTH)
    words.adapt(texts)
    model = gl.Sequential(
        [
            layers.Input(shape=(1,), dtype="string"),
            words,
            layers.Embedding(WORDS, 32, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dropout(0.4),
            layers.Dense(len(TOPICS), activation="softmax", name="topic"),
        ],
        name="text",
    )
    model.compile(
        optimizer=gl.optimizers.Adam(1e-2),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def show(model) -> None:
    """Print what a model takes some sentences for."""
    found = model.predict(np.array(SENTENCES, object)[:, None], verbose=0)
    for sentence, probabilities in zip(SENTENCES, found, strict=True):
        topic = list(TOPICS)[probabilities.argmax()]
        print(f"{topic:>9} ({probabilities.max():4.0%}): {sentence}")


def main(arguments: list[str] | None = None) -> float:
    """Train, test, save and show; gives the test accuracy."""
    options = parse(arguments)
    if options.device:
        gl.config.set_device(options.device)
    gl.utils.set_random_seed(options.seed)
    x_train, x_test, y_train, y_test = load(options.seed)
    model = build(x_train)
    model.summary()
    print(f"Training on {gl.config.device()} with {len(x_train)} texts about Python's modules.")
    model.fit(x_train, y_train, batch_size=BATCH, epochs=options.epochs, validation_split=0.1)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    common = np.bincount(y_test).max() / len(y_test)
    print(f"Test accuracy: {accuracy:.4f} on {len(x_test)} texts that it has not seen.")
    print(f"To call all of them the most frequent topic would be right for {common:.4f}.")
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "text.keras")
        show(gl.saving.load_model(Path(folder) / "text.keras"))
    return accuracy


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1, help="of the split and of the training")
    parser.add_argument("--device", help='"cpu", "gpu" or "gpu:1"; the GPU if there is one')
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
