"""Where a bound is lost, what the report says of it, and how a constant is registered."""

import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import tools
from tests.analysis.models import OneModel, called, model_of
from tests.analysis.oracles import matrix_of_linear
from tfspecnorm import lipschitz_bound
from tfspecnorm.analysis import constant_of, register_constant
from tfspecnorm.layers import SpectralNorm


class Residual(layers.Layer):
    """A block that holds layers: x + up(down(x))."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.down = layers.Dense(2, use_bias=False)
        self.up = layers.Dense(4, use_bias=False)

    def build(self, input_shape):
        self.down.build(input_shape)
        self.up.build((None, 2))

    def call(self, inputs):
        return inputs + self.up(self.down(inputs))


def test_a_layer_that_holds_layers_says_how_to_register_it():
    model = model_of(lambda x: layers.Dense(3, name="good")(Residual(name="block")(x)), (4,))
    report = lipschitz_bound(model)
    assert report.unbounded == ["block"]
    printed = str(report).splitlines()
    assert printed[-4] == f"Lipschitz bound of {model.name}: none"
    assert printed[-2] == "The bound is lost at:"
    assert printed[-1].startswith("- block (Residual): a layer of your own that holds layers")
    assert "register_constant`(Residual, rule)" in printed[-1]


def test_a_registered_block_has_the_constant_of_its_rule():
    class Known(Residual):
        def call(self, inputs):
            return super().call(inputs)

    @register_constant(Known)
    def of_known(layer, input_shape):
        return 1 + constant_of(layer.down, input_shape) * constant_of(layer.up, (None, 2))

    model = model_of(lambda x: Known()(x), (4,))
    report = lipschitz_bound(model)
    down, up = (tools.array(weight) for weight in model.weights)
    norms = [tools.largest_singular_value(kernel) for kernel in (down, up)]
    np.testing.assert_allclose(report.bound, 1 + norms[0] * norms[1], rtol=1e-6)
    assert tools.largest_singular_value(matrix_of_linear(model, (4,))) <= report.bound


def test_a_model_with_a_call_of_its_own_has_a_report_and_takes_a_constant():
    class Registered(OneModel):
        def call(self, inputs):
            return super().call(inputs)

    @register_constant(Registered)
    def of_registered(model, input_shape):
        assert input_shape == (None, 3)
        return constant_of(model.first, input_shape) * constant_of(model.second, (None, 3))

    plain = called(OneModel(), tools.random(1, 3))
    (factor,) = lipschitz_bound(plain).layers
    assert "a model with a `call` of its own" in factor.reason
    assert not lipschitz_bound(plain).covers((3,))
    model = called(Registered(), tools.random(1, 3))
    assert lipschitz_bound(model).bound == math.inf
    report = lipschitz_bound(model, (3,))
    assert report.certified
    assert report.covers((3,))
    assert tools.largest_singular_value(matrix_of_linear(model, (3,))) <= report.bound
    with pytest.raises(ValueError, match="Argument `input_shape` must be a shape.*Received"):
        lipschitz_bound(model, 3)


def test_wrappers_in_a_model_that_cannot_be_folded():
    """A layer beside them cannot be made anew from its configuration."""

    class Clipped(layers.Layer):
        def __init__(self, function, **kwargs):
            super().__init__(**kwargs)
            self.function = function

        def call(self, inputs):
            return self.function(inputs)

    register_constant(Clipped, lambda layer, input_shape: 1.0)
    wrapped = SpectralNorm(layers.Dense(3, activation="sigmoid"), scale=2.0)
    model = model_of(lambda x: Clipped(ops.relu)(wrapped(x)), (4,))
    wrapped.layer.kernel.assign(tools.random(4, 3))
    report = lipschitz_bound(model)
    assert report.certified
    np.testing.assert_allclose(report.bound, 2.0 * 0.25, rtol=1e-3)


def test_a_subclass_that_computes_otherwise_is_unknown():
    """Its `call` is that of the base, what it calls is not."""

    class Standardized(layers.Conv2D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, 100.0 * kernel)

    class Renamed(layers.Conv2D):
        def build(self, input_shape):
            super().build(input_shape)

    images = keras.Input((6, 6, 2))
    report = lipschitz_bound(keras.Model(images, Standardized(3, 3, name="own")(images)))
    assert report.unbounded == ["own"]
    assert lipschitz_bound(keras.Model(images, Renamed(3, 3)(images))).certified


ADVICE = {
    "attention": (lambda x: layers.MultiHeadAttention(1, 2)(x, x), "attention weights depend"),
    "recurrent": (lambda x: layers.LSTM(2)(x), "recurrent layers"),
    "product": (lambda x: layers.Multiply()([x, x]), "if every factor is bounded"),
    "lambda": (lambda x: layers.Lambda(lambda y: y * y)(x), "in a `Lambda` is not known"),
    "activation": (lambda x: layers.Dense(2, "exponential")(x), "the activation `exponential`"),
    "training": (lambda x: layers.Dropout(0.5)(x, training=True), "called with `training=True`"),
    "mask": (
        lambda x: layers.GlobalAveragePooling1D()(layers.Masking()(x)),
        "called with `mask`",
    ),
    "norm": (lambda x: layers.UnitNormalization()(x), "not bounded near zero"),
    "samples": (lambda x: ops.mean(x, axis=0, keepdims=True), "mixes the samples"),
    "condition": (lambda x: ops.where(x > 0, x, -x), "jumps where the condition"),
    "repeated": (lambda x: layers.Add()([x, ops.max(x, axis=1)]), "repeated to fit"),
    "operation": (lambda x: ops.cumsum(x, axis=1), "no constant is known for this operation"),
}


@pytest.mark.parametrize("case", ADVICE)
def test_advice_belongs_to_the_layer(case):
    function, text = ADVICE[case]
    report = lipschitz_bound(model_of(function, (4, 4)))
    assert report.bound == math.inf
    reasons = [layer.reason for layer in report.layers if not layer.certified]
    assert len(reasons) == 1
    assert text in reasons[0]


def test_one_reason_is_said_once():
    def blocks(x):
        for number in range(5):
            x = layers.LSTM(4, return_sequences=True, name=f"lstm_{number}")(x)
        return x

    *_, lost = str(lipschitz_bound(model_of(blocks, (4, 4)))).splitlines()
    assert lost.startswith("- lstm_0, lstm_1, lstm_2 and 2 more (LSTM): ")


def pooled_sum():
    """At a size of 3 the second input has one pixel, at 5 sizes differ, at 4 they are alike."""
    images = keras.Input((None, 1))
    rounded_up = layers.AveragePooling1D(2, 2, "same")(images)
    return keras.Model(images, rounded_up + layers.AveragePooling1D(2, 2, "valid")(images))


def test_sizes_at_which_a_sum_repeats_an_input_are_not_covered():
    report = lipschitz_bound(pooled_sum())
    assert report.certified
    for size, covered in ((2, True), (4, True), (6, True), (3, False), (5, False)):
        assert report.covers((size, 1)) is covered
    assert not report.covers((None, 1))
    matrix = matrix_of_linear(pooled_sum(), (3, 1))
    here = lipschitz_bound(pooled_sum(), (3, 1))
    assert tools.largest_singular_value(matrix) <= here.bound * (1 + 1e-6)
    apart = [keras.Input((None, 1)), keras.Input((None, 1))]
    both = lipschitz_bound(keras.Model(apart, apart[0] + apart[1]))
    assert both.covers((5, 1), (5, 1))
    assert not both.covers((5, 1), (1, 1))


def test_augmentation_is_off_at_inference():
    report = lipschitz_bound(model_of(lambda x: layers.RandomFlip()(x), (4, 4, 3)))
    assert report.bound == 1.0
    cropped = layers.CenterCrop(2, 3)
    assert constant_of(cropped, (None, 4, 4, 3)) == 1.0
    assert constant_of(cropped, (None, 1, 4, 3)) is constant_of(cropped, (None, None, 4, 3)) is None
