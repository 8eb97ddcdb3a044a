"""What does not train: images that the generator cannot make, probabilities in place of logits."""

import keras
import numpy as np
import pytest

from tests import tools
from tests.gan import networks
from tfspecnorm import layers
from tfspecnorm.gan import GAN, _ranges, losses

SIZE = networks.SIZE
RANGE = r"`x` should be images in \[-1, 1\].*tanh.*Received: x with values from 0 to 255"


def ending(*last, wrap=lambda layer: layer, inputs=networks.LATENT):
    return keras.Sequential([keras.Input((inputs,)), wrap(keras.layers.Dense(SIZE)), *last])


def in_tanh(**arguments):
    gan = GAN(ending(keras.layers.Activation("tanh")), networks.small_pair()[1], seed=0)
    gan.compile("sgd", "adam", **arguments)
    return gan


def pixels():
    values = np.random.default_rng(0).integers(0, 256, (8, SIZE)).astype("float32")
    values[0] = 0, 255
    return values


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, place):
        return (pixels(),)


def dataset(values):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((values, np.zeros(len(values)))).batch(4)


@pytest.mark.parametrize("kind", ["array", "labels", "PyDataset"])
def test_pixels_for_a_generator_that_ends_in_tanh(kind):
    gan = in_tanh()
    given = {"array": (pixels(),), "labels": (pixels(), np.ones(8)), "PyDataset": (Batches(),)}
    with pytest.warns(UserWarning, match=RANGE) as found:
        gan.fit(*given[kind], verbose=0)
    assert len([one for one in found if "should be images" in str(one.message)]) == 1


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="data of TensorFlow")
def test_pixels_in_a_dataset_are_seen_once_and_in_order():
    gan = in_tanh()
    with pytest.warns(UserWarning, match=RANGE) as found:
        gan.fit(dataset(pixels()), verbose=0, epochs=2, shuffle=False)
    # Each epoch begins with a first batch.
    assert len(found) <= 2
    watched = gan._watched(dataset(pixels() / 255), None)
    assert len(watched) == 2
    np.testing.assert_array_equal(
        np.concatenate([images.numpy() for images, _ in watched]), pixels() / 255
    )


@pytest.mark.skipif(tools.BACKEND != "torch", reason="data of PyTorch")
def test_pixels_in_a_loader():
    import torch

    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.as_tensor(pixels())), batch_size=4
    )
    with pytest.warns(UserWarning, match=RANGE):
        in_tanh().fit(loader, verbose=0, shuffle=False)


@pytest.mark.parametrize("scale", [1.0, -1.0])
def test_images_in_the_range_are_silent(scale):
    in_tanh().fit(scale * (pixels() / 127.5 - 1), verbose=0)


def test_generator_without_a_range_takes_what_there_is():
    networks.fit(networks.compiled(networks.linear_pair(), (0.0, 0.0)), pixels())


def functional(function):
    inputs = keras.Input((networks.LATENT,))
    return keras.Model(inputs, function(inputs))


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (lambda: ending(), "linear"),
        (lambda: ending(keras.layers.Dense(2, activation="tanh")), "tanh"),
        (
            lambda: ending(layers.SpectralNorm(keras.layers.Dense(2, activation="sigmoid"))),
            "sigmoid",
        ),
        (lambda: ending(keras.layers.Activation("tanh"), keras.layers.Reshape((2, 1))), "tanh"),
        (lambda: ending(keras.layers.Softmax()), "softmax"),
        (lambda: functional(lambda x: keras.ops.sigmoid(keras.layers.Dense(2)(x))), "sigmoid"),
        (lambda: functional(lambda x: ending(keras.layers.Activation("tanh"))(x)), "tanh"),
        (lambda: functional(lambda x: 2 * keras.layers.Activation("tanh")(x)), "multiply"),
    ],
)
def test_last_activation(network, expected):
    assert _ranges.last_activation(network()) == expected


@pytest.mark.parametrize("loss", ["hinge", "non-saturating", "wasserstein"])
def test_discriminator_that_ends_in_a_sigmoid(loss):
    head = keras.layers.Dense(1, activation="sigmoid")
    discriminator = keras.Sequential([keras.Input((SIZE,)), layers.SpectralNorm(head)])
    gan = GAN(networks.linear_pair()[0], discriminator)
    with pytest.warns(UserWarning, match="`discriminator` should have logits.*ends in a sigmoid"):
        gan.compile("sgd", "adam", loss=loss)


def test_loss_of_ones_own_may_take_probabilities():
    class OfProbabilities(losses.AdversarialLoss):
        pass

    discriminator = keras.Sequential(
        [keras.Input((SIZE,)), keras.layers.Dense(1, activation="sigmoid")]
    )
    GAN(networks.linear_pair()[0], discriminator).compile("sgd", "adam", loss=OfProbabilities())


@pytest.mark.parametrize("loss", ["binary_crossentropy", keras.losses.BinaryCrossentropy()])
def test_binary_crossentropy_says_what_it_is_called_here(loss):
    with pytest.raises(ValueError, match='Binary cross-entropy is "non-saturating"'):
        in_tanh(loss=loss)
