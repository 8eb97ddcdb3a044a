"""Residual networks for weight normalization: nothing on the stream, and their start."""

import math
import re

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.models import networks
from tfspecnorm import initializers
from tfspecnorm.initializers import ResidualBlock
from tfspecnorm.models import (
    mlp,
    residual_stages,
    resnet,
    robust_start,
    wide_resnet,
)


@pytest.mark.parametrize(
    ("normalization", "depth", "count"),
    [
        ("none", 56, 853_642),
        ("batch", 56, 855_610),
        ("weight", 56, 855_770),
        pytest.param("none", 110, 1_726_570, marks=pytest.mark.slow),
        pytest.param("batch", 110, 1_730_554, marks=pytest.mark.slow),
        pytest.param("weight", 110, 1_730_714, marks=pytest.mark.slow),
    ],
)
def test_trainable_parameters_of_resnet(normalization, depth, count):
    model = resnet(normalization=normalization, depth=depth)
    assert networks.trainable_parameters(model) == count


@pytest.mark.parametrize(
    ("normalization", "depth", "widening", "count"),
    [
        ("none", 16, 4, 2_747_530),
        ("batch", 16, 4, 2_748_378),
        ("weight", 16, 4, 2_749_786),
        pytest.param("none", 40, 10, 55_829_418, marks=pytest.mark.slow),
        pytest.param("batch", 40, 10, 55_840_474, marks=pytest.mark.slow),
        pytest.param("weight", 40, 10, 55_843_994, marks=pytest.mark.slow),
    ],
)
def test_trainable_parameters_of_wide_resnet(normalization, depth, widening, count):
    model = wide_resnet(normalization=normalization, depth=depth, widening=widening)
    assert networks.trainable_parameters(model) == count


def test_layout():
    model = wide_resnet(normalization="none", depth=16, widening=2)
    shapes = {
        name: model.get_layer(f"stage{stage}_block{block}_add").output.shape[1:]
        for stage in (1, 2, 3)
        for block in (1, 2)
        for name in [(stage, block)]
    }
    assert shapes == {
        **dict.fromkeys([(1, 1), (1, 2)], (32, 32, 32)),
        **dict.fromkeys([(2, 1), (2, 2)], (16, 16, 64)),
        **dict.fromkeys([(3, 1), (3, 2)], (8, 8, 128)),
    }
    assert model.get_layer("conv1").filters == 16
    names = networks.kernel_layers(model)
    assert [name for name in names if "shortcut" in name] == [
        f"stage{stage}_block1_shortcut" for stage in (1, 2, 3)
    ]
    strided = [name for name in names[:-1] if model.get_layer(name).strides == (2, 2)]
    assert strided == [
        f"stage{stage}_block1_{part}" for stage in (2, 3) for part in ("conv1", "shortcut")
    ]


def test_a_shortcut_of_the_same_shape_is_the_identity():
    names = networks.kernel_layers(resnet(normalization="none", depth=8))
    assert [name for name in names if "shortcut" in name] == [
        "stage2_block1_shortcut",
        "stage3_block1_shortcut",
    ]


@pytest.mark.parametrize("builder", [resnet, wide_resnet])
def test_nothing_stands_on_the_stream(builder):
    model = builder(normalization="none", depth=14 if builder is resnet else 16, width=0.25)
    first, second = model.get_layer("stage1_block1_add"), model.get_layer("stage1_block2_add")
    assert model.get_layer("stage1_block1_conv1").input is model.get_layer("conv1").output
    assert model.get_layer("stage1_block2_conv1").input is first.output
    assert second.input[0] is first.output
    assert model.get_layer("pool").input is model.get_layer("stage3_block2_add").output
    activations = [part for part in model.layers if isinstance(part, layers.ReLU)]
    assert len(activations) == 6


@pytest.mark.parametrize("builder", ["resnet", "wide_resnet"])
def test_with_batch_normalization_shortcut_and_branch_read_the_same(builder):
    model = networks.small(builder, "batch")
    for stage in (2, 3):
        prefix = f"stage{stage}_block1"
        normalized = model.get_layer(f"{prefix}_normalization1")
        activated = model.get_layer(f"{prefix}_activation1")
        assert model.get_layer(f"{prefix}_shortcut").input is normalized.output
        assert activated.input is normalized.output
        assert model.get_layer(f"{prefix}_conv1").input is activated.output
    found = [part for part in model.layers if isinstance(part, layers.BatchNormalization)]
    assert len(found) == 6 + (2 if builder == "resnet" else 0)


@pytest.mark.parametrize("normalization", ["none", "batch", "weight", "spectral"])
def test_stages_of_a_network_with_any_normalization(normalization):
    stages = residual_stages(networks.small("resnet", normalization, depth=14))
    names = [f"stage{stage}_block{block}" for stage in (1, 2, 3) for block in (1, 2)]
    assert [len(stage) for stage in stages] == [2, 2, 2]
    assert [block for stage in stages for block in stage] == [
        ResidualBlock(
            f"{name}_conv2",
            f"{name}_shortcut" if name in ("stage2_block1", "stage3_block1") else None,
        )
        for name in names
    ]


def test_stages_are_sorted_by_number():
    (first, *_) = residual_stages(networks.small("resnet", "none", depth=6 * 11 + 2, width=0.1))
    assert [block.last for block in first] == [f"stage1_block{n}_conv2" for n in range(1, 12)]


@pytest.mark.parametrize(
    "model",
    [
        lambda: mlp(normalization="weight", depth=1, units=4),
        lambda: networks.small("resnet_separable", "weight"),
        lambda: "model",
    ],
)
def test_networks_without_such_blocks_are_refused(model):
    model = model()
    for function in (residual_stages, robust_start):
        with pytest.raises(ValueError, match="`model` must be a network of .*resnet.*Received"):
            function(model)


def test_start_without_weight_normalization_is_refused():
    with pytest.raises(ValueError, match="WeightNorm"):
        robust_start(networks.small("resnet", "none"))


@pytest.mark.parametrize("builder", ["resnet", "wide_resnet"])
def test_gains_of_the_start(builder):
    model = networks.small(builder, "weight", **{"depth": 14 if builder == "resnet" else 16})
    robust_start(model, seed=0)
    for name in networks.kernel_layers(model)[:-1]:
        wrapper = networks.layer_of(model, name)
        gamma = 0.5 if name.endswith("conv2") else 2.0 if "_conv1" in name else 1.0
        inputs, outputs = wrapper.layer.kernel.shape[2:]
        gain = tools.array(wrapper.gains()["kernel"])
        np.testing.assert_allclose(gain, math.sqrt(gamma * inputs / outputs), rtol=1e-5)
        assert not tools.array(wrapper.layer.bias).any()


def test_start_is_that_of_the_initializer():
    model, expected = (networks.small("wide_resnet", "weight") for _ in range(2))
    robust_start(model, seed=3)
    stages = residual_stages(expected)
    initializers.robust(expected, stages=stages, gammas={"conv1": 1.0}, seed=3)
    head = [weight.shape for weight in model.get_layer("head").weights]
    for found, wanted in zip(model.weights, expected.weights, strict=True):
        if found.shape not in head:
            assert np.array_equal(tools.array(found), tools.array(wanted))


def test_signal_grows_slowly_from_the_start():
    model = wide_resnet((16, 16, 3), depth=16, widening=1)
    robust_start(model, seed=0)
    stream = [model.get_layer(f"stage{n}_block2_add").output for n in (1, 2, 3)]
    first = networks.layer_of(model, "conv1").output
    states = keras.Model(model.input, [first, *stream])(tools.random(4, 16, 16, 3))
    # Root of the mean over positions of the squared length of a position's channels.
    sizes = [float(np.sqrt(np.square(tools.array(state)).sum(-1).mean())) for state in states]
    # Convolutions read zeros at the border: the smaller the image, the more of them.
    for before, after in zip(sizes, sizes[1:], strict=False):
        assert 0.9 < after / before < math.sqrt(math.e)


@pytest.mark.parametrize(
    ("builder", "arguments", "message"),
    [
        (resnet, {"depth": 58}, r"`depth` must be 6·n \+ 2.*Received: depth=58"),
        (resnet, {"depth": 2}, "Received: depth=2"),
        (resnet, {"depth": True}, "Received: depth=True"),
        (wide_resnet, {"depth": 38}, r"`depth` must be 6·n \+ 4.*Received: depth=38"),
        (wide_resnet, {"depth": 4.0}, r"Received: depth=4\.0"),
        (wide_resnet, {"widening": 0}, "`widening`.*Received: widening=0"),
    ],
)
def test_wrong_arguments_are_named(builder, arguments, message):
    with pytest.raises(ValueError) as caught:
        builder(**arguments)
    assert re.search(message, str(caught.value))
