"""A norm of convolutions, which for a map without taps is that of a matrix."""

import abc
from typing import Any

import numpy as np

from tfspecnorm.norms.base import Measurement, Norm, Task
from tfspecnorm.norms.linear_map import LinearMap


class OfConvolutions(Norm):
    """Base of the norms that compute in one way for convolutions, in another for matrices.

    Both are norms themselves, and this is where it is decided which of them a map has.
    """

    @abc.abstractmethod
    def _of_matrices(self) -> Norm:
        """The norm of a map without taps: a dense one, an embedding, a 1×1 convolution."""

    @abc.abstractmethod
    def _of_convolutions(self) -> Norm:
        """The norm of a convolution of several taps."""

    def _for(self, linear_map: LinearMap) -> Norm:
        return self._of_convolutions() if linear_map.convolves else self._of_matrices()

    def guarantee(self, linear_map: LinearMap) -> str:
        return self._for(linear_map).guarantee(linear_map)

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        return self._for(linear_map).state_shapes(linear_map)

    def initial_state(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        return self._for(linear_map).initial_state(kernel, linear_map)

    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        return self._for(linear_map).converged(kernel, linear_map)

    def search(self, kernel: Any, linear_map: LinearMap) -> dict[str, Any]:
        return self._for(linear_map).search(kernel, linear_map)

    def upper_bound(self, kernel: Any, linear_map: LinearMap) -> Any:
        return self._for(linear_map).upper_bound(kernel, linear_map)

    def measure(self, task: Task) -> Measurement:
        return self._for(task.linear_map).measure(task)
