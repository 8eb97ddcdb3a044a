"""Which variables of which Keras layer are linear maps, and how to register a layer."""

from tfspecnorm.kernels import convolutions, dense
from tfspecnorm.kernels.registry import (
    Kernel,
    check_registered,
    is_registered,
    kernels_of,
    register,
    registered,
)

__all__ = [
    "Kernel",
    "check_registered",
    "convolutions",
    "dense",
    "is_registered",
    "kernels_of",
    "register",
    "registered",
]
