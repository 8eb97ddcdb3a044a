"""A norm of convolutions, which for a map without taps is that of a matrix."""

import abc
from typing import Any

import numpy as np

from tfspecnorm.norms.base import Measurement, Norm, Task
from tfspecnorm.norms.linear_map import LinearMap


class OfConvolutions(Norm):
    """Base of the norms that are one norm for convolutions, and another one for matrices."""

    @abc.abstractmethod
    def norm_for(self, linear_map: LinearMap) -> Norm:
        """The norm of a convolution of several taps, or that of a map without taps."""

    def guarantee(self, linear_map: LinearMap) -> str:
        return self.norm_for(linear_map).guarantee(linear_map)

    def state_shapes(self, linear_map: LinearMap) -> dict[str, tuple[int, ...]]:
        return self.norm_for(linear_map).state_shapes(linear_map)

    def initial_state(self, kernel: np.ndarray, linear_map: LinearMap) -> dict[str, np.ndarray]:
        return self.norm_for(linear_map).initial_state(kernel, linear_map)

    def converged(self, kernel: np.ndarray, linear_map: LinearMap) -> float:
        return self.norm_for(linear_map).converged(kernel, linear_map)

    def search(self, kernel: Any, linear_map: LinearMap) -> dict[str, Any]:
        return self.norm_for(linear_map).search(kernel, linear_map)

    def upper_bound(self, kernel: Any, linear_map: LinearMap) -> Any:
        return self.norm_for(linear_map).upper_bound(kernel, linear_map)

    def measure(self, task: Task) -> Measurement:
        return self.norm_for(task.linear_map).measure(task)
