"""Images of a trained or an untrained GAN."""

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.gan import networks
from tfspecnorm.gan import GAN


def test_images_for_a_seed():
    gan = networks.compiled(networks.small_pair(), average_momentum=0.5)
    networks.fit(gan, networks.data(), epochs=3)
    before = networks.values(gan.variables)
    images = gan.generate(5, seed=1, batch_size=2)
    assert isinstance(images, np.ndarray) and images.shape == (5, networks.SIZE)
    np.testing.assert_allclose(gan.generate(5, seed=1), images, rtol=1e-5, atol=1e-6)
    latents = np.random.default_rng(1).standard_normal((5, networks.LATENT)).astype("float32")
    for averaged, network in ((True, gan.averaged_generator), (False, gan.generator)):
        expected = tools.array(network(latents))
        found = gan.generate(5, seed=1, averaged=averaged)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gan.predict(latents, verbose=0), images, rtol=1e-5, atol=1e-6)
    assert np.abs(gan.generate(5) - gan.generate(5)).max() > 1e-3
    for one, other in zip(before, networks.values(gan.variables), strict=True):
        np.testing.assert_array_equal(one, other)


def test_images_are_made_in_batches_of_one_size():
    sizes = set()

    class Watched(layers.Layer):
        def call(self, inputs):
            sizes.add(inputs.shape[0])
            return 1.0 * inputs

    watched = [keras.Input((3,)), layers.Dense(networks.SIZE), Watched()]
    gan = GAN(keras.Sequential(watched), networks.small_pair()[1], average_momentum=None)
    sizes.clear()
    for count in (3, 1, 8, 9, 20):
        latents = np.random.default_rng(1).standard_normal((count, networks.LATENT))
        expected = latents @ gan.generator.get_weights()[0]
        found = gan.generate(count, seed=1, batch_size=8)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert 8 in sizes and sizes <= {None, 8}


def test_images_in_the_middle_of_an_epoch():
    made = []

    class Samples(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            made.append(self.model.generate(2, seed=0, averaged=False))

    gan = networks.compiled(networks.linear_pair())
    networks.fit(gan, networks.data(), batch_size=4, callbacks=[Samples()])
    assert len(made) == 2 and np.abs(made[0] - made[1]).max() > 1e-4


@pytest.mark.parametrize("arguments", [{"count": 0}, {"count": 1, "batch_size": 0}])
def test_wrong_arguments_of_generate_are_named(arguments):
    gan = GAN(*networks.small_pair())
    with pytest.raises(ValueError, match="must be a positive integer. Received: .*=0"):
        gan.generate(**arguments)
