"""The norm of the reshaped kernel: Miyato's spectral normalization."""

from typing import Any

import keras
import numpy as np

from tfspecnorm._configurable import Configurable
from tfspecnorm._operations import ops
from tfspecnorm.norms._compiled import compiled
from tfspecnorm.norms._leading_vectors import leading_singular_vectors
from tfspecnorm.norms._traced_once import traced_once
from tfspecnorm.norms.linear_map import LinearMap
from tfspecnorm.norms.measurement import ESTIMATE, Measurement, OuterProduct, inverse_of

TRACED_WARM_UP_STEPS = 30


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Matrix(Configurable):
    """Largest singular value of the kernel reshaped to a matrix, by power iteration.

        σ(W) = ‖W u‖,   u the leading vector on the output side

    The matrix has one row for each input entry and tap, and one column for each output: for
    a convolution kernel `(taps, inputs · taps, outputs)` becomes Miyato's reshape up to
    transposition, for a transposed convolution and an einsum the output axes are picked from
    the layer. A block-diagonal map (groups, depthwise) has the largest norm of its blocks.

    Guarantee: *estimate* from below of the largest singular value of that matrix, exact once
    the vectors have converged. For dense maps and embeddings the matrix is the layer's map.
    For a convolution of stride 1 the map's own norm lies between σ and √(taps)·σ.

    State: `vector_u` of shape `(outputs,)` and `vector_v` of shape `(inputs · taps,)`, with a
    leading axis for blocks if there are several. A training step with one power iteration
    reads the kernel twice: u ← Wᵀv / ‖Wᵀv‖, then σ = ‖W u‖ and v ← W u / σ.

    Example:

    >>> import numpy as np
    >>> from tfspecnorm.norms import LinearMap, Matrix
    >>> linear_map = LinearMap("dense", (2, 2), output_axes=(1,))
    >>> kernel = np.diag([3.0, 1.0]).astype("float32")
    >>> norm = Matrix()
    >>> state = norm.warm_up(kernel, linear_map)
    >>> round(float(norm(kernel, state, linear_map).sigma), 4)
    3.0

    Reference: Miyato et al., "Spectral Normalization for Generative Adversarial Networks",
    2018, arXiv:1802.05957.
    """

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the state variables for a linear map."""
        *blocks, inputs, outputs = linear_map.matrix_shape
        return {"vector_u": (*blocks, outputs), "vector_v": (*blocks, inputs)}

    def warm_up(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        """Converged state of a concrete kernel, as arrays."""
        vector_v, _, vector_u = leading_singular_vectors(linear_map.matrix(kernel, np))
        return {"vector_u": vector_u, "vector_v": vector_v}

    def guarantee(self, linear_map: LinearMap) -> str:
        """An estimate, from below: of a convolution of stride 1 even when converged."""
        return ESTIMATE

    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        """The norm of a concrete kernel, converged, in double precision."""
        return float(np.max(leading_singular_vectors(linear_map.matrix(kernel, np))[1]))

    def traced_warm_up(self, kernel: Any, linear_map: LinearMap) -> dict[str, Any]:
        """Nearly converged state of a kernel whose value is not known yet, as tensors."""
        state = random_state(self.state_shapes(linear_map), kernel.dtype)
        matrix = linear_map.matrix(kernel)

        def step(_: Any, vectors: tuple[Any, Any]) -> tuple[Any, Any]:
            vector_u = normalized(_transpose_times(matrix, vectors[1]), vectors[0])
            return vector_u, normalized(_times(matrix, vector_u), vectors[1])

        vectors = ops.fori_loop(0, TRACED_WARM_UP_STEPS, step, tuple(state.values()))
        return dict(zip(state, vectors, strict=True))

    def __call__(
        self,
        kernel: Any,
        state: dict[str, Any],
        linear_map: LinearMap,
        power_iterations: int = 0,
        jit_compile: bool = False,
    ) -> Measurement:
        """σ, the next state, and the gradient's factors.

        The vectors are constants for the gradient, which makes it the closed form
        ∂σ/∂W = v uᵀ for any u.

        Args:
            kernel: Tensor of at least 32 bits.
            state: Dict with `vector_u` and `vector_v`.
            linear_map: `LinearMap` of the kernel.
            power_iterations: Number of iterations from the stored vectors; 0 measures with
                them as they are.
            jit_compile: Whether XLA compiles the iteration (TensorFlow).

        Returns:
            `Measurement` with the scalar σ.
        """
        matrix = linear_map.matrix(ops.convert_to_tensor(kernel))
        vector_u = ops.convert_to_tensor(state["vector_u"])
        vector_v = ops.convert_to_tensor(state["vector_v"])
        vector_u, vector_v, left, sigma, inverse = _measured(
            matrix,
            vector_u,
            vector_v,
            shapes=(vector_u.shape, vector_v.shape, vector_v.shape, (), ()),
            iterations=power_iterations,
            jit_compile=jit_compile,
        )
        return Measurement(
            sigma,
            {"vector_u": vector_u, "vector_v": vector_v},
            (OuterProduct(linear_map, left, vector_u),),
            inverse,
        )


@traced_once()
def _measured(
    matrix: Any, vector_u: Any, vector_v: Any, iterations: int, jit_compile: bool
) -> tuple[Any, ...]:
    """Both vectors, v as a factor of σ's gradient, σ and 1/σ."""
    if iterations:
        step = compiled(iterate) if jit_compile else iterate
        vector_u, vector_v = step(ops.stop_gradient(matrix), vector_u, vector_v, iterations)
    vector_u = ops.stop_gradient(vector_u)
    image = _times(matrix, vector_u)
    vector_v = normalized(ops.stop_gradient(image), vector_v)
    sigma = ops.sum(vector_v * image, axis=-1)
    left = vector_v
    if len(matrix.shape) > 2:
        blocks, sigma = sigma, ops.max(sigma)
        leading = ops.cast(ops.equal(blocks, sigma), blocks.dtype)
        left = vector_v * ops.stop_gradient(leading / ops.sum(leading))[:, None]
    return vector_u, vector_v, left, sigma, inverse_of(sigma)


def random_state(shapes: dict[str, tuple[int, ...]], dtype: Any) -> dict[str, Any]:
    """Unit vectors in fixed random directions, as tensors."""
    random = np.random.default_rng(0)
    state = {name: random.standard_normal(shape) for name, shape in shapes.items()}
    return {
        name: ops.cast(value / np.linalg.norm(value, axis=-1, keepdims=True), dtype)
        for name, value in state.items()
    }


def iterate(matrix: Any, vector_u: Any, vector_v: Any, power_iterations: int) -> tuple[Any, Any]:
    """Power iteration that ends on the output side: the caller's ‖W u‖ completes it."""
    for remaining in reversed(range(power_iterations)):
        vector_u = normalized(_transpose_times(matrix, vector_v), vector_u)
        if remaining:
            vector_v = normalized(_times(matrix, vector_u), vector_v)
    return vector_u, vector_v


def _times(matrix: Any, vector: Any) -> Any:
    return ops.squeeze(ops.matmul(matrix, ops.expand_dims(vector, -1)), -1)


def _transpose_times(matrix: Any, vector: Any) -> Any:
    return ops.squeeze(ops.matmul(ops.expand_dims(vector, -2), matrix), -2)


def normalized(vector: Any, fallback: Any) -> Any:
    """Unit vector of `vector`, or `fallback` for zero; squares of 1e±30 stay finite."""
    largest = ops.max(ops.abs(vector), axis=-1, keepdims=True)
    scaled = vector / largest
    inverse = ops.rsqrt(ops.sum(ops.square(scaled), axis=-1, keepdims=True))
    # Not a number for zero and for what is not finite: that must not leave its mark in the vectors.
    return ops.where(inverse > 0.0, scaled * inverse, fallback)
