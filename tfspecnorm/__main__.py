"""The command line: `python -m tfspecnorm report model.keras`."""

import argparse
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import keras

from tfspecnorm.analysis import spectral_report

SUCCESS, WRONG_USE, INTERRUPTED = 0, 2, 130


class UsageError(Exception):
    """Something that the user can put right: an option, a file, a model."""


class _Parser(argparse.ArgumentParser):
    """A parser that reports a wrong option in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit code: 0, 2 for a wrong use, 130 for Ctrl-C.

    Args:
        arguments: Words of the command line. Defaults to those of the process.
    """
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except KeyboardInterrupt:
        print("tfspecnorm: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (UsageError, ImportError, OSError, ValueError) as error:
        print(f"tfspecnorm: error: {_one_line(error)}", file=sys.stderr)
        return WRONG_USE
    return SUCCESS


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m tfspecnorm", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser(
        "report", help="print how large every kernel of a model is", allow_abbrev=False
    )
    report.add_argument("model", type=Path, help="a model saved by Keras (.keras or .h5)")
    report.add_argument("--json", action="store_true", help="print JSON instead of a table")
    report.add_argument("--plot", type=Path, metavar="FILE", help="write a picture, e.g. out.png")
    report.add_argument(
        "--input-shape",
        type=_shape,
        metavar="HEIGHT,WIDTH,CHANNELS",
        help="shape of an input, for a model that takes inputs of any size",
    )
    report.set_defaults(run=_report)
    return parser


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise argparse.ArgumentTypeError(
            f"must be positive integers with commas between. Received: {text!r}"
        )
    return shape


def _report(options: argparse.Namespace) -> None:
    model = load(options.model)
    interactive = sys.stderr.isatty()
    found = spectral_report(model, options.input_shape, progress=interactive)
    if options.plot is not None:
        try:
            found.plot(options.plot)
        except ValueError as error:
            raise UsageError(f"cannot write {options.plot}: {error}") from error
    if options.json:
        print(found.to_json())
    else:
        from rich.console import Console

        # A file has no width of its own to fold the rows at.
        Console(width=None if sys.stdout.isatty() else 160).print(found.table())


def load(path: Path) -> Any:
    """A model from a file of Keras.

    Raises:
        UsageError: If there is no such file or it holds no model.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} holds no model that Keras can load: {error}") from error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 500 else f"{text[:500]}…"


if __name__ == "__main__":
    sys.exit(main())
