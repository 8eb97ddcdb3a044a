"""How large a model really is: reports, Lipschitz bounds, certified radii."""

from tfspecnorm.analysis._constants import constant_of, register_constant
from tfspecnorm.analysis._lipschitz_report import LayerFactor, LipschitzReport
from tfspecnorm.analysis._records import KernelRecord, SpectralReport
from tfspecnorm.analysis.lipschitz import lipschitz_bound
from tfspecnorm.analysis.report import spectral_report
from tfspecnorm.analysis.robustness import certified_radius

__all__ = [
    "KernelRecord",
    "LayerFactor",
    "LipschitzReport",
    "SpectralReport",
    "certified_radius",
    "constant_of",
    "lipschitz_bound",
    "register_constant",
    "spectral_report",
]
