"""`predict`, which runs a compiled graph, computes what the layers compute one by one."""

import numpy as np
import pytest

from tests import tools
from tests.edge.test_networks import NETWORKS, network

KINDS = tools.quick(("none", "spectral", "batch", "mean-spectral", "weight"), ["spectral"])


# What is in the other networks is in these, too.
QUICK = ["mobilenet_v2", "densenet_bc", "sn_dcgan_discriminator", "sn_resnet_generator"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", tools.quick(NETWORKS, QUICK))
def test_predict_is_the_call(name, kind):
    model = network(name, kind, 0.1)
    inputs = tools.random(4, *model.input_shape[1:])
    expected = tools.array(model(inputs, training=False))
    found = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
