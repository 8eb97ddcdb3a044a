"""The norm of a convolution itself, by power iteration with the convolution and its adjoint."""

from typing import Any

import keras

from tfspecnorm._util.arguments import is_integer, is_number
from tfspecnorm.norms._block import Block, Tracking
from tfspecnorm.norms._convolved import Convolved
from tfspecnorm.norms._of_convolutions import OfConvolutions
from tfspecnorm.norms.linear_map import LinearMap
from tfspecnorm.norms.matrix import Matrix


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Operator(OfConvolutions, Tracking):
    """Largest singular value of the map that a layer computes, by power iteration.

        σ(W) = ‖K x‖,   K the convolution with the layer's own padding, stride, dilation and
        groups, in 1, 2 or 3 dimensions, or transposed;   x its leading input

    For a map without taps (dense, einsum, embedding, 1×1 convolution) it is
    `tfspecnorm.norms.Matrix`. The data format does not matter. A map of blocks (groups,
    depthwise) has the largest norm of its blocks, each of which has vectors of its own.

    Guarantee: *estimate* from below of the norm at one input size, for every padding, stride,
    dilation and number of groups. The vectors start converged (Lanczos, to 1e-7) and a training
    step moves them on; with those of `search`, as evaluation measures, σ is within 1e-3. With
    stride 1 and zero padding smaller inputs are covered too: their norm is no larger. Larger inputs
    are not, see `covers`.

    State: `vector_u` of shape `(output pixels · outputs,)` and `vector_v` of shape
    `(input pixels · inputs,)`, with a leading axis for groups if there are several; input and
    output are those of the convolution which a transposed one is the adjoint of. A step with one
    iteration is v ← Kᵀu / ‖Kᵀu‖, then σ = ‖K v‖ and u ← K v / σ.

    Args:
        input_size: Integer or tuple of integers, pixels of the input along each spatial axis.
            Defaults to the size that the layer is built for.
        tolerance: Relative length of Kᵀu − σv at which the start is converged; σ itself is then
            more accurate by far. Defaults to 1e-7; 5e-3 takes a quarter of the time and is off by
            less than 1e-3 (a random 3×3 kernel of 256 channels, 32×32 pixels).
        tracked_vectors: As in `Matrix`. Defaults to 1.

    Raises:
        ValueError: Where a state is made for a convolution whose size is not known.

    Example:

    >>> import numpy as np
    >>> from tfspecnorm.norms import Operator, convolution, window
    >>> linear_map = convolution((3, 3, 1, 1), window(2, input_size=8))
    >>> kernel = np.ones((3, 3, 1, 1), "float32")
    >>> norm = Operator()
    >>> state = norm.initial_state(kernel, linear_map)
    >>> round(float(norm(kernel, state, linear_map).sigma), 4)  # (1 + 2 cos(π/9))²
    8.2909

    Reference: Gouk, Frank, Pfahringer, Cree, "Regularisation of Neural Networks by Enforcing
    Lipschitz Continuity", 2018, arXiv:1804.04368.
    """

    def __init__(
        self,
        input_size: int | tuple[int, ...] | None = None,
        tolerance: float = 1e-7,
        tracked_vectors: int = 1,
    ) -> None:
        super().__init__(tracked_vectors)
        several = isinstance(input_size, (list, tuple))
        given = input_size if several else () if input_size is None else (input_size,)
        if not all(is_integer(part) and part > 0 for part in given):
            raise ValueError(
                "Argument `input_size` must be a positive integer, a tuple of them, or `None`. "
                f"Received: input_size={input_size!r}"
            )
        if not is_number(tolerance) or not 0 < tolerance < 1:
            raise ValueError(
                f"Argument `tolerance` must be in (0, 1). Received: tolerance={tolerance!r}"
            )
        self.tolerance = float(tolerance)
        self.input_size = tuple(given) if several else input_size

    def get_config(self) -> dict[str, Any]:
        config = {"input_size": self.input_size, "tolerance": self.tolerance}
        return {**config, **super().get_config()}

    def norm_for(self, linear_map: LinearMap) -> Block:
        if linear_map.convolves:
            return Convolved(self.input_size, self.tolerance, self.tracked_vectors)
        return Matrix(self.tracked_vectors)

    def covers(self, linear_map: LinearMap, input_size: tuple[int | None, ...]) -> bool:
        """Whether the norm at the size that it was built for is one at another size too."""
        if not linear_map.convolves:
            return True
        window = self.norm_for(linear_map).sized(linear_map).window
        if None in input_size:
            return False
        pairs = list(zip(input_size, window.input_size, strict=True))
        if all(asked == built for asked, built in pairs):
            return True
        monotone = set(window.strides) == {1} and window.padding != "circular"
        return monotone and all(asked <= built for asked, built in pairs)
