"""Kernels as arrays: what functions on arrays want of them."""

from typing import Any

import numpy as np

from tfspecnorm.norms.linear_map import LinearMap


def checked_kernel(kernel: Any, linear_map: Any) -> np.ndarray:
    """The kernel in double precision, or a `ValueError` if it is not one of the map.

    Args:
        kernel: Array of real numbers of the shape of the map.
        linear_map: `LinearMap`.
    """
    check_linear_map(linear_map)
    try:
        array = np.asarray(kernel)
        real = array.dtype.kind not in "cOSUMm"
        array = array.astype("float64") if real else array
    except (TypeError, ValueError):
        real = False
    if not real:
        raise ValueError(
            "Argument `kernel` must be an array of real numbers. "
            f"Received: kernel of type {getattr(kernel, 'dtype', type(kernel).__name__)}"
        )
    if array.shape != linear_map.kernel_shape:
        raise ValueError(
            f"Argument `kernel` must have the shape {linear_map.kernel_shape} of `linear_map`. "
            f"Received: kernel of shape {array.shape}"
        )
    return array


def check_linear_map(linear_map: Any) -> None:
    """Raise a `ValueError` for anything but a `LinearMap`."""
    if not isinstance(linear_map, LinearMap):
        raise ValueError(
            "Argument `linear_map` must be a `LinearMap`, for instance from `norms.dense` or "
            f"`norms.convolution`. Received: linear_map={linear_map!r}"
        )
