"""How large is a linear map: small pure objects over tensors, which know no layer."""

from typing import Any

import keras

from tfspecnorm.norms.bidirectional import Bidirectional
from tfspecnorm.norms.fourier import Fourier
from tfspecnorm.norms.linear_map import LinearMap, Window
from tfspecnorm.norms.matrix import Matrix
from tfspecnorm.norms.measurement import Measurement, OuterProduct

__all__ = [
    "Bidirectional",
    "Fourier",
    "LinearMap",
    "Matrix",
    "Measurement",
    "OuterProduct",
    "Window",
    "default_norm",
    "get",
]

_NAMED = {"bidirectional": Bidirectional, "fourier": Fourier, "matrix": Matrix}
_DEFAULTS = {
    "dense": Matrix,
    "convolution": Matrix,
    "transposed_convolution": Matrix,
    "depthwise_convolution": Fourier,
    "embedding": Matrix,
}


def default_norm(linear_map: LinearMap) -> Any:
    """The norm that a wrapper with `norm=None` uses for a kernel of this kind.

    >>> default_norm(LinearMap("dense", (3, 4), output_axes=(1,)))
    Matrix()
    """
    return _DEFAULTS[linear_map.kind]()


def get(identifier: Any) -> Any:
    """A norm object from its name, its serialized form, or itself.

    Args:
        identifier: Name such as `"matrix"`, dict made by
            `keras.saving.serialize_keras_object`, or an object with `state_shapes`,
            `warm_up`, `traced_warm_up` and `__call__` like those of `tfspecnorm.norms.Matrix`.

    Returns:
        The norm object.

    Raises:
        ValueError: If the name is unknown or the object is no norm.

    Example:

    >>> get("matrix")
    Matrix()
    """
    if isinstance(identifier, str) and identifier in _NAMED:
        return _NAMED[identifier]()
    if isinstance(identifier, dict) and "class_name" in identifier:
        identifier = keras.saving.deserialize_keras_object(identifier)
    is_object = callable(identifier) and not isinstance(identifier, type)
    if is_object and hasattr(identifier, "state_shapes"):
        return identifier
    known = ", ".join(f'"{name}"' for name in sorted(_NAMED))
    raise ValueError(
        f"Argument `norm` must be `None`, one of {known}, a norm object, or a dict from kernel "
        f"name to one of these. Received: norm={identifier!r}"
    )
