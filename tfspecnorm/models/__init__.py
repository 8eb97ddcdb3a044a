"""Networks of the papers, as plain functions that take a normalization and return a model."""

from tfspecnorm.models import normalizations
from tfspecnorm.models.normalizations import Normalization
from tfspecnorm.models.vgg7 import vgg7

__all__ = ["Normalization", "normalizations", "vgg7"]
