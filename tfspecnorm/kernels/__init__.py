"""Which variables of which Keras layer are linear maps, and how to register a layer."""

from tfspecnorm.kernels import attention, containers, convolutions, dense, holders, recurrent
from tfspecnorm.kernels.description import check_registered, kernels_of
from tfspecnorm.kernels.kernel import Kernel
from tfspecnorm.kernels.registry import (
    held_by,
    is_registered,
    register,
    register_holder,
    registered,
)

__all__ = [
    "Kernel",
    "attention",
    "check_registered",
    "containers",
    "convolutions",
    "dense",
    "held_by",
    "holders",
    "is_registered",
    "kernels_of",
    "recurrent",
    "register",
    "register_holder",
    "registered",
]
