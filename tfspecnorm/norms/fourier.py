"""The norm of a convolution on a circle, from its symbol."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfspecnorm._backend.operations import constant, ops
from tfspecnorm._backend.traced_once import traced_once
from tfspecnorm.norms import _depthwise, _grid_maximum, _transfer_matrices
from tfspecnorm.norms._frequencies import multiples, plan_of
from tfspecnorm.norms._geometry import sizes_known
from tfspecnorm.norms._symbol import Peak, as_matrix, image_at, peak, symbol
from tfspecnorm.norms._vectors import inverse_of
from tfspecnorm.norms.base import (
    EXACT,
    TINY,
    UPPER_BOUND,
    Measurement,
    Norm,
    Task,
    WholeKernel,
    measure_groups,
)
from tfspecnorm.norms.linear_map import LinearMap


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Fourier(Norm):
    """Norm of a convolution: the peak of its symbol, a small matrix for each frequency.

        σ(W) = max ‖A(ω)‖ over frequencies ω and blocks (groups, channels of a depthwise kernel)
        A(ω)[(r, i), j] = Σ_q W[s·q + r, i, j] · exp(iωq)

    Rows are inputs i, columns outputs j. A stride s splits the input into phases r, each with
    taps q of its own, which is space-to-depth folding. A dilated kernel is the undilated one on
    smaller images, which lie between each other. A transposed convolution has the norm of the
    convolution that it is the adjoint of.

    Guarantee: *upper bound* of the layer's norm for `"valid"`, `"same"` and `"causal"` padding
    and every stride, dilation, kernel size and number of groups: at the input size that the layer
    was built for, or, where an axis has no size or a large one (N > 31 for 3 taps), at every size.
    *Exact* for circular padding where the stride divides the size. Random depthwise 3×3 kernels,
    "same": too large by 3.5 % at 7×7 pixels, 0.9 % at 14×14, 0.5 % at 28×28 (medians). Without a
    size the bound is at most 1 % above the supremum over all sizes. Matrices of more than two rows
    and columns add g^(1/256), 0.8 % for g = 8 and 2.2 % for g = 256, g the smaller side, in a
    wrapper; not in `converged`, which decomposes them.

    Cost: a depthwise kernel costs less than a power iteration. A full kernel takes up to 544
    matrices for 3×3 taps, each raised to a power: for many channels `Gram` with fewer iterations
    or `Operator` is cheaper in a wrapper.

    It differs from the paper in that it transforms to N + p frequencies along an axis, not
    N + 2p; takes a second circle of as many frequencies and the smaller one of both bounds;
    splits into phases, without which a stride s makes the bound about s times too large;
    covers full and even kernels, dilation and unknown sizes; and in that the gradient flows
    through σ.

    State: none. Gradient: block, frequency and the vectors x, y of ‖A‖ = xᴴA y there are
    constants, ∂σ/∂W = Re x (Re y)ᵀ + Im x (Im y)ᵀ with x spread over the taps.

    Example:

    >>> from tfspecnorm.norms import Fourier, convolution, depthwise_convolution, window
    >>> linear_map = depthwise_convolution((3, 3, 2, 1), window(2, input_size=8))
    >>> kernel = np.ones((3, 3, 2, 1), "float32")
    >>> round(float(Fourier()(kernel, {}, linear_map).sigma), 4)  # (1 + 2 cos(π/9))²
    8.2909
    >>> linear_map = convolution((3, 3, 2, 1), window(2, input_size=8))
    >>> round(Fourier().converged(kernel, linear_map), 4)  # √2 times that
    11.725

    Reference: Runkel, Etmann, Möller, Schönlieb, "Depthwise Separable Convolutions Allow for
    Fast and Memory-Efficient Spectral Normalization", 2021, arXiv:2102.06496; for full kernels on
    a circle Sedghi, Gupta, Long, "The Singular Values of Convolutional Layers", 2018,
    arXiv:1805.10408.
    """

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        check_convolution(linear_map)
        # Made before a call: `torch.compile` cannot make tables in a traced one.
        plan_of(linear_map, "float32")
        return {}

    def guarantee(self, linear_map: LinearMap) -> str:
        """Exact for circular padding where the stride divides the size, else an upper bound."""
        window = linear_map.window
        if sizes_known(window) and window.padding == "circular":
            sizes = zip(window.input_size, window.strides, strict=True)
            if all(size % stride == 0 for size, stride in sizes):
                return EXACT
        return UPPER_BOUND

    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        check_convolution(linear_map)
        return float(_grid_maximum.block_bounds(kernel, linear_map).max())

    def measure(self, task: Task) -> Measurement:
        """σ and its gradient, which is zero but for the block of the peak."""
        check_convolution(task.linear_map)
        sigma, inverse, gradient = _measured(task.kernel, linear_map=task.linear_map)
        return Measurement(sigma, {}, (WholeKernel(gradient),), inverse)

    @staticmethod
    def measure_many(tasks: Sequence[Task]) -> list[Measurement]:
        """Depthwise kernels of the same window at once, others one after the other."""
        return measure_groups(tasks, _depthwise.group_of, _depthwise.measured)


def check_convolution(linear_map: LinearMap) -> None:
    """Raise a `ValueError` for a map that is no convolution."""
    if not linear_map.tap_axes:
        raise ValueError(
            "Argument `linear_map` must be that of a convolution. "
            f"Received: linear_map={linear_map!r}"
        )


@traced_once(sizes_matter=True)
def _measured(kernel: Any, linear_map: LinearMap) -> tuple[Any, Any, Any]:
    """σ, 1/σ and the gradient of σ, which is zero but for the block of the peak."""
    given = symbol(kernel, linear_map)
    found = peak(given)
    image = image_at(given.scaled, found, given.inputs)
    excess = given.tables.excess
    if given.tables.of_vectors:
        unit = image * ops.rsqrt(ops.sum(ops.square(image)) + TINY)
        gradient = ops.sum(found.wave * unit, axis=0)
    else:
        gradient, norm = _matrix_gradient(image, found)
        excess = excess * ops.sqrt(found.square) / (norm + TINY)
    gradient = ops.reshape(gradient, (given.kernel.shape[0], 1, -1))
    if not given.tables.of_vectors or excess != 1.0:
        gradient = excess * gradient
    blocks = given.kernel.shape[1]
    if blocks > 1:
        places = constant(multiples(1, blocks), gradient, (blocks, 1))
        selected = ops.equal(places, found.block)
        # An entry that is not finite shows, in whichever block it is.
        gradient = ops.where(selected, gradient, 0.0 * given.scaled)
    sigma = ops.sum(given.kernel * gradient)
    return sigma, inverse_of(sigma), linear_map.as_convolution.unstacked(gradient)


def _matrix_gradient(image: Any, found: Peak) -> tuple[Any, Any]:
    """∂‖A‖/∂W of a block, `(taps, inputs, outputs)`, where A is a matrix, and ‖A‖."""
    left, norm, right = _transfer_matrices.leading_vectors(as_matrix(image))
    left = ops.reshape(left, (2, -1, 1, image.shape[2], 1))
    real, imaginary = left[0], left[1]
    sides = (ops.concatenate([real, imaginary]), ops.concatenate([imaginary, -real]))
    # From phases and inputs to taps and inputs, the rows of the kernel's matrix.
    lefts = [ops.sum(found.wave * side, axis=0) for side in sides]
    return lefts[0] * right[0] + lefts[1] * right[1], norm
