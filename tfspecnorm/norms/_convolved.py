"""Power iteration with a convolution of several taps and its adjoint."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tfspecnorm._backend.compiled import compiled
from tfspecnorm._backend.operations import ops, uncompiled
from tfspecnorm._backend.traced_once import traced_once
from tfspecnorm.norms import _grid_maximum, _lanczos
from tfspecnorm.norms._application import leading_of, sides, sides_of, sides_of_views, views
from tfspecnorm.norms._block import Block, block_step, further_start
from tfspecnorm.norms._geometry import sizes_known
from tfspecnorm.norms._vectors import normalized
from tfspecnorm.norms.base import ESTIMATE, Measurement, Task
from tfspecnorm.norms.linear_map import LinearMap


class Convolved(Block):
    """What `tfspecnorm.norms.Operator` is for convolutions of several taps; arguments as there."""

    def __init__(
        self, input_size: int | tuple[int, ...] | None, tolerance: float, tracked_vectors: int
    ) -> None:
        super().__init__(tracked_vectors)
        self.input_size = input_size
        self.tolerance = tolerance

    def guarantee(self, linear_map: LinearMap) -> str:
        return ESTIMATE

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        linear_map = self.sized(linear_map)
        inputs, outputs = sides_of(linear_map)
        blocks = linear_map.as_convolution.matrix_shape[:-2]
        output, input_ = math.prod(outputs), math.prod(inputs)
        shapes = {"vector_u": (*blocks, output), "vector_v": (*blocks, input_)}
        return shapes | self.further_shapes(blocks, output, input_)

    def initial_state(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        linear_map = self.sized(linear_map)
        found = [leading_of(*block, self.tolerance) for block in linear_map.blocks(kernel)]
        blocks = linear_map.as_convolution.matrix_shape[:-2]
        left, _, right = (np.stack(part).reshape(*blocks, -1) for part in zip(*found, strict=True))
        return {"vector_u": left, "vector_v": right, **further_start(self.state_shapes(linear_map))}

    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        kernel = np.asarray(kernel, "float64")
        size = np.max(np.abs(kernel), initial=0.0)
        if not np.isfinite(size) or size == 0:
            return float(size * 0.0)

        def measured(part: np.ndarray, single: LinearMap) -> tuple[float]:
            return (leading_of(part, single, self.tolerance)[1],)

        sized = self.sized(linear_map)
        return float(_grid_maximum.largest_block(kernel / size, sized, measured)[0] * size)

    def upper_bound(self, kernel: Any, linear_map: LinearMap) -> Any:
        """σ and what it may be too small by."""
        return ops.max(self.leading_vectors(kernel, linear_map)[2])

    def leading_vectors(self, kernel: Any, linear_map: LinearMap) -> tuple[Any, Any, Any]:
        """Leading vectors and bounds; σ is within 1e-3."""
        linear_map = self.sized(linear_map)
        shapes = self.state_shapes(linear_map)
        return _searched(
            *views(ops.convert_to_tensor(kernel), linear_map),
            shapes=(shapes["vector_u"], shapes["vector_v"], shapes["vector_u"][:-1]),
        )

    def measure(self, task: Task) -> Measurement:
        """The vectors are constants for the gradient, which is differentiated automatically."""
        linear_map, iterations = self.sized(task.linear_map), task.power_iterations
        kernel = ops.convert_to_tensor(task.kernel)
        vectors = {
            name: ops.cast(ops.convert_to_tensor(value), kernel.dtype)
            for name, value in task.state.items()
        }
        vector_u, vector_v = vectors.pop("vector_u"), vectors.pop("vector_v")
        both = sides(kernel, linear_map)
        if iterations and vectors:
            ((name, further),) = vectors.items()
            fixed = sides(ops.stop_gradient(kernel), linear_map)
            vector_v, image, further = block_step(
                vector_u,
                further,
                lambda rows: _of_rows(rows, fixed.adjoint),
                lambda rows: _of_rows(rows, both.apply),
                iterations,
            )
            vector_v, vectors = ops.stop_gradient(vector_v), {name: further}
        else:
            if iterations:
                iterate = _iteration(linear_map)
                step = compiled(iterate) if task.jit_compile else iterate
                vector_u, vector_v = step(ops.stop_gradient(kernel), vector_u, vector_v, iterations)
            vector_v = ops.stop_gradient(vector_v)
            image = both.apply(vector_v)
        vector_u = normalized(ops.stop_gradient(image), vector_u)
        sigma = ops.max(ops.sum(vector_u * image, axis=-1))
        return Measurement(sigma, {"vector_u": vector_u, "vector_v": vector_v, **vectors})

    def sized(self, linear_map: LinearMap) -> LinearMap:
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


@functools.lru_cache(maxsize=256)
def _iteration(linear_map: LinearMap) -> Callable[..., tuple[Any, Any]]:
    """Power iteration that ends on the input side: the caller's ‖K v‖ completes it."""

    def iterate(
        kernel: Any, vector_u: Any, vector_v: Any, power_iterations: int
    ) -> tuple[Any, Any]:
        both = sides(kernel, linear_map)
        for remaining in reversed(range(power_iterations)):
            vector_v = normalized(both.adjoint(vector_u), vector_v)
            if remaining:
                vector_u = normalized(both.apply(vector_v), vector_u)
        return vector_u, vector_v

    return iterate


@uncompiled
@traced_once(sizes_matter=True, always=True)
def _searched(matrix: Any, *others: Any) -> tuple[Any, Any, Any]:
    """Both leading vectors of each block, by iteration on the smaller side, and a bound."""
    apply, adjoint, (outputs, inputs) = sides_of_views(matrix, *others)
    blocks = matrix.shape[:-2]
    vector_v, vector_u, bound = _lanczos.leading_pair(
        apply, adjoint, (*blocks, inputs), (*blocks, outputs), matrix
    )
    return vector_u, vector_v, bound


def _of_rows(rows: Any, function: Callable[[Any], Any]) -> Any:
    """A side's function of each row of `(..., rows, entries)`; blocks are its leading axes."""
    if len(rows.shape) == 2:
        return function(rows)
    return ops.swapaxes(function(ops.swapaxes(rows, 0, 1)), 0, 1)
