"""How large is a linear map: small pure objects over tensors, which know no layer."""

from typing import Any

import keras
import numpy as np

from tfspecnorm.norms._arrays import check_linear_map, checked_kernel
from tfspecnorm.norms.base import (
    ESTIMATE,
    EXACT,
    UPPER_BOUND,
    Measurement,
    Norm,
    OuterProduct,
    Task,
    WholeKernel,
    measure_together,
)
from tfspecnorm.norms.bidirectional import Bidirectional
from tfspecnorm.norms.exact import Exact, entries_of, exact, is_small, work_of
from tfspecnorm.norms.fourier import Fourier
from tfspecnorm.norms.gram import Gram
from tfspecnorm.norms.linear_map import (
    LinearMap,
    convolution,
    dense,
    depthwise_convolution,
    transposed_convolution,
)
from tfspecnorm.norms.matrix import Matrix
from tfspecnorm.norms.operator import Operator
from tfspecnorm.norms.window import Window, window

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
    "Norm",
    "Operator",
    "OuterProduct",
    "Task",
    "WholeKernel",
    "Window",
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
_DEFAULTS = {
    "dense": Matrix,
    "convolution": Matrix,
    "transposed_convolution": Matrix,
    "depthwise_convolution": Fourier,
    "embedding": Matrix,
}


def default_norm(linear_map: LinearMap) -> Norm:
    """The norm that a wrapper with `norm=None` uses for a kernel of this kind.

    >>> default_norm(LinearMap("dense", (3, 4), output_axes=(1,)))
    Matrix()
    """
    check_linear_map(linear_map)
    return _DEFAULTS[linear_map.kind]()


def get(identifier: Any) -> Norm:
    """A norm object from its name, its serialized form, or itself.

    Args:
        identifier: Name such as `"matrix"`, dict made by
            `keras.saving.serialize_keras_object`, or a `Norm`.

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
    if isinstance(identifier, Norm):
        return identifier
    known = ", ".join(f'"{name}"' for name in sorted(_NAMED))
    raise ValueError(
        f"Argument `norm` must be `None`, one of {known}, an instance of a subclass of "
        "`tfspecnorm.norms.Norm`, or a dict from kernel name to one of these. "
        f"Received: norm={identifier!r}"
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
    return get(norm).converged(kernel, linear_map)
