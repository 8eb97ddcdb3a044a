"""The command line options that all examples share."""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from common.command import UsageError
from common.parallel import STRATEGIES
from tfspecnorm.models import normalizations

OUTPUTS = Path(__file__).resolve().parents[2] / "savedmodels" / "demo"
SMOKE_EPOCHS = 3
DEVICES = 2


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong option by an exception, in one line."""

    def __init__(self, description: str) -> None:
        super().__init__(
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def parse_options(
    network: str,
    description: str,
    datasets: Sequence[str],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    image_size: int = 32,
    normalization: str = "spectral",
    scale: float | None = None,
    width: float = 1.0,
    extra: Sequence[tuple[str, dict[str, Any]]] = (),
    arguments: Sequence[str] | None = None,
) -> argparse.Namespace:
    """The options of an example.

    Args:
        network: Name of the network, for the default output folder.
        description: What the script does, for `--help`.
        datasets: Values of `--dataset`; the first one is the default.
        epochs: Default number of epochs.
        batch_size: Default number of images in a batch.
        learning_rate: Default of the highest learning rate.
        image_size: Default height and width of the images.
        normalization: Default normalization.
        scale: Default of the factor, for the normalizations that take one.
        width: Default multiplier of the numbers of filters.
        extra: More options of this example: their names and arguments of `add_argument`.
        arguments: Words of the command line. Defaults to those of the process.

    Returns:
        Namespace with one attribute for each option, `output` resolved.

    Raises:
        UsageError: If an option is unknown or has a value outside of its range.
    """
    parser = Parser(description)
    add = parser.add_argument
    add(
        "--normalization",
        choices=normalizations.NAMES,
        default=normalization,
        help="what keeps the weights under control (default: %(default)s)",
    )
    add(
        "--scale",
        type=positive_number,
        default=scale,
        help="factor of scaled-spectral and bidirectional-scaled (default: "
        f"{scale or 'the square root of 2'}) and of mean-spectral (default: {scale or 1})",
    )
    add(
        "--width",
        type=positive_number,
        default=width,
        help="times the numbers of filters (default: %(default)s)",
    )
    add(
        "--dataset",
        choices=datasets,
        default=datasets[0],
        help="what to train on; digits needs no network (default: %(default)s)",
    )
    add("--data-dir", type=Path, help="folder of tensorflow-datasets")
    add(
        "--image-size",
        type=positive_integer,
        default=image_size,
        help="height and width in pixels (default: %(default)s)",
    )
    add("--epochs", type=positive_integer, help=f"default: {epochs}, {SMOKE_EPOCHS} with --smoke")
    add("--batch-size", type=positive_integer, default=batch_size, help="default: %(default)s")
    add(
        "--learning-rate",
        type=positive_number,
        default=learning_rate,
        help="highest learning rate (default: %(default)s)",
    )
    for name, settings in extra:
        add(name, **settings)
    add("--seed", type=seed, default=0, help="of weights and batches (default: %(default)s)")
    add(
        "--strategy",
        choices=STRATEGIES,
        default="none",
        help="mirrored: a replica on each device; multiworker: one in each process that "
        "TF_CONFIG names (default: %(default)s)",
    )
    add("--devices", type=positive_integer, help=f"of mirrored (default: {DEVICES})")
    add("--tensorboard", action="store_true", help="write event files for TensorBoard as well")
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
    if options.devices is not None and options.strategy != "mirrored":
        raise UsageError(
            "argument --devices: applies to --strategy mirrored only. "
            f"Received: --strategy {options.strategy}"
        )
    options.devices = options.devices or DEVICES
    if options.normalization not in normalizations.TAKE_SCALE:
        if options.scale != scale:
            raise UsageError(
                f"argument --scale: applies to {', '.join(normalizations.TAKE_SCALE)} only. "
                f"Received: --normalization {options.normalization}"
            )
        options.scale = None
    return options


def chosen_normalization(options: argparse.Namespace) -> normalizations.Normalization:
    """The normalization that `--normalization` and `--scale` name."""
    return normalizations.get(options.normalization, options.scale)


def positive_integer(text: str) -> int:
    """An integer above zero."""
    return _checked(text, int, lambda value: value > 0, "a positive integer")


def integer_of_at_least(least: int) -> Callable[[str], int]:
    """A type of options: an integer that is not smaller."""
    wanted = f"an integer of at least {least}"
    return lambda text: _checked(text, int, lambda value: value >= least, wanted)


def non_negative_number(text: str) -> float:
    """A finite number that is not below zero."""
    return _checked(
        text, float, lambda value: 0 <= value < math.inf, "a finite number that is not negative"
    )


def fraction(text: str) -> float:
    """A number in [0, 1)."""
    return _checked(text, float, lambda value: 0 <= value < 1, "a number in [0, 1)")


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
