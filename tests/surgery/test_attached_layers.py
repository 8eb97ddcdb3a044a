"""Layers that stay in a model of its own class: everything around their calls."""

import copy

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tests.surgery import blocks
from tfspecnorm.kernels.containers import layers_in
from tfspecnorm.layers import Reparameterization, SpectralNorm, WeightNorm

BATCH = tools.random(4, blocks.LENGTH, blocks.WIDTH)


class Halved(Reparameterization):
    """A wrapper that nobody registers, which computes another kernel each time it is folded."""

    def effective(self, kernel, value, training):
        return 0.5 * value


@blocks.registered
class Regularized(keras.Model):
    """A model whose layers penalize their kernels and their outputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(5, activity_regularizer=keras.regularizers.L2(0.1), name="first")
        self.last = layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1), name="last")

    def build(self, input_shape):
        self.first.build(input_shape)
        self.last.build((*input_shape[:-1], 5))
        self.built = True

    def call(self, inputs):
        return self.last(self.first(inputs))


@blocks.registered
class Decoder(keras.Model):
    """A model with a method that calls the cell of its recurrent layer step by step."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.recurrent = layers.LSTM(5, return_sequences=True, name="recurrent")
        self.head = layers.TimeDistributed(layers.Dense(3), name="head")

    def build(self, input_shape):
        self.recurrent.build(input_shape)
        self.head.build((*input_shape[:-1], 5))
        self.built = True

    def call(self, inputs):
        return self.head(self.recurrent(inputs))

    def decode(self, inputs):
        states = self.recurrent.get_initial_state(batch_size=inputs.shape[0])
        outputs = []
        for step in range(inputs.shape[1]):
            hidden, states = self.recurrent.cell(inputs[:, step], states)
            outputs.append(self.head.layer(hidden))
        return ops.stack(outputs, axis=1)


def built(model_class):
    model = model_class()
    model.build((None, *BATCH.shape[1:]))
    return model


def test_losses_count_once():
    plain = built(Regularized)
    model = tfspecnorm.wrap(plain, WeightNorm)
    targets = np.ones((4, blocks.LENGTH, 3))
    for _ in range(2):
        plain(BATCH), model(BATCH)
        assert len(model.losses) == len(plain.losses) == 2
    for one in (plain, model):
        one.compile(keras.optimizers.SGD(0.0), "mse")
    for method in ("train_on_batch", "evaluate"):
        options = {"verbose": 0} if method == "evaluate" else {}
        expected = getattr(plain, method)(BATCH, targets, **options)
        assert getattr(model, method)(BATCH, targets, **options) == pytest.approx(expected, 1e-5)


@pytest.mark.parametrize("wrapper", [SpectralNorm, WeightNorm, Halved])
def test_parts_that_are_called_by_themselves_are_normalized(wrapper):
    plain = built(Decoder)
    np.testing.assert_allclose(
        tools.array(plain.decode(BATCH)), tools.array(plain(BATCH)), atol=1e-6
    )
    model = tfspecnorm.wrap(plain, wrapper)
    tools.fit_steps(model, BATCH, np.ones((4, blocks.LENGTH, 3)))
    folded = tfspecnorm.fold(model)
    for other in (model.decode(BATCH), folded(BATCH), folded.decode(BATCH)):
        np.testing.assert_allclose(tools.array(other), tools.array(model(BATCH)), atol=1e-5)


@pytest.mark.parametrize("wrapper", [SpectralNorm, Halved])
def test_folded_in_place(wrapper, tmp_path):
    model = tfspecnorm.wrap(built(Decoder), wrapper)
    tools.fit_steps(model, BATCH, np.ones((4, blocks.LENGTH, 3)))
    expected = tools.array(model(BATCH))
    assert tfspecnorm.fold(model, in_place=True) is model
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    again = tfspecnorm.wrap(built(Decoder), wrapper)
    again.load_weights(tmp_path / "model.weights.h5")
    objects = {"Halved": Halved}
    loaded = keras.saving.load_model(tmp_path / "model.keras", custom_objects=objects)
    for one in (model, again, loaded, tfspecnorm.fold(model)):
        np.testing.assert_allclose(tools.array(one(BATCH)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tools.array(model.decode(BATCH)), expected, rtol=1e-5, atol=1e-6)


def test_wrappers_that_are_not_registered_are_wrapped_around():
    model = tfspecnorm.wrap(built(Decoder), Halved, where=lambda layer: layer.name == "head")
    both = tfspecnorm.wrap(model, SpectralNorm)
    kinds = [type(part) for part in layers_in(both) if isinstance(part, Reparameterization)]
    assert kinds == [SpectralNorm, Halved]


def test_compiled_with_what_cannot_be_saved():
    class Loss:
        def __call__(self, targets, outputs):
            return ops.mean(ops.square(targets - outputs))

    plain = built(Decoder)
    plain.compile("sgd", Loss())
    model = tfspecnorm.wrap(plain, SpectralNorm)
    model.compile("sgd", Loss())
    tfspecnorm.fold(model)
    assert plain.compiled and model.compiled


def test_attached_layers_are_not_wrapped_again():
    model = tfspecnorm.wrap(built(Decoder), SpectralNorm)
    for layer in (model.recurrent, model.head):
        with pytest.raises(ValueError, match="must not be or hold a wrapper of its own kind"):
            WeightNorm(layer)


def test_an_interrupted_wrap_changes_nothing():
    plain = built(Decoder)
    plain.compile("sgd", "mse")
    expected, attributes = tools.array(plain(BATCH)), set(vars(plain))

    def interrupted(layer):
        if layer.name == "head":
            raise KeyboardInterrupt
        return SpectralNorm(layer)

    with pytest.raises(KeyboardInterrupt):
        tfspecnorm.wrap(plain, interrupted)
    assert type(plain) is Decoder and set(vars(plain)) == attributes and plain.compiled
    np.testing.assert_array_equal(tools.array(plain(BATCH)), expected)
    assert all(type(part).__module__.startswith(("keras", "tests")) for part in layers_in(plain))


def test_copies_hold_the_state_of_training():
    model = tfspecnorm.wrap(built(Decoder), WeightNorm)
    tools.fit_steps(model, BATCH, np.ones((4, blocks.LENGTH, 3)))
    weights = model.get_weights()
    twin = copy.deepcopy(model)
    twin.set_weights([np.zeros_like(weight) for weight in weights])
    twin.set_weights(weights)
    np.testing.assert_array_equal(tools.array(twin(BATCH)), tools.array(model(BATCH)))
