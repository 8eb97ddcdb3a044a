"""The norm of the reshaped kernel: Miyato's spectral normalization."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfspecnorm._backend.compiled import compiled
from tfspecnorm._backend.operations import ops, uncompiled
from tfspecnorm._backend.traced_once import traced_once
from tfspecnorm.norms import _lanczos, _matrices, _squaring
from tfspecnorm.norms._block import Block, block_step, further_start
from tfspecnorm.norms._leading_vectors import leading_singular_vectors
from tfspecnorm.norms._vectors import inverse_of, normalized, times, transpose_times
from tfspecnorm.norms.base import (
    ESTIMATE,
    Measurement,
    OuterProduct,
    Task,
    measure_groups,
)
from tfspecnorm.norms.linear_map import LinearMap


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Matrix(Block):
    """Largest singular value of the kernel reshaped to a matrix, by power iteration.

        σ(W) = ‖W u‖,   u the leading vector on the output side

    The matrix has one row for each input entry and tap, and one column for each output: for
    a convolution kernel `(taps, inputs · taps, outputs)` becomes Miyato's reshape up to
    transposition, for a transposed convolution and an einsum the output axes are picked from
    the layer. A block-diagonal map (groups, depthwise) has the largest norm of its blocks.

    Guarantee: *estimate* from below of the largest singular value of that matrix. In training it
    follows the kernel; with the vectors of `search`, as evaluation measures, it is within 1e-3,
    whatever happened to the kernel, and within rounding but where singular values nearly tie.
    For dense maps and embeddings the matrix is the layer's map.
    For a convolution of stride 1 the map's own norm lies between σ and √(taps)·σ.

    State: `vector_u` of shape `(outputs,)` and `vector_v` of shape `(inputs · taps,)`, with a
    leading axis for blocks if there are several. A training step with one power iteration
    reads the kernel twice: u ← Wᵀv / ‖Wᵀv‖, then σ = ‖W u‖ and v ← W u / σ. With
    `tracked_vectors=p` there are `further_vectors` of shape `(p − 1, inputs · taps)`, and u is the
    best combination of all of them, see `docs/norms.md`.

    Args:
        tracked_vectors: Positive integer p, vectors that follow the kernel in training; at most
            as many as the matrix has rows or columns. Defaults to 1.

    Raises:
        ValueError: If `tracked_vectors` is no positive integer.

    Example:

    >>> import numpy as np
    >>> from tfspecnorm.norms import LinearMap, Matrix
    >>> linear_map = LinearMap("dense", (2, 2), output_axes=(1,))
    >>> kernel = np.diag([3.0, 1.0]).astype("float32")
    >>> norm = Matrix()
    >>> state = norm.initial_state(kernel, linear_map)
    >>> round(float(norm(kernel, state, linear_map).sigma), 4)
    3.0

    Reference: Miyato et al., "Spectral Normalization for Generative Adversarial Networks",
    2018, arXiv:1802.05957.
    """

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        *blocks, inputs, outputs = linear_map.matrix_shape
        shapes = {"vector_u": (*blocks, outputs), "vector_v": (*blocks, inputs)}
        return shapes | self.further_shapes(blocks, inputs, outputs)

    def state_axes(self, linear_map: LinearMap) -> dict[str, tuple[tuple[int, ...], ...]]:
        *blocks, inputs, outputs = linear_map.matrix_axes
        return {"vector_u": (*blocks, outputs), "vector_v": (*blocks, inputs)}

    def initial_state(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        matrix = linear_map.matrix(kernel, np)
        vector_v, _, vector_u = leading_singular_vectors(matrix)
        further = further_start(self.state_shapes(linear_map), vector_v, matrix)
        return {"vector_u": vector_u, "vector_v": vector_v, **further}

    def guarantee(self, linear_map: LinearMap) -> str:
        """An estimate, from below: of a convolution of stride 1 even when converged."""
        return ESTIMATE

    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        return float(np.max(leading_singular_vectors(linear_map.matrix(kernel, np))[1]))

    def upper_bound(self, kernel: Any, linear_map: LinearMap) -> Any:
        """Upper bound of σ for the same arguments, too large by less than 1e-3."""
        matrix = linear_map.matrix(ops.convert_to_tensor(kernel))
        if _squaring.is_quick(linear_map.matrix_shape):
            bounds = _squaring.upper_bound(matrix)
        else:
            bounds = self.leading_vectors(kernel, linear_map)[2]
        return ops.max(bounds) if linear_map.block_axes else bounds

    def leading_vectors(self, kernel: Any, linear_map: LinearMap) -> tuple[Any, Any, Any]:
        """Leading vectors; the bound is `None` where it is not a by-product.

        σ is within 1e-3 of the largest singular value, and within rounding where the first two
        differ by 0.2 % or more.
        """
        matrix = linear_map.matrix(ops.convert_to_tensor(kernel))
        if _squaring.is_quick(linear_map.matrix_shape):
            return (*_squaring.leading_vectors(matrix), None)
        *blocks, inputs, outputs = linear_map.matrix_shape
        shapes = ((*blocks, outputs), (*blocks, inputs), tuple(blocks))
        return _searched(matrix, shapes=shapes)

    def measure(self, task: Task) -> Measurement:
        """σ, the next state, and the gradient's factors: with constant vectors ∂σ/∂W = v uᵀ."""
        linear_map = task.linear_map
        matrix = ops.convert_to_tensor(task.kernel)
        if not linear_map.is_matrix:
            matrix = linear_map.matrix(matrix)
        vectors, shapes = {}, []
        for name, value in task.state.items():
            # Without an iteration the leading vectors are all that is needed.
            if task.power_iterations or name.startswith("vector"):
                vectors[name] = ops.convert_to_tensor(value)
                shapes.append(vectors[name].shape)
        *moved, left, sigma, inverse = _measured(
            matrix,
            *vectors.values(),
            shapes=(*shapes, shapes[1], (), ()),
            iterations=task.power_iterations,
            jit_compile=task.jit_compile,
        )
        direction = (OuterProduct(linear_map, left, moved[0]),)
        return Measurement(sigma, dict(zip(vectors, moved, strict=True)), direction, inverse)

    @staticmethod
    def measure_many(tasks: Sequence[Task]) -> list[Measurement]:
        """All at once but for block-diagonal maps, blocks of vectors, and what XLA compiles."""
        return measure_groups(tasks, _matrices.group_of, _matrices.measured)


@traced_once()
def _measured(
    matrix: Any,
    vector_u: Any,
    vector_v: Any,
    *further: Any,
    iterations: int,
    jit_compile: bool,
) -> tuple[Any, ...]:
    """All vectors, v as a factor of σ's gradient, σ and 1/σ."""
    if further:
        fixed = ops.stop_gradient(matrix)
        found, image, *further = block_step(
            vector_v,
            *further,
            lambda rows: ops.matmul(rows, fixed),
            lambda rows: ops.matmul(rows, ops.swapaxes(matrix, -2, -1)),
            iterations,
        )
        vector_u = ops.stop_gradient(normalized(found, vector_u))
    else:
        if iterations:
            step = compiled(iterate) if jit_compile else iterate
            vector_u, vector_v = step(ops.stop_gradient(matrix), vector_u, vector_v, iterations)
        vector_u = ops.stop_gradient(vector_u)
        image = times(matrix, vector_u)
    vector_v = normalized(ops.stop_gradient(image), vector_v)
    sigma = ops.sum(vector_v * image, axis=-1)
    left = vector_v
    if len(matrix.shape) > 2:
        blocks, sigma = sigma, ops.max(sigma)
        leading = ops.cast(ops.equal(blocks, sigma), blocks.dtype)
        left = vector_v * ops.stop_gradient(leading / ops.sum(leading))[:, None]
    return vector_u, vector_v, *further, left, sigma, inverse_of(sigma)


@uncompiled
@traced_once(sizes_matter=True, always=True)
def _searched(matrix: Any) -> tuple[Any, Any, Any]:
    """Both leading vectors of a large matrix, by iteration on its smaller side, and a bound."""
    *blocks, inputs, outputs = matrix.shape
    return _lanczos.leading_pair(
        lambda vector: times(matrix, vector),
        lambda vector: transpose_times(matrix, vector),
        (*blocks, outputs),
        (*blocks, inputs),
        matrix,
    )


def iterate(matrix: Any, vector_u: Any, vector_v: Any, power_iterations: int) -> tuple[Any, Any]:
    """Power iteration that ends on the output side: the caller's ‖W u‖ completes it."""
    for remaining in reversed(range(power_iterations)):
        vector_u = normalized(transpose_times(matrix, vector_v), vector_u)
        if remaining:
            vector_v = normalized(times(matrix, vector_u), vector_v)
    return vector_u, vector_v
