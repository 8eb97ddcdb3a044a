"""Writes a wrapped model as one of plain layers, which loads without this package."""

import argparse
from pathlib import Path

from tfspecnorm._commands import common
from tfspecnorm._util import files as _files
from tfspecnorm.surgery import fold

HELP = "write a wrapped model as one of plain layers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the words of the command."""
    common.add_model(parser)
    parser.add_argument("output", type=Path, help="file to write, ending in .keras")
    parser.add_argument(
        "--batch-norm",
        action="store_true",
        help="fold batch normalizations too that directly follow a layer",
    )


def run(options: argparse.Namespace) -> None:
    """Does what the command says."""
    if options.output.suffix != ".keras":
        raise common.UsageError(f"the file to write must end in .keras. Received: {options.output}")
    _files.check_writable(options.output, "output")
    model = common.load(options.model, options.trust)
    plain, folded = fold(model, report=True, batch_norm=options.batch_norm)
    with _files.writing(options.output, "output") as partial:
        plain.save(partial)
    for entry in folded:
        parts = [part for part in (entry.wrapper, entry.batch_norm) if part]
        print(f"{entry.name} ({entry.layer}): {', '.join(parts)} in {', '.join(entry.kernels)}")
    print(f"{len(folded)} layers folded; wrote {options.output}")
