"""The command line of a benchmark. Needs nothing but Python, as some peers' environments do.

Each script is run as a module from the root of the project: `python -m benchmarks.NAME`.
"""

import argparse
import importlib.metadata
import platform
import sys
from typing import Any, NoReturn

PACKAGES = (
    "tfspecnorm",
    "keras",
    "tensorflow-cpu",
    "tensorflow",
    "tensorflow-addons",
    "deel-lip",
    "jax",
    "torch",
    "flax",
    "equinox",
    "numpy",
    "scikit-learn",
)


class Parser(argparse.ArgumentParser):
    """A parser that reports a wrong option in one line.

    Args:
        module: Name of the script below `benchmarks`, with dots.
        description: Docstring of the script, or what `--help` is to say; its first line is shown.
    """

    def __init__(self, module: str, description: str, **options: Any) -> None:
        title = description.splitlines()[0]
        super().__init__(prog=f"python -m benchmarks.{module}", description=title, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def command_of(module: str) -> str:
    """The command that runs, of a script below `benchmarks`."""
    return " ".join([f"python -m benchmarks.{module}", *sys.argv[1:]])


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of Python and of those packages that are there."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def listed(found: dict[str, str]) -> str:
    """Versions in one line."""
    return ", ".join(f"{name} {version}" for name, version in found.items())


def print_provenance(module: str, seed: int) -> None:
    """Versions, seed and command of a script below `benchmarks`."""
    print(f"{listed(versions())}\nseed {seed}, command: {command_of(module)}", flush=True)


def whole_number(text: str) -> int:
    """An integer from zero."""
    return _from(text, 0)


def positive_integer(text: str) -> int:
    """An integer from one."""
    return _from(text, 1)


def _from(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be an integer from {least}. Received: {text!r}")
    return int(text)
