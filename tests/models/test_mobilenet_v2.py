"""MobileNetV2 against the one of Keras, and its form for small images."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.models import networks
from tfspecnorm.models import mobilenet_v2

SHAPE = (224, 224, 3)


def reference(width):
    return keras.applications.MobileNetV2(
        SHAPE, alpha=width, weights=None, classifier_activation=None
    )


# The narrowest one stands for all in the quick tests.
@pytest.mark.parametrize(
    "width", [0.35, *(pytest.param(width, marks=pytest.mark.slow) for width in (0.5, 1.0, 1.4))]
)
def test_network_is_that_of_keras_applications(width):
    model, expected = mobilenet_v2(SHAPE, 1000, "batch", width), reference(width)
    assert networks.convolutions(model) == networks.convolutions(expected)
    assert networks.trainable_parameters(model) == networks.trainable_parameters(expected)
    random = np.random.default_rng(0)
    weights = [
        random.uniform(0.5, 1.5, variable.shape)
        if variable.name in ("gamma", "moving_variance")
        else random.normal(0, 0.1, variable.shape)
        for variable in expected.weights
    ]
    expected.set_weights(weights)
    model.set_weights(expected.get_weights())
    images = tools.random(1, *SHAPE)
    found, wanted = (networks.outputs_of(network, images) for network in (model, expected))
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("normalization", "classes", "count"),
    [
        ("batch", 10, 2_236_682),
        ("none", 10, 2_219_626),
        pytest.param("weight", 10, 2_236_682, marks=pytest.mark.slow),
        pytest.param("batch", 1000, 3_504_872, marks=pytest.mark.slow),
        pytest.param("none", 1000, 3_487_816, marks=pytest.mark.slow),
    ],
)
def test_trainable_parameters(normalization, classes, count):
    model = mobilenet_v2(classes=classes, normalization=normalization)
    assert networks.trainable_parameters(model) == count


@pytest.mark.parametrize(
    ("size", "small_strides", "positions"),
    [(32, None, 4), (63, None, 8), (64, None, 2), (32, False, 1), (64, True, 8)],
)
def test_positions_in_front_of_the_mean(size, small_strides, positions):
    model = mobilenet_v2((size, size, 3), 10, "none", 0.35, small_strides=small_strides)
    assert model.get_layer("conv2").output.shape == (None, positions, positions, 1280)


def test_small_strides_change_the_first_convolution_and_the_second_stage_only():
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2))
    small, large = (
        mobilenet_v2(normalization="none", width=0.35, stages=stages, small_strides=strides)
        for strides in (True, False)
    )
    differing = [
        name
        for name in networks.kernel_layers(small)[:-1]
        if small.get_layer(name).strides != large.get_layer(name).strides
    ]
    assert differing == ["conv1", "block2_depthwise"]


def test_activations_and_sums():
    model = mobilenet_v2(normalization="none", width=0.5)
    activations = [part for part in model.layers if isinstance(part, layers.ReLU)]
    assert {part.max_value for part in activations} == {6.0}
    assert len(activations) == 2 + 2 * 17 - 1
    assert not any("project" in part.name for part in activations)
    sums = [part.name for part in model.layers if isinstance(part, layers.Add)]
    assert sums == [f"block{number}_add" for number in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)]


def test_convolutions_are_wrapped_and_the_head_is_not():
    model = networks.small("mobilenet_v2", "mean-spectral")
    assert networks.wrapped(model) == dict.fromkeys(
        networks.kernel_layers(model)[:-1], "MeanSpectralNorm"
    )


@pytest.mark.parametrize(("dropout", "rates"), [(0.0, []), (0.2, [0.2])])
def test_dropout(dropout, rates):
    model = networks.small("mobilenet_v2", "none", dropout=dropout)
    assert [part.rate for part in model.layers if isinstance(part, layers.Dropout)] == rates


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stages": ()}, r"`stages` must be.*Received: stages=\(\)"),
        ({"stages": 3}, "Received: stages=3"),
        ({"stages": ((1, 16, 1),)}, r"four positive integers.*Received: stages=\(\(1, 16, 1\),\)"),
        ({"stages": ((1, 16, 0, 1),)}, r"Received: stages=\(\(1, 16, 0, 1\),\)"),
        ({"small_strides": 1}, "`small_strides`.*Received: small_strides=1"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\).*Received: dropout=1\.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as caught:
        mobilenet_v2(**arguments)
    assert re.search(message, str(caught.value))
