"""The bound of a whole model: never exceeded, right where it is known, and honest elsewhere."""

import math

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tests.analysis.networks import SHAPE, largest_slopes, random_network, worst_ratio
from tfspecnorm import lipschitz_bound

# To compile takes JAX longer than all the rest.
STEP = 10 if tools.BACKEND == "jax" else 5
NETWORKS = tools.quick(range(50), range(0, 50, STEP))


@pytest.mark.parametrize("seed", NETWORKS)
def test_never_exceeded(seed):
    model = random_network(seed)
    report = lipschitz_bound(model)
    assert report.certified
    points = tools.random(1000, *SHAPE, seed=seed)
    limit = report.bound * (1 + 1e-5)
    slopes = largest_slopes(model, points)
    assert slopes.max() <= limit
    assert worst_ratio(model, points[np.argsort(slopes)[-32:]]) <= limit
    assert slopes.max() > 0


def linear(*parts, shape):
    return keras.Sequential([keras.Input(shape), *parts])


def test_product_along_a_path():
    model = linear(layers.Dense(4), layers.Rescaling(2.0), layers.Dense(3), shape=(5,))
    expected = 2.0
    for layer in (model.layers[0], model.layers[2]):
        expected *= tools.largest_singular_value(tools.array(layer.kernel))
    report = lipschitz_bound(model)
    np.testing.assert_allclose(report.bound, expected, rtol=1e-6)
    assert [layer.layer for layer in report.layers] == ["Dense", "Rescaling", "Dense"]
    assert report.unbounded == []


def test_sums_and_concatenations():
    x = keras.Input((4,))
    double, triple = layers.Rescaling(2.0)(x), layers.Rescaling(3.0)(x)
    for merge, expected in [
        (layers.Add(), 5.0),
        (layers.Subtract(), 5.0),
        (layers.Average(), 2.5),
        (layers.Concatenate(), math.sqrt(13)),
        (layers.Maximum(), math.sqrt(13)),
    ]:
        report = lipschitz_bound(keras.Model(x, merge([double, triple])))
        np.testing.assert_allclose(report.bound, expected, rtol=1e-12)
    both = keras.Model(x, [double, triple])
    np.testing.assert_allclose(lipschitz_bound(both).bound, math.sqrt(13), rtol=1e-12)
    operators = keras.Model(x, ((double + triple) * 2.0 - 1.0) / 4.0)
    np.testing.assert_allclose(lipschitz_bound(operators).bound, 2.5, rtol=1e-12)


def test_repeated_inputs_are_not_taken_for_one():
    """A sum that repeats an input to fit counts it more than once."""
    x = keras.Input((4,))
    once = layers.Reshape((1,))(layers.Dense(1)(x))
    model = keras.Model(x, layers.Add()([x, once]))
    kernel = tools.array(model.weights[0])
    slope = tools.largest_singular_value(np.eye(4) + kernel @ np.ones((1, 4)))
    bound = lipschitz_bound(model).bound
    np.testing.assert_allclose(bound, 1 + 2 * tools.largest_singular_value(kernel), rtol=1e-6)
    assert 2.0 <= slope <= bound


def test_shared_and_nested_models():
    inner = linear(layers.Rescaling(2.0, name="scale"), shape=(3,))
    x = keras.Input((3,))
    model = keras.Model(x, layers.Add()([inner(x), inner(inner(x))]))
    report = lipschitz_bound(model)
    np.testing.assert_allclose(report.bound, 6.0, rtol=1e-12)
    assert [layer.name for layer in report.layers[:2]] == [f"{inner.name}/scale"] * 2


@pytest.mark.parametrize(
    "wrap",
    [
        tfspecnorm.layers.SpectralNorm,
        tfspecnorm.layers.MeanSpectralNorm,
        tfspecnorm.layers.WeightNorm,
    ],
)
def test_wrapped_layers_count_with_what_they_compute(wrap):
    layer = wrap(layers.Dense(4))
    model = linear(layer, shape=(6,))
    for variable in model.trainable_variables:
        variable.assign(3 * tools.random(*variable.shape))
    effective = tools.array(layer.effective_kernels()["kernel"])
    expected = tools.largest_singular_value(effective)
    np.testing.assert_allclose(lipschitz_bound(model).bound, expected, rtol=1e-5)


def test_trained_sigma_is_not_believed():
    """Vectors of another kernel make σ too small; the bound is that of the kernel."""
    layer = tfspecnorm.layers.SpectralNorm(layers.Conv2D(3, 3, padding="same"))
    model = linear(layer, shape=(6, 6, 2))
    layer.layer.kernel.assign(tools.random(3, 3, 2, 3, seed=5))
    kernel = tools.array(layer.effective_kernels()["kernel"])
    exact = tfspecnorm.norms.exact(kernel, layer.kernels[0].linear_map).value
    assert lipschitz_bound(model).bound >= exact * (1 - 1e-6) > 1.2


@keras.saving.register_keras_serializable(package="tests")
class Doubled(layers.Dropout):
    def call(self, inputs):
        return 2 * inputs


UNBOUNDED = {
    "attention": lambda x: layers.MultiHeadAttention(1, 2, name="bad")(x, x),
    "recurrent": lambda x: layers.LSTM(2, name="bad")(x),
    "product": lambda x: layers.Multiply(name="bad")([x, x]),
    "own": lambda x: Doubled(0.1, name="bad")(x),
    "lambda": lambda x: layers.Lambda(lambda y: y * y, output_shape=(4, 3), name="bad")(x),
    "exponential": lambda x: layers.Dense(2, activation="exponential", name="bad")(x),
    "training": lambda x: layers.BatchNormalization(name="bad")(x, training=True),
    "mask": lambda x: layers.GlobalAveragePooling1D(name="bad")(layers.Masking()(x)),
}


@pytest.mark.parametrize("case", UNBOUNDED)
def test_no_bound_is_said_and_named(case):
    x = keras.Input((4, 3))
    model = keras.Model(x, UNBOUNDED[case](layers.Rescaling(2.0, name="good")(x)))
    report = lipschitz_bound(model)
    assert report.bound == math.inf
    assert not report.certified
    assert report.unbounded == ["bad"]
    assert "no bound" in str(report)
    with pytest.raises(ValueError, match=r"have none: \['bad'\]"):
        tfspecnorm.certified_radius(model, np.ones((2, 4, 3)), np.zeros(2, int))


def test_masks_in_a_sequential_model():
    model = linear(layers.Masking(), layers.GlobalAveragePooling1D(name="bad"), shape=(4, 3))
    assert lipschitz_bound(model).unbounded == ["bad"]


def test_einsum_that_sums_an_axis_of_its_inputs():
    layer = layers.EinsumDense("abc,cd->ad", 4)
    model = linear(layer, shape=(5, 3))
    points = tools.random(1, 5, 3)
    rows = tools.array(layer.kernel).astype("float64")
    matrix = np.tile(rows, (5, 1))
    report = lipschitz_bound(model)
    np.testing.assert_allclose(report.bound, tools.largest_singular_value(matrix), rtol=1e-6)
    assert tools.array(model(points)).shape == (1, 4)


def test_sizes():
    """Without a size the bound holds at every one; a given size makes it smaller."""
    model = linear(
        layers.Conv2D(3, 3, padding="same"),
        layers.AveragePooling2D(2, padding="same"),
        layers.GlobalAveragePooling2D(),
        shape=(None, None, 2),
    )
    anywhere = lipschitz_bound(model)
    assert anywhere.certified
    assert anywhere.covers((7, 9, 2))
    assert not anywhere.covers((7, 9))
    for size in (4, 8, 12):
        here = lipschitz_bound(model, (size, size, 2))
        assert here.bound <= anywhere.bound * (1 + 1e-6)
        assert here.covers((size, size, 2))
        assert not here.covers((size + 1, size, 2))
        points = tools.random(20, size, size, 2)
        assert largest_slopes(model, points).max() <= here.bound * (1 + 1e-5)
    message = r"Argument `bound` must cover the inputs.*not covered"
    with pytest.raises(ValueError, match=message):
        inputs = np.ones((2, 20, 20, 2), "float32")
        tfspecnorm.certified_radius(model, inputs, np.zeros(2, int), bound=here)


def test_bad_models():
    with pytest.raises(ValueError, match="Argument `model` must be built"):
        lipschitz_bound(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(ValueError, match="Argument `model` must be a Keras model"):
        lipschitz_bound(layers.Dense(2))
    model = linear(layers.Dense(2, name="broken"), shape=(3,))
    with pytest.raises(ValueError, match="Argument `input_shape` must fit.*Received"):
        lipschitz_bound(model, (4,))
    model.layers[0].kernel.assign(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="must have finite weights.*'broken'"):
        lipschitz_bound(model)


def test_certified_radius_is_not_broken_by_the_worst_change():
    """For a linear model the nearest change of class is known: the radius is below it."""
    model = linear(layers.Dense(3, use_bias=False), shape=(4,))
    kernel = tools.array(model.layers[0].kernel).astype("float64")
    inputs = tools.random(50, 4)
    outputs = inputs @ kernel
    labels = outputs.argmax(axis=1)
    radii = tfspecnorm.certified_radius(model, inputs, labels)
    for row, (label, radius) in enumerate(zip(labels, radii, strict=True)):
        distances = [
            (outputs[row, label] - outputs[row, other])
            / np.linalg.norm(kernel[:, label] - kernel[:, other])
            for other in range(3)
            if other != label
        ]
        assert 0 < radius <= min(distances) * (1 + 1e-5)
    wrong = (labels + 1) % 3
    np.testing.assert_array_equal(tfspecnorm.certified_radius(model, inputs, wrong), 0.0)
    for labels in (np.zeros(49, int), np.zeros(50), np.full(50, 3)):
        with pytest.raises(ValueError, match="Argument `labels` must be integers.*Received"):
            tfspecnorm.certified_radius(model, inputs, labels)


def test_radius_of_a_constant_model():
    model = linear(layers.Dense(2, kernel_initializer="zeros"), shape=(3,))
    model.layers[0].bias.assign([1.0, 0.0])
    radii = tfspecnorm.certified_radius(model, tools.random(2, 3), np.array([0, 1]))
    assert list(radii) == [math.inf, 0.0]
    assert ops.shape(model(tools.random(2, 3))) == (2, 2)


def test_certified_radius_of_one_output_is_the_distance_to_its_zero():
    """For a linear model of any bias that distance is known; the sign decides the class."""
    model = linear(layers.Dense(1), shape=(4,))
    model.layers[0].bias.assign([0.3])
    kernel = tools.array(model.layers[0].kernel).astype("float64")[:, 0]
    inputs = tools.random(50, 4)
    logits = inputs @ kernel + 0.3
    right = (logits > 0).astype(int)
    radii = tfspecnorm.certified_radius(model, inputs, right)
    np.testing.assert_allclose(radii, np.abs(logits) / np.linalg.norm(kernel), rtol=1e-4)
    np.testing.assert_array_equal(tfspecnorm.certified_radius(model, inputs, 1 - right), 0.0)
    with pytest.raises(ValueError, match="0 or 1 for one output.*Received"):
        tfspecnorm.certified_radius(model, inputs, np.full(50, 2))


@pytest.mark.parametrize(
    "last",
    [
        lambda: [layers.Dense(1, activation="sigmoid")],
        lambda: [tfspecnorm.layers.SpectralNorm(layers.Dense(1, activation="sigmoid"))],
        lambda: [layers.Dense(1), layers.Activation("hard_sigmoid")],
        lambda: [keras.Sequential([layers.Dense(1, activation="sigmoid")])],
    ],
)
def test_one_output_must_be_a_logit(last):
    """A probability is positive for either class."""
    model = linear(*last(), shape=(4,))
    with pytest.raises(ValueError, match="must have a logit as its only output.*sigmoid"):
        tfspecnorm.certified_radius(model, tools.random(2, 4), np.array([0, 1]))
