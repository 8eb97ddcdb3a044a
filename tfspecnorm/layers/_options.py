"""Arguments that the wrappers which divide by a norm share."""

from typing import Any

import keras
import numpy as np

from tfspecnorm import norms
from tfspecnorm.layers import scales


def check(power_iterations: Any, bound: Any, jit_compile: Any) -> None:
    """Raise a `ValueError` that names the first argument that is not what it must be."""
    if (
        isinstance(power_iterations, bool)
        or not isinstance(power_iterations, (int, np.integer))
        or power_iterations < 1
    ):
        raise ValueError(
            "Argument `power_iterations` must be a positive integer. "
            f"Received: power_iterations={power_iterations!r}"
        )
    if bound is not None:
        scales.check_positive("bound", bound, " or `None`")
    if not isinstance(jit_compile, bool) and jit_compile != "auto":
        raise ValueError(
            'Argument `jit_compile` must be `True`, `False` or `"auto"`. '
            f"Received: jit_compile={jit_compile!r}"
        )


def resolved(norm: Any) -> Any:
    """Norm objects for names: one, or a dict of them; `None` where a kernel has its default."""
    if isinstance(norm, dict) and "class_name" not in norm:
        return {name: None if value is None else norms.get(value) for name, value in norm.items()}
    return None if norm is None else norms.get(norm)


def serialized(norm: Any) -> Any:
    """What a configuration holds of norm objects: one, or a dict of them."""
    if isinstance(norm, dict):
        return {name: serialized(value) for name, value in norm.items()}
    return None if norm is None else keras.saving.serialize_keras_object(norm)
