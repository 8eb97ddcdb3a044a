"""Kernels and their state in at least 32 bits, also in a mixed-precision model."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from tfspecnorm._backend.operations import ops
from tfspecnorm._backend.variables import read
from tfspecnorm.kernels import Kernel

# Note [Master weights]
# In a mixed-precision model `variable.value` arrives rounded to half precision. A layer whose
# dtype is float32 and that does not autocast reads what is stored. To call one takes as long as
# many small operations: only where values do arrive in another precision.


class _MasterScope(keras.layers.Layer):
    """See Note [Master weights]."""

    def __init__(self) -> None:
        super().__init__(dtype="float32", autocast=False, name="master")

    def call(self, inputs: Any, function: Callable[[], Any]) -> Any:
        return function()


def read_master(function: Callable[[], Any]) -> Any:
    """Run a function in which `variable.value` is what is stored, see Note [Master weights]."""
    return _master_scope()(None, function=function)


@functools.cache
def _master_scope() -> _MasterScope:
    return _MasterScope()


def read_kernel(kernel: Kernel) -> Any:
    """The raw kernel, as a tensor of at least 32 bits, inside `read_master`."""
    value = read(kernel.variable)
    return value if kernel.part is None else kernel.value_in(value)


def at_least_32_bits(value: Any) -> Any:
    """A tensor in float32, or in float64 if it was: the precision of norms and their state."""
    value = ops.convert_to_tensor(value)
    return ops.cast(value, state_dtype(value.dtype))


@functools.cache
def state_dtype(dtype: Any) -> str:
    """The dtype of the state that belongs to a kernel of a dtype."""
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"
