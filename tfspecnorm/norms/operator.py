"""The norm of a convolution itself, by power iteration with the convolution and its adjoint."""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfspecnorm._backend.compiled import compiled
from tfspecnorm._backend.operations import ops
from tfspecnorm._backend.traced_once import traced_once
from tfspecnorm._util.arguments import is_integer, is_number
from tfspecnorm.norms import _grid_maximum, _lanczos
from tfspecnorm.norms._application import sides, sides_of
from tfspecnorm.norms._block import Block, block_step, further_start, further_tensors
from tfspecnorm.norms._geometry import as_convolution, sizes_known
from tfspecnorm.norms._leading_vectors import lanczos
from tfspecnorm.norms._vectors import even, normalized
from tfspecnorm.norms.linear_map import LinearMap
from tfspecnorm.norms.matrix import Matrix
from tfspecnorm.norms.measurement import ESTIMATE, Measurement


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Operator(Block):
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

    >>> from tfspecnorm.norms import Operator, convolution, window
    >>> linear_map = convolution((3, 3, 1, 1), window(2, input_size=8))
    >>> kernel = np.ones((3, 3, 1, 1), "float32")
    >>> norm = Operator()
    >>> state = norm.warm_up(kernel, linear_map)
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

    @property
    def _matrix(self) -> Matrix:
        """For maps without taps."""
        return Matrix(self.tracked_vectors)

    def guarantee(self, linear_map: LinearMap) -> str:
        """An estimate, from below."""
        return ESTIMATE

    def covers(self, linear_map: LinearMap, input_size: tuple[int | None, ...]) -> bool:
        """Whether the norm at the size that it was built for is one at another size too."""
        if not linear_map.convolves:
            return True
        window = self._sized(linear_map).window
        if None in input_size:
            return False
        pairs = list(zip(input_size, window.input_size, strict=True))
        if all(asked == built for asked, built in pairs):
            return True
        monotone = set(window.strides) == {1} and window.padding != "circular"
        return monotone and all(asked <= built for asked, built in pairs)

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the state variables for a linear map."""
        if not linear_map.convolves:
            return self._matrix.state_shapes(linear_map)
        linear_map = self._sized(linear_map)
        inputs, outputs = sides_of(linear_map)
        blocks = as_convolution(linear_map).matrix_shape[:-2]
        output, input_ = math.prod(outputs), math.prod(inputs)
        shapes = {"vector_u": (*blocks, output), "vector_v": (*blocks, input_)}
        return shapes | self.further_shapes(blocks, output, input_)

    def warm_up(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        """Converged state of a concrete kernel, as arrays."""
        if not linear_map.convolves:
            return self._matrix.warm_up(kernel, linear_map)
        found = self._leading(kernel, linear_map)
        blocks = as_convolution(linear_map).matrix_shape[:-2]
        left, _, right = (np.stack(part).reshape(*blocks, -1) for part in zip(*found, strict=True))
        return {"vector_u": left, "vector_v": right, **further_start(self.state_shapes(linear_map))}

    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        """The norm of a concrete kernel, converged, in double precision."""
        if not linear_map.convolves:
            return self._matrix.converged(kernel, linear_map)
        kernel = np.asarray(kernel, "float64")
        size = np.max(np.abs(kernel), initial=0.0)
        if not np.isfinite(size) or size == 0:
            return float(size * 0.0)

        def measured(part: np.ndarray, single: LinearMap) -> tuple[float]:
            return (leading_of(part, single, self.tolerance)[1],)

        sized = self._sized(linear_map)
        return float(_grid_maximum.largest_block(kernel / size, sized, measured)[0] * size)

    def search(self, kernel: Any, linear_map: LinearMap) -> dict[str, Any]:
        """Converged state of any kernel as tensors, as in `Matrix`; σ is within 1e-3."""
        if not linear_map.convolves:
            return self._matrix.search(kernel, linear_map)
        vector_u, vector_v, _ = self._search(kernel, linear_map)
        further = further_tensors(self.state_shapes(linear_map), vector_u.dtype)
        return {"vector_u": vector_u, "vector_v": vector_v, **further}

    def upper_bound(self, kernel: Any, linear_map: LinearMap) -> Any:
        """σ and what it may be too small by, as in `Matrix`."""
        if not linear_map.convolves:
            return self._matrix.upper_bound(kernel, linear_map)
        return ops.max(self._search(kernel, linear_map)[2])

    def _search(self, kernel: Any, linear_map: LinearMap) -> tuple[Any, Any, Any]:
        linear_map = self._sized(linear_map)
        blocks = as_convolution(linear_map).matrix_shape[:-2]
        shapes = self.state_shapes(linear_map)
        return _searched(
            ops.convert_to_tensor(kernel),
            linear_map=linear_map,
            shapes=(shapes["vector_u"], shapes["vector_v"], blocks),
        )

    def __call__(
        self,
        kernel: Any,
        state: dict[str, Any],
        linear_map: LinearMap,
        power_iterations: int = 0,
        jit_compile: bool = False,
    ) -> Measurement:
        """σ and the next state; arguments as those of `Matrix`.

        The vectors are constants for the gradient. It is differentiated automatically.
        """
        if not linear_map.convolves:
            return self._matrix(kernel, state, linear_map, power_iterations, jit_compile)
        linear_map = self._sized(linear_map)
        kernel = ops.convert_to_tensor(kernel)
        vectors = {
            name: ops.cast(ops.convert_to_tensor(value), kernel.dtype)
            for name, value in state.items()
        }
        vector_u, vector_v = vectors.pop("vector_u"), vectors.pop("vector_v")
        both = sides(kernel, linear_map)
        if power_iterations and vectors:
            ((name, further),) = vectors.items()
            fixed = sides(ops.stop_gradient(kernel), linear_map)
            vector_v, image, further = block_step(
                vector_u,
                further,
                lambda rows: _of_rows(rows, fixed.adjoint, both.output_shape),
                lambda rows: _of_rows(rows, both.apply, both.input_shape),
                power_iterations,
            )
            vector_v, vectors = ops.stop_gradient(vector_v), {name: further}
        else:
            if power_iterations:
                iterate = _iteration(linear_map)
                step = compiled(iterate) if jit_compile else iterate
                vector_u, vector_v = step(
                    ops.stop_gradient(kernel), vector_u, vector_v, power_iterations
                )
            vector_v = ops.stop_gradient(vector_v)
            image = _flat(both.apply(_unflat(vector_v, both.input_shape)))
        vector_u = normalized(ops.stop_gradient(image), vector_u)
        sigma = ops.max(ops.sum(vector_u * image, axis=-1))
        return Measurement(sigma, {"vector_u": vector_u, "vector_v": vector_v, **vectors})

    def _leading(
        self, kernel: np.ndarray, linear_map: LinearMap
    ) -> list[tuple[np.ndarray, float, np.ndarray]]:
        """Leading singular triple of each block."""
        linear_map = self._sized(linear_map)
        return [
            leading_of(part, single, self.tolerance) for part, single in linear_map.blocks(kernel)
        ]

    def _sized(self, linear_map: LinearMap) -> LinearMap:
        """The map at the size that the norm is for."""
        if self.input_size is not None:
            linear_map = linear_map.at_size(self.input_size)
        if not sizes_known(linear_map.window):
            raise ValueError(
                "Argument `input_size` must be given where a layer has no fixed size: build the "
                "layer for a fixed one, or use `tfspecnorm.norms.Operator(input_size)`. "
                f"Received: input_size={self.input_size!r} for a kernel of shape "
                f"{linear_map.kernel_shape} with {linear_map.window!r}"
            )
        return linear_map


def leading_of(
    kernel: np.ndarray, linear_map: LinearMap, tolerance: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """Left vector, singular value and right vector of a convolution without blocks, in NumPy.

    A kernel of zeros or with entries that are not finite gives constant unit vectors and 0.
    """
    kernel = np.asarray(kernel, "float64")
    largest = np.max(np.abs(kernel), initial=0.0)
    (rows, inputs), (columns, outputs) = sides_of(linear_map)
    shape = (columns * outputs, rows * inputs)
    if not (np.isfinite(largest) and largest > 0):
        return np.full(shape[0], shape[0] ** -0.5), 0.0, np.full(shape[1], shape[1] ** -0.5)
    both = sides(kernel / largest, linear_map, np)
    left, value, right = lanczos(
        lambda vector: both.apply(vector.reshape(both.input_shape)).reshape(-1),
        lambda vector: both.adjoint(vector.reshape(both.output_shape)).reshape(-1),
        shape,
        tolerance,
    )
    return left, value * largest, right


@functools.lru_cache(maxsize=256)
def _iteration(linear_map: LinearMap) -> Callable[..., tuple[Any, Any]]:
    """Power iteration that ends on the input side: the caller's ‖K v‖ completes it."""

    def iterate(
        kernel: Any, vector_u: Any, vector_v: Any, power_iterations: int
    ) -> tuple[Any, Any]:
        both = sides(kernel, linear_map)
        for remaining in reversed(range(power_iterations)):
            back = both.adjoint(_unflat(vector_u, both.output_shape))
            vector_v = normalized(_flat(back), vector_v)
            if remaining:
                image = both.apply(_unflat(vector_v, both.input_shape))
                vector_u = normalized(_flat(image), vector_u)
        return vector_u, vector_v

    return iterate


@traced_once(sizes_matter=True, always=True)
def _searched(kernel: Any, linear_map: LinearMap) -> tuple[Any, Any, Any]:
    """Both leading vectors of each block, by iteration on the smaller side, and a bound."""
    both = sides(kernel, linear_map)
    blocks = as_convolution(linear_map).matrix_shape[:-2]

    def apply(vector: Any) -> Any:
        return _flat(both.apply(_unflat(vector, both.input_shape)))

    def adjoint(vector: Any) -> Any:
        return _flat(both.adjoint(_unflat(vector, both.output_shape)))

    inputs, outputs = (math.prod(shape) for shape in (both.input_shape, both.output_shape))
    if inputs <= outputs:
        vector_v, bound = _lanczos.leading_vector(
            lambda vector: adjoint(apply(vector)), (*blocks, inputs), kernel.dtype
        )
        image = apply(vector_v)
        return normalized(image, even(image)), vector_v, bound
    vector_u, bound = _lanczos.leading_vector(
        lambda vector: apply(adjoint(vector)), (*blocks, outputs), kernel.dtype
    )
    image = adjoint(vector_u)
    return vector_u, normalized(image, even(image)), bound


def _flat(pixels: Any) -> Any:
    return ops.reshape(pixels, (*pixels.shape[:-2], -1))


def _of_rows(rows: Any, function: Callable[[Any], Any], shape: tuple[int, int]) -> Any:
    """A side's function of each row of `(..., rows, entries)`; blocks are its leading axes."""
    blocks = len(rows.shape) > 2
    rows = ops.swapaxes(rows, 0, 1) if blocks else rows
    found = _flat(function(_unflat(rows, shape)))
    return ops.swapaxes(found, 0, 1) if blocks else found


def _unflat(vector: Any, shape: tuple[int, int]) -> Any:
    return ops.reshape(vector, (*vector.shape[:-1], *shape))
