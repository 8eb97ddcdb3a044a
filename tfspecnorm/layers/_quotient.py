"""W̄ = s·W/σ(W), its bounded form, and their gradient."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfspecnorm._backend.operations import ops
from tfspecnorm._backend.traced_once import traced_once
from tfspecnorm.norms import LinearMap, Measurement
from tfspecnorm.norms.base import TINY, OuterProduct, WholeKernel, inverse_of, outer

# Note [Closed form]
# With d = σ, or max(σ/c, 1), and G = ∂L/∂W̄ the gradient of W̄ = W/d is
#     (G − ⟨G, W̄⟩·d′·∂σ/∂W) / d,   ∂σ/∂W = v uᵀ with constant u, v,
# or a sum of such products, as the norm says. A constant factor s of W̄ is part of 1/d.
# On TensorFlow and PyTorch every operation has a price of its own, and writing this out
# halves the number of them. σ enters without a gradient: the first derivative is complete as it
# stands, and the second one reaches σ through what the first one is computed from. XLA fuses what
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
    maps = tuple(
        part.linear_map if isinstance(part, OuterProduct) else None
        for part in measurement.direction
    )
    in_order = len(maps) == 1 and (maps[0] is None or maps[0].keeps_order)
    divide = _divided_in_order if in_order else functools.partial(_divided, maps=maps)
    constant = scale if isinstance(scale, float) else 1.0
    sides = itertools.chain(*factors)
    result = divide(kernel, inverse, *sides, scale=constant, shapes=(kernel.shape,))
    return result if isinstance(scale, float) else scale * result


@traced_once(sizes_matter=True)
def _divided(
    kernel: Any, inverse: Any, *factors: Any, scale: float, maps: tuple[LinearMap | None, ...]
) -> Any:
    """s·W/d from 1/d and the factors of ∂d/∂W, each with its map, or `None` for a whole kernel."""

    def remainder(upstream: Any, inner: Any, factors: Sequence[Any]) -> Any:
        waiting = iter(factors)
        for linear_map in maps:
            part = WholeKernel(inner * next(waiting))
            if linear_map is not None:
                part = OuterProduct(linear_map, part.tensor, next(waiting))
            upstream = upstream - part.kernel(*part.factors)
        return upstream

    return _closed_form(kernel, inverse, factors, scale, remainder)


@traced_once()
def _divided_in_order(kernel: Any, inverse: Any, *factors: Any, scale: float) -> Any:
    """The same for one part, whose entries lie as those of the kernel."""

    def remainder(upstream: Any, inner: Any, factors: Sequence[Any]) -> Any:
        part = inner * factors[0]
        return upstream - part if len(factors) == 1 else _minus_outer(upstream, part, factors[1])

    return _closed_form(kernel, inverse, factors, scale, remainder)


def _minus_outer(upstream: Any, left: Any, right: Any) -> Any:
    """A tensor less v uᵀ in its shape, of whose sizes a traced function knows none."""
    if keras.backend.backend() == "torch":
        from tfspecnorm._backend.torch_quotient import minus_outer

        return minus_outer(upstream, left, right)
    import tensorflow as tf

    # Keras makes twenty operations of it.
    return upstream - tf.reshape(outer(left, right), tf.shape(upstream))


def _closed_form(
    kernel: Any,
    inverse: Any,
    factors: Sequence[Any],
    scale: float,
    remainder: Callable[[Any, Any, Sequence[Any]], Any],
) -> Any:
    """s·W/d with its gradient, see Note [Closed form].

    The remainder is G − ⟨G, W̄⟩·∂d/∂W, of G, the inner product and the factors.
    """
    if keras.backend.backend() == "torch":
        from tfspecnorm._backend.torch_quotient import divided

        return divided(kernel, inverse, factors, scale, remainder)

    multiplier = inverse if scale == 1.0 else scale * inverse

    # TensorFlow makes operations for each argument, and reaches what is none.
    @ops.custom_gradient
    def divide(kernel: Any) -> Any:
        effective = kernel * multiplier

        def gradient(upstream: Any) -> Any:
            inner = ops.sum(upstream * effective)
            if scale != 1.0:
                inner = inner * (1.0 / scale)
            return remainder(upstream, inner, factors) * multiplier

        return effective, gradient

    return divide(kernel)


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
