"""Converged leading singular vectors of concrete arrays, in NumPy."""

from collections.abc import Callable

import numpy as np

# Up to this size of the smaller side the squares of the Gram matrix are as quick as an iteration,
# of tall matrices several times quicker.
_DIRECT_SIZE = 512
# The power 2^24 does not tell values apart that differ by less than 1e-7.
_SQUARINGS = 24
_OF_RANK_ONE = 1.0 - 1e-14
_LANCZOS_STEPS = 300
# Vectors of a side that are kept at once, the entries of both sides' vectors together (1 GB), and
# how many leading ones stay when there are too many.
_BASIS = 120
_BASIS_ENTRIES = 2**27
_KEPT = 8
_TOLERANCE = 1e-7
_LARGE = 2**24


def leading_singular_vectors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left vector, singular value and right vector of a matrix or of each one in a stack.

    The singular value is converged to about 1e-7 relative. A zero matrix, or one with
    entries that are not finite, gives constant unit vectors and the value 0.

    Args:
        matrix: Array of shape `(..., inputs, outputs)`.

    Returns:
        Tuple of arrays with shapes `(..., inputs)`, `(...,)` and `(..., outputs)`.
    """
    # Double precision of a kernel of 100 million entries would take gigabytes.
    matrix = np.asarray(matrix, "float64" if np.size(matrix) < _LARGE else "float32")
    largest = np.max(np.abs(matrix), axis=(-2, -1), keepdims=True)
    usable = np.isfinite(largest) & (largest > 0)
    scaled = np.where(usable, matrix / np.where(usable, largest, 1.0), 0.0)
    if min(matrix.shape[-2:]) <= _DIRECT_SIZE:
        left, values, right = _by_gram_matrix(scaled)
    else:
        stack = scaled.reshape((-1,) + matrix.shape[-2:])
        found = [_lanczos_of(block) for block in stack]
        left, values, right = (
            np.stack(parts).reshape(matrix.shape[:-2] + np.shape(parts[0]))
            for parts in zip(*found, strict=True)
        )
    largest = np.where(usable, largest, 0.0)[..., 0, 0]
    constant_left = np.full(left.shape, left.shape[-1] ** -0.5)
    constant_right = np.full(right.shape, right.shape[-1] ** -0.5)
    usable = usable[..., 0]
    return (
        np.where(usable, left, constant_left),
        values * largest,
        np.where(usable, right, constant_right),
    )


def _by_gram_matrix(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading triple of each matrix in a stack; unit vectors of zero matrices have zeros.

    The Gram matrix is squared until it has rank one. That is a dozen products, which wait for
    NumPy's threads far less often than LAPACK: on a busy machine the eigenvectors of a 48×48
    matrix take 40 times as long as on an idle one, these squares no longer.
    """
    if matrix.shape[-2] < matrix.shape[-1]:
        right, values, left = _by_gram_matrix(np.swapaxes(matrix, -2, -1))
        return left, values, right
    power = (np.swapaxes(matrix, -2, -1) @ matrix).astype("float64")
    for _ in range(_SQUARINGS):
        trace = np.trace(power, axis1=-2, axis2=-1)[..., None, None]
        power = power / np.where(trace > 0, trace, 1.0)
        # So that it stays symmetric to the last digit.
        power = power @ np.swapaxes(power, -2, -1)
        if np.all(np.trace(power, axis1=-2, axis2=-1) >= _OF_RANK_ONE):
            break
    # A random vector, not a column: of equal singular values none is left out, and an iteration
    # from here sees all of a diagonal kernel when its values change.
    start = np.random.default_rng(0).standard_normal(power.shape[-1])
    right = _unit(power @ start)[0]
    image = (matrix @ right[..., None].astype(matrix.dtype))[..., 0]
    left, values = _unit(image)
    return left, values, right


def _unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length one, where they are not zero, and the lengths that they had."""
    lengths = np.linalg.norm(vectors, axis=-1)
    return vectors / np.where(lengths > 0, lengths, 1.0)[..., None], lengths


def _lanczos_of(matrix: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    # In the matrix' own precision: a product of mixed precision copies the whole matrix.
    def apply(vector: np.ndarray) -> np.ndarray:
        return (matrix @ vector.astype(matrix.dtype)).astype("float64")

    def adjoint(vector: np.ndarray) -> np.ndarray:
        return (vector.astype(matrix.dtype) @ matrix).astype("float64")

    return lanczos(apply, adjoint, matrix.shape)


def lanczos(
    apply: Callable[[np.ndarray], np.ndarray],
    adjoint: Callable[[np.ndarray], np.ndarray],
    shape: tuple[int, int],
    tolerance: float = _TOLERANCE,
) -> tuple[np.ndarray, float, np.ndarray]:
    """Leading singular triple by Golub-Kahan bidiagonalization, fully reorthogonalized.

    Plain power iteration misses 1e-3 after 100 steps where the two largest singular values
    are close; the Krylov space does not. When its basis has grown too large for the memory, it
    goes on from the leading vectors found so far. The start is a fixed Gaussian vector, so equal
    maps give equal vectors.

    Args:
        apply: Function from an input to the map's output, both flat.
        adjoint: Function from an output to an input, both flat.
        shape: Lengths of an output and of an input.
        tolerance: Length of Kᵀu − σv relative to σ at which it ends. Defaults to 1e-7.

    Returns:
        Tuple of the left (output) vector, the singular value, and the right (input) vector.
    """
    if shape[0] < shape[1]:
        # The smaller side ends the iteration: with a basis of all of it nothing is left out.
        right_vector, value, left_vector = lanczos(adjoint, apply, shape[::-1], tolerance)
        return left_vector, value, right_vector
    size = min(_BASIS, max(_BASIS_ENTRIES // sum(shape), 3 * _KEPT), *shape)
    left, right = np.zeros((size, shape[0])), np.zeros((size, shape[1]))
    projected = np.zeros((size, size))
    start = np.random.default_rng(0).standard_normal(shape[1])
    right[0] = start / np.linalg.norm(start)
    step = 0
    for _ in range(_LANCZOS_STEPS):
        image, projected[:step, step] = _without(apply(right[step]), left[:step])
        alpha = np.linalg.norm(image)
        projected[step, step] = alpha
        left[step] = image / alpha if alpha > 0 else image
        used = slice(0, step + 1)
        inner_left, values, inner_right = np.linalg.svd(projected[used, used])
        residual, _ = _without(adjoint(left[step]), right[used])
        beta = np.linalg.norm(residual)
        done = beta * abs(inner_left[-1, 0]) <= tolerance * values[0]
        if done or step + 1 == shape[1]:
            break
        if step + 1 == size:
            kept = slice(0, _KEPT)
            left[kept] = inner_left[:, kept].T @ left
            right[kept] = inner_right[kept] @ right
            projected[:] = 0.0
            projected[kept, kept] = np.diag(values[kept])
            step = _KEPT - 1
        step += 1
        right[step] = residual / beta
    return inner_left[:, 0] @ left[used], values[0], inner_right[0] @ right[used]


def _without(vector: np.ndarray, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a vector that is orthogonal to an orthonormal basis, and its coordinates.

    Taken out twice: where that part is small, once leaves errors that grow with every step (of a
    matrix whose singular values are all alike).
    """
    first = basis @ vector
    vector = vector - first @ basis
    second = basis @ vector
    return vector - second @ basis, first + second
