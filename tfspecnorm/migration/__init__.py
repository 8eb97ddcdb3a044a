"""Models and files of other packages that normalize weights, carried over to this one."""

from tfspecnorm.migration._addons import load_tensorflow_addons
from tfspecnorm.migration._keras import from_keras

__all__ = ["from_keras", "load_tensorflow_addons"]
