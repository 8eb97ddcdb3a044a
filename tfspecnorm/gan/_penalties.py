"""Penalties on the gradient of a discriminator in its input."""

from collections.abc import Callable
from typing import Any

from keras import ops

from tfspecnorm._backend import gradients

# The square root has no derivative at zero.
_TINY = 1e-24


def r1(function: Callable[[Any], Any], real: Any) -> Any:
    """½·mean ‖∇D(x)‖² over real images.

    Args:
        function: Callable from images to logits, without side effects.
        real: Tensor of real images, the batch first.

    Returns:
        Scalar tensor, differentiable in the variables of the function.

    Reference: Mescheder, Geiger, Nowozin, "Which Training Methods for GANs do actually
    Converge?", 2018, arXiv:1801.04406.
    """
    return 0.5 * ops.mean(_squared_slopes(function, real))


def one_centred(function: Callable[[Any], Any], real: Any, fake: Any, fraction: Any) -> Any:
    """mean (‖∇D(x̂)‖ − 1)² over x̂ = t·x + (1 − t)·G(z).

    Args:
        function: Callable from images to logits, without side effects.
        real: Tensor of real images, the batch first.
        fake: Tensor of generated images, as many.
        fraction: Tensor t of one number for each image, which multiplies with images.

    Returns:
        Scalar tensor, differentiable in the variables of the function.

    Reference: Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville, "Improved Training of Wasserstein
    GANs", 2017, arXiv:1704.00028.
    """
    between = fraction * real + (1.0 - fraction) * fake
    squares = _squared_slopes(function, between)
    return ops.mean(ops.square(ops.sqrt(ops.maximum(squares, _TINY)) - 1.0))


def _squared_slopes(function: Callable[[Any], Any], images: Any) -> Any:
    """‖∂D/∂x‖² of each image, itself differentiable in the variables."""
    (slopes,) = gradients.in_values(lambda values: ops.sum(function(*values)), [images], again=True)
    return ops.sum(ops.square(slopes), axis=tuple(range(1, len(slopes.shape))))
