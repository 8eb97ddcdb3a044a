"""A convolution applied to an input, and its adjoint to an output, as gather and matrix product.

Whatever stride, dilation, padding and groups are: output o is the product of the pixels that it
reads, one for each tap, with the matrix view of the kernel. Input i of the adjoint is the product
of the outputs that read it with the matrix view of the adjoint kernel.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from tfspecnorm._backend.operations import constant, ops
from tfspecnorm.norms._geometry import axes_of, tables
from tfspecnorm.norms._leading_vectors import lanczos
from tfspecnorm.norms.linear_map import LinearMap

# Entries of the gathered matrix that NumPy multiplies at once: they stay in the cache.
_CHUNK = 2**20


class Sides(NamedTuple):
    """A convolution on flat vectors: pixels, and the channels of each, one after the other.

    The input side is that of the convolution which a transposed one is the adjoint of.

    Args:
        apply: Function from inputs `(..., entries)` to outputs.
        adjoint: Function from outputs to inputs.
        shape: Entries of an output and of an input.
    """

    apply: Callable[[Any], Any]
    adjoint: Callable[[Any], Any]
    shape: tuple[int, int]


def sides_of(linear_map: LinearMap) -> tuple[tuple[int, int], tuple[int, int]]:
    """Shapes `(pixels, channels)` of input and output, of one block if there are several."""
    forward, backward = tables(axes_of(linear_map))
    *_, rows, outputs = linear_map.as_convolution.matrix_shape
    return (len(backward), rows // linear_map.taps), (len(forward), outputs)


def sides(kernel: Any, linear_map: LinearMap, library: ModuleType = ops) -> Sides:
    """Both sides of a kernel: of a tensor, or of an array with `library=numpy`."""
    return sides_of_views(*views(kernel, linear_map, library), library)


def views(kernel: Any, linear_map: LinearMap, library: ModuleType = ops) -> tuple[Any, ...]:
    """What `sides` are made of: matrices of the kernel and of its adjoint, and their tables."""
    view = linear_map.as_convolution
    matrices = view.matrix(kernel, library), view.adjoint.matrix(kernel, library)
    both = tables(axes_of(linear_map))
    return *matrices, *(both if library is np else [constant(table, kernel) for table in both])


def sides_of_views(
    matrix: Any, adjoint: Any, forward: Any, backward: Any, library: ModuleType = ops
) -> Sides:
    """Both sides from what `views` returns."""
    product = _chunked if library is np else _product
    inputs, outputs = adjoint.shape[-1], matrix.shape[-1]
    return Sides(
        lambda vector: product(vector, inputs, forward, matrix),
        lambda vector: product(vector, outputs, backward, adjoint),
        (forward.shape[0] * outputs, backward.shape[0] * inputs),
    )


def leading_of(
    kernel: np.ndarray, linear_map: LinearMap, tolerance: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """Left vector, singular value and right vector of a convolution without blocks, in NumPy.

    A kernel of zeros or with entries that are not finite gives constant unit vectors and 0.
    """
    kernel = np.asarray(kernel, "float64")
    largest = np.max(np.abs(kernel), initial=0.0)
    apply, adjoint, shape = sides(kernel / (largest or 1.0), linear_map, np)
    if not (np.isfinite(largest) and largest > 0):
        return np.full(shape[0], shape[0] ** -0.5), 0.0, np.full(shape[1], shape[1] ** -0.5)
    left, value, right = lanczos(apply, adjoint, shape, tolerance)
    return left, value * largest, right


def _product(vector: Any, channels: int, table: Any, matrix: Any) -> Any:
    pixels = ops.reshape(vector, (*vector.shape[:-1], -1, channels))
    padded = ops.concatenate([pixels, ops.zeros_like(pixels[..., :1, :])], axis=-2)
    gathered = ops.take(padded, table, axis=-2)
    gathered = ops.reshape(gathered, (*vector.shape[:-1], table.shape[0], -1))
    return ops.reshape(gathered @ matrix, (*vector.shape[:-1], -1))


def _chunked(
    vector: np.ndarray, channels: int, table: np.ndarray, matrix: np.ndarray
) -> np.ndarray:
    pixels = vector.reshape(*vector.shape[:-1], -1, channels)
    padded = np.concatenate([pixels, np.zeros_like(pixels[..., :1, :])], axis=-2)
    rows = max(_CHUNK // (matrix.shape[-2] * max(np.prod(pixels.shape[:-2], dtype=int), 1)), 1)
    parts = []
    for start in range(0, len(table), rows):
        part = table[start : start + rows]
        gathered = np.take(padded, part, axis=-2)
        parts.append(gathered.reshape(*pixels.shape[:-2], len(part), -1) @ matrix)
    return np.concatenate(parts, axis=-2).reshape(*vector.shape[:-1], -1)
