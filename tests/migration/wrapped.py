"""What tests of carried-over models need."""

import pathlib

import keras
from keras import layers

from tests import tools
from tfspecnorm import scales
from tfspecnorm.layers import SpectralNorm, WeightNorm

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"


def learned(layer):
    return SpectralNorm(layer, scale=scales.Learned())


def wrappers(model):
    """The wrappers of a model and of the models in it, in order."""
    found = []
    for layer in model.layers:
        if isinstance(layer, (SpectralNorm, WeightNorm)):
            found.append(layer)
        elif isinstance(layer, keras.Model):
            found += wrappers(layer)
        elif isinstance(layer, layers.TimeDistributed):
            found.append(layer.layer)
    return found


def sigma_of(kernel, output_axis=-1):
    return tools.largest_singular_value(tools.matrix_of(kernel, output_axis))
