"""W̄ = s·W/σ(W), its bounded form, and their gradient."""

import itertools
from typing import Any

import keras
from keras import ops

from tfspecnorm.norms import LinearMap, Measurement
from tfspecnorm.norms.matrix import TINY

# Note [Closed form]
# With d = σ, or max(σ/c, 1), and G = ∂L/∂W̄ the gradient of W̄ = W/d is
#     (G − ⟨G, W̄⟩·d′·∂σ/∂W) / d,   ∂σ/∂W = v uᵀ with constant u, v,
# or a sum of such products, as the norm says.
# On TensorFlow and PyTorch every operation has a price of its own, and writing this out
# halves the number of them. σ enters as an argument without a gradient: the first derivative
# is complete as it stands, and the second one reaches σ through the arguments. XLA fuses what
# automatic differentiation makes of the quotient to the same, so JAX keeps it, and with it
# forward-mode derivatives and `jax.checkpoint`, which a custom gradient would break.


def quotient(
    kernel: Any,
    measurement: Measurement,
    scale: Any = 1.0,
    bound: float | None = None,
) -> Any:
    """The kernel divided by its norm, differentiable in the kernel and the scale.

    A zero kernel stays as it is and passes its gradient on.

    Args:
        kernel: Tensor of at least 32 bits.
        measurement: Norm of this kernel, with its gradient's direction.
        scale: Number or scalar tensor s.
        bound: Positive number c, or `None`.

    Returns:
        Tensor s·W/σ, or s·W/max(σ/c, 1) with a bound.
    """
    if keras.backend.backend() == "jax" or measurement.direction is None:
        return kernel * _factor(measurement.sigma, scale, bound)
    sigma = measurement.sigma
    # Written as "not below", so that a σ that is not a number reaches the outputs.
    active = ops.logical_not(ops.stop_gradient(sigma) <= (TINY if bound is None else bound))
    slope = 1.0 if bound is None else 1.0 / bound
    denominator = ops.where(active, slope * sigma, 1.0)
    weight = slope * ops.cast(active, denominator.dtype)
    maps = tuple(part.linear_map for part in measurement.direction)
    factors = [(weight * part.left, part.right) for part in measurement.direction]
    result = _closed_form(maps)(kernel, denominator, *itertools.chain(*factors))
    return result if isinstance(scale, float) and scale == 1.0 else scale * result


def _closed_form(maps: tuple[LinearMap, ...]) -> Any:
    """W/d as a function of W, d and the factors of ∂d/∂W, see Note [Closed form]."""

    @ops.custom_gradient
    def divide(kernel: Any, denominator: Any, *factors: Any) -> Any:
        effective = kernel / denominator

        def gradient(*given: Any, upstream: Any = None) -> tuple[Any, ...]:
            # PyTorch passes the arguments and names the gradient; TensorFlow passes it alone.
            if upstream is None:
                (upstream,), divisor, sides, result = given, denominator, factors, effective
            else:
                raw, divisor, *sides = given
                result = raw / divisor
            inner = ops.sum(upstream * result)
            numerator = upstream
            for linear_map, left, right in zip(maps, sides[::2], sides[1::2], strict=True):
                outer = ops.expand_dims(inner * left, -1) * ops.expand_dims(right, -2)
                numerator = numerator - linear_map.kernel(outer)
            return (numerator / divisor, *(None for _ in range(1 + len(sides))))

        return effective, gradient

    return divide


def _factor(sigma: Any, scale: Any, bound: float | None) -> Any:
    """s/σ or s/max(σ/c, 1) as one number, for automatic differentiation.

    σ·r with the constant r = 1/σ is 1 and has the gradient of σ in relative terms, so neither
    the quotient nor its derivatives overflow where σ² would.
    """
    usable = ops.logical_not(ops.stop_gradient(sigma) <= TINY)
    one = ops.ones_like(sigma)
    constant = one / ops.stop_gradient(ops.where(usable, sigma, one))
    relative = ops.where(usable, sigma * constant, one)
    factor = scale * (constant / relative)
    if bound is None:
        return factor
    return ops.where(sigma <= bound, scale * one, bound * factor)
