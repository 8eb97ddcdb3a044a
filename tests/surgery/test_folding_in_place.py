"""Wrappers that somebody's code makes are folded where they are; one wrapper; a given model."""

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm import scales
from tfspecnorm.layers import (
    BidirectionalSpectralNorm,
    MeanSpectralNorm,
    SpectralNorm,
    WeightNorm,
)

WRAPPERS = {
    "spectral": SpectralNorm,
    "learned": lambda layer: SpectralNorm(layer, scale=scales.Learned()),
    "bound": lambda layer: SpectralNorm(layer, bound=0.5),
    "operator": lambda layer: SpectralNorm(layer, norm="operator"),
    "bidirectional": lambda layer: BidirectionalSpectralNorm(layer, scale=1.3),
    "mean": MeanSpectralNorm,
    "mean-without-bias": MeanSpectralNorm,
    "weight": WeightNorm,
}
every_wrapper = pytest.mark.parametrize("name", WRAPPERS)


@keras.saving.register_keras_serializable(package="in_place")
class Block(layers.Layer):
    """Makes its wrapper in its code, as a block of a temporal convolutional network does."""

    def __init__(self, kind, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind
        bias = kind != "mean-without-bias"
        self.convolution = WRAPPERS[kind](
            layers.Conv1D(4, 3, padding="same", dilation_rate=2, use_bias=bias)
        )

    def build(self, input_shape):
        self.convolution.build(input_shape)

    def call(self, inputs, training=None):
        return inputs + keras.ops.tanh(self.convolution(inputs, training=training))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


def trained(name):
    """A model after steps that move kernels, gains and running means, and leave vectors behind."""
    model = keras.Sequential([keras.Input((9, 4)), Block(name), layers.Flatten()])
    model.add(SpectralNorm(layers.Dense(2, name="head")))
    model.compile(keras.optimizers.SGD(0.3), "mse")
    for step in range(3):
        model.train_on_batch(tools.random(8, 9, 4, seed=step), tools.random(8, 2, seed=step))
    return model


@every_wrapper
def test_folded_where_it_is(name, tmp_path):
    model = trained(name)
    inputs = tools.random(3, 9, 4, seed=9)
    expected = tools.array(model(inputs))
    before = model.get_weights()
    folded, records = tfspecnorm.fold(model, report=True)
    # The head stands in the configuration and becomes plain.
    assert [(record.name, record.stays) for record in records] == [
        ("head", False),
        (folded.layers[0].convolution.layer.name, True),
    ]
    assert type(folded.layers[-1]) is layers.Dense
    np.testing.assert_allclose(tools.array(folded(inputs)), expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # Its layer computes by itself what the wrapper did.
    wrapper = folded.layers[0].convolution
    if name != "mean-without-bias":
        alone = wrapper.layer(inputs)
        np.testing.assert_allclose(
            tools.array(alone), tools.array(model.layers[0].convolution(inputs)), atol=1e-5
        )
    folded.save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    assert loaded.layers[0].convolution.is_folded
    np.testing.assert_array_equal(tools.array(loaded(inputs)), tools.array(folded(inputs)))
    # Without the mark it computes the same, as after `set_weights` into another model.
    wrapper.is_folded = False
    np.testing.assert_allclose(tools.array(folded(inputs)), expected, rtol=1e-4, atol=1e-5)
    twice = tfspecnorm.fold(loaded)
    np.testing.assert_allclose(tools.array(twice(inputs)), expected, rtol=1e-5, atol=1e-5)


@every_wrapper
def test_one_wrapper(name):
    wrapper = trained(name).layers[0].convolution
    inputs = tools.random(3, 9, 4, seed=9)
    plain = wrapper.fold()
    assert type(plain) is layers.Conv1D and plain.name == wrapper.layer.name
    np.testing.assert_allclose(
        tools.array(plain(inputs)), tools.array(wrapper(inputs)), rtol=1e-5, atol=1e-6
    )


def test_a_file_of_weights_that_is_not_folded_takes_the_mark_away(tmp_path):
    model = trained("spectral")
    model.save_weights(tmp_path / "raw.weights.h5")
    inputs = tools.random(3, 9, 4, seed=9)
    expected = tools.array(model(inputs))
    assert tfspecnorm.fold(model, in_place=True) is model
    assert model.layers[0].convolution.is_folded
    model.load_weights(tmp_path / "raw.weights.h5")
    assert not model.layers[0].convolution.is_folded
    np.testing.assert_allclose(tools.array(model(inputs)), expected, atol=1e-6)


def test_training_of_a_folded_wrapper_warns():
    folded = tfspecnorm.fold(trained("spectral"))
    with pytest.warns(UserWarning, match="was folded: it trains as a plain layer"):
        folded(tools.random(3, 9, 4), training=True)
    folded.trainable = False
    folded(tools.random(3, 9, 4), training=True)


def test_grouped_and_shared_kernels_leave_folded_wrappers_alone():
    model = trained("spectral")
    inputs = tools.random(3, 9, 4, seed=9)
    expected = tools.array(model(inputs))
    tfspecnorm.fold(model, in_place=True)
    tfspecnorm.group(model)
    with tfspecnorm.measured_once(model, training=False):
        np.testing.assert_allclose(tools.array(model(inputs)), expected, atol=1e-6)


def test_into_a_given_model():
    def plain(units=2):
        first = layers.Conv1D(4, 3, use_bias=False)
        return keras.Sequential([keras.Input((9, 4)), first, layers.Flatten(), layers.Dense(units)])

    model = tfspecnorm.wrap(plain(), WeightNorm)
    model.compile(keras.optimizers.SGD(0.3), "mse")
    model.train_on_batch(tools.random(8, 9, 4), tools.random(8, 2))
    twin = plain()
    found, records = tfspecnorm.fold(model, into=twin, report=True)
    assert found is twin and len(records) == 2
    inputs = tools.random(3, 9, 4, seed=9)
    np.testing.assert_allclose(
        tools.array(twin(inputs)), tools.array(model(inputs)), rtol=1e-5, atol=1e-6
    )
    for wrong, message in (
        (plain(3), "`into` must be a plain model with the layers of `model`"),
        (model, "`into` must be a plain model"),
        ("twin", "`into` must be a Keras model"),
    ):
        with pytest.raises(ValueError, match=message):
            tfspecnorm.fold(model, into=wrong)
    with pytest.raises(ValueError, match="`batch_norm` must be `False` with `into`"):
        tfspecnorm.fold(model, into=twin, batch_norm=True)
