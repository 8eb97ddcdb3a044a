"""Networks of `keras.applications`, untrained: every matrix has a row, and no call fails."""

import math
import sys

import keras
import numpy as np
import pytest

from tests import tools
from tfspecnorm import lipschitz_bound, spectral_report
from tfspecnorm.analysis import constant_of

pytestmark = pytest.mark.skipif(
    tools.BACKEND != "tensorflow", reason="what differs between backends is tested elsewhere"
)
# With the smallest images that they take, and the classes of layers that have no bound.
NETWORKS = {
    "MobileNetV2": (32, set()),
    "MobileNetV3Small": (32, {"Multiply"}),
    "EfficientNetB0": (32, {"Multiply"}),
    "ConvNeXtTiny": (32, set()),
    "DenseNet121": (32, set()),
    "ResNet50": (32, set()),
    "Xception": (71, set()),
    "NASNetMobile": (224, set()),
}


def check(name):
    size, unbounded = NETWORKS[name]
    network = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    report = spectral_report(network)
    matrices = [v for v in network.trainable_variables if len(v.shape) > 1]
    assert sorted(record.shape for record in report) == sorted(tuple(v.shape) for v in matrices)
    assert report.unsized == []
    bound = lipschitz_bound(network)
    assert {layer.layer for layer in bound.layers if not layer.certified} == unbounded
    assert bound.certified == (not unbounded)


def test_mobilenet_v3():
    check("MobileNetV3Small")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network(name):
    check(name)


def test_layer_scale_of_convnext():
    """A class that Keras does not export: x·γ, whose matrix is that of γ."""
    network = keras.applications.ConvNeXtTiny(weights=None, input_shape=(32, 32, 3))
    scale = next(layer for layer in network.layers if type(layer).__name__ == "LayerScale")
    width = scale.gamma.shape[0]
    scale.gamma.assign(np.linspace(-2.0, 1.0, width))
    assert constant_of(scale, (None, 4, 4, width)) == 2.0
    assert constant_of(scale, (None, 4, 4, 1)) is None
    drop = sys.modules[type(scale).__module__].StochasticDepth(0.5)
    assert constant_of(drop, (None, 4, 4, width)) == 1.0
    points = tools.random(2, 4, 4, width)
    np.testing.assert_array_equal(tools.array(drop(points)), points)

    class LayerScale(keras.layers.Layer):
        def call(self, inputs):
            return 100.0 * inputs

    assert constant_of(LayerScale(), (None, 4)) is None
    assert math.isfinite(lipschitz_bound(network).bound)
