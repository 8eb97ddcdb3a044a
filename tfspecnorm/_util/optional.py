"""Packages that the rest does without."""

import importlib
from typing import Any


def optional(name: str, extra: str = "") -> Any:
    """A module that an extra brings, or an `ImportError` that says what to install.

    Args:
        name: Full name of the module.
        extra: Name of the extra of this package; without one the package itself is named.

    Example:

    >>> optional("json").dumps([1])
    '[1]'
    >>> optional("no_such_package", "edge")
    Traceback (most recent call last):
    ImportError: This needs the package no_such_package. Install it:
        pip install "tfspecnorm[edge]"
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name != package:
            raise
        wanted = f'"tfspecnorm[{extra}]"' if extra else package
        raise ImportError(
            f"This needs the package {package}. Install it:\n    pip install {wanted}"
        ) from error
