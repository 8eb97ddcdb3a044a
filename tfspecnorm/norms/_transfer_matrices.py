"""Largest singular values of many small complex matrices, in real arithmetic.

A complex matrix is a pair of real tensors. A Hermitian one has a symmetric real and an
antisymmetric imaginary part, which saves one of the four products of a square.
"""

from typing import Any

from tfspecnorm._backend.operations import ops
from tfspecnorm.norms.base import TINY

# ‖Gᵖ‖ in the Frobenius norm bounds the p-th power of the largest of g eigenvalues, with a factor
# of √g at most. With p = 2⁶ its root is too large by 0.4 % for g = 3, 0.8 % for g = 8, 2.2 % for
# g = 256 (the norm itself, not its square).
SQUARINGS = 6
# The one matrix whose vectors are wanted may cost more.
_VECTOR_SQUARINGS = 12


def squared_norms(images: Any, squarings: int = SQUARINGS) -> Any:
    """Squared largest singular values of complex matrices, or a certified bound.

    Exact, up to rounding, for matrices with two rows or two columns; otherwise too large by a
    factor of (smaller side)^(1 / 2^(squarings + 1)) at most.

    Args:
        images: Tensor of shape `(frequencies, 2, rows, blocks, columns)`: real parts, then
            imaginary ones.
        squarings: How often the Gram matrix is squared.

    Returns:
        Tensor of shape `(frequencies, blocks)`.
    """
    _, _, rows, _, columns = images.shape
    if columns == 2:
        return _of_two(images[..., 0], images[..., 1], (1, 2))
    if rows == 2:
        return _of_two(images[:, :, 0], images[:, :, 1], (1, 3))
    images = ops.transpose(images, (1, 0, 3, 2, 4))
    return gram_bound(images[0], images[1], squarings)


def gram_bound(real: Any, imaginary: Any, squarings: int) -> Any:
    """‖Gᵖ‖^(1/p) ≥ ‖A‖², in the Frobenius norm, of G = AᴴA with p = 2^squarings.

    A is given by its real and imaginary part, `(..., rows, columns)`.
    """
    real, imaginary, logarithm = _power(*_gram(real, imaginary), squarings)
    frobenius = ops.sum(ops.square(real) + ops.square(imaginary), axis=(-2, -1))
    # At least 1 but for a matrix of zeros, where the root has no slope.
    return ops.exp(logarithm) * (frobenius + TINY) ** (0.5 ** (squarings + 1))


def leading_vectors(image: Any) -> tuple[Any, Any, Any]:
    """Leading left vector, singular value and right vector of one complex matrix.

    Args:
        image: Tensor of shape `(2, rows, columns)`: real part and imaginary part.

    Returns:
        Tuple of tensors with shapes `(2, rows)`, `()` and `(2, columns)`.
    """
    real, imaginary = image[0], image[1]
    powers = _power(*_gram(real, imaginary, "columns"), _VECTOR_SQUARINGS)[:2]
    # Every column is the vector, up to a complex factor; the largest has the smallest error.
    sizes = sum(ops.sum(ops.square(part), axis=0) for part in powers)
    right = ops.take(ops.stack(powers), ops.argmax(sizes), axis=2)
    right = right * ops.rsqrt(ops.sum(ops.square(right)) + TINY)
    left = ops.stack(
        [
            ops.sum(real * right[0] - imaginary * right[1], axis=-1),
            ops.sum(real * right[1] + imaginary * right[0], axis=-1),
        ]
    )
    norm = ops.sqrt(ops.sum(ops.square(left)))
    return left / (norm + TINY), norm, right


def _of_two(first: Any, second: Any, axes: tuple[int, ...]) -> Any:
    """Largest eigenvalue of the Gram matrix of two complex vectors."""
    half_sum, half_difference = (
        0.5 * ops.sum(ops.square(first) + sign * ops.square(second), axis=axes)
        for sign in (1.0, -1.0)
    )
    real = ops.sum(first * second, axis=axes)
    turned = ops.stack([-second[:, 1], second[:, 0]], axis=1)
    imaginary = ops.sum(first * turned, axis=axes)
    squares = ops.square(half_difference) + ops.square(real) + ops.square(imaginary)
    return half_sum + ops.sqrt(squares)


def _gram(real: Any, imaginary: Any, side: str = "smaller") -> tuple[Any, Any]:
    """AᴴA, or AAᴴ where that is the smaller one and either will do."""
    if side == "smaller" and real.shape[-2] < real.shape[-1]:
        turned = _transposed(real), _transposed(imaginary)
        cross = imaginary @ turned[0]
        return real @ turned[0] + imaginary @ turned[1], cross - _transposed(cross)
    turned = _transposed(real), _transposed(imaginary)
    cross = turned[0] @ imaginary
    return turned[0] @ real + turned[1] @ imaginary, cross - _transposed(cross)


def _power(real: Any, imaginary: Any, squarings: int) -> tuple[Any, Any, Any]:
    """G to the power 2^squarings up to a factor, and the logarithm of the factor's root."""
    logarithm = 0.0
    for done in range(squarings + 1):
        # The largest entry of a non-negative matrix stands on its diagonal.
        size = ops.stop_gradient(ops.max(ops.abs(real), axis=(-2, -1), keepdims=True)) + TINY
        real, imaginary = real / size, imaginary / size
        logarithm = logarithm + 0.5**done * ops.log(size)
        if done < squarings:
            cross = real @ imaginary
            real, imaginary = (
                real @ real - imaginary @ imaginary,
                cross - _transposed(cross),
            )
    return real, imaginary, ops.squeeze(logarithm, (-2, -1))


def _transposed(matrices: Any) -> Any:
    return ops.swapaxes(matrices, -1, -2)
