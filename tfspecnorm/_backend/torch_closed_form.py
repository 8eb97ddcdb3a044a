"""The quotient on PyTorch: a function of its own, in few passes over the kernel."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

Remainder = Callable[[Any, Any, Sequence[Any]], Any]


def divided(
    kernel: Any, inverse: Any, factors: Sequence[Any], scale: float, remainder: Remainder
) -> Any:
    """As `closed_form.divide`, of which Keras' custom gradient would compute W̄ twice."""
    # `torch.compile` takes no function that says how to differentiate it forward.
    kind = _Division if torch.compiler.is_compiling() else _ForwardToo
    return kind.apply(kernel, inverse, scale, remainder, *factors)


def minus_outer(matrix: Any, left: Any, right: Any) -> Any:
    """A tensor that is a matrix in another shape, less v uᵀ, in one pass."""
    rows = matrix.reshape(len(left), len(right))
    return torch.addr(rows, left, right, alpha=-1).reshape(matrix.shape)


class _Division(torch.autograd.Function):
    # What `torch.func` needs: a forward that is apart from what it keeps, and rules for `vmap`.
    generate_vmap_rule = True

    @staticmethod
    def forward(
        kernel: Any, inverse: Any, scale: float, remainder: Remainder, *factors: Any
    ) -> Any:
        return kernel * (inverse if scale == 1.0 else scale * inverse)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        kernel, inverse, scale, remainder, *factors = inputs
        # As tensors of the graph, W̄ too: derivatives of the gradient pass through them.
        ctx.save_for_backward(output, inverse, *factors)
        ctx.save_for_forward(output, inverse, *factors)
        ctx.scale, ctx.remainder = scale, remainder

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> tuple[Any, ...]:
        effective, inverse, *factors = ctx.saved_tensors
        # Once: what a convolution hands back has its axes in another order.
        upstream = upstream.contiguous()
        inner = torch.dot(upstream.reshape(-1), effective.reshape(-1))
        if ctx.scale != 1.0:
            inner, inverse = inner * (1.0 / ctx.scale), ctx.scale * inverse
        found = ctx.remainder(upstream, inner, factors) * inverse
        return (found, *(None for _ in range(3 + len(factors))))


class _ForwardToo(_Division):
    @staticmethod
    def jvp(ctx: Any, tangent: Any, *others: Any) -> Any:
        effective, inverse, *factors = ctx.saved_tensors
        if ctx.scale != 1.0:
            inverse = ctx.scale * inverse
        # ⟨∂d/∂W, tangent⟩, from the remainder, which is linear in the inner product.
        one = torch.ones((), dtype=tangent.dtype, device=tangent.device)
        direction = -ctx.remainder(torch.zeros_like(tangent), one, factors)
        change = torch.sum(direction * tangent) * inverse
        if ctx.scale != 1.0:
            change = change * (1.0 / ctx.scale)
        return tangent * inverse - effective * change
