"""Graphs that are hard to follow: shared and nested models, slices, dicts, models called twice."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.analysis.oracles import matrix_of_linear
from tfspecnorm import lipschitz_bound, spectral_report
from tfspecnorm.layers import SpectralNorm


def identity(**options):
    return layers.Dense(2, kernel_initializer="identity", use_bias=False, **options)


def dense_norm(model, shape):
    """Norm of a linear model with several outputs, from its dense matrix."""

    def outputs(inputs):
        found = model(inputs)
        found = found if isinstance(found, (list, tuple)) else [found]
        return np.concatenate([tools.array(part).reshape(len(inputs), -1) for part in found], 1)

    return tools.largest_singular_value(matrix_of_linear(outputs, shape))


def test_a_shared_nested_model_whose_earlier_call_is_an_output():
    start = keras.Input((2,))
    inner = keras.Model(start, identity()(start))
    inputs = keras.Input((2,))
    large = inner(layers.Rescaling(1000.0)(inputs))
    model = keras.Model(inputs, [large, identity()(inner(layers.Rescaling(0.001)(inputs)))])
    report = lipschitz_bound(model)
    assert report.certified
    np.testing.assert_allclose(report.bound, dense_norm(model, (2,)), rtol=1e-5)
    assert report.bound >= 1000.0


def nested_output():
    start = keras.Input((4,))
    backbone = keras.Model(start, layers.Dense(3, use_bias=False)(start), name="backbone")
    inputs = keras.Input((4,))
    return keras.Model(inputs, backbone(layers.Rescaling(2.0)(inputs)))


def called_before():
    """The nested model has been called outside of the model, too."""
    model = nested_output()
    backbone = model.get_layer("backbone")
    backbone(keras.Input((4,)))
    inputs = keras.Input((4,))
    return keras.Model(inputs, [backbone(inputs), backbone(layers.Rescaling(3.0)(inputs))])


@pytest.mark.parametrize("make", [nested_output, called_before])
def test_a_nested_model_as_an_output(make):
    model = make()
    (record,) = spectral_report(model)
    kernel = tools.array(model.get_layer("backbone").weights[0])
    np.testing.assert_allclose(record.matrix_norm, tools.largest_singular_value(kernel), rtol=1e-5)
    np.testing.assert_allclose(lipschitz_bound(model).bound, dense_norm(model, (4,)), rtol=1e-5)
    wrapped = tfspecnorm.wrap(model, SpectralNorm)
    np.testing.assert_allclose(lipschitz_bound(wrapped).bound, dense_norm(wrapped, (4,)), rtol=1e-4)
    inputs = tools.random(3, 4)
    before, after = wrapped(inputs), tfspecnorm.fold(wrapped)(inputs)
    for old, new in zip(keras.tree.flatten(before), keras.tree.flatten(after), strict=True):
        np.testing.assert_allclose(tools.array(new), tools.array(old), atol=1e-5)


def test_a_batch_normalization_behind_a_layer_that_serves_two_models():
    inputs = keras.Input((4,))
    dense = layers.Dense(3, name="dense")
    model = keras.Model(inputs, layers.BatchNormalization()(dense(inputs)))
    keras.Model(inputs, dense(layers.Rescaling(2.0)(inputs)))
    _, folded = tfspecnorm.fold(model, report=True, batch_norm=True)
    assert [record.name for record in folded] == ["dense"]


def test_a_batch_normalization_that_always_trains_is_not_merged():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.BatchNormalization()(layers.Dense(3)(inputs), training=True))
    batch = tools.random(8, 4)
    plain, folded = tfspecnorm.fold(model, report=True, batch_norm=True)
    assert folded == []
    np.testing.assert_allclose(tools.array(plain(batch)), tools.array(model(batch)), atol=1e-5)


SLICES = {
    "first": lambda x: x[:, 0],
    "last axis": lambda x: x[..., 0],
    "new axis": lambda x: x[:, None],
    "new last axis": lambda x: x[..., None],
    "steps": lambda x: x[:, ::2],
    "two cuts": lambda x: x[:, :3, 1:],
    "both ends": lambda x: x[:, 0, ..., -1:],
    "everything": lambda x: x[:, :],
}


@pytest.mark.parametrize("case", SLICES)
def test_slices_are_selections(case):
    inputs = keras.Input((5, 4))
    hidden = SLICES[case](layers.Dense(4, use_bias=False)(inputs))
    model = keras.Model(inputs, layers.Dense(2, use_bias=False)(layers.Flatten()(hidden)))
    report = lipschitz_bound(model)
    assert report.certified
    assert report.bound >= dense_norm(model, (5, 4)) * (1 - 1e-6)
    kernels = [tools.largest_singular_value(tools.array(kernel)) for kernel in model.weights]
    np.testing.assert_allclose(report.bound, np.prod(kernels), rtol=1e-5)
    assert len(spectral_report(model)) == 2
    wrapped = tfspecnorm.wrap(model, SpectralNorm)
    points = tools.random(3, 5, 4)
    folded = tfspecnorm.fold(wrapped)
    np.testing.assert_allclose(tools.array(folded(points)), tools.array(wrapped(points)), atol=1e-5)
    np.testing.assert_allclose(lipschitz_bound(wrapped).bound, 1.0, rtol=1e-3)


def repeated_over_any_length():
    x = keras.Input((None, 3))
    return keras.Model(x, x + x[:, :1])


def repeated_over_the_batch():
    x = keras.Input((3,))
    return keras.Model(x, x + x[:1, :])


@pytest.mark.parametrize("make", [repeated_over_any_length, repeated_over_the_batch])
def test_a_slice_that_may_be_repeated_to_fit_has_no_bound(make):
    """With n rows, x + x[:1, :] is as large as 1 + √n: both shapes are unknown alike."""
    assert lipschitz_bound(make()).bound == math.inf


def test_a_step_of_a_sequence_of_any_length():
    x = keras.Input((None, 3))
    model = keras.Model(x, layers.Dense(2, use_bias=False)(x[:, -1]))
    kernel = tools.array(model.weights[0])
    bound = lipschitz_bound(model).bound
    np.testing.assert_allclose(bound, tools.largest_singular_value(kernel), rtol=1e-6)


@pytest.mark.parametrize("as_dict", [True, False])
def test_inputs_of_a_nested_model_by_name(as_dict):
    """Keras sorts them by name, in whatever order they are written."""
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    given = {"right": right, "left": left} if as_dict else [right, left]
    inner = keras.Model(given, layers.Rescaling(100.0)(left) + right)
    x = keras.Input((2,))
    parts = {"right": layers.Rescaling(1e-3)(x), "left": layers.Rescaling(2.0)(x)}
    model = keras.Model(x, inner(parts if as_dict else [parts["right"], parts["left"]]))
    expected = dense_norm(model, (2,))
    np.testing.assert_allclose(expected, 200.001, rtol=1e-5)
    np.testing.assert_allclose(lipschitz_bound(model).bound, expected, rtol=1e-5)


def test_an_operation_of_ones_own_is_not_taken_for_that_of_keras():
    class Negative(keras.Operation):
        def call(self, x):
            return 1000.0 * x

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    x = keras.Input((2,))
    assert lipschitz_bound(keras.Model(x, Negative()(x))).bound == math.inf


def test_looking_at_a_model_does_not_change_it():
    model = nested_output()
    backbone = model.get_layer("backbone")
    before = backbone.layers[-1].output
    before_name = [layers.Permute((1,)).name for _ in range(2)][-1]
    spectral_report(model)
    lipschitz_bound(model)
    assert backbone.layers[-1].output is before
    after = layers.Permute((1,)).name
    assert int(after.rpartition("_")[2]) == int(before_name.rpartition("_")[2]) + 1
