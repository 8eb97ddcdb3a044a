"""Gradients that are written out, on the backends where that is quicker."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfspecnorm._backend.operations import ops, outer

Remainder = Callable[[Any, Any, Sequence[Any]], Any]


@functools.cache
def is_quicker() -> bool:
    """Whether operations have a price of their own: XLA fuses what differentiation makes of them.

    Automatic differentiation keeps forward-mode derivatives and `jax.checkpoint`, too.
    """
    return keras.backend.backend() != "jax"


def divide(
    kernel: Any, inverse: Any, factors: Sequence[Any], scale: float, remainder: Remainder
) -> Any:
    """W̄ = s·W/d, where `is_quicker`.

    Args:
        kernel: Tensor W.
        inverse: Scalar tensor 1/d.
        factors: Tensors that make ∂d/∂W.
        scale: Number s.
        remainder: Function of G = ∂L/∂W̄, a number x and the factors: G − x·∂d/∂W.
    """
    if keras.backend.backend() == "torch":
        from tfspecnorm._backend.torch_closed_form import divided

        return divided(kernel, inverse, factors, scale, remainder)

    multiplier = inverse if scale == 1.0 else scale * inverse

    # TensorFlow makes operations for each argument, and reaches what is none.
    @ops.custom_gradient
    def multiplied(kernel: Any) -> Any:
        effective = kernel * multiplier

        def gradient(upstream: Any) -> Any:
            inner = ops.sum(upstream * effective)
            if scale != 1.0:
                inner = inner * (1.0 / scale)
            return remainder(upstream, inner, factors) * multiplier

        return effective, gradient

    return multiplied(kernel)


def minus_outer(tensor: Any, left: Any, right: Any) -> Any:
    """A tensor less v uᵀ in its shape, of whose sizes a traced function knows none."""
    if keras.backend.backend() == "torch":
        from tfspecnorm._backend.torch_closed_form import minus_outer

        return minus_outer(tensor, left, right)
    import tensorflow as tf

    # Keras makes twenty operations of it.
    return tensor - tf.reshape(outer(left, right), tf.shape(tensor))


def with_gradient(function: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """A function that returns a tensor and its gradient, for TensorFlow; elsewhere the tensor.

    On PyTorch each operation of a gradient would pass through Python.
    """
    if keras.backend.backend() == "tensorflow":
        return ops.custom_gradient(function)
    return lambda *tensors: function(*tensors)[0]
