"""No normalization leaves a trace in the file: same operators, same size as without."""

import collections

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.models import networks
from tfspecnorm import models
from tfspecnorm.models import normalizations

pytestmark = pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="needs TensorFlow")
pytest.importorskip("ai_edge_litert")

# Function from a normalization and the slope of the activations to a part of a GAN.
PARTS = {
    "sn_dcgan_discriminator": lambda kind, slope: models.sn_dcgan_discriminator(
        8, 1, kind, 0.1, slope
    ),
    "sn_dcgan_generator": lambda kind, slope: models.sn_dcgan_generator(8, 1, 4, kind, 0.1),
    "sn_resnet_discriminator": lambda kind, slope: models.sn_resnet_discriminator(8, 1, kind, 0.1),
    "sn_resnet_generator": lambda kind, slope: models.sn_resnet_generator(8, 1, 4, kind, 0.1),
}
NETWORKS = (*networks.SMALL, *PARTS)
SHIPPED = ("vgg7", "small_cnn", "mobilenet_v2", "densenet_bc")


def network(name, kind, slope):
    """A small network, with activations of that slope where it leaves them open."""
    if name in PARTS:
        return PARTS[name](kind, slope)
    open_slope = name not in networks.WITHOUT_SLOPE
    return networks.small(name, kind, **({"negative_slope": slope} if open_slope else {}))


def built(name, kind):
    """A network whose weights have left their start, and its plain twin."""
    slope = normalizations.get(kind).negative_slope
    model, twin = (network(name, part, slope) for part in (kind, "none"))
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + random.normal(0, 0.02, variable.shape))
    return model, twin


def normalizations_left(model):
    """Batch normalizations that read what several layers made, or stand behind a sum."""
    plain = tfspecnorm.fold(model, batch_norm=True)
    return plain, sum(isinstance(part, layers.BatchNormalization) for part in plain.layers)


def check(name, kind, folder):
    model, twin = built(name, kind)
    plain, left = normalizations_left(model)
    report = tfspecnorm.export(model, folder / "normalized.tflite", runs=1)
    assert report.signal_to_noise_db > 80
    if not left:
        twin.set_weights(plain.get_weights())
        expected = tfspecnorm.export(twin, folder / "plain.tflite", runs=1)
        assert report.operators == expected.operators
        assert abs(report.file_bytes - expected.file_bytes) <= 256
        return
    # What no kernel can take in costs a product and a sum each, which may take a ReLU along.
    expected = tfspecnorm.export(twin, folder / "plain.tflite", runs=1)
    more = collections.Counter(report.operators)
    more.subtract(expected.operators)
    assert kind == "batch"
    assert {part for part, count in more.items() if count > 0} <= {"MUL", "ADD", "RELU"}
    assert max(more["MUL"], more["ADD"]) <= left


# Each network with one normalization; between them they have one of each kind.
QUICK = dict(zip(SHIPPED, ("batch", "spectral", "weight", "mean-spectral"), strict=True))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=() if kind == QUICK[name] else pytest.mark.crossed)
        for name in SHIPPED
        for kind in normalizations.NAMES
        if kind != "none"
    ],
)
def test_networks_for_devices(name, kind, tmp_path):
    check(name, kind, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [name for name in normalizations.NAMES if name != "none"])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in SHIPPED])
def test_all_other_networks(name, kind, tmp_path):
    check(name, kind, tmp_path)


@pytest.mark.parametrize("kind", ["none", "batch"])
def test_relu_and_batch_normalization_cost_no_operator(kind, tmp_path):
    report = tfspecnorm.export(models.vgg7(normalization=kind, width=0.1), tmp_path / "m.tflite")
    assert report.operators == {"CONV_2D": 6, "FULLY_CONNECTED": 1, "MAX_POOL_2D": 4}


def test_four_bytes_for_each_parameter_and_little_else(tmp_path):
    keras.utils.set_random_seed(0)
    report = tfspecnorm.export(models.vgg7(), tmp_path / "model.tflite", runs=1)
    assert report.parameters == 437_162
    assert 4 * 437_162 < report.file_bytes < 4 * 437_162 + 8192
