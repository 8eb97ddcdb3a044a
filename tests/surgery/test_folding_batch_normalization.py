"""`fold(model, batch_norm=True)`: what follows a plain or wrapped layer becomes part of it."""

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.surgery.test_rules import FOLLOWED, chain, types
from tfspecnorm.layers import MeanSpectralNorm, SpectralNorm, WeightNorm
from tfspecnorm.models import densenet_bc, mobilenet_v2, vgg7

WRAPPERS = {
    "plain": lambda layer: layer,
    "spectral": SpectralNorm,
    "mean": MeanSpectralNorm,
    "weight": WeightNorm,
}


def assert_same(model, other, inputs):
    expected = tools.array(model(inputs))
    atol = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(tools.array(other(inputs)), expected, atol=atol)


@pytest.mark.parametrize(
    "wrapper",
    [
        *("plain", "spectral"),
        *(pytest.param(name, marks=pytest.mark.crossed) for name in ("mean", "weight")),
    ],
)
@pytest.mark.parametrize("name", FOLLOWED)
def test_behind_plain_and_wrapped_layers(name, wrapper):
    parts = [type(part).from_config(part.get_config()) for part in FOLLOWED[name]]
    *before, layer, follower = parts
    model = chain(*before, WRAPPERS[wrapper](layer), follower, layers.ReLU())
    plain, folded = tfspecnorm.fold(model, report=True, batch_norm=True)
    assert types(plain) == [*(type(part).__name__ for part in before), type(layer).__name__, "ReLU"]
    assert_same(model, plain, tools.random(3, 8, 8, 4))
    (entry,) = folded
    assert (entry.name, entry.batch_norm) == (layer.name, follower.name)
    assert entry.wrapper == (None if wrapper == "plain" else type(model.layers[-3]).__name__)


def test_without_the_argument_it_stays():
    model = chain(SpectralNorm(layers.Conv2D(4, 3)), layers.BatchNormalization())
    plain, folded = tfspecnorm.fold(model, report=True)
    assert types(plain) == ["Conv2D", "BatchNormalization"]
    assert folded[0].batch_norm is None


def test_nothing_to_fold_is_no_error():
    model = chain(layers.Conv2D(4, 3), layers.ReLU(), layers.BatchNormalization())
    plain, folded = tfspecnorm.fold(model, report=True, batch_norm=True)
    assert types(plain) == types(model)
    assert folded == []
    assert_same(model, plain, tools.random(3, 8, 8, 4))


def test_double_precision_shows_that_it_is_exact():
    if tools.BACKEND != "tensorflow":
        pytest.skip("64 bits on this backend alone")
    keras.config.set_dtype_policy("float64")
    try:
        model = keras.Sequential(
            [keras.Input((8, 8, 4)), SpectralNorm(layers.Conv2D(4, 3)), layers.BatchNormalization()]
        )
        random = np.random.default_rng(0)
        for variable in model.layers[-1].weights:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        plain = tfspecnorm.fold(model, batch_norm=True)
    finally:
        keras.config.set_dtype_policy("float32")
    inputs = tools.random(2, 8, 8, 4, dtype="float64")
    expected = tools.array(model(inputs))
    np.testing.assert_allclose(tools.array(plain(inputs)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (lambda: vgg7((32, 32, 1), normalization="batch", width=0.1), 0),
        (
            lambda: mobilenet_v2(
                (16, 16, 3), 3, "batch", 0.35, stages=((1, 8, 1, 1), (6, 16, 2, 2)), last_filters=16
            ),
            0,
        ),
        # Those that read a concatenation stay; the one between two convolutions of a layer goes.
        (lambda: densenet_bc((8, 8, 1), 3, "batch", depth=10, growth=4), 6),
    ],
    ids=["vgg7", "mobilenet_v2", "densenet_bc"],
)
def test_networks(build, left):
    model = build()
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            for variable in layer.weights:
                variable.assign(random.uniform(0.5, 1.5, variable.shape))
    plain = tfspecnorm.fold(model, batch_norm=True)
    assert types(plain).count("BatchNormalization") == left
    assert_same(model, plain, tools.random(2, *model.input_shape[1:]))


class Standardized(layers.Conv2D):
    """Computes with another kernel than it has."""

    def call(self, inputs):
        return super().call(inputs) * 2 + 1


class Rectified(layers.BatchNormalization):
    """Does more than its base."""

    def call(self, inputs, training=None, mask=None):
        return keras.ops.relu(super().call(inputs, training=training, mask=mask))


@pytest.mark.parametrize(
    "parts",
    [
        lambda: [Standardized(4, 3), layers.BatchNormalization()],
        lambda: [layers.Conv2D(4, 3), Rectified()],
        # One bias for all blocks.
        lambda: [
            layers.Reshape((16, 16)),
            layers.EinsumDense("abc,bcd->abd", output_shape=(16, 6), bias_axes="d"),
            layers.BatchNormalization(),
        ],
    ],
    ids=["layer", "normalization", "shared bias"],
)
def test_what_computes_something_else_stays(parts):
    model = chain(*parts())
    plain = tfspecnorm.fold(model, batch_norm=True)
    assert types(plain) == types(model)
    assert_same(model, plain, tools.random(3, 8, 8, 4))


def test_an_output_that_is_a_mask_elsewhere_stays():
    inputs = keras.Input((4,))
    hidden = layers.Dense(4, use_bias=False, kernel_initializer="identity")(inputs)
    outputs = layers.Softmax()(layers.BatchNormalization()(hidden), mask=hidden)
    model = keras.Model(inputs, outputs)
    for variable in model.layers[2].weights:
        variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    plain = tfspecnorm.fold(model, batch_norm=True)
    assert_same(model, plain, np.eye(4, dtype="float32"))


def test_layers_of_one_name_in_two_models():
    def part(*more):
        dense = SpectralNorm(layers.Dense(4, name="d"))
        return keras.Sequential([keras.Input((4,)), dense, *more])

    inputs = keras.Input((4,))
    follower = layers.BatchNormalization(name="follower")
    model = keras.Model(inputs, [part()(inputs), part(follower)(inputs)])
    plain, folded = tfspecnorm.fold(model, report=True, batch_norm=True)
    assert [(entry.name, entry.batch_norm) for entry in folded] == [("d", None), ("d", "follower")]
    assert [len(part.layers) for part in plain.layers[1:]] == [1, 1]
