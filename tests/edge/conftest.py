"""What the tests of the edge room share."""

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tfspecnorm.layers import MeanSpectralNorm, SpectralNorm, WeightNorm

SHAPE = (8, 8, 3)


def small_model(normalized=True):
    """A few layers of each kind that small networks have, with weights away from their start."""
    wrap = [SpectralNorm, MeanSpectralNorm, WeightNorm] if normalized else [lambda layer: layer] * 3
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(SHAPE, name="image"),
            wrap[0](layers.Conv2D(8, 3, padding="same", name="first")),
            layers.ReLU(),
            wrap[1](layers.DepthwiseConv2D(3, strides=2, name="second")),
            layers.ReLU(6.0),
            layers.GlobalAveragePooling2D(),
            wrap[2](layers.Dense(5, name="head")),
        ]
    )
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(random.normal(0, 0.4, variable.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def samples():
    return tools.random(64, *SHAPE, seed=1)
