"""Prints what a LiteRT file holds, how long it takes, and whether a microcontroller can run it."""

import argparse
from pathlib import Path
from typing import Any

from tfspecnorm._commands import common
from tfspecnorm.edge import EdgeReport, inspect, write_c_array

HELP = "print what a .tflite file is, or write it as a C array"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the words of the command."""
    parser.add_argument("file", type=Path, help="a LiteRT file (.tflite)")
    parser.add_argument(
        "--c-array", type=Path, metavar="FILE.h", help="write it as a header for C and C++ too"
    )
    add_measuring(parser)


def run(options: argparse.Namespace) -> None:
    """Does what the command says."""
    common.check_file(options.file)
    if options.c_array is not None:
        write_c_array(options.file, options.c_array)
    report = inspect(options.file, **measuring(options))
    print_report(report, options)


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """How a file is measured and how the report is printed."""
    parser.add_argument(
        "--micro",
        action=argparse.BooleanOptionalAction,
        help="run it in the interpreter for microcontrollers (default: int8 files)",
    )
    parser.add_argument("--runs", type=int, default=50, help="timed runs (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--seed", type=int, default=0, help="of random samples (default: %(default)s)"
    )
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print JSON instead of a table")
    printed.add_argument("--markdown", action="store_true", help="print Markdown instead")


def measuring(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `export` and `inspect` that these options stand for."""
    return {name: getattr(options, name) for name in ("micro", "runs", "threads", "seed")}


def print_report(report: EdgeReport, options: argparse.Namespace) -> None:
    """Prints a report as the options say."""
    if options.json:
        print(report.to_json())
    elif options.markdown:
        print(report.to_markdown(), end="")
    else:
        common.print_table(report.table())
