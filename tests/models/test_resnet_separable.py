"""ResNet-34 of separable convolutions: its layers, its scale, and how large they are."""

import re

import numpy as np
import pytest
from keras import layers, ops

from tests import tools
from tests.models import networks
from tfspecnorm.layers import SpectralNorm, scales
from tfspecnorm.models import Normalization, resnet_separable


@pytest.mark.parametrize(
    ("normalization", "count"), [("none", 2_592_741), ("batch", 2_601_253), ("weight", 2_608_360)]
)
def test_full_network(normalization, count):
    model = resnet_separable(normalization=normalization)
    assert networks.trainable_parameters(model) == count
    names = networks.kernel_layers(model)
    depthwise = [name for name in names if name.endswith("_depthwise")]
    pointwise = [name for name in names if name.endswith("_pointwise")]
    assert len(depthwise) == len(pointwise) == 33
    stride = [networks.plain(networks.layer_of(model, name)).strides for name in depthwise]
    assert stride.count((2, 2)) == 3
    assert [name for name in names if "shortcut" in name] == [
        f"stage{stage}_block1_shortcut" for stage in (2, 3, 4)
    ]
    assert len(names) == 33 + 33 + 3 + 1
    assert model.get_layer("pool").input.shape == (None, 4, 4, 512)


def test_nothing_stands_between_depthwise_and_pointwise():
    model = networks.small("resnet_separable", "none")
    for name in networks.kernel_layers(model):
        if name.endswith("_depthwise"):
            pointwise = model.get_layer(name.replace("depthwise", "pointwise"))
            assert pointwise.input is model.get_layer(name).output
            assert not model.get_layer(name).use_bias and pointwise.use_bias


def test_activation_comes_after_the_sum():
    model = networks.small("resnet_separable", "none")
    activation = model.get_layer("stage1_block1_activation")
    assert activation.input is model.get_layer("stage1_block1_add").output
    assert model.get_layer("stage2_block1_shortcut").input is activation.output


def depthwise_norms(wrapper, kernel):
    """Norm of the convolution of each channel, by its matrix."""
    _, height, width, channels = wrapper.input.shape
    count = height * width
    basis = np.eye(count, dtype="float32").reshape(count, height, width, 1)
    outputs = ops.depthwise_conv(
        np.repeat(basis, channels, axis=-1), kernel, wrapper.layer.strides, padding="same"
    )
    matrices = np.moveaxis(tools.array(outputs).reshape(count, -1, channels), -1, 0)
    return np.linalg.norm(matrices, 2, axis=(1, 2))


@pytest.mark.parametrize(("scale", "expected"), [(None, 5.0), (2.0, 2.0)])
def test_separable_layers_are_as_large_as_the_scale(scale, expected):
    model = networks.small("resnet_separable", "scaled-spectral", scale=scale)
    for name in networks.kernel_layers(model):
        wrapper = networks.layer_of(model, name)
        kernel = tools.array(wrapper.effective_kernels()["kernel"])
        if name.endswith("_depthwise"):
            norm = depthwise_norms(wrapper, kernel).max()
            # Half of the positions are left out by a stride, which the measured bound ignores.
            assert (0.8 if wrapper.layer.strides == (1, 1) else 0.4) < norm < 1 + 1e-5
        else:
            norm = tools.largest_singular_value(tools.matrix_of(kernel, -1))
            assert norm == pytest.approx(expected, rel=1e-3)


def test_wrappers_of_mean_spectral_normalization():
    found = networks.wrapped(networks.small("resnet_separable", "mean-spectral"))
    for name, wrapper in found.items():
        linear = name.endswith("_depthwise") or name == "head"
        assert wrapper == ("SpectralNorm" if linear else "MeanSpectralNorm")


def test_head_of_weight_normalization_is_plain():
    assert "head" not in networks.wrapped(networks.small("resnet_separable", "weight"))


def test_learned_scales_stand_where_the_scale_stands():
    soft = Normalization(
        "soft", lambda layer: SpectralNorm(layer, scale=scales.Tanh(5.0)), unscaled=SpectralNorm
    )
    model = networks.small("resnet_separable", soft)
    learned = [
        layer.layer.name
        for layer in model.layers
        if isinstance(getattr(layer, "scale", 0), scales.Tanh)
    ]
    names = networks.kernel_layers(model)
    assert learned == [name for name in names if not name.endswith("_depthwise")]


def test_batch_normalization_follows_pointwise_layers():
    model = networks.small("resnet_separable", "batch")
    found = [part.name for part in model.layers if isinstance(part, layers.BatchNormalization)]
    names = networks.kernel_layers(model)
    assert sorted(found) == sorted(
        f"{name}_normalization" for name in names if "depthwise" not in name and name != "head"
    )


@pytest.mark.slow
def test_the_default_is_finite():
    outputs = networks.outputs_of(resnet_separable(width=0.125), tools.random(2, 32, 32, 3))
    assert outputs.shape == (2, 10) and np.isfinite(outputs).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": ()}, r"`blocks` must be a sequence.*Received: blocks=\(\)"),
        ({"blocks": 3}, "Received: blocks=3"),
        ({"blocks": (1, 0)}, r"Received: blocks=\(1, 0\)"),
        ({"scale": -1.0}, r"`scale`.*Received: scale=-1\.0"),
        ({"scale": 2.0, "normalization": "batch"}, r"`scale` must be `None`.*scale=2\.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as caught:
        resnet_separable(**arguments)
    assert re.search(message, str(caught.value))
