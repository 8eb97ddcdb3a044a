"""Arguments that the wrappers which divide by a norm share."""

from typing import Any

import keras

from tfspecnorm import norms
from tfspecnorm._util.arguments import check_jit_compile, check_positive, check_positive_integer


def check(power_iterations: Any, bound: Any, jit_compile: Any) -> None:
    """Raise a `ValueError` that names the first argument that is not what it must be."""
    check_positive_integer("power_iterations", power_iterations)
    if bound is not None:
        check_positive("bound", bound, " or `None`")
    check_jit_compile(jit_compile)


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
