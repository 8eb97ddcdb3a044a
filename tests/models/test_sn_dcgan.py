"""SN-DCGAN: its layers in the papers' order, what normalizes them, and what is left when folded."""

import re

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm.layers import MeanSpectralNorm, SpectralNorm
from tfspecnorm.models import (
    Normalization,
    normalizations,
    sn_dcgan,
    sn_dcgan_discriminator,
    sn_dcgan_generator,
)

SMALL = {"size": 16, "width": 0.125}
CONVOLUTIONS = [f"conv{number}" for number in range(1, 8)]


def plain(layer):
    return getattr(layer, "layer", layer)


def kernel_layers(model):
    return [layer for layer in model.layers if hasattr(plain(layer), "kernel")]


def geometry(model):
    return [
        (plain(layer).filters, plain(layer).kernel_size[0], plain(layer).strides[0])
        for layer in kernel_layers(model)
        if hasattr(plain(layer), "filters")
    ]


def test_discriminator_has_the_layout_of_the_papers():
    model = sn_dcgan_discriminator()
    assert geometry(model) == [
        *((64, 3, 1), (64, 4, 2), (128, 3, 1), (128, 4, 2), (256, 3, 1), (256, 4, 2)),
        (512, 3, 1),
    ]
    assert model.get_layer("flatten").output.shape == (None, 4 * 4 * 512)
    assert model.output_shape == (None, 1)
    slopes = [part.negative_slope for part in model.layers if isinstance(part, layers.LeakyReLU)]
    assert slopes == [0.1] * 7


def test_generator_has_the_layout_of_the_papers():
    model = sn_dcgan_generator()
    assert geometry(model) == [(256, 4, 2), (128, 4, 2), (64, 4, 2), (3, 3, 1)]
    assert model.get_layer("reshape").output.shape == (None, 4, 4, 512)
    found = [part for part in model.layers if isinstance(part, layers.BatchNormalization)]
    assert [(part.epsilon, part.momentum, part.scale) for part in found] == [(1e-5, 0.9, True)] * 4
    images = tools.array(model(tools.random(2, 128)))
    assert images.shape == (2, 32, 32, 3) and np.abs(images).max() <= 1


@pytest.mark.parametrize("size", [16, 48, 64])
def test_sizes(size):
    generator, discriminator = sn_dcgan(size=size, width=0.0625)
    assert generator.output_shape == discriminator.input_shape == (None, size, size, 3)


def test_start_of_the_weights():
    generator, discriminator = sn_dcgan(normalization="none")
    # A normal distribution, and one without what is beyond two standard deviations.
    for model, layer, beyond in ((generator, "conv1", 0.0455), (discriminator, "conv7", 0)):
        kernel = tools.array(model.get_layer(layer).kernel)
        assert kernel.std() == pytest.approx(0.02, rel=0.15)
        assert np.mean(np.abs(kernel) > 0.04) == pytest.approx(beyond, abs=1e-3)
    for model in (generator, discriminator):
        found = [part.bias for part in kernel_layers(model) if part.bias is not None]
        assert all(np.all(tools.array(bias) == 0) for bias in found)


@pytest.mark.parametrize("normalization", normalizations.NAMES)
def test_names_are_those_of_each_variant(normalization):
    generator, discriminator = sn_dcgan(
        **SMALL, normalization=normalization, generator_normalization=normalization
    )
    names = [plain(layer).name for layer in kernel_layers(discriminator)]
    assert names == [*CONVOLUTIONS, "head"]
    names = [plain(layer).name for layer in kernel_layers(generator)]
    assert names == ["dense", "conv1", "conv2", "conv3", "conv4"]
    outputs = tools.array(discriminator(generator(tools.random(2, 128), training=True)))
    assert outputs.shape == (2, 1) and np.isfinite(outputs).all()


def test_every_layer_of_the_discriminator_is_normalized():
    wrapped = kernel_layers(sn_dcgan_discriminator(**SMALL))
    assert [type(layer) for layer in wrapped] == [SpectralNorm] * 8


def test_means_are_taken_in_three_places():
    model = sn_dcgan_discriminator(**SMALL, normalization="mean-spectral")
    wrapped = {part.layer.name: type(part) for part in kernel_layers(model)}
    means = [name for name, kind in wrapped.items() if kind is MeanSpectralNorm]
    assert means == ["conv4", "conv6", "conv7"]
    assert wrapped["conv1"] is wrapped["conv5"] is wrapped["head"] is SpectralNorm


def test_batch_normalization_follows_all_convolutions_but_the_first():
    model = sn_dcgan_discriminator(**SMALL, normalization="batch")
    found = [part.name for part in model.layers if isinstance(part, layers.BatchNormalization)]
    assert found == [f"normalization{number}" for number in range(2, 8)]
    biased = [part.name for part in kernel_layers(model) if part.use_bias]
    assert biased == ["conv1", "head"]


def test_generator_with_both_normalizations():
    both = Normalization("both", SpectralNorm, batch=True)
    model = sn_dcgan_generator(**SMALL, normalization=both)
    assert [type(part) for part in kernel_layers(model)] == [SpectralNorm] * 5
    assert sum(isinstance(part, layers.BatchNormalization) for part in model.layers) == 4


@pytest.mark.parametrize("normalization", ["spectral", "mean-spectral", "bidirectional-scaled"])
def test_folded_networks_are_plain(normalization):
    images = tools.random(2, 16, 16, 3)
    model = sn_dcgan_discriminator(**SMALL, normalization=normalization)
    model(images, training=True)
    folded = tfspecnorm.fold(model)
    assert [type(part) for part in kernel_layers(folded)] == [layers.Conv2D] * 7 + [layers.Dense]
    found, expected = tools.array(folded(images)), tools.array(model(images))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_saved_networks_load(tmp_path):
    for model, inputs in zip(
        sn_dcgan(**SMALL, generator_normalization="spectral"),
        (tools.random(2, 128), tools.random(2, 16, 16, 3)),
        strict=True,
    ):
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(tools.array(loaded(inputs)), tools.array(model(inputs)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 12}, "`size` must be a positive multiple of 8. Received: size=12"),
        ({"size": 0}, "Received: size=0"),
        ({"size": 16.0}, r"Received: size=16\.0"),
        ({"channels": 0}, "`channels`.*Received: channels=0"),
        ({"latent_size": None}, "`latent_size`.*Received: latent_size=None"),
        ({"width": -1}, "`width`.*Received: width=-1"),
        ({"normalization": "layer"}, "`normalization`.*Received: normalization='layer'"),
        ({"generator_normalization": 3}, "Received: normalization=3"),
        ({"negative_slope": 1}, "`negative_slope`.*Received: negative_slope=1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as caught:
        sn_dcgan(**arguments)
    assert re.search(message, str(caught.value))
