"""The small network for digits against the reference: its layout and its parameters."""

import pytest
from keras import layers

from tests.models import networks
from tfspecnorm.models import normalizations, small_cnn

HEADS = {"none": None, "batch": None, "weight": None, "mean-spectral": "SpectralNorm"}


def test_layout():
    model = small_cnn(normalization="none")
    assert networks.convolutions(model) == [
        ("Conv2D", 16, 5, 1, (28, 28, 16)),
        ("Conv2D", 32, 3, 1, (30, 30, 32)),
        ("Conv2D", 32, 4, 2, (16, 16, 32)),
    ]
    assert model.get_layer("flatten").output.shape == (None, 8192)


@pytest.mark.parametrize("normalization", normalizations.NAMES)
def test_trainable_parameters_are_those_of_the_reference_without_the_redundant_ones(normalization):
    # Of the reference: plain and two corrected ones.
    plain, batch, mean_spectral = 103_402, 103_562, 103_566
    cancelled, gains, scales, factors = 80, 80, 80, 4
    expected = {
        "batch": batch - cancelled,
        "mean-spectral": mean_spectral - cancelled - scales - factors,
        "weight": plain + gains,
    }
    model = small_cnn(normalization=normalization)
    assert networks.trainable_parameters(model) == expected.get(normalization, plain)


@pytest.mark.parametrize("normalization", normalizations.NAMES)
def test_head(normalization):
    found = networks.wrapped(networks.small("small_cnn", normalization))
    if normalization in HEADS:
        assert found.get("head") == HEADS[normalization]
    else:
        assert found["head"] == found["conv1"]


def test_batch_normalization_has_offset_and_scale():
    model = networks.small("small_cnn", "batch")
    found = [part for part in model.layers if isinstance(part, layers.BatchNormalization)]
    assert [(part.center, part.scale) for part in found] == [(True, True)] * 3
