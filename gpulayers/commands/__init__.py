"""The command line: what can be done with a model file without writing Python.

`gpulayers --help` tells what there is, `gpulayers predict --help` more of one command.  A command
that fails says why in one line, on stderr, and exits with 1; wrong arguments exit with 2.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from ..version import __version__

EXPECTED = (OSError, ValueError, TypeError, ImportError, NotImplementedError)
_FILE = "a model: .keras or .h5"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and give its exit code.

    Args:
        arguments: those of the command line by default.
    """
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _in_a_line
        try:
            options.run(options)
        except EXPECTED as error:
            print(f"gpulayers: {_one_line(error)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpulayers",
        description="Keras models on NumPy and CuPy arrays. Without a command: what it runs on.",
    )
    parser.add_argument("--version", action="version", version=f"gpulayers {__version__}")
    parser.set_defaults(run=_about)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (_add_about, _add_summary, _add_predict, _add_convert, _add_plot):
        add(commands)
    return parser


def _command(commands, name: str, run, text: str, example: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"Example: gpulayers {example}",
    )
    parser.set_defaults(run=run)
    return parser


def _add_about(commands):
    text = "say what the library runs on here, and what would make it faster"
    _command(commands, "about", _about, text, "about")


def _add_summary(commands):
    text = "show the layers of a model, and how many weights they have"
    parser = _command(commands, "summary", _summary, text, "summary model.keras")
    parser.add_argument("file", metavar="FILE", help=_FILE)
    parser.add_argument("--nested", action="store_true", help="the layers of inner models too")


def _add_predict(commands):
    text = "write what a model gives for arrays"
    example = "predict model.keras images.npy -o classes.npy"
    parser = _command(commands, "predict", _predict, text, example)
    parser.add_argument("file", metavar="FILE", help=_FILE)
    parser.add_argument(
        "inputs", metavar="INPUT", help=".npy, or .npz with an array for each input; - for stdin"
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", default="-",
        help=".npy, or .npz for several outputs; - for stdout, which is the default",
    )  # fmt: skip
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="32 by default")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def _add_convert(commands):
    text = "write a model, or its weights, in another format"
    parser = _command(commands, "convert", _convert, text, "convert old.h5 new.keras")
    parser.add_argument("source", metavar="FROM", help=f"{_FILE}; weights: .weights.h5, ...")
    parser.add_argument(
        "target",
        metavar="TO",
        help=".keras, .h5 or .onnx for models; .weights.h5 or .safetensors for weights alone",
    )


def _add_plot(commands):
    text = "draw the layers of a model"
    parser = _command(commands, "plot", _plot, text, "plot model.keras model.svg")
    parser.add_argument("file", metavar="FILE", help=_FILE)
    parser.add_argument("picture", metavar="OUT", help=".svg or .png")
    parser.add_argument("--nested", action="store_true", help="the layers of inner models too")


# What a command needs is imported when it runs.


def _about(options):
    from .about import about

    about()


def _summary(options):
    from ..saving import load_model

    load_model(options.file, compile=False).summary(expand_nested=options.nested)


def _predict(options):
    from .predict import predict

    predict(options.file, options.inputs, options.output, options.batch_size, options.quiet)


def _convert(options):
    from .convert import convert

    convert(options.source, options.target)


def _plot(options):
    from ..saving import load_model
    from ..utils import plot_model

    model = load_model(options.file, compile=False)
    plot_model(model, options.picture, show_shapes=True, expand_nested=options.nested)


def _in_a_line(message, *_):
    print(f"gpulayers: {_one_line(message)}", file=sys.stderr)


def _one_line(error) -> str:
    """What went wrong, with a file's name where only its number was said."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] + " " + "; ".join(lines[1:]) if len(lines) > 1 else "".join(lines)
