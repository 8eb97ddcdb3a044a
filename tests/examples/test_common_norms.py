"""Norms of the raw kernels, as the examples record them."""

import keras
import pytest
from common import norms

import tfspecnorm
from tests import tools
from tfspecnorm.models import vgg7


@pytest.fixture(scope="module")
def spectral():
    """A VGG7 with spectral normalization whose weights have left their start."""
    keras.utils.set_random_seed(0)
    model = vgg7()
    tools.fit_steps(model, tools.random(8, 32, 32, 3), tools.random(8, 10, seed=1), epochs=2)
    return model


def test_raw_norms_are_those_before_the_division(spectral):
    found = norms.raw_norms(spectral)
    assert list(found) == [f"sigma/conv{number}" for number in range(1, 7)] + ["sigma/head"]
    for layer in spectral.layers:
        inner = getattr(layer, "layer", layer)
        if f"sigma/{inner.name}" in found:
            matrix = tools.matrix_of(tools.array(inner.kernel), -1)
            exact = tools.largest_singular_value(matrix)
            assert found[f"sigma/{inner.name}"] == pytest.approx(exact, rel=1e-2)


def test_raw_norms_of_plain_layers(spectral):
    found = norms.raw_norms(tfspecnorm.fold(spectral))
    convolutions = [found[f"sigma/conv{number}"] for number in range(1, 7)]
    assert convolutions == pytest.approx([1.0] * 6, rel=1e-2)
