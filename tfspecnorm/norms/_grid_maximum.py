"""The largest norm over all frequencies of concrete kernels, in NumPy and double precision."""

import math
from collections.abc import Callable

import numpy as np

from tfspecnorm.norms._frequencies import plan_of
from tfspecnorm.norms.linear_map import LinearMap

# Note [Definite]
# A is no larger than c if and only if c²I − AᴴA is positive definite, and a Cholesky
# decomposition that succeeds proves that, up to 1e-12, in a twentieth of the time that singular
# values take. So only the few frequencies are decomposed that could exceed the largest norm found.

# Matrices up to this size are decomposed all at once.
_DIRECT = 16
# Entries of all the matrices that are held at once: 256 MB.
_ENTRIES = 2**24
_ESTIMATING_STEPS = 4


def block_bounds(kernel: np.ndarray, linear_map: LinearMap, tolerance: float = 1e-9) -> np.ndarray:
    """For each block of a convolution the largest norm over the grid, times the grid's excess.

    Args:
        kernel: Array of the kernel.
        linear_map: `LinearMap` of a convolution.
        tolerance: How much the values may be above that, relatively; they are never below.

    Returns:
        Array `(blocks,)`; NaN if an entry of the kernel is not finite.
    """

    def largest(matrices: np.ndarray, known: float) -> float:
        return largest_norm(matrices, known, tolerance)

    return _over_grid(kernel, linear_map, largest) * (1 + tolerance)


def largest_block(
    kernel: np.ndarray,
    linear_map: LinearMap,
    measure: Callable[[np.ndarray, LinearMap], tuple],
) -> tuple:
    """What `measure` finds, value first, of the block of a convolution with the largest value.

    Blocks whose bound is below a value that was found are not measured.
    """
    blocks = linear_map.blocks(kernel)
    if len(blocks) == 1:
        return measure(*blocks[0])
    limits = block_bounds(kernel, linear_map, 1e-3)
    best = None
    for index in np.argsort(limits)[::-1]:
        if best is not None and limits[index] <= best[0]:
            break
        found = measure(*blocks[index])
        best = found if best is None else max(best, found, key=lambda part: part[0])
    return best


def gram_bounds(kernel: np.ndarray, linear_map: LinearMap, iterations: int) -> np.ndarray:
    """The same with the bound of so many Gram iterations in place of each norm."""

    def largest(matrices: np.ndarray, known: float) -> float:
        return max(known, float(gram_norms(matrices, iterations).max()))

    return _over_grid(kernel, linear_map, largest)


def gram_norms(matrices: np.ndarray, iterations: int) -> np.ndarray:
    """‖Gₜ‖_F^(2⁻ᵗ) of each matrix, with G₀ the matrix and Gₜ = Gₜ₋₁ᴴ Gₜ₋₁."""
    if matrices.shape[-2] < matrices.shape[-1]:
        matrices = matrices.swapaxes(-1, -2)
    logarithm = np.zeros(matrices.shape[:-2])
    for done in range(iterations + 1):
        size = np.linalg.norm(matrices, axis=(-2, -1))
        usable = np.where(size > 0, size, 1.0)
        logarithm = logarithm + 0.5**done * np.log(usable)
        matrices = matrices / usable[..., None, None]
        if done < iterations:
            matrices = matrices.conj().swapaxes(-1, -2) @ matrices
    return np.where(size > 0, np.exp(logarithm), 0.0)


def _over_grid(
    kernel: np.ndarray,
    linear_map: LinearMap,
    largest: Callable[[np.ndarray, float], float],
) -> np.ndarray:
    view = linear_map.as_convolution
    kernel = view.stacked(np.asarray(kernel, "float64"), np)
    rows, blocks, outputs = kernel.shape
    inputs = rows // view.taps
    size = np.max(np.abs(kernel), initial=0.0)
    if not np.isfinite(size):
        return np.full(blocks, np.nan)
    if size == 0:
        return np.zeros(blocks)
    scaled = (kernel / size).reshape(view.taps, inputs, blocks, outputs)
    tables = plan_of(linear_map, "float64")
    circles = np.split(tables.waves, tables.circles)
    if tables.of_vectors:
        found = [_largest_vectors(waves, scaled) for waves in circles]
    else:
        found = [
            [_largest_matrix(waves, scaled[:, :, block], largest) for block in range(blocks)]
            for waves in circles
        ]
    return np.min(found, axis=0) * tables.excess * size


def transfer_matrices(kernel: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """Complex matrices `(frequencies, phases · inputs, outputs)` of a block `(taps, in, out)`."""
    phases = waves.shape[1] // 2
    complex_waves = waves[:, :phases] + 1j * waves[:, phases:]
    images = np.tensordot(complex_waves, kernel, axes=1)
    return images.reshape(len(waves), -1, kernel.shape[-1])


def largest_norm(matrices: np.ndarray, known: float, tolerance: float) -> float:
    """The larger one of `known` and all norms; norms within the tolerance above it may be missed.

    See Note [Definite].

    Args:
        matrices: Complex array `(count, rows, columns)`.
        known: A norm.
        tolerance: Relative.
    """
    adjoint = matrices.conj().swapaxes(-1, -2)
    wide = matrices.shape[-2] < matrices.shape[-1]
    grams = matrices @ adjoint if wide else adjoint @ matrices
    size = grams.shape[-1]
    if size <= _DIRECT:
        return max(known, math.sqrt(max(np.linalg.eigvalsh(grams)[:, -1].max(), 0.0)))
    unit = np.eye(size)
    for index in np.argsort(_estimates(grams))[::-1]:
        limit = ((1 + tolerance) * known) ** 2
        try:
            np.linalg.cholesky(limit * unit - grams[index])
        except np.linalg.LinAlgError:
            known = max(known, math.sqrt(np.linalg.eigvalsh(grams[index])[-1]))
    return known


def _estimates(grams: np.ndarray) -> np.ndarray:
    """Largest eigenvalues, roughly, by a few power iterations."""
    vectors = np.random.default_rng(0).standard_normal((grams.shape[-1], 1))
    for _ in range(_ESTIMATING_STEPS):
        vectors = grams @ vectors
        sizes = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.where(sizes > 0, sizes, 1.0)
    return sizes[:, 0, 0]


def _largest_matrix(
    waves: np.ndarray, kernel: np.ndarray, largest: Callable[[np.ndarray, float], float]
) -> float:
    rows, columns = kernel.shape[-2] * waves.shape[1] // 2, kernel.shape[-1]
    each = max(_ENTRIES // max(rows * columns, min(rows, columns) ** 2), 1)
    known = 0.0
    for start in range(0, len(waves), each):
        known = largest(transfer_matrices(kernel, waves[start : start + each]), known)
    return known


def _largest_vectors(waves: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Of each block, where every matrix is a row or a column."""
    taps, inputs, blocks, outputs = kernel.shape
    images = waves.reshape(-1, taps) @ kernel.reshape(taps, -1)
    images = images.reshape(len(waves), -1, inputs, blocks, outputs)
    return np.sqrt(np.square(images).sum(axis=(1, 2, 4)).max(axis=0))
