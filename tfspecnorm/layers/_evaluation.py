"""Norms of kernels outside of training: measured anew, whatever the stored vectors are."""

from typing import Any

import keras

from tfspecnorm import norms
from tfspecnorm._backend.operations import ops

# Note [Evaluation measures]
# Training tracks a norm with the vectors of the last call. Outside of training these are stale: an
# optimizer step, an average of weights or an assignment has moved the kernel, not them. There W̄
# is a function of the kernel alone. The search runs on stopped values; σ at the vectors that it
# finds carries the gradient, as in training. The kernel is divided by its largest entry first, so
# that the norm of every float32 kernel is right, from 1e-38 to 3e38.

# The inverse, with which XLA multiplies, must not be a denormal number.
_LARGEST = {"float32": 1e37, "float64": 1e307}
# What rounding takes from an upper bound.
_ROUNDING = 2e-6


def rescaled(value: Any) -> tuple[Any, Any]:
    """A kernel divided by its largest entry, and that entry."""
    largest = ops.max(ops.abs(ops.stop_gradient(value)))
    limit = _LARGEST[keras.backend.standardize_dtype(largest.dtype)]
    size = ops.where(largest > 0.0, ops.where(largest > limit, limit, largest), 1.0)
    return value / size, size


def evaluation_task(norm: norms.Norm, value: Any, linear_map: norms.LinearMap) -> norms.Task:
    """How a kernel is measured outside of training, see Note [Evaluation measures]."""
    scaled, size = rescaled(value)
    state = norm.search(ops.stop_gradient(scaled), linear_map)
    return norms.Task(norm, scaled, state, linear_map, size=size)


def certain_share(task: norms.Task, sigma: Any) -> Any:
    """Share of a bound that is not exceeded even if σ is as much too low as it may be."""
    if task.power_iterations:
        return 1.0
    upper = task.norm.upper_bound(ops.stop_gradient(task.kernel), task.linear_map)
    sigma = ops.stop_gradient(sigma)
    return (1.0 - _ROUNDING) * ops.where(sigma < upper, sigma / upper, 1.0)
