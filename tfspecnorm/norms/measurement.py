"""What a norm answers."""

from typing import Any, NamedTuple

from tfspecnorm.norms.linear_map import LinearMap

# What a norm's `guarantee` says of its value, as a norm of the map that it is meant to measure.
EXACT = "exact"
UPPER_BOUND = "upper bound"
ESTIMATE = "estimate"


class OuterProduct(NamedTuple):
    """A matrix of rank one in the matrix view of a kernel.

    Args:
        linear_map: `LinearMap` in whose matrix view the product stands.
        left: Tensor of shape `(..., inputs)`.
        right: Tensor of shape `(..., outputs)`.
    """

    linear_map: LinearMap
    left: Any
    right: Any


class Measurement(NamedTuple):
    """A norm, the state to measure with next time, and the norm's gradient where it is known.

    Args:
        sigma: Scalar tensor, differentiable in the kernel.
        state: Dict from name to tensor, constants for the gradient.
        direction: Tuple of `OuterProduct`s whose sum is ∂σ/∂W; `None` if only automatic
            differentiation knows it.
    """

    sigma: Any
    state: dict[str, Any]
    direction: tuple[OuterProduct, ...] | None = None
