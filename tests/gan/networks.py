"""Small networks, and a linear pair whose training step can be written down."""

import keras
import numpy as np
from keras import layers, ops

from tests import tools
from tfspecnorm.gan import GAN
from tfspecnorm.layers import SpectralNorm

LATENT, SIZE = 3, 2


def linear_pair(**discriminator_arguments):
    """G(z) = z·A + b and D(x) = x·w + c, far from zero."""
    generator = keras.Sequential([keras.Input((LATENT,)), layers.Dense(SIZE)])
    head = layers.Dense(1, **discriminator_arguments)
    discriminator = keras.Sequential([keras.Input((SIZE,)), head])
    for seed, network in enumerate((generator, discriminator)):
        shapes = [tuple(weight.shape) for weight in network.weights]
        network.set_weights([0.5 * tools.random(*shape, seed=seed) for shape in shapes])
    return generator, discriminator


def small_pair(dropout=0.0, batch=True, dtype=None):
    """A generator with batch normalization, a discriminator with spectral normalization."""
    generator = keras.Sequential(
        [
            keras.Input((LATENT,)),
            layers.Dense(8, dtype=dtype),
            layers.BatchNormalization(dtype=dtype) if batch else layers.Identity(dtype=dtype),
            layers.ReLU(dtype=dtype),
            layers.Dense(SIZE, dtype=dtype),
        ],
        name="generator",
    )
    discriminator = keras.Sequential(
        [
            keras.Input((SIZE,)),
            SpectralNorm(layers.Dense(8, dtype=dtype)),
            layers.LeakyReLU(0.1, dtype=dtype),
            layers.Dropout(dropout, seed=5, dtype=dtype),
            SpectralNorm(layers.Dense(1, dtype=dtype)),
        ],
        name="discriminator",
    )
    return generator, discriminator


def compiled(pair, learning_rates=(0.1, 0.2), optimizer=keras.optimizers.SGD, **arguments):
    names = ("latent_size", "n_discriminator", "average_momentum", "seed", "measure_once")
    own = {name: arguments.pop(name) for name in names if name in arguments}
    gan = GAN(*pair, **{"seed": 3, **own})
    gan.compile(*(optimizer(rate) for rate in learning_rates), **arguments)
    return gan


def data(count=8, seed=7):
    return tools.random(count, SIZE, seed=seed) + np.array([2, -1], "float32")


def fit(gan, inputs, **arguments):
    arguments = {"batch_size": len(inputs), "shuffle": False, "verbose": 0, **arguments}
    return gan.fit(inputs, **arguments).history


class Draws:
    """The numbers that a GAN of this seed draws, one after another."""

    def __init__(self, seed=3):
        self._seeds = keras.random.SeedGenerator(seed)

    def latents(self, count):
        return tools.array(keras.random.normal((count, LATENT), seed=self._seeds))

    def fractions(self, count):
        return tools.array(keras.random.uniform((count, 1), seed=self._seeds))


def values(variables):
    return [np.array(ops.convert_to_numpy(variable.value)) for variable in variables]
