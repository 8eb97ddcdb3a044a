"""Wrappers of Keras layers that control their kernels, and the base for wrappers of your own."""

from tfspecnorm.layers import scales
from tfspecnorm.layers.bidirectional_spectral_norm import BidirectionalSpectralNorm
from tfspecnorm.layers.mean_spectral_norm import MeanSpectralNorm
from tfspecnorm.layers.reparameterization import Reparameterization
from tfspecnorm.layers.spectral_norm import SpectralNorm
from tfspecnorm.layers.weight_norm import WeightNorm

__all__ = [
    "BidirectionalSpectralNorm",
    "MeanSpectralNorm",
    "Reparameterization",
    "SpectralNorm",
    "WeightNorm",
    "scales",
]
