"""Keras layer wrappers that control the weights of a network."""

from tfspecnorm._util import quiet as _quiet
from tfspecnorm._util.backend_check import check as _check_backend

if _quiet.is_command():
    _quiet.hide_native_log()
_check_backend()

from tfspecnorm import (  # noqa: E402
    analysis,
    callbacks,
    edge,
    gan,
    initializers,
    kernels,
    layers,
    metrics,
    migration,
    models,
    norms,
    schedules,
)
from tfspecnorm._version import __version__  # noqa: E402
from tfspecnorm.analysis import certified_radius, lipschitz_bound, spectral_report  # noqa: E402
from tfspecnorm.edge import export  # noqa: E402
from tfspecnorm.layers import scales  # noqa: E402
from tfspecnorm.surgery import (  # noqa: E402
    fold,
    group,
    measured_once,
    raw_matrices,
    warm_up,
    wrap,
    wrappers_in,
)

__all__ = [
    "__version__",
    "analysis",
    "callbacks",
    "edge",
    "gan",
    "initializers",
    "kernels",
    "layers",
    "metrics",
    "migration",
    "models",
    "norms",
    "scales",
    "schedules",
    "certified_radius",
    "export",
    "fold",
    "group",
    "lipschitz_bound",
    "measured_once",
    "raw_matrices",
    "spectral_report",
    "warm_up",
    "wrap",
    "wrappers_in",
]
