"""How large is a linear map: small pure objects over tensors, which know no layer."""

from typing import Any

import keras
import numpy as np

from tfspecnorm.norms import bounds
from tfspecnorm.norms._arrays import check_linear_map, checked_kernel
from tfspecnorm.norms._together import Task, measure_together
from tfspecnorm.norms.bidirectional import Bidirectional
from tfspecnorm.norms.exact import Exact, entries_of, exact, is_small, work_of
from tfspecnorm.norms.fourier import Fourier
from tfspecnorm.norms.gram import Gram
from tfspecnorm.norms.linear_map import (
    LinearMap,
    Window,
    convolution,
    dense,
    depthwise_convolution,
    transposed_convolution,
    window,
)
from tfspecnorm.norms.matrix import Matrix
from tfspecnorm.norms.measurement import (
    ESTIMATE,
    EXACT,
    UPPER_BOUND,
    Measurement,
    OuterProduct,
    WholeKernel,
)
from tfspecnorm.norms.operator import Operator

__all__ = [
    "ESTIMATE",
    "EXACT",
    "UPPER_BOUND",
    "Bidirectional",
    "Exact",
    "Fourier",
    "Gram",
    "LinearMap",
    "Matrix",
    "Measurement",
    "Operator",
    "OuterProduct",
    "Task",
    "WholeKernel",
    "Window",
    "bounds",
    "convolution",
    "default_norm",
    "dense",
    "depthwise_convolution",
    "entries_of",
    "exact",
    "get",
    "is_small",
    "measure",
    "measure_together",
    "transposed_convolution",
    "window",
    "work_of",
]

_NAMED = {
    "bidirectional": Bidirectional,
    "fourier": Fourier,
    "gram": Gram,
    "matrix": Matrix,
    "operator": Operator,
}
# What an object has that wrappers can divide by, beside a call.
_METHODS = ("state_shapes", "warm_up", "search", "upper_bound", "guarantee")
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
    check_linear_map(linear_map)
    return _DEFAULTS[linear_map.kind]()


def get(identifier: Any) -> Any:
    """A norm object from its name, its serialized form, or itself.

    Args:
        identifier: Name such as `"matrix"`, dict made by
            `keras.saving.serialize_keras_object`, or an object with `state_shapes`, `warm_up`,
            `search`, `upper_bound`, `guarantee` and `__call__` like those of
            `tfspecnorm.norms.Matrix`.

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
    if is_object and all(hasattr(identifier, name) for name in _METHODS):
        return identifier
    known = ", ".join(f'"{name}"' for name in sorted(_NAMED))
    raise ValueError(
        f"Argument `norm` must be `None`, one of {known}, a norm object, or a dict from kernel "
        f"name to one of these. Received: norm={identifier!r}"
    )


def measure(kernel: Any, linear_map: LinearMap, norm: Any = "operator") -> float:
    """A norm of an array, converged, in double precision.

    Args:
        kernel: Array of the kernel.
        linear_map: What the kernel stands for: a `LinearMap`, for instance from `dense`,
            `convolution`, `depthwise_convolution` or `transposed_convolution`.
        norm: Name or norm object. Its `guarantee(linear_map)` says what the value is. Defaults to
            the norm of the map itself.

    Returns:
        The norm. NaN if an entry of the kernel is not finite.

    Raises:
        ValueError: If the kernel is not real or has another shape than the map, or the norm needs
            an input size that the map does not have.

    Example:

    >>> kernel = np.ones((3, 3, 1, 1))
    >>> linear_map = convolution(kernel.shape, window(2, input_size=8))
    >>> [round(measure(kernel, linear_map, norm), 2) for norm in ("matrix", "operator", "gram")]
    [3.0, 8.29, 8.29]
    """
    kernel = checked_kernel(kernel, linear_map)
    if not np.all(np.isfinite(kernel)):
        return float("nan")
    found = get(norm)
    if not hasattr(found, "converged"):
        raise ValueError(
            "Argument `norm` must have a method `converged(kernel, linear_map)` to measure arrays. "
            f"Received: norm={norm!r}"
        )
    return found.converged(kernel, linear_map)
