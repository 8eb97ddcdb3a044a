"""Quotients W̄ = s·W/σ(W) and g·v/‖v‖, and their gradients, written out."""

import functools
from collections.abc import Sequence
from typing import Any

from tfspecnorm._backend import closed_form
from tfspecnorm._backend.operations import ops, outer
from tfspecnorm._backend.traced_once import traced_once
from tfspecnorm.norms import LinearMap, Measurement
from tfspecnorm.norms._vectors import inverse_of
from tfspecnorm.norms.base import TINY, OuterProduct

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
    if measurement.direction is None or not closed_form.is_quicker():
        return kernel * _factor(measurement.sigma, scale, bound)
    sigma = measurement.sigma
    if bound is None:
        inverse = inverse_of(sigma) if measurement.inverse is None else measurement.inverse
    else:
        # Compared so that a σ that is not a number reaches the outputs.
        small = ops.stop_gradient(sigma) <= bound
        inverse = ops.where(small, 1.0, bound / ops.where(small, 1.0, sigma))
        weight = ops.cast(ops.logical_not(small), sigma.dtype) * (1.0 / bound)
    maps, sides = [], []
    for part in measurement.direction:
        is_outer = isinstance(part, OuterProduct)
        first, *rest = part[1:] if is_outer else part
        maps.append(part.linear_map if is_outer else None)
        sides += [first if bound is None else weight * first, *rest]
    in_order = len(maps) == 1 and (maps[0] is None or maps[0].keeps_order)
    divide = _divided_in_order if in_order else functools.partial(_divided, maps=tuple(maps))
    constant = scale if isinstance(scale, float) else 1.0
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
            part = inner * next(waiting)
            if linear_map is not None:
                part = linear_map.kernel(outer(part, next(waiting)))
            upstream = upstream - part
        return upstream

    return closed_form.divide(kernel, inverse, factors, scale, remainder)


@traced_once()
def _divided_in_order(kernel: Any, inverse: Any, *factors: Any, scale: float) -> Any:
    """The same for one part, whose entries lie as those of the kernel."""

    def remainder(upstream: Any, inner: Any, factors: Sequence[Any]) -> Any:
        part = inner * factors[0]
        return (
            upstream - part
            if len(factors) == 1
            else closed_form.minus_outer(upstream, part, factors[1])
        )

    return closed_form.divide(kernel, inverse, factors, scale, remainder)


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


# Note [Gradient of a gain]
# With unit columns v̂ and G = ∂L/∂W the gradients of W = g·v̂, v̂ = v/‖v‖, are
#     ∂L/∂g = ⟨G, v̂⟩ for each column,   ∂L/∂v = (G − ⟨G, v̂⟩·v̂) · g/‖v‖.
# On TensorFlow writing this out takes a third off what a first step takes longer. On PyTorch each
# operation would pass through Python, and XLA fuses both to the same.


@traced_once()
def scale_columns(matrix: Any, gain: Any) -> Any:
    """The matrix with columns of the lengths that the gains say; columns of zeros stay."""

    @closed_form.with_gradient
    def scale(matrix: Any, gain: Any) -> Any:
        directions, factor, divisor, usable = _directions(matrix)
        multiplier = ops.where(usable, gain * factor, 1.0)

        def gradient(upstream: Any) -> Any:
            units = directions * factor
            inner = ops.sum(upstream * units, axis=-2, keepdims=True)
            inner = ops.where(usable, inner, 0.0)
            return (upstream - inner * units) * (multiplier / divisor), inner

        return directions * multiplier, gradient

    return scale(matrix, gain)


def _directions(matrix: Any) -> tuple[Any, Any, Any, Any]:
    """Columns whose largest entry is 1, 1 over their lengths, their divisors, which are usable.

    The divisor is a constant: the length does not matter, and its square neither overflows nor
    vanishes. It divides, since XLA would move a factor out of the square. Zeros are divided by 1.
    """
    largest = ops.stop_gradient(ops.max(ops.abs(matrix), axis=-2, keepdims=True))
    usable = largest > TINY
    divisor = ops.where(usable, largest, 1.0)
    directions = matrix / divisor
    squared = ops.sum(ops.square(directions), axis=-2, keepdims=True)
    return directions, ops.rsqrt(ops.where(usable, squared, 1.0)), divisor, usable
