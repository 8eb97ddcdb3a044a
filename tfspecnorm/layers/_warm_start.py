"""Initializers that start a wrapper's state from the kernel that it belongs to."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfspecnorm._backend.operations import ops
from tfspecnorm.kernels import Kernel
from tfspecnorm.layers._evaluation import rescaled
from tfspecnorm.layers._precision import kernel_value, read_master

# Largest entries of kernels for training calls: products of vectors with other ones leave the range
# of float32, or lose digits.
_SMALLEST, _LARGEST = 1e-33, 1e36


class WarmStart:
    """Converged state of one kernel, computed when the variables are initialized.

    The kernel is read inside the initializers, not while the layer is built: a `Sequential`
    without an `Input` builds inside a traced function, where a kernel has no value yet.
    """

    def __init__(self, norm: Any, kernel: Kernel) -> None:
        self._norm = norm
        self._kernel = kernel
        self._concrete: dict[str, np.ndarray] | None = None

    def initializer(self, name: str) -> Callable[..., Any]:
        """Keras initializer of the state variable of that name."""

        def initialize(shape: Any, dtype: Any = None) -> Any:
            return ops.cast(self.state()[name], dtype)

        return initialize

    def sigma(self) -> Any:
        """The norm of the kernel at the converged state."""
        value = self._value()
        state = {name: ops.cast(part, value.dtype) for name, part in self.state().items()}
        return self._norm(value, state, self._kernel.linear_map).sigma

    def state(self) -> dict[str, Any]:
        """Arrays where the kernel has a value, tensors where it is traced."""
        if self._concrete is None:
            value = self._value()
            array = concrete(value)
            if array is None:
                return self._norm.search(rescaled(value)[0], self._kernel.linear_map)
            check_range(array, self._kernel)
            self._concrete = self._norm.initial_state(array, self._kernel.linear_map)
        return self._concrete

    def _value(self) -> Any:
        return read_master(lambda: kernel_value(self._kernel))


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
