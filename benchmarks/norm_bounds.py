"""Bounds of a convolution's norm from the literature, as functions on arrays, to compare with."""

import itertools
import math

import numpy as np

from tfspecnorm.norms._arrays import checked_kernel
from tfspecnorm.norms._frequencies import split
from tfspecnorm.norms._geometry import axes_of
from tfspecnorm.norms._leading_vectors import leading_singular_vectors
from tfspecnorm.norms.fourier import check_convolution
from tfspecnorm.norms.linear_map import LinearMap


def four_reshapes(kernel: np.ndarray, linear_map: LinearMap) -> float:
    """√(taps) times the smallest norm of the kernel's reshapes.

        σ ≤ √(k₁·k₂) · min ‖W reshaped to (kₛ · outputs, k_rest · inputs)‖ over subsets S of axes

    With two axes these are the four matrices of the paper, with one axis two, with three eight:
    A(ω) is such a matrix between two vectors of waves, of lengths √kₛ and √k_rest. A strided
    kernel is folded by space-to-depth first.

    Guarantee: *upper bound* at every input size, for zero and circular padding, every stride,
    dilation and number of groups. Loose: 1.6 times too large for random 3×3 kernels.

    Args:
        kernel: Array of the kernel.
        linear_map: `LinearMap` of a convolution.

    Returns:
        The bound.

    Raises:
        ValueError: If the kernel is none of a convolution, is not real or has another shape.

    Example:

    >>> from tfspecnorm.norms import convolution
    >>> round(four_reshapes(np.ones((3, 3, 1, 1)), convolution((3, 3, 1, 1))), 4)
    9.0

    Reference: Singla, Feizi, "Fantastic Four: Differentiable Bounds on Singular Values of
    Convolution Layers", 2021, arXiv:1911.10258.
    """
    return max(_four_reshapes(block) for block in _folded(kernel, linear_map))


def tensor_norm(
    kernel: np.ndarray, linear_map: LinearMap, restarts: int = 8, seed: int = 0
) -> float:
    """√(taps) times the spectral norm of the kernel as a complex tensor of all its axes.

        σ ≤ √(k₁·k₂) · max |⟨W, a ⊗ b ⊗ c ⊗ d⟩| over complex unit vectors a, b, c, d

    Guarantee: *estimate*. The maximum is an upper bound at every input size; it is sought by
    alternating iteration, which may end in a local one, and the best of some restarts is taken.

    Args:
        kernel: Array of the kernel.
        linear_map: `LinearMap` of a convolution.
        restarts: Positive integer, random starts. Defaults to 8.
        seed: Of the random starts. Defaults to 0.

    Returns:
        The estimate.

    Raises:
        ValueError: If the kernel is none of a convolution, is not real or has another shape.

    Example:

    >>> from tfspecnorm.norms import convolution
    >>> round(tensor_norm(np.ones((3, 3, 1, 1)), convolution((3, 3, 1, 1))), 4)
    9.0

    Reference: Grishina, Gorbunov, Rakhuba, "Tight and Efficient Upper Bound on Spectral Norm of
    Convolutional Layers", 2024, arXiv:2409.11859.
    """
    random = np.random.default_rng(seed)
    found = 0.0
    for block in _folded(kernel, linear_map):
        factor = math.sqrt(math.prod(block.shape[:-2]))
        found = max(found, *(factor * _alternating(block, random) for _ in range(restarts)))
    return found


def gram_in_space(kernel: np.ndarray, linear_map: LinearMap, iterations: int = 5) -> float:
    """Gram iteration with the kernel itself, which grows: a bound without frequencies.

        K ← K correlated with itself, t times;   σ ≤ (max over i of Σ |Kₜ[·, i, j]|)^(2⁻ᵗ)

    Guarantee: *upper bound* at every input size, for zero and circular padding. `Gram` on a grid
    of frequencies is tighter and cheaper.

    Args:
        kernel: Array of the kernel.
        linear_map: `LinearMap` of a convolution.
        iterations: Positive integer t; the kernel grows to 2ᵗ(k − 1) + 1 taps. Defaults to 5.

    Returns:
        The bound.

    Raises:
        ValueError: If the kernel is none of a convolution, is not real or has another shape.

    Example:

    >>> from tfspecnorm.norms import convolution
    >>> round(gram_in_space(np.ones((3, 3, 1, 1)), convolution((3, 3, 1, 1))), 4)
    9.0

    Reference: Delattre, Barthélemy, Allauzen, "Spectral Norm of Convolutional Layers with Circular
    and Zero Paddings", 2024, arXiv:2402.00240.
    """
    return max(_gram_in_space(block, iterations) for block in _folded(kernel, linear_map))


def _folded(kernel: np.ndarray, linear_map: LinearMap) -> list[np.ndarray]:
    """Kernels `(steps..., phases · inputs, outputs)` of stride 1, one for each block."""
    kernel = checked_kernel(kernel, linear_map)
    check_convolution(linear_map)
    view = linear_map.as_convolution
    axes = axes_of(linear_map)
    stacked = view.stacked(kernel, np)
    taps = [axis.taps for axis in axes]
    stacked = stacked.reshape(*taps, -1, *stacked.shape[1:])
    along = []
    for axis in axes:
        steps, phases, _ = split(axis)
        along.append((_ranks(steps), _ranks(phases)))
    counts = [[max(ranks) + 1 for ranks in pair] for pair in along]
    sizes = [count for count, _ in counts], [count for _, count in counts]
    folded = np.zeros((*sizes[0], *sizes[1], *stacked.shape[len(taps) :]))
    for tap in np.ndindex(*taps):
        step = tuple(pair[0][index] for pair, index in zip(along, tap, strict=True))
        phase = tuple(pair[1][index] for pair, index in zip(along, tap, strict=True))
        folded[step + phase] = stacked[tap]
    *_, inputs, blocks, outputs = folded.shape
    folded = folded.reshape(*sizes[0], math.prod(sizes[1]) * inputs, blocks, outputs)
    return [folded[..., block, :] for block in range(blocks)]


def _ranks(values: tuple[int, ...]) -> list[int]:
    """Each value's place among the distinct ones: taps that are always zero are left out."""
    distinct = sorted(set(values))
    return [distinct.index(value) for value in values]


def _four_reshapes(kernel: np.ndarray) -> float:
    rank = kernel.ndim - 2
    found = []
    for chosen in itertools.product((False, True), repeat=rank):
        rows = [axis for axis in range(rank) if not chosen[axis]] + [rank]
        columns = [axis for axis in range(rank) if chosen[axis]] + [rank + 1]
        matrix = kernel.transpose(*rows, *columns)
        matrix = matrix.reshape(math.prod(kernel.shape[axis] for axis in rows), -1)
        found.append(float(leading_singular_vectors(matrix)[1]))
    return math.sqrt(math.prod(kernel.shape[:-2])) * min(found)


def _alternating(kernel: np.ndarray, random: np.random.Generator) -> float:
    vectors = []
    for size in kernel.shape:
        vector = random.standard_normal(size) + 1j * random.standard_normal(size)
        vectors.append(vector / np.linalg.norm(vector))
    value = 0.0
    for _ in range(500):
        before = value
        for axis in range(kernel.ndim):
            rest = kernel
            for other in reversed(range(kernel.ndim)):
                if other != axis:
                    rest = np.tensordot(rest, vectors[other].conj(), axes=(other, 0))
            value = float(np.linalg.norm(rest))
            if value > 0:
                vectors[axis] = rest / value
        if value <= before * (1 + 1e-10):
            break
    return value


def _gram_in_space(kernel: np.ndarray, iterations: int) -> float:
    axes = tuple(range(kernel.ndim - 2))
    size = [2**iterations * (kernel.shape[axis] - 1) + 1 for axis in axes]
    matrices = np.fft.fftn(kernel, s=size, axes=axes)
    logarithm = 0.0
    for done in range(iterations):
        largest = np.abs(matrices).max()
        if largest == 0:
            return 0.0
        logarithm += 0.5**done * math.log(largest)
        matrices = matrices / largest
        matrices = matrices.conj().swapaxes(-1, -2) @ matrices
    grown = np.abs(np.fft.ifftn(matrices, axes=axes))
    return float(math.exp(logarithm) * grown.sum(axis=(*axes, -1)).max() ** 0.5**iterations)
