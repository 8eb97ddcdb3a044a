"""The multi-layer perceptron: its layers, its head, and what is known of it."""

import re

import pytest

import tfspecnorm
from tests.models import networks
from tfspecnorm.models import mlp


@pytest.mark.parametrize(
    ("normalization", "count"), [("none", 42_634), ("batch", 43_018), ("weight", 43_018)]
)
def test_trainable_parameters(normalization, count):
    assert networks.trainable_parameters(mlp(normalization=normalization)) == count


def test_layout():
    model = mlp((8, 8, 1), 3, "none", width=0.5, depth=2, units=32)
    assert networks.kernel_layers(model) == ["dense1", "dense2", "head"]
    assert [model.get_layer(f"dense{number}").kernel.shape for number in (1, 2)] == [
        (64, 16),
        (16, 16),
    ]
    assert not any(layer.name == "flatten" for layer in mlp(normalization="none").layers)


@pytest.mark.parametrize(
    ("normalization", "head"),
    [
        ("none", None),
        ("batch", None),
        ("weight", None),
        ("spectral", "SpectralNorm"),
        ("mean-spectral", "SpectralNorm"),
        ("bidirectional", "BidirectionalSpectralNorm"),
    ],
)
def test_head(normalization, head):
    assert networks.wrapped(networks.small("mlp", normalization)).get("head") == head


def test_spectral_network_is_1_lipschitz():
    report = tfspecnorm.lipschitz_bound(mlp(depth=2, units=16))
    assert report.certified
    assert report.bound == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": ()}, r"`input_shape`.*Received: input_shape=\(\)"),
        ({"depth": 0}, "`depth` must be a positive integer.*Received: depth=0"),
        ({"units": 0.5}, r"`units`.*Received: units=0\.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as caught:
        mlp(**arguments)
    assert re.search(message, str(caught.value))
