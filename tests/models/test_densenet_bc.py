"""DenseNet-BC: its parameters, its layout, and where its activations stand."""

import re

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.models import networks
from tfspecnorm.models import densenet_bc

# Offsets of the full network with one for each channel, or for each reader of a channel.
CHANNELS, READERS = 3_367, 15_479


def full(normalization, **arguments):
    return networks.trainable_parameters(densenet_bc(normalization=normalization, **arguments))


def test_trainable_parameters_with_batch_normalization_are_those_of_the_reference():
    model = densenet_bc(normalization="batch")
    assert networks.trainable_parameters(model) == 1_009_730
    norms = [part for part in model.layers if isinstance(part, layers.BatchNormalization)]
    assert sum(part.beta.shape[0] for part in norms) == READERS


@pytest.mark.slow
def test_trainable_parameters_are_those_of_a_corrected_reference():
    assert full("none", use_bias=False) == 978_772 == 1_009_730 - 2 * READERS
    assert full("none") == full("mean-spectral") == 982_139 == 978_772 + CHANNELS
    assert full("weight") == 985_506 == 978_772 + 2 * CHANNELS
    assert full("weight", use_bias=False) == 982_139
    # What the docstring says of the paper's text.
    assert 978_772 + READERS == 994_251


def test_trainable_parameters_by_hand():
    growth, classes, kernels, readers, channels = 4, 10, 3 * 9 * 8, 0, 8
    offsets = channels
    for block in range(3):
        for _ in range(2):
            kernels += channels * 16 + 16 * 9 * growth
            readers += channels + 16
            offsets += 16 + growth
            channels += growth
        readers += channels
        if block < 2:
            kernels += channels * (channels * 4 // 5)
            channels = channels * 4 // 5
            offsets += channels
    head = (channels + 1) * classes
    arguments = {"depth": 16, "growth": growth}
    assert full("none", use_bias=False, **arguments) == kernels + head
    assert full("none", **arguments) == kernels + head + offsets
    assert full("mean-spectral", **arguments) == kernels + head + offsets
    assert full("batch", **arguments) == kernels + head + 2 * readers


def test_layout():
    model = densenet_bc(normalization="none", depth=10, growth=12)
    shapes = [row[1:] for row in networks.convolutions(model)]
    assert shapes == [
        (24, 3, 1, (32, 32, 24)),
        *((48, 1, 1, (32, 32, 48)), (12, 3, 1, (32, 32, 12)), (28, 1, 1, (32, 32, 28))),
        *((48, 1, 1, (16, 16, 48)), (12, 3, 1, (16, 16, 12)), (32, 1, 1, (16, 16, 32))),
        *((48, 1, 1, (8, 8, 48)), (12, 3, 1, (8, 8, 12))),
    ]
    assert model.get_layer("pool").output.shape == (None, 44)


def in_the_order_of_the_paper(model, images, activation):
    """The network with an activation in front of each convolution, from the weights of a model."""

    def convolved(inputs, name):
        layer = model.get_layer(name)
        outputs = keras.ops.conv(inputs, layer.kernel, padding="same")
        return outputs + layer.bias

    channels = convolved(images, "conv1")
    for block in (1, 2, 3):
        prefix = f"block{block}_layer1"
        added = convolved(activation(channels), f"{prefix}_bottleneck")
        added = convolved(activation(added), f"{prefix}_conv")
        channels = keras.ops.concatenate([channels, added], axis=-1)
        if block < 3:
            channels = convolved(activation(channels), f"transition{block}_conv")
            channels = keras.ops.average_pool(channels, 2)
    return model.get_layer("head")(keras.ops.mean(activation(channels), axis=(1, 2)))


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_activating_once_computes_the_network_of_the_paper(slope):
    model = densenet_bc((8, 8, 3), 5, "none", depth=10, growth=4, negative_slope=slope)
    for variable in model.weights:
        if variable.name == "bias":
            variable.assign(tools.random(*variable.shape))
    images = keras.ops.convert_to_tensor(tools.random(3, 8, 8, 3))
    expected = in_the_order_of_the_paper(
        model, images, lambda inputs: keras.ops.leaky_relu(inputs, slope)
    )
    found = networks.outputs_of(model, images)
    np.testing.assert_allclose(found, tools.array(expected), rtol=1e-4, atol=1e-5)


def test_batch_normalization_and_activation_stand_in_front_of_each_reader():
    model = networks.small("densenet_bc", "batch")
    readers = [name for name in networks.kernel_layers(model) if name != "conv1"]
    for reader in readers:
        normalization = model.get_layer(f"{reader}_normalization")
        activation = model.get_layer(f"{reader}_activation")
        assert normalization.center and normalization.scale
        assert activation.input is normalization.output
        if reader != "head":
            assert model.get_layer(reader).input is activation.output
    norms = [part for part in model.layers if isinstance(part, layers.BatchNormalization)]
    assert len(norms) == len(readers)


def test_head_is_plain_and_mean_spectral_norm_makes_a_bias():
    model = networks.small("densenet_bc", "mean-spectral", use_bias=False)
    assert set(networks.kernel_layers(model)) - set(networks.wrapped(model)) == {"head"}
    with_bias = networks.small("densenet_bc", "mean-spectral")
    assert networks.trainable_parameters(model) == networks.trainable_parameters(with_bias)


def test_compression_of_one_keeps_the_channels():
    model = networks.small("densenet_bc", "none", compression=1, bottleneck=2)
    assert model.get_layer("transition1_conv").filters == 12
    assert model.get_layer("block1_layer1_bottleneck").filters == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (3, 32, 3)}, r"`input_shape`.*at least 4.*\(3, 32, 3\)"),
        ({"depth": 99}, r"`depth` must be 6·n \+ 4.*Received: depth=99"),
        ({"depth": 4}, "Received: depth=4"),
        ({"depth": 10.0}, r"Received: depth=10\.0"),
        ({"growth": 0}, "`growth` must be a positive integer.*Received: growth=0"),
        ({"bottleneck": -1}, "`bottleneck`.*Received: bottleneck=-1"),
        ({"compression": 0}, r"`compression`.*\(0, 1\].*Received: compression=0"),
        ({"compression": 1.5}, r"Received: compression=1\.5"),
        ({"use_bias": "no"}, "`use_bias`.*Received: use_bias='no'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as caught:
        densenet_bc(**arguments)
    assert re.search(message, str(caught.value))
