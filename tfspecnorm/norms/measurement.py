"""What a norm answers."""

import functools
from typing import Any, NamedTuple

import keras
import numpy as np

from tfspecnorm._backend.operations import ops
from tfspecnorm.norms.linear_map import LinearMap

# Below this a norm counts as zero: the smallest normal float32 number.
TINY = float(np.finfo("float32").tiny)

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

    @property
    def factors(self) -> tuple[Any, Any]:
        """The tensors; `kernel` is linear in the first one."""
        return self.left, self.right

    def kernel(self, left: Any, right: Any) -> Any:
        """The kernel that factors like these make."""
        return self.linear_map.kernel(outer(left, right))


class WholeKernel(NamedTuple):
    """A tensor of the shape of a kernel.

    Args:
        tensor: The tensor.
    """

    tensor: Any

    @property
    def factors(self) -> tuple[Any]:
        """The tensor."""
        return (self.tensor,)

    def kernel(self, tensor: Any) -> Any:
        """The tensor itself."""
        return tensor


class Measurement(NamedTuple):
    """A norm, the state to measure with next time, and the norm's gradient where it is known.

    Args:
        sigma: Scalar tensor, differentiable in the kernel.
        state: Dict from name to tensor, constants for the gradient.
        direction: Tuple of `OuterProduct`s and `WholeKernel`s whose sum is ∂σ/∂W; `None` if only
            automatic differentiation knows it.
        inverse: 1/σ, see `inverse_of`, where it is computed already; else `None`.
    """

    sigma: Any
    state: dict[str, Any]
    direction: tuple[OuterProduct | WholeKernel, ...] | None = None
    inverse: Any = None


def inverse_of(sigma: Any) -> Any:
    """1/σ, and 1 for a σ of zero.

    Compared so that a σ that is not a number stays none.
    """
    return ops.reciprocal(ops.where(ops.stop_gradient(sigma) <= TINY, 1.0, sigma))


def outer(left: Any, right: Any) -> Any:
    """The matrix v uᵀ of two vectors, or a stack of them."""
    left, right = ops.expand_dims(left, -1), ops.expand_dims(right, -2)
    return ops.matmul(left, right) if _products_are_exact() else left * right


@functools.cache
def _products_are_exact() -> bool:
    """Whether matrix products keep 32 bits and are the quicker way to multiply vectors.

    TensorFlow takes four times as long to broadcast on a CPU; a GPU may round factors to 10 bits.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return {device.device_type for device in tf.config.list_physical_devices()} == {"CPU"}
