"""Largest singular values of many small complex matrices, in real arithmetic."""

from typing import Any

from keras import ops

from tfspecnorm.norms.matrix import TINY

# ‖Gᵖ‖ in the Frobenius norm bounds the p-th power of the largest of g eigenvalues, with a factor
# of √g at most. With p = 2⁶ its root is too large by 0.4 % for g = 3 and 0.8 % for g = 8.
_SQUARINGS = 6
# The one matrix whose vectors are wanted may cost more.
_VECTOR_SQUARINGS = 12


def squared_norms(images: Any) -> Any:
    """Squared largest singular values of complex matrices, or a certified bound.

    Exact, up to rounding, for matrices with two rows or two columns; otherwise too large by
    less than 2 % (1 % for the norm itself).

    Args:
        images: Tensor of shape `(frequencies, 2, rows, channels, columns)`: real parts, then
            imaginary ones.

    Returns:
        Tensor of shape `(frequencies, channels)`.
    """
    _, _, rows, channels, columns = images.shape
    if columns == 2:
        return _of_two(images[..., 0], images[..., 1], (1, 2))
    if rows == 2:
        return _of_two(images[:, :, 0], images[:, :, 1], (1, 3))
    images = ops.reshape(images, (-1, 2 * rows, channels, columns))
    matrices = _real(ops.transpose(images, (0, 2, 1, 3)))
    adjoint = ops.swapaxes(matrices, -1, -2)
    gram = matrices @ adjoint if rows < columns else adjoint @ matrices
    power, logarithm = _power(gram, _SQUARINGS)
    # The real form has every eigenvalue twice.
    frobenius = 0.5 * ops.sum(ops.square(power), axis=(-2, -1))
    return ops.exp(logarithm) * frobenius ** (0.5 ** (_SQUARINGS + 1))


def leading_vectors(image: Any) -> tuple[Any, Any, Any]:
    """Leading left vector, singular value and right vector of one complex matrix.

    Args:
        image: Tensor of shape `(2 · rows, columns)`: real part above imaginary part.

    Returns:
        Tuple of tensors with shapes `(2, rows)`, `()` and `(2, columns)`.
    """
    matrix = _real(image)
    power, _ = _power(ops.transpose(matrix) @ matrix, _VECTOR_SQUARINGS)
    # Every column is the vector, up to a complex factor; the largest has the smallest error.
    right = ops.take(power, ops.argmax(ops.sum(ops.square(power), axis=0)), axis=1)
    right = right * ops.rsqrt(ops.sum(ops.square(right)) + TINY)
    left = ops.sum(matrix * right, axis=-1)
    norm = ops.sqrt(ops.sum(ops.square(left)))
    return ops.reshape(left / (norm + TINY), (2, -1)), norm, ops.reshape(right, (2, -1))


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


def _real(images: Any) -> Any:
    """The real form [[Re, −Im], [Im, Re]] of matrices given as Re above Im."""
    real, imaginary = ops.split(images, 2, axis=-2)
    turned = ops.concatenate([-imaginary, real], axis=-2)
    return ops.concatenate([images, turned], axis=-1)


def _power(gram: Any, squarings: int) -> tuple[Any, Any]:
    """G to the power 2^squarings up to a factor, and the logarithm of the factor's root."""
    logarithm = 0.0
    for done in range(squarings + 1):
        size = ops.max(ops.abs(gram), axis=(-2, -1), keepdims=True) + TINY
        gram = gram / size
        logarithm = logarithm + 0.5**done * ops.log(size)
        if done < squarings:
            # As an operator: `ops.matmul` computes in 32 bits on PyTorch.
            gram = gram @ gram
    return gram, ops.squeeze(logarithm, (-2, -1))
