"""W̄ = s·W/σ(W), its bounded form, and their gradient."""

import itertools
from typing import Any

import keras
from keras import ops

from tfspecnorm.norms import Measurement
from tfspecnorm.norms.measurement import TINY, inverse_of

# Note [Closed form]
# With d = σ, or max(σ/c, 1), and G = ∂L/∂W̄ the gradient of W̄ = W/d is
#     (G − ⟨G, W̄⟩·d′·∂σ/∂W) / d,   ∂σ/∂W = v uᵀ with constant u, v,
# or a sum of such products, as the norm says. A constant factor s of W̄ is part of 1/d.
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
    factors = [part.factors for part in measurement.direction]
    if bound is None:
        inverse = inverse_of(sigma) if measurement.inverse is None else measurement.inverse
    else:
        # Compared so that a σ that is not a number reaches the outputs.
        small = ops.stop_gradient(sigma) <= bound
        inverse = ops.where(small, 1.0, bound / ops.where(small, 1.0, sigma))
        weight = ops.cast(ops.logical_not(small), sigma.dtype) * (1.0 / bound)
        factors = [(weight * first, *rest) for first, *rest in factors]
    constant = scale if isinstance(scale, float) else 1.0
    divide = _closed_form(measurement.direction, constant)
    result = divide(kernel, inverse, *itertools.chain(*factors))
    return result if isinstance(scale, float) else scale * result


def _closed_form(direction: tuple[Any, ...], scale: float) -> Any:
    """s·W/d as a function of W, 1/d and the factors of ∂d/∂W, see Note [Closed form]."""

    @ops.custom_gradient
    def divide(kernel: Any, inverse: Any, *factors: Any) -> Any:
        multiplier = inverse if scale == 1.0 else scale * inverse
        effective = kernel * multiplier

        def gradient(*given: Any, upstream: Any = None) -> tuple[Any, ...]:
            # PyTorch passes the arguments and names the gradient; TensorFlow passes it alone.
            if upstream is None:
                (upstream,), factor, sides, result = given, multiplier, factors, effective
            else:
                raw, reciprocal, *sides = given
                factor = scale * reciprocal
                result = raw * factor
            inner = ops.sum(upstream * result)
            if scale != 1.0:
                inner = inner * (1.0 / scale)
            numerator, waiting = upstream, iter(sides)
            for part in direction:
                first, *rest = itertools.islice(waiting, len(part.factors))
                numerator = numerator - part.kernel(inner * first, *rest)
            return (numerator * factor, *(None for _ in range(1 + len(sides))))

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
