"""The command line options that all examples share."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from common.command import UsageError

OUTPUTS = Path(__file__).resolve().parents[2] / "savedmodels" / "demo"
SMOKE_EPOCHS = 3


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong option by an exception, in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def parse_options(
    network: str,
    description: str,
    normalizations: Sequence[str],
    datasets: Sequence[str],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    arguments: Sequence[str] | None = None,
) -> argparse.Namespace:
    """The options of an example; `epochs`, `batch_size` and `learning_rate` are its defaults.

    Args:
        network: Name of the network, for the default output folder.
        description: What the script does, for `--help`.
        normalizations: Values of `--normalization`; `"spectral"` is the default.
        datasets: Values of `--dataset`; the first one is the default.
        epochs: Default number of epochs.
        batch_size: Default number of images in a batch.
        learning_rate: Default of the highest learning rate.
        arguments: Words of the command line. Defaults to those of the process.

    Returns:
        Namespace with one attribute for each option, `output` resolved.

    Raises:
        UsageError: If an option is unknown or has a value outside of its range.
    """
    parser = Parser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--normalization",
        choices=normalizations,
        default="spectral",
        help="what keeps the weights under control (default: %(default)s)",
    )
    add(
        "--dataset",
        choices=datasets,
        default=datasets[0],
        help="what to train on; digits needs no network (default: %(default)s)",
    )
    add("--data-dir", type=Path, help="folder of tensorflow-datasets")
    add("--epochs", type=positive_integer, help=f"default: {epochs}, {SMOKE_EPOCHS} with --smoke")
    add("--batch-size", type=positive_integer, default=batch_size, help="default: %(default)s")
    add(
        "--learning-rate",
        type=positive_number,
        default=learning_rate,
        help="highest learning rate; it falls to zero along a cosine (default: %(default)s)",
    )
    add("--seed", type=seed, default=0, help="of weights and batches (default: %(default)s)")
    add(
        "--output",
        type=Path,
        help="folder for the results (default: savedmodels/demo/"
        f"{network}-DATASET-NORMALIZATION in the repository)",
    )
    add("--smoke", action="store_true", help="a few hundred images, to see that all works")
    add("--restart", action="store_true", help="forget the training that --output holds")
    options = parser.parse_args(arguments)
    if options.epochs is None:
        options.epochs = SMOKE_EPOCHS if options.smoke else epochs
    if options.output is None:
        smoke = "-smoke" if options.smoke else ""
        options.output = OUTPUTS / f"{network}-{options.dataset}-{options.normalization}{smoke}"
    return options


def positive_integer(text: str) -> int:
    """An integer above zero."""
    return _checked(text, int, lambda value: value > 0, "a positive integer")


def positive_number(text: str) -> float:
    """A finite number above zero."""
    return _checked(
        text, float, lambda value: value > 0 and math.isfinite(value), "a positive finite number"
    )


def seed(text: str) -> int:
    """An integer that every random generator takes as its seed."""
    return _checked(text, int, lambda value: 0 <= value < 2**31, "an integer in [0, 2**31)")


def _checked(text: str, convert: Any, accepts: Any, wanted: str) -> Any:
    try:
        value = convert(text)
    except ValueError:
        value = None
    if value is None or not accepts(value):
        raise argparse.ArgumentTypeError(f"must be {wanted}. Received: {text!r}")
    return value
