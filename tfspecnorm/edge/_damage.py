"""Damaged LiteRT files: any failure to read or run one is an error that names the argument."""

import contextlib
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfspecnorm.edge._schema import not_litert
from tfspecnorm.edge.report import TensorInfo

_LIMIT_S = 120
# A sample of so many numbers is no sample, but a damaged shape.
_LARGEST_SAMPLE = 1 << 28


@contextlib.contextmanager
def damage_named(path: str | os.PathLike) -> Iterator[None]:
    """Within it, whatever is raised over the contents of a file is a `ValueError`."""
    try:
        yield
    except (ImportError, OSError):
        raise
    except Exception as error:
        # Readers of a format without checks fail in all ways: missing keys, places, numbers, names.
        if isinstance(error, ValueError) and str(error).startswith("Argument `"):
            raise
        raise not_litert(path) from error


def check_runs(path: str | os.PathLike) -> None:
    """Raise a `ValueError` for a file on which native code crashes, or never ends."""
    runner = Path(__file__).with_name("_probe_runner.py")
    # -P: the modules beside the runner must not take the place of others of their names.
    words = [sys.executable, "-P", runner, os.fspath(path)]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise _unrunnable(path, f"which did not end within {_LIMIT_S} s") from error
    if done.returncode:
        raise _unrunnable(path, "on which LiteRT ends the process")


def check_inputs(path: str | os.PathLike, inputs: Sequence[TensorInfo]) -> None:
    """Raise a `ValueError` if the samples of a file could not be held in memory."""
    for part in inputs:
        if min(part.shape, default=1) < 1 or math.prod(part.shape) > _LARGEST_SAMPLE:
            raise _unrunnable(path, f"of which an input has the shape {part.shape}")


def _unrunnable(path: str | os.PathLike, reason: str) -> ValueError:
    return ValueError(
        "Argument `path` must be a file that LiteRT can run. "
        f"Received: path={os.fspath(path)!r}, {reason}"
    )
