"""Power iteration with a block of vectors, which finds the leading one far sooner."""

import abc
import copy
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfspecnorm._backend.operations import constant, ops
from tfspecnorm._util.arguments import check_positive_integer
from tfspecnorm.norms._vectors import normalized, scattered
from tfspecnorm.norms.base import Norm
from tfspecnorm.norms.linear_map import LinearMap

# Note [Block]
# One vector follows a moving kernel as fast as the gap between its first two singular values
# allows. A block of p vectors follows as fast as the gap between the first and the one behind the
# block, for as many passes over the kernel. The vectors are made orthonormal by the eigenvectors
# of their p×p Gram matrix, the quickest way on each backend; the leading one is their combination
# with the longest image.

# Below this share of the largest, an eigenvalue of a Gram matrix is rounding.
_ROUNDING = 1e-6
_FURTHER = "further_vectors"
_START_STEPS = 10


def block_step(
    vector: Any,
    further: Any,
    back: Callable[[Any], Any],
    forth: Callable[[Any], Any],
    iterations: int,
) -> tuple[Any, Any, Any]:
    """Iterations of a block, see Note [Block].

    Args:
        vector: Leading unit vector among the images, of shape `(..., images)`.
        further: The other unit vectors, of shape `(..., vectors, images)`.
        back: Function from such rows to rows of the other side: the adjoint map.
        forth: The map itself, differentiable.
        iterations: Positive integer.

    Returns:
        Tuple of the leading unit vector of the other side, its image, differentiable, and the other
        unit vectors, which are orthogonal to the image and to each other.
    """
    rows = ops.concatenate([ops.expand_dims(vector, -2), further], axis=-2)
    for remaining in reversed(range(iterations)):
        units = ops.stop_gradient(_orthonormal(back(rows)))
        if remaining:
            rows = ops.stop_gradient(forth(units))
    images = forth(units)
    _, turn = ops.eigh(_gram(_rescaled(ops.stop_gradient(images))))
    turn = ops.stop_gradient(ops.swapaxes(turn, -2, -1))
    images = ops.matmul(turn, images)
    vector = ops.matmul(turn[..., -1:, :], units)[..., 0, :]
    # One that vanished stays what it was.
    further = normalized(ops.stop_gradient(images[..., :-1, :]), further)
    return vector, images[..., -1, :], further


class Tracking(Norm):
    """Base of the norms that follow a kernel with vectors: how many of them.

    Args:
        tracked_vectors: Positive integer p. Defaults to 1.
    """

    def __init__(self, tracked_vectors: int = 1) -> None:
        self.tracked_vectors = check_positive_integer("tracked_vectors", tracked_vectors)

    def get_config(self) -> dict[str, Any]:
        return {"tracked_vectors": self.tracked_vectors}

    def __repr__(self) -> str:
        config = self.get_config()
        if self.tracked_vectors == 1:
            del config["tracked_vectors"]
        arguments = ", ".join(f"{name}={value!r}" for name, value in config.items())
        return f"{type(self).__name__}({arguments})"

    def tracking(self, tracked_vectors: int) -> "Tracking":
        if self.tracked_vectors != 1:
            return self
        found = copy.copy(self)
        found.tracked_vectors = tracked_vectors
        return found


class Block(Tracking):
    """Base of the norms whose vectors are those of one power iteration."""

    @abc.abstractmethod
    def leading_vectors(self, kernel: Any, linear_map: LinearMap) -> tuple[Any, Any, Any]:
        """Converged u and v of a tensor, and an upper bound of each block's σ or `None`."""

    def search(self, kernel: Any, linear_map: LinearMap) -> dict[str, Any]:
        vector_u, vector_v, _ = self.leading_vectors(kernel, linear_map)
        state = {"vector_u": vector_u, "vector_v": vector_v}
        shape = self.state_shapes(linear_map).get(_FURTHER)
        if shape is not None:
            state[_FURTHER] = ops.cast(constant(_scattered(shape), vector_v), vector_v.dtype)
        return state

    def further_shapes(
        self, blocks: Sequence[int], images: int, others: int
    ) -> dict[str, tuple[int, ...]]:
        """Name and shape of the state beside the leading vectors, if there is any."""
        count = min(self.tracked_vectors, images, others) - 1
        return {_FURTHER: (*blocks, count, images)} if count else {}


def further_start(
    shapes: dict[str, tuple[int, ...]],
    leading: np.ndarray | None = None,
    matrix: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Unit vectors to start a block with, beside the leading one, as arrays.

    Args:
        shapes: Names and shapes of the state.
        leading: The leading vectors.
        matrix: The matrix, or a stack of them, whose rows the vectors belong to; without it they
            are random.
    """
    if _FURTHER not in shapes:
        return {}
    vectors = _scattered(shapes[_FURTHER])
    if matrix is not None:
        matrix = np.asarray(matrix, "float64")
        matrix = matrix / max(np.max(np.abs(matrix)), np.finfo("float32").tiny)
        for _ in range(_START_STEPS if np.all(np.isfinite(matrix)) else 0):
            rows = np.concatenate([leading[..., None, :], vectors], axis=-2)
            columns, _ = np.linalg.qr(np.swapaxes(rows, -2, -1))
            rows = np.swapaxes(columns, -2, -1)[..., 1:, :]
            images = rows @ matrix @ np.swapaxes(matrix, -2, -1)
            # Rows that vanish, of a kernel of low rank, stay what they were.
            vectors = np.where(np.linalg.norm(images, axis=-1, keepdims=True) > 0, images, rows)
    return {_FURTHER: vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)}


@functools.lru_cache(maxsize=256)
def _scattered(shape: tuple[int, ...]) -> np.ndarray:
    vectors = scattered(math.prod(shape[:-1]), shape[-1]).reshape(shape)
    return vectors / np.sqrt(np.sum(vectors * vectors, axis=-1, keepdims=True))


def _orthonormal(rows: Any) -> Any:
    rows = _rescaled(rows)
    values, turn = ops.eigh(_gram(rows))
    usable = values > _ROUNDING * values[..., -1:]
    factors = ops.where(usable, ops.rsqrt(ops.where(usable, values, 1.0)), 0.0)
    return ops.matmul(ops.swapaxes(turn, -2, -1) * factors[..., None], rows)


def _rescaled(rows: Any) -> Any:
    largest = ops.max(ops.abs(rows), axis=(-2, -1), keepdims=True)
    return rows / ops.where(largest > 0.0, largest, 1.0)


def _gram(rows: Any) -> Any:
    """The products of rows; none where one is not finite, for which there is no decomposition."""
    gram = ops.matmul(rows, ops.swapaxes(rows, -2, -1))
    # Compared so that what is not a number does not pass.
    return ops.where(ops.abs(gram) < float("inf"), gram, 0.0)
