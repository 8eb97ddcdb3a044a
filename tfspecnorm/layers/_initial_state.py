"""Initial state of wrappers, from the kernels that it belongs to."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfspecnorm._backend.operations import ops
from tfspecnorm.kernels import Kernel
from tfspecnorm.layers._evaluation import evaluation_task, rescaled
from tfspecnorm.layers._full_precision import read_kernel, read_master
from tfspecnorm.norms import Norm

# Largest entries of kernels for training calls: products of vectors with other ones leave the range
# of float32, or lose digits.
_SMALLEST, _LARGEST = 1e-33, 1e36


class InitialState:
    """Converged state of a norm, computed when the variables are initialized or restarted.

    The kernel is read inside the initializers, not while the layer is built: a `Sequential`
    without an `Input` builds inside a traced function, where a kernel has no value yet.
    """

    def __init__(self, norm: Norm, kernel: Kernel) -> None:
        self._norm = norm
        self._kernel = kernel
        # What waits for its variable: all of the state is found at once.
        self._waiting: dict[str, Any] = {}

    def initializer(self, name: str) -> Callable[..., Any]:
        """Keras initializer of the state variable of that name."""

        def initialize(shape: Any, dtype: Any = None) -> Any:
            if name not in self._waiting:
                self._waiting = self._compute()
            return ops.cast(self._waiting.pop(name), dtype)

        return initialize

    def _compute(self) -> dict[str, Any]:
        """Arrays where the kernel has a value, tensors where it is traced."""
        value = read_master(lambda: read_kernel(self._kernel))
        array = concrete(value)
        if array is None:
            return self._norm.search(rescaled(value)[0], self._kernel.linear_map)
        check_range(array, self._kernel)
        return dict(self._norm.initial_state(array, self._kernel.linear_map))


def sigma_of(norm: Norm, kernel: Kernel) -> Any:
    """The norm of a kernel as it is now."""
    task = evaluation_task(norm, read_master(lambda: read_kernel(kernel)), kernel.linear_map)
    return task.size * task.alone().sigma


def check_range(array: np.ndarray, kernel: Kernel) -> None:
    """Raise a `ValueError` for a kernel with which a training call would over- or underflow."""
    largest = np.max(np.abs(array), initial=0.0)
    if largest > _LARGEST or 0 < largest < _SMALLEST:
        raise ValueError(
            f"A kernel must be zero or have a largest entry between {_SMALLEST} and {_LARGEST} to "
            "be trained with a normalization; outside of training any will do. "
            f"Received: kernel '{kernel.name}' ({kernel.variable.path}) with {largest:.3g}"
        )


def concrete(value: Any) -> np.ndarray | None:
    """The tensor as an array, or `None` while a function is traced."""
    try:
        return ops.convert_to_numpy(value)
    except (NotImplementedError, TypeError):
        return None
