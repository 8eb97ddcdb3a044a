"""What users wrap layers in."""

from tfspecnorm.layers import scales
from tfspecnorm.layers.bidirectional_spectral_norm import BidirectionalSpectralNorm
from tfspecnorm.layers.mean_spectral_norm import MeanSpectralNorm
from tfspecnorm.layers.spectral_norm import SpectralNorm
from tfspecnorm.layers.weight_norm import WeightNorm

__all__ = [
    "BidirectionalSpectralNorm",
    "MeanSpectralNorm",
    "SpectralNorm",
    "WeightNorm",
    "scales",
]
