"""Keras layer wrappers that control the weights of a network."""

from tfspecnorm._backend_check import check as _check_backend

_check_backend()

from tfspecnorm import initializers, kernels, layers, migration, norms, schedules  # noqa: E402
from tfspecnorm._version import __version__  # noqa: E402
from tfspecnorm.layers import scales  # noqa: E402
from tfspecnorm.surgery import fold, warm_up, wrap  # noqa: E402

__all__ = [
    "__version__",
    "initializers",
    "kernels",
    "layers",
    "migration",
    "norms",
    "scales",
    "schedules",
    "fold",
    "warm_up",
    "wrap",
]
