"""What is needed to go on: variables, weights files, whole files, and the networks alone."""

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.gan import networks
from tfspecnorm.gan import losses
from tfspecnorm.layers import SpectralNorm


def new_gan(**arguments):
    pair = networks.small_pair(dropout=0.3)
    arguments = {"optimizer": keras.optimizers.Adam, "average_momentum": 0.9, **arguments}
    return networks.compiled(pair, (0.01, 0.02), loss="non-saturating", **arguments)


def state(gan):
    return [*gan.variables, *gan.optimizer.variables]


def train(gan):
    networks.fit(gan, networks.data(16), batch_size=8, epochs=2)
    return gan


def assert_same(one, other):
    for first, second in zip(state(one), state(other), strict=True):
        (left,), (right,) = networks.values([first]), networks.values([second])
        np.testing.assert_array_equal(left, right, err_msg=first.path)


def test_variables_or_a_weights_file_are_the_complete_state(tmp_path):
    gan, given, loaded = train(new_gan()), new_gan(), new_gan()
    for target, value in zip(state(given), networks.values(state(gan)), strict=True):
        target.assign(value)
    gan.save_weights(tmp_path / "gan.weights.h5")
    loaded.load_weights(tmp_path / "gan.weights.h5")
    assert_same(gan, loaded)
    train(gan)
    assert_same(gan, train(given))
    assert_same(gan, train(loaded))
    assert gan.generate(2, seed=0).tolist() == given.generate(2, seed=0).tolist()


def test_saved_model_is_the_model(tmp_path):
    gan = new_gan(n_discriminator=2, gradient_penalty=0.5, seed=4)
    random = np.random.default_rng(0)
    for variable in [*gan.weights, *gan.optimizer.variables]:
        if "float" in variable.dtype:
            variable.assign(random.uniform(0.5, 1, tuple(variable.shape)))
    gan.seed_generator.next()
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    for name in ("latent_size", "n_discriminator", "average_momentum", "seed", "name"):
        assert getattr(loaded, name) == getattr(gan, name)
    assert isinstance(loaded.adversarial_loss, losses.NonSaturating)
    assert (loaded.r1, loaded.gradient_penalty) == (0.0, 0.5)
    assert [metric.name for metric in loaded.metrics] == [metric.name for metric in gan.metrics]
    assert_same(gan, loaded)


def test_saved_model_that_is_not_compiled(tmp_path):
    gan = networks.compiled(networks.small_pair())
    gan = type(gan)(gan.generator, gan.discriminator, average_momentum=None, seed=1)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert not loaded.compiled and loaded.averaged_generator is None
    assert loaded.generate(2, seed=0).tolist() == gan.generate(2, seed=0).tolist()


def test_file_holds_each_array_once(tmp_path):
    import h5py

    gan = new_gan()
    gan.save_weights(tmp_path / "gan.weights.h5")
    found = []
    with h5py.File(tmp_path / "gan.weights.h5") as file:
        file.visititems(lambda _, item: found.append(item) if hasattr(item, "dtype") else None)
    assert len(found) == len(state(gan))


def spectral_pair():
    generator = keras.Sequential(
        [
            keras.Input((networks.LATENT,)),
            SpectralNorm(layers.Dense(4)),
            layers.ReLU(),
            SpectralNorm(layers.Dense(networks.SIZE)),
        ]
    )
    return generator, networks.small_pair()[1]


def test_networks_fold_and_save_after_training(tmp_path):
    gan = train(networks.compiled(spectral_pair(), average_momentum=0.5))
    for network in (gan.generator, gan.averaged_generator, gan.discriminator):
        inputs = tools.random(4, *network.input_shape[1:])
        expected = tools.array(network(inputs))
        folded = tfspecnorm.fold(network)
        assert not any(isinstance(layer, SpectralNorm) for layer in folded.layers)
        np.testing.assert_allclose(tools.array(folded(inputs)), expected, rtol=1e-5, atol=1e-5)
        network.save(tmp_path / "network.keras")
        loaded = keras.saving.load_model(tmp_path / "network.keras")
        np.testing.assert_array_equal(tools.array(loaded(inputs)), expected)


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="a SavedModel of TensorFlow")
def test_export_of_the_averaged_generator(tmp_path):
    import tensorflow as tf

    gan = networks.compiled(networks.small_pair())
    gan.averaged_generator.export(str(tmp_path / "generator"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "generator"))
    latents = tools.random(4, networks.LATENT)
    expected = tools.array(gan(latents))
    np.testing.assert_allclose(loaded.serve(latents).numpy(), expected, rtol=1e-5, atol=1e-6)
