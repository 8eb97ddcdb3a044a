"""Keeps the start-up chatter of native libraries off the terminal of the command line."""

import os
import sys


def is_command() -> bool:
    """Whether this process is `python -m tfspecnorm`, whose package is being imported."""
    return sys.argv[:1] == ["-m"] and "tfspecnorm" in sys.orig_argv


def hide_native_log() -> None:
    """Sends what native code writes to the standard error file nowhere; Python's own still shows.

    TensorFlow writes some lines there before it reads any log level.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = open(terminal, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
