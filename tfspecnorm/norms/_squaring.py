"""Leading singular vectors of tensors by squaring the Gram matrix: no state, no loop."""

from typing import Any

from tfspecnorm._backend.operations import constant, ops
from tfspecnorm._backend.traced_once import traced_once
from tfspecnorm.norms._vectors import (
    even,
    longest_row,
    normalized,
    scattered,
    times,
    transpose_times,
)

# Note [Squaring]
# Power iteration takes G = WᵀW to a high power and applies it to a vector. Here G is squared s
# times, and the result P is applied p times to a few fixed random vectors: together 2^s·p = 4096
# steps. σ is then too small by less than 1e-3 however badly the singular values lie (511 of them
# 0.05 % below the largest: 2e-5; 0.01 %: 1e-4), and by rounding alone where the first two differ by
# 0.2 % or more. There is no loop and no decomposition, which LiteRT and quantizers could not
# convert. Nothing depends on stored vectors, which may have lost the leading direction.
# ‖G^(2^s)‖_F^(1/2^(s+1)) is an upper bound of σ, which for s = 11 is too large by less than 8e-4.

_STEPS = 12
_SQUARINGS_FOR_BOUND = 11
# A product with a matrix of more rows than this takes longer than several with four vectors.
_SMALL = 64
_SQUARINGS_IF_LARGE = 7
_VECTORS = 4
# Squarings and products between two scalings: entries of 512 rows stay within 2^±72.
_UNSCALED_SQUARINGS = 3
_UNSCALED_PRODUCTS = 16

# Up to this smaller side squaring is quicker than a Lanczos iteration.
LARGEST_SIDE = 512


def is_quick(matrix_shape: tuple[int, ...]) -> bool:
    """Whether squaring is the quicker way for a matrix, or a stack of them."""
    return min(matrix_shape[-2:]) <= LARGEST_SIDE


def leading_vectors(matrix: Any) -> tuple[Any, Any]:
    """Leading vectors of a matrix or of each one in a stack, see Note [Squaring].

    Args:
        matrix: Tensor of shape `(..., inputs, outputs)` whose largest entry is about 1.

    Returns:
        Tuple of unit vectors with shapes `(..., outputs)` and `(..., inputs)`, arbitrary ones for a
        matrix of zeros or one with entries that are not finite.
    """
    *blocks, inputs, outputs = matrix.shape
    size = min(inputs, outputs)
    return _leading_vectors(
        matrix,
        constant(scattered(_VECTORS, size), matrix),
        squarings=_STEPS - 1 if size <= _SMALL else _SQUARINGS_IF_LARGE,
        by_rows=inputs < outputs,
        shapes=((*blocks, outputs), (*blocks, inputs)),
    )


@traced_once(always=True)
def _leading_vectors(matrix: Any, start: Any, squarings: int, by_rows: bool) -> tuple[Any, Any]:
    vector = leading_eigenvector(_gram(matrix, by_rows), start, squarings)
    if by_rows:
        return normalized(transpose_times(matrix, vector), even(matrix[..., 0, :])), vector
    return vector, normalized(times(matrix, vector), even(matrix[..., 0]))


def _gram(matrix: Any, by_rows: bool) -> Any:
    sides = (matrix, ops.swapaxes(matrix, -2, -1))
    return ops.matmul(*(sides if by_rows else sides[::-1]))


def leading_eigenvector(gram: Any, start: Any = None, squarings: int = _STEPS - 1) -> Any:
    """Leading eigenvector of a positive semidefinite matrix, or of each one in a stack."""
    if start is None:
        start = constant(scattered(_VECTORS, gram.shape[-1]), gram)
    power, _ = _power(gram, squarings)
    power = power * ops.rsqrt(ops.sum(ops.square(power), axis=(-2, -1), keepdims=True))
    vectors = ops.cast(start, gram.dtype)
    for number in range(1, 2 ** (_STEPS - squarings) + 1):
        # In rows: TensorFlow takes twice as long for a few columns.
        vectors = ops.matmul(vectors, power)
        if number % _UNSCALED_PRODUCTS == 0:
            vectors = vectors / ops.max(ops.abs(vectors), axis=(-2, -1), keepdims=True)
    vector = longest_row(vectors)
    return normalized(vector, even(vector))


def upper_bound(matrix: Any) -> Any:
    """Upper bound of the largest singular value, see Note [Squaring], for the same argument."""
    *blocks, inputs, outputs = matrix.shape
    return _upper_bound(matrix, by_rows=inputs < outputs, shapes=(tuple(blocks),))


@traced_once(always=True)
def _upper_bound(matrix: Any, by_rows: bool) -> Any:
    power, logarithm = _power(_gram(matrix, by_rows), _SQUARINGS_FOR_BOUND)
    last = 0.5 ** (_SQUARINGS_FOR_BOUND + 1)
    total = ops.sum(ops.square(power), axis=(-2, -1), keepdims=True)
    return ops.exp(0.5 * ops.squeeze(logarithm + last * ops.log(total), (-2, -1)))


def _power(gram: Any, squarings: int) -> tuple[Any, Any]:
    """A power of a matrix, scaled, and the logarithm of its scale's root of the same degree."""
    logarithm = 0.0
    for number in range(squarings + 1):
        if number % _UNSCALED_SQUARINGS == 0 or number == squarings:
            largest = ops.max(gram, axis=(-2, -1), keepdims=True)
            gram = gram / largest
            logarithm = logarithm + 0.5**number * ops.log(largest)
        if number < squarings:
            gram = ops.matmul(gram, gram)
    return gram, logarithm
