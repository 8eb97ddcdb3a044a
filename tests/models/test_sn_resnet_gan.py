"""The residual networks: their blocks, their start, and the sum over all positions."""

import re

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm.layers import MeanSpectralNorm, SpectralNorm
from tfspecnorm.models import (
    normalizations,
    sn_resnet_discriminator,
    sn_resnet_gan,
    sn_resnet_generator,
)

SMALL = {"size": 16, "width": 0.0625}
DISCRIMINATOR = [
    *("block1_conv1", "block1_conv2", "block1_shortcut"),
    *("block2_conv1", "block2_conv2", "block2_shortcut"),
    *("block3_conv1", "block3_conv2", "block4_conv1", "block4_conv2", "head"),
]
GENERATOR = [
    "dense",
    *(f"block{n}_{part}" for n in range(1, 4) for part in ("conv1", "conv2", "shortcut")),
    "conv",
]


def plain(layer):
    return getattr(layer, "layer", layer)


def kernel_layers(model):
    return [layer for layer in model.layers if hasattr(plain(layer), "kernel")]


def test_parameters_of_the_published_networks():
    generator, discriminator = sn_resnet_gan(normalization="none")

    def convolution(inputs, outputs, taps=9):
        return taps * inputs * outputs + outputs

    block = 2 * convolution(256, 256) + convolution(256, 256, 1) + 2 * 2 * 256
    dense = 128 * 4096 + 4096
    expected = dense + 3 * block + 2 * 256 + convolution(256, 3)
    trainable = sum(int(np.prod(part.shape)) for part in generator.trainable_variables)
    assert trainable == expected
    expected = convolution(3, 128) + 7 * convolution(128, 128)
    expected += convolution(3, 128, 1) + convolution(128, 128, 1) + 128
    assert discriminator.count_params() == expected


@pytest.mark.parametrize("normalization", normalizations.NAMES)
def test_names_are_those_of_each_variant(normalization):
    generator, discriminator = sn_resnet_gan(
        **SMALL, normalization=normalization, generator_normalization=normalization
    )
    assert sorted(plain(part).name for part in kernel_layers(generator)) == sorted(GENERATOR)
    assert sorted(plain(part).name for part in kernel_layers(discriminator)) == sorted(
        DISCRIMINATOR
    )
    outputs = tools.array(discriminator(generator(tools.random(2, 128), training=True)))
    assert outputs.shape == (2, 1) and np.isfinite(outputs).all()


def test_all_layers_of_the_discriminator_are_normalized():
    wrapped = kernel_layers(sn_resnet_discriminator(**SMALL))
    assert {type(part) for part in wrapped} == {SpectralNorm}
    assert not plain(wrapped[-1]).use_bias
    model = sn_resnet_discriminator(**SMALL, normalization="mean-spectral")
    means = {part.layer.name for part in model.layers if isinstance(part, MeanSpectralNorm)}
    assert means == {f"block{block}_conv{number}" for block in range(1, 5) for number in (1, 2)}


def test_batch_normalization_before_each_relu_but_the_first():
    model = sn_resnet_discriminator(**SMALL, normalization="batch")
    names = [part.name for part in model.layers]
    relus = [name for name in names if name.endswith("_activation")]
    assert len(relus) == 8
    for name in relus[1:]:
        assert name.replace("_activation", "_normalization") in names
    assert "block1_2_normalization" not in names


def test_discriminator_is_the_published_formula():
    """The first block, the last activation and the sum, without the layers of Keras."""
    model = sn_resnet_discriminator(size=8, width=0.03125, normalization="none")
    image = tools.random(1, 8, 8, 3).astype("float64")

    def weights(name):
        return [tools.array(part).astype("float64") for part in model.get_layer(name).weights]

    def convolved(inputs, name):
        kernel, bias = weights(name)
        padded = np.pad(inputs, [(0, 0), *[(kernel.shape[0] // 2,) * 2] * 2, (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], (1, 2))
        return np.einsum("bhwcij,ijco->bhwo", windows, kernel) + bias

    def halved(inputs):
        count, height, width, channels = inputs.shape
        split = inputs.reshape(count, height // 2, 2, width // 2, 2, channels)
        return split.mean(axis=(2, 4))

    def relu(inputs):
        return np.maximum(inputs, 0)

    hidden = convolved(relu(convolved(image, "block1_conv1")), "block1_conv2")
    hidden = halved(hidden) + convolved(halved(image), "block1_shortcut")
    for number in (2, 3, 4):
        branch = convolved(relu(hidden), f"block{number}_conv1")
        branch = convolved(relu(branch), f"block{number}_conv2")
        if number == 2:
            hidden = halved(branch) + halved(convolved(hidden, "block2_shortcut"))
        else:
            hidden = branch + hidden
    expected = relu(hidden).sum(axis=(1, 2)) @ weights("head")[0]
    np.testing.assert_allclose(tools.array(model(image.astype("float32"))), expected, rtol=1e-4)


def test_upsampling_repeats_pixels():
    model = sn_resnet_generator(**SMALL)
    for part in model.layers:
        if isinstance(part, layers.UpSampling2D):
            assert (part.size, part.interpolation) == ((2, 2), "nearest")


def test_start_of_the_weights():
    model = sn_resnet_discriminator(normalization="none")
    for name, gain, fans in (
        ("block2_conv1", 2, 9 * 256),
        ("block2_shortcut", 1, 256),
        ("head", 1, 129),
    ):
        kernel = tools.array(model.get_layer(name).kernel)
        limit = np.sqrt(gain * 6 / fans)
        assert 0.9 * limit < np.abs(kernel).max() <= limit * (1 + 1e-6)


def test_folded_discriminator_and_saved_generator(tmp_path):
    generator, discriminator = sn_resnet_gan(**SMALL, generator_normalization="spectral")
    images = tools.random(2, 16, 16, 3)
    folded = tfspecnorm.fold(discriminator)
    assert not any(isinstance(part, SpectralNorm) for part in folded.layers)
    np.testing.assert_allclose(
        tools.array(folded(images)), tools.array(discriminator(images)), atol=1e-5
    )
    generator.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    latents = tools.random(2, 128)
    np.testing.assert_array_equal(tools.array(loaded(latents)), tools.array(generator(latents)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 30}, "`size` must be a positive multiple of 8. Received: size=30"),
        ({"channels": 1.5}, r"`channels`.*Received: channels=1\.5"),
        ({"latent_size": 0}, "`latent_size`.*Received: latent_size=0"),
        ({"width": 0}, "`width`.*Received: width=0"),
        ({"normalization": None}, "Received: normalization=None"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as caught:
        sn_resnet_gan(**arguments)
    assert re.search(message, str(caught.value))
