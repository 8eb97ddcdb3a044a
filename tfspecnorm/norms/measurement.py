"""What a norm answers."""

from typing import Any, NamedTuple


class Measurement(NamedTuple):
    """A norm, the state to measure with next time, and the norm's gradient where it is known.

    Args:
        sigma: Scalar tensor, differentiable in the kernel.
        state: Dict from name to tensor, constants for the gradient.
        direction: Pair of tensors `(left, right)` of shapes `(..., inputs)` and
            `(..., outputs)` whose outer product, in the matrix view of the kernel, is
            ∂σ/∂W; `None` if only automatic differentiation knows it.
    """

    sigma: Any
    state: dict[str, Any]
    direction: tuple[Any, Any] | None = None
