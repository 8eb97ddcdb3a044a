"""What several parts want of their arguments."""

import math
import numbers
import os
from typing import Any

import keras
import numpy as np


def check_model(model: Any, name: str = "model") -> None:
    """Raise a `ValueError` that names the argument for anything but a built Keras model."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"Argument `{name}` must be a Keras model. Received: {name}={model!r}")
    if not model.built:
        raise ValueError(
            f"Argument `{name}` must be built: give it an `Input` or call it on data first. "
            f"Received: unbuilt model '{model.name}'"
        )


def check_boolean(name: str, value: Any) -> bool:
    """The value as a `bool`, or a `ValueError` that names the argument."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"Argument `{name}` must be `True` or `False`. Received: {name}={value!r}")
    return bool(value)


def check_optional_boolean(name: str, value: Any) -> bool | None:
    """The value as a `bool`, `None` as it is, or a `ValueError` that names the argument."""
    if value is not None and not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"Argument `{name}` must be `True`, `False` or `None`. Received: {name}={value!r}"
        )
    return None if value is None else bool(value)


def check_jit_compile(value: Any) -> None:
    """Raise a `ValueError` unless the value says whether XLA compiles."""
    if not isinstance(value, bool) and not (isinstance(value, str) and value == "auto"):
        raise ValueError(
            'Argument `jit_compile` must be `True`, `False` or `"auto"`. '
            f"Received: jit_compile={value!r}"
        )


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number, also one in an array or a tensor of no axes."""
    if isinstance(value, (bool, str, bytes, np.bool_)):
        return False
    try:
        return math.isfinite(value)
    except (OverflowError, TypeError, ValueError):
        return False


def check_positive(name: str, value: Any, alternative: str = "") -> float:
    """The value as a float, or a `ValueError` that names the argument."""
    if not is_number(value) or value <= 0:
        raise ValueError(
            f"Argument `{name}` must be a positive finite number{alternative}. "
            f"Received: {name}={value!r}"
        )
    return float(value)


def check_fraction(name: str, value: Any) -> float:
    """The value, if it is in [0, 1), or a `ValueError` that names the argument."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"Argument `{name}` must be in [0, 1). Received: {name}={value!r}")
    return float(value)


def check_name(value: Any) -> str:
    """The name of a model or metric, or a `ValueError`."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"Argument `name` must be a text. Received: name={value!r}")
    return value


def check_positive_integer(name: str, value: Any, most: int | None = None) -> int:
    """The value as an integer, or a `ValueError` that names the argument."""
    if not is_integer(value) or value < 1 or (most is not None and value > most):
        limit = "" if most is None else f" of at most {most}"
        raise ValueError(
            f"Argument `{name}` must be a positive integer{limit}. Received: {name}={value!r}"
        )
    return int(value)


def check_path(name: str, value: Any) -> str:
    """The value as a string if it is a path, or a `ValueError` that names the argument."""
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path:
        raise ValueError(f"Argument `{name}` must be a path. Received: {name}={value!r}")
    return path


def check_seed(value: Any, optional: bool = False) -> int | None:
    """The seed of a random generator as an integer, `None` if it may be, or a `ValueError`."""
    if optional and value is None:
        return None
    if not is_integer(value) or value < 0:
        wanted = "an integer of at least 0, or `None`" if optional else "an integer of at least 0"
        raise ValueError(f"Argument `seed` must be {wanted}. Received: seed={value!r}")
    return int(value)


def check_names(name: str, value: Any) -> list[str] | None:
    """One string or several as a list, `None` as it is, or a `ValueError` with the argument."""
    if value is None:
        return None
    names = [value] if isinstance(value, str) else value
    fits = isinstance(names, (list, tuple)) and names and all(isinstance(n, str) for n in names)
    if not fits:
        raise ValueError(
            f"Argument `{name}` must be a string, a list of strings or `None`. "
            f"Received: {name}={value!r}"
        )
    return list(names)
