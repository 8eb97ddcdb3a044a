"""Prints how large every kernel of a model is."""

import argparse
import sys
from pathlib import Path

from tfspecnorm._commands import common
from tfspecnorm.analysis import spectral_report

HELP = "print how large every kernel of a model is"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the words of the command."""
    common.add_model(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture, e.g. out.png")
    common.add_input_shape(parser)


def run(options: argparse.Namespace) -> None:
    """Does what the command says."""
    model = common.load(options.model, options.trust)
    interactive = sys.stderr.isatty()
    found = spectral_report(model, options.input_shape, progress=interactive)
    if options.plot is not None:
        try:
            found.plot(options.plot)
        except ValueError as error:
            raise common.UsageError(f"cannot write {options.plot}: {error}") from error
    if options.json:
        print(found.to_json())
    else:
        common.print_table(found.table())
