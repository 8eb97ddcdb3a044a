"""A certified bound of a convolution's norm by Gram iteration."""

from typing import Any

import keras
import numpy as np

from tfspecnorm._backend.operations import ops
from tfspecnorm._util.arguments import check_positive_integer
from tfspecnorm.norms import _grid_maximum, _transfer_matrices
from tfspecnorm.norms._of_convolutions import OfConvolutions
from tfspecnorm.norms._symbol import as_matrix, image_at, peak, symbol
from tfspecnorm.norms.base import TINY, UPPER_BOUND, Measurement, Norm, Task
from tfspecnorm.norms.linear_map import LinearMap


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Gram(OfConvolutions):
    """Upper bound of a map's norm by Gram iteration, for a convolution at each frequency.

        G₀ = A(ω),   Gₜ = Gₜ₋₁ᴴ Gₜ₋₁,   σ(W) = max ‖Gₜ‖_F^(2⁻ᵗ) over frequencies ω and blocks

    A is the symbol of `tfspecnorm.norms.Fourier`, for a map without taps its matrix. The bound is
    a Schatten norm, smooth in A, and falls to ‖A‖ with t at once for all vectors: there is no
    state and no convergence to wait for.

    Guarantee: *upper bound* of the layer's norm, certified at every step, for every padding,
    stride, dilation and number of groups: at the input size N that the layer was built for, on
    the frequencies of a circle of M ≥ N + p pixels, or, where an axis has no size or a large one,
    at every size, on a grid with a proven factor (1 % for 3×3 taps). Above the norm on that grid
    by g^(2⁻ᵗ⁻¹) at most, g the smaller side of A: for g = 32 by 11 % at 4 iterations and 2.7 % at
    6, for random kernels by less. Kernels of 1e±30 do not overflow: every power is scaled.

    It differs from the paper in what stands for unknown sizes. There the kernel is correlated with
    itself and grows to 2ᵗ(k − 1) + 1 taps; the grid of frequencies is tighter and cheaper, see
    `benchmarks/norm_methods.py`. `gram_in_space` of `benchmarks/norm_bounds.py` is the paper's.

    State: none. Gradient: block and frequency of the peak are constants, the bound there is
    differentiated automatically.

    Args:
        iterations: Positive integer t. Defaults to 5.

    Raises:
        ValueError: If `iterations` is no positive integer.

    Example:

    >>> from tfspecnorm.norms import Gram, convolution, window
    >>> linear_map = convolution((3, 3, 1, 1), window(2, input_size=8))
    >>> round(float(Gram()(np.ones((3, 3, 1, 1), "float32"), {}, linear_map).sigma), 4)
    8.2909

    Reference: Delattre, Barthélemy, Araujo, Allauzen, "Efficient Bound of Lipschitz Constant for
    Convolutional Layers by Gram Iteration", 2023, arXiv:2305.16173.
    """

    def __init__(self, iterations: int = 5) -> None:
        self.iterations = check_positive_integer("iterations", iterations)

    def get_config(self) -> dict[str, Any]:
        return {"iterations": self.iterations}

    def norm_for(self, linear_map: LinearMap) -> Norm:
        return (_OfConvolutions if linear_map.convolves else _OfMatrices)(self.iterations)


class _OfMatrices(Norm):
    def __init__(self, iterations: int) -> None:
        self.iterations = iterations

    def guarantee(self, linear_map: LinearMap) -> str:
        return UPPER_BOUND

    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        matrices = linear_map.matrix(np.asarray(kernel, "float64"), np)
        return float(_grid_maximum.gram_norms(matrices, self.iterations).max())

    def measure(self, task: Task) -> Measurement:
        kernel = ops.convert_to_tensor(task.kernel)
        largest = ops.stop_gradient(ops.max(ops.abs(kernel))) + TINY
        return Measurement(largest * self.of_scaled(kernel / largest, task.linear_map), {})

    def of_scaled(self, kernel: Any, linear_map: LinearMap) -> Any:
        """The bound of a kernel whose largest entry is 1."""
        matrices = linear_map.matrix(kernel)
        zeros = ops.zeros_like(matrices)
        return ops.max(_root(_transfer_matrices.gram_bound(matrices, zeros, self.iterations - 1)))


class _OfConvolutions(_OfMatrices):
    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        return float(_grid_maximum.gram_bounds(kernel, linear_map, self.iterations).max())

    def of_scaled(self, kernel: Any, linear_map: LinearMap) -> Any:
        given = symbol(kernel, linear_map)
        found = peak(given, self.iterations - 1)
        real, imaginary = ops.unstack(as_matrix(image_at(given.kernel, found, given.inputs)), 2)
        square = _transfer_matrices.gram_bound(real, imaginary, self.iterations - 1)
        # An entry that is not finite shows, in whichever block it is.
        return given.tables.excess * _root(square) + 0.0 * ops.sum(given.scaled)


def _root(squares: Any) -> Any:
    """√x, with a gradient of 0 at 0."""
    positive = squares > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, squares, 1.0)), 0.0)
