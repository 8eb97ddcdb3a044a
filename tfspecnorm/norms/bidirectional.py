"""The mean of the two reshape norms of a kernel: bidirectional spectral normalization."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfspecnorm.norms._block import Tracking
from tfspecnorm.norms.base import ESTIMATE, Measurement, Task, measure_together
from tfspecnorm.norms.linear_map import LinearMap
from tfspecnorm.norms.matrix import Matrix

_ADJOINT = "adjoint_"


@keras.saving.register_keras_serializable(package="tfspecnorm")
class Bidirectional(Tracking):
    """Arithmetic mean of the norms of a kernel and of its adjoint, both reshaped to a matrix.

        σ(W) = (σ₁ + σ₂) / 2

    σ₁ is the norm of `tfspecnorm.norms.Matrix`: for a convolution kernel the largest singular
    value of the matrix `(taps · inputs, outputs)`. σ₂ is that of the kernel with inputs and
    outputs exchanged, `(taps · outputs, inputs)`. Where there is one tap or none both matrices
    are transposes of each other, and one power iteration serves for both. A block-diagonal map
    (groups, depthwise) has the largest norm of its blocks, in each of the two.

    Guarantee: *estimate* from below of that mean, as `Matrix` is of each norm. As for the mean's
    relation to the norm of the convolution itself, each of σ₁ and σ₂ lies between 1/√(taps) of it
    and all of it, for stride 1.

    State: `vector_u` and `vector_v` as in `Matrix`, and for several taps `adjoint_vector_u` of
    shape `(inputs,)` and `adjoint_vector_v` of shape `(taps · outputs,)`.

    Args:
        tracked_vectors: As in `Matrix`, for each of the two. Defaults to 1.

    Example:

    >>> from tfspecnorm.norms import LinearMap
    >>> linear_map = LinearMap("convolution", (3, 1, 2), output_axes=(2,))
    >>> kernel = np.array([[[3.0, 0.0]], [[0.0, 3.0]], [[0.0, 4.0]]], "float32")
    >>> norm = Bidirectional()
    >>> state = norm.initial_state(kernel, linear_map)
    >>> round(float(norm(kernel, state, linear_map).sigma), 4)  # (5 + √34) / 2
    5.4155

    Reference: Lin, Sekar, Fanti, "Why Spectral Normalization Stabilizes GANs: Analysis and
    Improvements", 2021, arXiv:2009.02773.
    """

    @property
    def _matrix(self) -> Matrix:
        return Matrix(self.tracked_vectors)

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        return _merged([self._matrix.state_shapes(side) for side in _sides(linear_map)])

    def state_axes(self, linear_map: LinearMap) -> dict[str, tuple[tuple[int, ...], ...]]:
        return _merged([self._matrix.state_axes(side) for side in _sides(linear_map)])

    def initial_state(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        return _merged([self._matrix.initial_state(kernel, side) for side in _sides(linear_map)])

    def guarantee(self, linear_map: LinearMap) -> str:
        """An estimate of the convolution's norm, from below for stride 1."""
        return ESTIMATE

    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        parts = [Matrix().converged(kernel, side) for side in _sides(linear_map)]
        return sum(parts) / len(parts)

    def search(self, kernel: Any, linear_map: LinearMap) -> dict[str, Any]:
        return _merged([self._matrix.search(kernel, side) for side in _sides(linear_map)])

    def upper_bound(self, kernel: Any, linear_map: LinearMap) -> Any:
        bounds = [Matrix().upper_bound(kernel, side) for side in _sides(linear_map)]
        return sum(bounds) / len(bounds)

    def measure(self, task: Task) -> Measurement:
        return _mean([part.alone() for part in _parts(task)])

    @staticmethod
    def measure_many(tasks: Sequence[Task]) -> list[Measurement]:
        """All sides of all kernels at once."""
        parts = [_parts(task) for task in tasks]
        found = iter(measure_together([part for own in parts for part in own]))
        return [_mean([next(found) for _ in own]) for own in parts]


def _parts(task: Task) -> list[Task]:
    """The measurements by `Matrix` that one of the kernel is the mean of."""
    sides = zip(_sides(task.linear_map), _split(task.state), strict=True)
    return [
        task._replace(norm=task.norm._matrix, state=part, linear_map=side) for side, part in sides
    ]


def _mean(parts: list[Measurement]) -> Measurement:
    """The measurement of a kernel from those of its sides."""
    if len(parts) == 1:
        return parts[0]
    direction = [
        product._replace(left=0.5 * product.left) for part in parts for product in part.direction
    ]
    return Measurement(
        0.5 * parts[0].sigma + 0.5 * parts[1].sigma,
        _merged([part.state for part in parts]),
        tuple(direction),
    )


def _sides(linear_map: LinearMap) -> list[LinearMap]:
    return [linear_map] if linear_map.taps == 1 else [linear_map, linear_map.adjoint]


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The states of both sides under names of their own."""
    prefixes = ("", _ADJOINT)
    return {
        prefix + name: value
        for prefix, part in zip(prefixes, parts, strict=False)
        for name, value in part.items()
    }


def _split(state: dict[str, Any]) -> list[dict[str, Any]]:
    forward = {name: value for name, value in state.items() if not name.startswith(_ADJOINT)}
    adjoint = {name: value for name, value in state.items() if name.startswith(_ADJOINT)}
    adjoint = {name.removeprefix(_ADJOINT): value for name, value in adjoint.items()}
    return [forward, adjoint] if adjoint else [forward]
