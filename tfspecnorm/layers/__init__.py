"""What users wrap layers in."""

from tfspecnorm.layers import scales
from tfspecnorm.layers.spectral_norm import SpectralNorm

__all__ = ["SpectralNorm", "scales"]
