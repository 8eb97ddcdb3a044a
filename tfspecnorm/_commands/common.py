"""What the commands share: models and arrays from files, types of options, printing."""

import argparse
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfspecnorm._commands import trust


class UsageError(Exception):
    """Something that the user can put right: an option, a file, a model."""


def load(path: Path, trusted: bool = False) -> Any:
    """A model from a file of Keras.

    Args:
        path: The file.
        trusted: Whether it may run code, which only an old Keras lets it do.

    Raises:
        UsageError: If there is no such file, it holds no model, or it might run code.
    """
    check_file(path)
    found = None if trusted else trust.untrusted(path)
    if found is not None:
        safe = ".".join(map(str, trust.SAFE_KERAS))
        raise UsageError(
            f"{path} might run code with Keras {keras.__version__}: it is or holds {found}. "
            f"Install Keras {safe} or newer, or give --trust if you know where the file comes from"
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} holds no model that Keras can load: {error}") from error


def check_file(path: Path) -> None:
    """Raise a `UsageError` if there is no file at a path."""
    if not path.is_file():
        raise UsageError(f"there is no file {path}")


def add_model(parser: argparse.ArgumentParser) -> None:
    """The model that a command works on."""
    parser.add_argument("model", type=Path, help="a model saved by Keras (.keras or .h5)")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="load a file that might run code (asked for with Keras before 3.11.3 only)",
    )


def load_arrays(path: Path) -> Any:
    """Samples from a file of NumPy: `x`, or one array for each input; and labels as `y`.

    Returns:
        An array or a dict of arrays, in a tuple with the labels if there are any.

    Raises:
        UsageError: If there is no such file or it holds no such arrays.
    """
    check_file(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} holds no arrays that NumPy can load: {error}") from error
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise UsageError(f"{path} holds no arrays that NumPy can load")
    labels = arrays.pop("y", None)
    if not arrays:
        raise UsageError(f"{path} must hold samples as an array x, or one named as each input")
    samples = arrays["x"] if set(arrays) == {"x"} else arrays
    return samples if labels is None else (samples, labels)


def shape(text: str) -> tuple[int, ...]:
    """A shape, as an option."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(
            f"must be positive integers with commas between. Received: {text!r}"
        )
    return sizes


def add_input_shape(parser: argparse.ArgumentParser) -> None:
    """The shape that a model leaves open."""
    parser.add_argument(
        "--input-shape",
        type=shape,
        metavar="HEIGHT,WIDTH,CHANNELS",
        help="shape of an input, for a model that takes inputs of any size",
    )


def print_table(table: Any) -> None:
    """Prints a table of rich."""
    from rich.console import Console

    # A file has no width of its own to fold the rows at.
    Console(width=None if sys.stdout.isatty() else 160).print(table)
