"""The argument `norm` of wrappers, and its form in a configuration."""

from typing import Any

import keras

from tfspecnorm import norms


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
