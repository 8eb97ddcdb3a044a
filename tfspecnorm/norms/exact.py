"""The norm of a map to the last digits, by decompositions: for reports and as an oracle."""

from typing import NamedTuple

import numpy as np

from tfspecnorm._util.arguments import is_number
from tfspecnorm.norms import _grid_maximum
from tfspecnorm.norms._application import sides, sides_of
from tfspecnorm.norms._arrays import check_linear_map, checked_kernel
from tfspecnorm.norms._geometry import sizes_known
from tfspecnorm.norms.linear_map import LinearMap

# A side of so many entries is decomposed whole.
DIRECT = 400


class Exact(NamedTuple):
    """A largest singular value.

    Args:
        value: The singular value.
        residual: ‖Kᵀu − value·v‖ / value of its vectors: some singular value lies that close. 0
            where all singular values were computed, by LAPACK.
    """

    value: float
    residual: float


def exact(kernel: np.ndarray, linear_map: LinearMap, tolerance: float = 1e-10) -> Exact:
    """Largest singular value of the true map of a kernel.

    By LAPACK for a map without taps and for small convolutions, by `scipy.sparse.linalg.svds` of
    the convolution for others.
    Groups and channels are decomposed one by one, those whose upper bound is too small not at all.

    Guarantee: *exact*, for every padding, stride, dilation, number of groups, and transposed, at
    the map's input size.

    Args:
        kernel: Array of the kernel.
        linear_map: `LinearMap` of the kernel, with an input size if it is a convolution.
        tolerance: Relative accuracy that ARPACK is asked for. Defaults to 1e-10.

    Returns:
        `Exact` value and residual, both NaN if an entry is not finite.

    Raises:
        ValueError: If the kernel is not real or has another shape than the map, or the input size
            of a convolution is not known.
        ImportError: If SciPy is not installed.

    Example:

    >>> from tfspecnorm.norms import convolution, window
    >>> linear_map = convolution((3, 3, 1, 1), window(2, input_size=8))
    >>> round(exact(np.ones((3, 3, 1, 1)), linear_map).value, 4)  # (1 + 2 cos(π/9))²
    8.2909
    """
    kernel = checked_kernel(kernel, linear_map)
    if not is_number(tolerance) or not 0 <= tolerance < 1:
        raise ValueError(
            f"Argument `tolerance` must be in [0, 1). Received: tolerance={tolerance!r}"
        )
    size = np.max(np.abs(kernel), initial=0.0)
    if not np.isfinite(size):
        return Exact(float("nan"), float("nan"))
    if size == 0:
        return Exact(0.0, 0.0)
    if not linear_map.convolves:
        return Exact(float(_of_matrix(linear_map.matrix(kernel / size, np)) * size), 0.0)
    if not sizes_known(linear_map.window):
        raise ValueError(
            "Argument `linear_map` must have an input size: the norm of a convolution depends on "
            f"it. Received: linear_map={linear_map!r}"
        )
    best = _grid_maximum.largest_block(
        kernel / size, linear_map, lambda *block: _of_convolution(*block, tolerance)
    )
    return Exact(float(best.value * size), best.residual)


def _of_matrix(matrices: np.ndarray) -> float:
    """Largest singular value of a matrix or a stack; of a large one from its Gram matrix."""
    rows, columns = matrices.shape[-2:]
    if min(rows, columns) <= 256:
        return float(np.linalg.svd(matrices, compute_uv=False).max())
    turned = matrices.swapaxes(-1, -2)
    gram = matrices @ turned if rows < columns else turned @ matrices
    return float(np.sqrt(np.linalg.eigvalsh(gram).max()))


def _of_convolution(kernel: np.ndarray, linear_map: LinearMap, tolerance: float) -> Exact:
    if not np.any(kernel):
        return Exact(0.0, 0.0)
    apply, adjoint, shape = sides(kernel, linear_map, np)
    if is_small(linear_map):
        function = adjoint if shape[0] < shape[1] else apply
        return Exact(_of_matrix(function(np.eye(min(shape)))), 0.0)
    svds, operator_of = _scipy()
    # SciPy hands over columns, too.
    forth, back = (
        lambda vector: apply(vector.reshape(-1)),
        lambda vector: adjoint(vector.reshape(-1)),
    )
    operator = operator_of(shape, matvec=forth, rmatvec=back, dtype="float64")
    start = np.random.default_rng(0).standard_normal(min(shape))
    left, values, right = svds(operator, k=1, tol=tolerance, v0=start)
    value = float(values[0])
    residual = np.linalg.norm(adjoint(left[:, 0]) - value * right[0])
    return Exact(value, float(residual / value))


def _scipy() -> tuple:
    try:
        from scipy.sparse.linalg import LinearOperator, svds
    except ModuleNotFoundError as error:
        raise ImportError(
            "Exact norms of convolutions need SciPy. Install it:\n"
            '    pip install "tfspecnorm[analysis]"'
        ) from error
    return svds, LinearOperator


def entries_of(linear_map: LinearMap) -> int:
    """Entries of the smaller side of a convolution of known size, of one block.

    >>> from tfspecnorm.norms import convolution, window
    >>> entries_of(convolution((3, 3, 2, 4), window(2, input_size=8)))
    128
    """
    check_linear_map(linear_map)
    (rows, inputs), (columns, outputs) = sides_of(linear_map)
    return min(rows * inputs, columns * outputs)


def is_small(linear_map: LinearMap) -> bool:
    """Whether `exact` decomposes a convolution whole, so that its value is certified.

    >>> from tfspecnorm.norms import convolution, window
    >>> is_small(convolution((3, 3, 1, 1), window(2, input_size=8)))
    True
    """
    check_linear_map(linear_map)
    return sizes_known(linear_map.window) and entries_of(linear_map) <= DIRECT


def work_of(linear_map: LinearMap) -> int:
    """Multiplications of one application of a convolution of known size, of one block.

    >>> from tfspecnorm.norms import convolution, window
    >>> work_of(convolution((3, 3, 2, 4), window(2, input_size=8)))
    4608
    """
    check_linear_map(linear_map)
    (rows, _), (columns, _) = sides_of(linear_map)
    inputs, outputs = linear_map.matrix_shape[-2:]
    return max(rows, columns) * inputs * outputs
