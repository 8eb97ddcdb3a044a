"""What several parts want of their arguments."""

import numbers
import os
from typing import Any

import keras


def check_model(model: Any) -> None:
    """Raise a `ValueError` for anything but a built Keras model."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"Argument `model` must be a Keras model. Received: model={model!r}")
    if not model.built:
        raise ValueError(
            "Argument `model` must be built: give it an `Input` or call it on data first. "
            f"Received: unbuilt model '{model.name}'"
        )


def check_positive_integer(name: str, value: Any) -> int:
    """The value as an integer, or a `ValueError` that names the argument."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"Argument `{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return int(value)


def check_flag(name: str, value: Any) -> bool:
    """The value if it is `True` or `False`, or a `ValueError` that names the argument."""
    if not isinstance(value, bool):
        raise ValueError(f"Argument `{name}` must be `True` or `False`. Received: {name}={value!r}")
    return value


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
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 0:
        wanted = "an integer of at least 0, or `None`" if optional else "an integer of at least 0"
        raise ValueError(f"Argument `seed` must be {wanted}. Received: seed={value!r}")
    return int(value)
