"""The norm of a depthwise convolution, from its transfer function."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfspecnorm._configurable import Configurable
from tfspecnorm.norms import _transfer_matrices
from tfspecnorm.norms._frequencies import Plan, plan
from tfspecnorm.norms.linear_map import DEPTHWISE_CONVOLUTION, LinearMap
from tfspecnorm.norms.matrix import TINY
from tfspecnorm.norms.measurement import Measurement, OuterProduct


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Fourier(Configurable):
    """Norm of a depthwise convolution: the peak of its transfer function.

        σ(W) = max ‖A_c(ω)‖ over channels c and frequencies ω
        A_c(ω)[r, j] = Σ_q W[s·q + r, c, j] · exp(iωq)

    Each channel is a convolution of its own, from 1 input to `depth_multiplier` outputs j. A
    stride s splits the input into phases r, each with taps q of its own. Stride 1 has one phase,
    and ‖A‖² is a sum of squares. A dilated kernel is the undilated one on smaller images, which
    lie between each other.

    Guarantee: *upper bound* of the layer's norm for `"valid"`, `"same"` and `"causal"` padding
    and every stride, dilation, kernel size and multiplier: at the input size that the layer was
    built for, or, where an axis has no size or a large one (N > 31 for 3 taps), at every size.
    *Exact* for circular padding where the stride divides the size. Random 3×3 kernels, "same":
    too large by 3.5 % at 7×7 pixels, 0.9 % at 14×14, 0.5 % at 28×28 (medians). Without a size
    the bound is at most 1 % above the supremum over all sizes. If both the phases and the
    outputs of a channel are more than two, up to 0.8 % come on top.

    It differs from the paper in that it transforms to N + p frequencies along an axis, not
    N + 2p; takes a second circle of as many frequencies and the smaller one of both bounds;
    splits into phases, without which a stride s makes the bound about s times too large;
    covers even kernels, dilation and unknown sizes; and in that the gradient flows through σ.

    State: none. Gradient: channel, frequency and the vectors x, y of ‖A‖ = xᴴA y there are
    constants, ∂σ/∂W = Re x (Re y)ᵀ + Im x (Im y)ᵀ with x spread over the taps.

    Example:

    >>> from tfspecnorm.norms import Fourier, LinearMap, Window
    >>> window = Window((1, 1), "same", (1, 1), "channels_last", (8, 8))
    >>> linear_map = LinearMap("depthwise_convolution", (3, 3, 2, 1), (3,), (2,), window=window)
    >>> kernel = np.ones((3, 3, 2, 1), "float32")
    >>> round(float(Fourier()(kernel, {}, linear_map).sigma), 4)  # (1 + 2 cos(π/9))²
    8.2909

    Reference: Runkel, Etmann, Möller, Schönlieb, "Depthwise Separable Convolutions Allow for
    Fast and Memory-Efficient Spectral Normalization", 2021, arXiv:2102.06496.
    """

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        """No state: nothing is iterated from one step to the next."""
        _check_kind(linear_map)
        return {}

    def warm_up(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        """No state."""
        return {}

    def traced_warm_up(self, kernel: Any, linear_map: LinearMap) -> dict[str, Any]:
        """No state."""
        return {}

    def __call__(
        self,
        kernel: Any,
        state: dict[str, Any],
        linear_map: LinearMap,
        power_iterations: int = 0,
        jit_compile: bool = False,
    ) -> Measurement:
        """σ and the gradient's factors.

        Two outer products, or one where a channel has one output: taps by outputs, zero but for
        the channel of the peak.

        Args:
            kernel: Tensor of at least 32 bits and shape `(taps..., channels, outputs)`.
            state: Empty dict.
            linear_map: `LinearMap` of the kernel of a depthwise convolution.
            power_iterations: Not used, there is no iteration.
            jit_compile: Not used either.

        Returns:
            `Measurement` with the scalar σ.

        Raises:
            ValueError: If the kernel is none of a depthwise convolution.
        """
        _check_kind(linear_map)
        *taps, channels, outputs = linear_map.kernel_shape
        kernel = ops.reshape(ops.convert_to_tensor(kernel), (-1, channels, outputs))
        dtype = keras.backend.standardize_dtype(kernel.dtype)
        tables = plan(tuple(taps), outputs, linear_map.window, dtype)
        constant = ops.stop_gradient(kernel)
        scaled = constant / (ops.max(ops.abs(constant)) + TINY)

        squares = _squared_norms(scaled, tables)
        channel, frequency = _peak(squares, tables.circles)
        wave = ops.take(ops.convert_to_tensor(tables.waves), frequency, axis=0)
        block = ops.take(scaled, channel, axis=1)
        # Not a matrix product: accelerators round its factors to 10 bits.
        image = ops.sum(wave[:, :, None] * block[None], axis=1)
        if 1 in (tables.phases, outputs):
            factors = _vector_gradient(image, wave, tables.phases)
            excess = tables.excess
        else:
            factors, norm = _matrix_gradient(image, wave)
            excess = tables.excess * ops.sqrt(squares[frequency, channel]) / (norm + TINY)
        factors = [(excess * left, right) for left, right in factors]
        gradient = sum(left[:, None] * right for left, right in factors)
        sigma = ops.sum(ops.take(kernel, channel, axis=1) * gradient)
        # An entry that is not finite shows, in whichever channel it is.
        sigma = sigma + 0.0 * ops.sum(scaled)

        selected = ops.one_hot(channel, channels, dtype=dtype)[:, None]
        direction = tuple(
            OuterProduct(linear_map, selected * left, ops.broadcast_to(right, (channels, outputs)))
            for left, right in factors
        )
        return Measurement(sigma, {}, direction)


def _check_kind(linear_map: LinearMap) -> None:
    if linear_map.kind != DEPTHWISE_CONVOLUTION:
        raise ValueError(
            "Argument `linear_map` must be that of a depthwise convolution. "
            f"Received: linear_map={linear_map!r}"
        )


def _squared_norms(kernel: Any, tables: Plan) -> Any:
    """‖A_c(ω)‖² for each frequency and channel, or a bound that is hardly larger."""
    _, channels, outputs = kernel.shape
    if tables.phases > 1 and outputs > 1:
        images = _rows(tables.waves) @ ops.reshape(kernel, (-1, channels * outputs))
        shape = (len(tables.waves), 2, tables.phases, channels, outputs)
        return _transfer_matrices.squared_norms(ops.reshape(images, shape))
    table = tables.waves if tables.samples is None else tables.samples
    if outputs > 1:
        kernel = ops.transpose(kernel, (0, 2, 1))
    # As an operator: `ops.matmul` computes in 32 bits on PyTorch.
    images = _rows(table) @ ops.reshape(kernel, (-1, outputs * channels))
    images = ops.reshape(images, (len(table), -1, channels))
    squares = ops.sum(ops.square(images), axis=1)
    if tables.interpolation is not None:
        squares = ops.convert_to_tensor(tables.interpolation) @ squares
    return squares


def _peak(squares: Any, circles: int) -> tuple[Any, Any]:
    """The channel with the largest bound, and the frequency that the bound comes from.

    Each circle's largest value is a bound for the channel, and the smallest of them counts.
    """
    length, channels = squares.shape[0] // circles, squares.shape[1]
    squares = ops.reshape(squares, (circles, length, channels))
    # Reductions and two short searches take less time than a search through all values.
    bounds = ops.max(squares, axis=1)
    channel = ops.argmax(ops.min(bounds, axis=0))
    circle = ops.argmin(ops.take(bounds, channel, axis=1))
    frequency = ops.argmax(ops.take(squares, channel, axis=2), axis=1)
    return channel, circle * length + ops.take(frequency, circle)


def _rows(table: np.ndarray) -> Any:
    return ops.convert_to_tensor(table.reshape(-1, table.shape[-1]))


def _vector_gradient(image: Any, wave: Any, phases: int) -> list[tuple[Any, Any]]:
    """Factors of ∂‖A‖/∂W over taps and outputs, where A has one phase or one output."""
    unit = image * ops.rsqrt(ops.sum(ops.square(image)) + TINY)
    if image.shape[-1] == 1:
        return [(ops.sum(unit * wave, axis=0), ops.ones_like(unit[0]))]
    return [(wave[0], unit[0]), (wave[1], unit[1])]


def _matrix_gradient(image: Any, wave: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """Factors of ∂‖A‖/∂W where A is a matrix, and ‖A‖."""
    left, norm, right = _transfer_matrices.leading_vectors(image)
    real, imaginary = left[0], left[1]
    sides = (ops.concatenate([real, imaginary]), ops.concatenate([imaginary, -real]))
    lefts = [ops.sum(side[:, None] * wave, axis=0) for side in sides]
    return [(lefts[0], right[0]), (lefts[1], right[1])], norm
