"""Starts of weight-normalized networks, set by an explicit call on a model."""

from tfspecnorm.initializers.data_dependent import data_dependent
from tfspecnorm.initializers.robust import ResidualBlock, robust

__all__ = ["ResidualBlock", "data_dependent", "robust"]
