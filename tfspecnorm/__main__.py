"""The command line: `python -m tfspecnorm report | fold | export | inspect`."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from tfspecnorm._commands import COMMANDS
from tfspecnorm._commands.common import UsageError

SUCCESS, WRONG_USE, INTERRUPTED = 0, 2, 130


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
    for module in COMMANDS:
        name = module.__name__.rpartition(".")[2]
        command = commands.add_parser(
            name, help=module.HELP, description=module.__doc__, allow_abbrev=False
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 500 else f"{text[:500]}…"


if __name__ == "__main__":
    # A pipe may have an encoding without the signs of a table.
    sys.stdout.reconfigure(errors="replace")
    sys.exit(main())
