"""Gradient norms, and that a measurement leaves no trace."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.callbacks.training import INPUTS, TARGETS, Watch, fit, small_model, variables_of
from tests.tools import array
from tfspecnorm.callbacks import SpectralMonitor
from tfspecnorm.layers import MeanSpectralNorm, SpectralNorm


def descended(model, rate):
    """The gradient of each trainable variable, from a step of training that goes down it."""
    model.compile(keras.optimizers.SGD(rate), "mse")
    before = [array(v).astype("float64") for v in model.trainable_variables]
    fit(model, batch_size=len(INPUTS), epochs=1)
    after = [array(v).astype("float64") for v in model.trainable_variables]
    return [(old - new) / rate for old, new in zip(before, after, strict=True)]


def euclidean(parts):
    return math.sqrt(sum(float(np.sum(np.square(part.astype("float64")))) for part in parts))


def test_gradient_norms_are_those_of_the_compiled_loss():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.3), name="conv"),
            layers.Activation("tanh", activity_regularizer=keras.regularizers.L2(0.2)),
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.05), "mse")
    history = fit(model, SpectralMonitor(gradients=(INPUTS, TARGETS))).history
    found = descended(model, rate=1.0)
    assert history["gradient_norm/conv"][-1] == pytest.approx(euclidean(found[:2]), rel=1e-4)
    assert history["gradient_norm/head"][-1] == pytest.approx(euclidean(found[2:]), rel=1e-4)


def test_gradient_norm_by_finite_differences():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="a"), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = tools.random(8, 3), tools.random(8, 1, seed=2)
    monitor = SpectralMonitor(gradients=[x, y])
    history = model.fit(x, y, verbose=0, callbacks=[monitor]).history
    w, b, v, c = (array(part).astype("float64") for part in model.weights)

    def loss(w, b):
        return np.mean(np.square((x @ w + b) @ v + c - y))

    slopes = []
    for place in np.ndindex(*w.shape):
        step = np.zeros_like(w)
        step[place] = 1e-4
        slopes.append((loss(w + step, b) - loss(w - step, b)) / 2e-4)
    for place in range(len(b)):
        step = np.eye(len(b))[place] * 1e-4
        slopes.append((loss(w, b + step) - loss(w, b - step)) / 2e-4)
    assert history["gradient_norm/a"][0] == pytest.approx(np.linalg.norm(slopes), rel=1e-4)


def eventful_model():
    """Statistics, vectors, seeds and metrics that a training step moves."""
    inputs = keras.Input((6, 6, 2))
    hidden = MeanSpectralNorm(layers.Conv2D(4, 3, name="conv"))(inputs)
    hidden = layers.BatchNormalization()(hidden)
    hidden = layers.Dropout(0.5)(layers.Flatten()(hidden))
    outputs = [
        SpectralNorm(layers.Dense(3, name="first"))(hidden),
        layers.Dense(3, kernel_regularizer="l2", name="second")(hidden),
    ]
    return keras.Model(inputs, outputs)


def test_a_measurement_leaves_no_trace():
    model = eventful_model()
    model.compile(keras.optimizers.Adam(0.01), ["mse", "mse"], metrics=[["mae"], ["mae"]])
    targets = [TARGETS, TARGETS]
    monitor = SpectralMonitor(operator_norm=True, gradients=(INPUTS, targets))
    model.fit(INPUTS, targets, batch_size=8, verbose=0, callbacks=[monitor])
    before = variables_of(model)
    monitor.on_train_begin()
    monitor.on_epoch_begin(0)
    logs = {}
    monitor.on_epoch_end(0, logs)
    assert variables_of(model) == before
    assert min(value for name, value in logs.items() if name.startswith("gradient_norm")) > 0


def test_training_is_the_same_with_and_without():
    def trained(*callbacks):
        keras.utils.set_random_seed(1)
        model = eventful_model()
        model.compile(keras.optimizers.SGD(0.05), ["mse", "mse"])
        model.fit(
            INPUTS, [TARGETS, TARGETS], batch_size=4, epochs=2, verbose=0, callbacks=callbacks
        )
        return [array(v) for v in model.variables]

    watched = trained(SpectralMonitor(every=1, gradients=(INPUTS, [TARGETS, TARGETS])))
    for found, expected in zip(watched, trained(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = tfspecnorm.wrap(small_model(), {layers.Dense: SpectralNorm})
    model.compile(keras.optimizers.SGD(0.01), "mse")
    watch = Watch(model.layers[0].kernel)
    history = fit(model, watch, SpectralMonitor(gradients=(INPUTS, TARGETS))).history
    assert history["sigma/conv"][0] == pytest.approx(watch.epochs[0][0], rel=1e-5)
    exact = euclidean(descended(model, rate=0.1)[:2])
    assert history["gradient_norm/conv"][-1] == pytest.approx(exact, rel=0.05)


def test_a_frozen_layer_has_no_gradient():
    model = small_model()
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    history = fit(model, SpectralMonitor(gradients=(INPUTS, TARGETS))).history
    assert history["gradient_norm/conv"] == [0.0, 0.0]
    assert history["gradient_norm/head"][0] > 0
    model.trainable = False
    model.compile("sgd", "mse")
    monitor = SpectralMonitor(gradients=(INPUTS, TARGETS))
    monitor.set_model(model)
    monitor.on_train_begin()
    monitor.on_epoch_begin(0)
    monitor.on_epoch_end(0)
    assert monitor.records[0]["gradient_norm/head"] == 0.0


def test_a_batch_that_does_not_fit_is_an_error_before_training():
    model = small_model()
    before = variables_of(model)
    with pytest.raises(Exception) as caught:
        fit(model, SpectralMonitor(gradients=(INPUTS[:, :3], TARGETS)))
    assert any("Argument `gradients`" in note for note in caught.value.__notes__)
    assert variables_of(model).items() >= before.items()
