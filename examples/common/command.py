"""Turns what can go wrong in an example into one line and an exit code."""

import contextlib
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common import quiet

SUCCESS, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

# What an interrupt has to tidy up.
cleanups: list[Callable[[], None]] = []


class UsageError(Exception):
    """Something that the user can put right: an option, a file, a folder."""


class CheckError(Exception):
    """A result is not what it must be."""


def run_script(main: Callable[[], None]) -> int:
    """Calls `main` and returns the exit code of the script.

    Args:
        main: The script's work.

    Returns:
        0; 1 if a result failed its check; 2 for a wrong option, an unreadable file or a folder
        that cannot be written. Ctrl-C ends the process with 130.
    """
    try:
        with stopping_on_interrupt():
            main()
    except CheckError as error:
        return _fail(error, FAILED)
    except (UsageError, OSError) as error:
        return _fail(error, WRONG_USE)
    return SUCCESS


@contextlib.contextmanager
def stopping_on_interrupt() -> Iterator[None]:
    """Within it, Ctrl-C ends the process at once, with one line that says how to go on.

    A `KeyboardInterrupt` may come up where native code or a destructor swallows it. Since
    files appear in one step, there is nothing to unwind but what `cleanups` holds.
    """
    previous = signal.getsignal(signal.SIGINT)
    if previous is not signal.SIG_IGN:  # As it is for a job in the background.
        signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def missing_package(error: ModuleNotFoundError) -> int:
    """Says what to install and returns the exit code for it."""
    return _fail(
        UsageError(
            f"the package {error.name} is not installed; in the folder of the repository: "
            'pip install -e ".[tensorflow-cpu,examples,edge]"'
        ),
        WRONG_USE,
    )


def command_line() -> str:
    """The command that started this process."""
    return f"python {shlex.join(sys.argv)}"


def describe(error: Exception) -> str:
    """The text of an exception as one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    # TensorFlow puts the place in its graph in front.
    text = re.sub(r"\{\{.*?\}\}", "", str(error))
    return " ".join(text.split()) or type(error).__name__


def wrong_use(error: Exception) -> int:
    """Says what is wrong with a command and returns the exit code for it."""
    return _fail(error, WRONG_USE)


def _fail(error: Exception, exit_code: int) -> int:
    print(f"{Path(sys.argv[0]).name}: error: {describe(error)}", file=sys.stderr)
    return exit_code


def _stop(*signal_and_frame: Any) -> None:
    for clean in cleanups:
        clean()
    # The cursor may stand behind a progress bar; `print` may be what was interrupted.
    start = "\n" if os.isatty(quiet.terminal) else ""
    name = Path(sys.argv[0]).name
    message = f"{name}: interrupted; resume after the last finished epoch with: {command_line()}"
    os.write(quiet.terminal, f"{start}{message}\n".encode())
    os._exit(INTERRUPTED)
