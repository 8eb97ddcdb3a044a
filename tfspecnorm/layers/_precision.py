"""Kernels and their state are read and computed in at least 32 bits."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import keras

from tfspecnorm._backend.operations import ops
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


def read_master(function: Callable[[], Any], needed: bool = True) -> Any:
    """Run a function in which `variable.value` is what is stored, see Note [Master weights].

    Args:
        function: What to run.
        needed: `False` where values are known to arrive as they are stored.
    """
    return _master_scope()(None, function=function) if needed else function()


def dtypes_of(variables: Iterable[keras.Variable]) -> tuple[str, ...]:
    """The precisions in which values arrive: inside `read_master` those that are stored."""
    return tuple(variable.dtype for variable in variables)


@functools.cache
def _master_scope() -> _MasterScope:
    return _MasterScope()


def stored_value(variable: keras.Variable) -> Any:
    """What a variable stores, as a tensor of at least 32 bits, inside `read_master`."""
    value = variable.value
    if keras.backend.backend() == "tensorflow":
        # A mirrored variable passes for a tensor and would stay a variable.
        value = ops.reshape(value, tuple(variable.shape))
    return at_least_32_bits(value)


def kernel_value(kernel: Kernel) -> Any:
    """The raw kernel, as a tensor of at least 32 bits, inside `read_master`."""
    return kernel.value_in(stored_value(kernel.variable))


def at_least_32_bits(value: Any) -> Any:
    """A tensor in float32, or in float64 if it was: the precision of norms and their state."""
    value = ops.convert_to_tensor(value)
    dtype = state_dtype(value.dtype)
    return (
        value if keras.backend.standardize_dtype(value.dtype) == dtype else ops.cast(value, dtype)
    )


@functools.cache
def state_dtype(dtype: Any) -> str:
    """The dtype of the state that belongs to a kernel of a dtype."""
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"
