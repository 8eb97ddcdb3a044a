"""Products of matrices with vectors, unit vectors, and inverses of norms, for tensors."""

import functools
from typing import Any

import numpy as np

from tfspecnorm._backend.operations import ops, row_of_largest
from tfspecnorm.norms.base import TINY


def times(matrix: Any, vector: Any) -> Any:
    """W u for a matrix, or for each one in a stack."""
    return ops.squeeze(ops.matmul(matrix, ops.expand_dims(vector, -1)), -1)


def transpose_times(matrix: Any, vector: Any) -> Any:
    """Wᵀ v for a matrix, or for each one in a stack."""
    return ops.squeeze(ops.matmul(ops.expand_dims(vector, -2), matrix), -2)


def normalized(vector: Any, fallback: Any) -> Any:
    """Unit vector of `vector`, or `fallback` for zero; squares of 1e±30 stay finite."""
    largest = ops.max(ops.abs(vector), axis=-1, keepdims=True)
    scaled = vector / largest
    inverse = ops.rsqrt(ops.sum(ops.square(scaled), axis=-1, keepdims=True))
    # Not a number for zero and for what is not finite: that must not leave its mark in the vectors.
    return ops.where(inverse > 0.0, scaled * inverse, fallback)


def even(vector: Any) -> Any:
    """The unit vector with equal entries, of this shape."""
    ones = ops.ones_like(vector)
    return ones * ops.rsqrt(ops.sum(ones, axis=-1, keepdims=True))


def longest_row(matrix: Any) -> Any:
    """The longest row of a matrix, or of each one in a stack."""
    return row_of_largest(matrix, ops.sum(ops.square(matrix), axis=-1))


def inverse_of(sigma: Any) -> Any:
    """1/σ, and 1 for a σ of zero.

    Compared so that a σ that is not a number stays none.
    """
    return ops.reciprocal(ops.where(ops.stop_gradient(sigma) <= TINY, 1.0, sigma))


@functools.lru_cache(maxsize=256)
def scattered(count: int, size: int) -> np.ndarray:
    """Fixed vectors that look random, of entries between −1 and 1.

    By a formula and no generator of NumPy: `torch.compile` traces through it.
    """
    angles = np.arange(1.0, count * size + 1.0) * 12.9898
    waves = np.sin(angles) * 43758.5453
    entries = 2.0 * (waves - np.floor(waves)) - 1.0
    return entries.reshape(count, size).astype("float32")
