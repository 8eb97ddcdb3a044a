"""How large a model really is: reports, Lipschitz bounds, certified radii."""

from tfspecnorm.analysis import _linear
from tfspecnorm.analysis._constants import constant_of, register_constant
from tfspecnorm.analysis.lipschitz import LayerFactor, LipschitzReport, lipschitz_bound
from tfspecnorm.analysis.report import KernelRecord, SpectralReport, spectral_report
from tfspecnorm.analysis.robustness import certified_radius

__all__ = [
    "KernelRecord",
    "LayerFactor",
    "LipschitzReport",
    "SpectralReport",
    "_linear",
    "certified_radius",
    "constant_of",
    "lipschitz_bound",
    "register_constant",
    "spectral_report",
]
