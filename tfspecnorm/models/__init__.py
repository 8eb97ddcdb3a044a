"""Networks of the papers, as plain functions that take a normalization and return a model."""

from tfspecnorm.models.vgg7 import vgg7

__all__ = ["vgg7"]
