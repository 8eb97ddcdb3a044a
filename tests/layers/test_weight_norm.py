"""WN against PyTorch's arrays, and what it promises beside."""

import pathlib

import keras
import numpy as np
import pytest
from keras import layers, ops

import tfspecnorm
from tests import tools
from tfspecnorm.layers import WeightNorm

REFERENCE = np.load(pathlib.Path(__file__).parents[1] / "reference" / "torch_weight_norm.npz")

FAMILIES = {
    "dense": lambda: layers.Dense(5),
    "conv2d": lambda: layers.Conv2D(6, 3),
    "grouped": lambda: layers.Conv2D(6, 3, groups=2),
    "transposed": lambda: layers.Conv2DTranspose(3, 3),
    "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
    "embedding": lambda: layers.Embedding(5, 4),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_against_pytorch(family):
    reference = {
        key.split("/")[1]: REFERENCE[key] for key in REFERENCE if key.startswith(f"{family}/")
    }
    layer = WeightNorm(FAMILIES[family]())
    inputs = reference["inputs"]
    layer.build((None, *inputs.shape[1:]))
    (kernel,) = layer.kernels
    gain = layer.gains()[kernel.name]
    kernel.variable.assign(reference["kernel"])
    gain.assign(reference["gain"])
    if "bias" in reference:
        layer.layer.bias.assign(reference["bias"])
    outputs = tools.array(layer(inputs, training=True))
    np.testing.assert_allclose(outputs, reference["outputs"], atol=1e-5)
    np.testing.assert_allclose(
        tools.array(layer.effective_kernels()[kernel.name]), reference["effective"], atol=1e-5
    )
    found = tools.gradients(
        lambda: ops.mean(ops.sin(layer(inputs, training=True))), [kernel.variable, gain]
    )
    np.testing.assert_allclose(found[0], reference["kernel_gradient"], atol=1e-5)
    np.testing.assert_allclose(found[1], reference["gain_gradient"], atol=1e-5)


@pytest.mark.parametrize("built", [True, False])
def test_wrapping_a_layer_keeps_its_function(built):
    inner = layers.Conv2D(4, 3)
    inputs = tools.random(2, 6, 6, 3)
    if built:
        inner.build(inputs.shape)
        inner.kernel.assign(tools.random(3, 3, 3, 4))
    layer = WeightNorm(inner)
    outputs = tools.array(layer(inputs))
    np.testing.assert_allclose(outputs, tools.array(inner(inputs)), atol=1e-5)
    lengths = np.linalg.norm(tools.array(inner.kernel).reshape(-1, 4), axis=0)
    np.testing.assert_allclose(tools.array(layer.gains()["kernel"]), lengths, rtol=1e-6)


def test_wrapping_a_trained_model_keeps_its_function():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.Dense(3)])
    inputs = tools.random(4, 6)
    tools.fit_steps(model, inputs, tools.random(4, 3, seed=1), epochs=5)
    expected = tools.array(model(inputs))
    wrapped = tfspecnorm.wrap(model, WeightNorm)
    np.testing.assert_allclose(tools.array(wrapped(inputs)), expected, atol=1e-6)


def test_start_inside_a_traced_function():
    """A Sequential without an input shape is built in the function that trains it."""
    inner = layers.Dense(4)
    model = keras.Sequential([WeightNorm(inner)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    inputs = tools.random(8, 6)
    model.fit(inputs, np.zeros((8, 4)), verbose=0)
    np.testing.assert_allclose(tools.array(model(inputs)), tools.array(inner(inputs)), atol=1e-5)


def test_gain_is_the_length_of_each_units_weights():
    layer = WeightNorm(layers.Dense(4))
    layer.build((None, 6))
    layer.gains()["kernel"].assign([1.0, -2.0, 0.0, 3.0])
    kernel = tools.array(layer.effective_kernels()["kernel"])
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), [1, 2, 0, 3], atol=1e-6)
    cosines = np.sum(kernel * tools.array(layer.layer.kernel), axis=0)
    assert np.sign(cosines[1]) == -1


def test_gradient_of_each_direction_is_orthogonal_to_it():
    layer = WeightNorm(layers.Conv2D(4, 3))
    inputs = tools.random(2, 6, 6, 3)
    layer(inputs)
    kernel = layer.layer.kernel
    (gradient,) = tools.gradients(lambda: ops.sum(ops.sin(layer(inputs, training=True))), [kernel])
    raw, gradient = tools.array(kernel).reshape(-1, 4), gradient.reshape(-1, 4)
    products = np.sum(raw.astype("float64") * gradient, axis=0)
    sizes = np.linalg.norm(raw, axis=0) * np.linalg.norm(gradient, axis=0)
    assert np.all(np.abs(products) <= 1e-5 * sizes)
    assert np.all(sizes > 1e-3)


@pytest.mark.skipif(
    tools.BACKEND == "torch", reason="Keras' `matmul` on PyTorch rounds float64 to 32 bits"
)
def test_gradients_against_finite_differences():
    with tools.double_precision():
        layer = WeightNorm(layers.Dense(4, dtype="float64"))
        layer.build((None, 6))
        layer.layer.kernel.assign(tools.random(6, 4, dtype="float64"))
        layer.gains()["kernel"].assign([1.5, -2.0, 0.0, 0.3])
        inputs = tools.random(3, 6, seed=1, dtype="float64")

        def loss():
            outputs = layer(inputs)
            return ops.sum(outputs * (outputs + 1.0))

        variables = layer.trainable_variables
        for variable, found in zip(variables, tools.gradients(loss, variables), strict=True):
            numeric = tools.finite_differences(loss, variable)
            np.testing.assert_allclose(found, numeric, atol=1e-7, rtol=1e-6)


def test_gradient_penalty_matches_plain_differentiation():
    """Second derivatives: against g·v/‖v‖ left to automatic differentiation."""
    layer = WeightNorm(layers.Dense(4))
    layer.build((None, 6))
    kernel, gain = layer.layer.kernel, layer.gains()["kernel"]
    kernel.assign(tools.random(6, 4))
    gain.assign([1.5, -2.0, 0.0, 0.3])

    def plain(inputs):
        lengths = ops.sqrt(ops.sum(ops.square(kernel.value), axis=0))
        return ops.tanh(ops.matmul(inputs, gain.value * kernel.value / lengths))

    def wrapped(inputs):
        return ops.tanh(layer(inputs))

    inputs = tools.random(3, 6, seed=2)
    variables = [kernel, gain]
    expected = tools.gradients(lambda: tools.gradient_penalty(plain, inputs), variables)
    found = tools.gradients(lambda: tools.gradient_penalty(wrapped, inputs), variables)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-6, rtol=1e-4)
        assert np.abs(other).max() > 1e-3


@pytest.mark.parametrize("zeros", [False, True])
def test_gradient_of_a_unit_of_zeros_is_that_of_its_kernel(zeros):
    layer = WeightNorm(layers.Dense(3, use_bias=False))
    layer.build((None, 4))
    raw = tools.random(4, 3)
    raw[:, 1] *= not zeros
    layer.layer.kernel.assign(raw)
    layer.gains()["kernel"].assign([1.0, 5.0, 2.0])
    inputs = tools.random(2, 4, seed=1)
    variables = [layer.layer.kernel, layer.gains()["kernel"]]
    found = tools.gradients(lambda: ops.sum(layer(inputs)), variables)
    alike = np.allclose(found[0][:, 1], np.sum(inputs, axis=0), atol=1e-6)
    assert (alike, found[1][1] == 0.0) == (zeros, zeros)


@pytest.mark.parametrize("size", [1e-36, 1e-30, 1e30, 1e37])
def test_extreme_directions(size):
    layer = WeightNorm(layers.Dense(4))
    layer.build((None, 6))
    layer.layer.kernel.assign(size * tools.random(6, 4))
    layer.gains()["kernel"].assign(np.ones(4))
    inputs = tools.random(3, 6)
    outputs = tools.array(layer(inputs))
    raw = tools.random(6, 4)
    expected = inputs @ (raw / np.linalg.norm(raw, axis=0))
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    found = tools.gradients(lambda: ops.sum(layer(inputs) ** 2), layer.trainable_variables)
    assert all(np.all(np.isfinite(gradient)) for gradient in found)


@pytest.mark.skipif(tools.BACKEND != "tensorflow", reason="`jit_compile` is TensorFlow's")
@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_one_extreme_direction_in_second_derivatives_compiled_by_xla(size):
    import tensorflow as tf

    layer = WeightNorm(layers.Dense(3, use_bias=False))
    layer.build((None, 20))
    layer.layer.kernel.assign(tools.random(20, 3) * np.array([1.0, size, 1.0]))
    layer.gains()["kernel"].assign([1.0, 2.0, 3.0])
    variables = [variable.value for variable in layer.trainable_variables]

    def step():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                outputs = layer(tf.ones((4, 20)))
                total = tf.reduce_sum(outputs)
            slopes = inner.gradient(total, variables)
            penalty = sum(tf.reduce_sum(slope**2) for slope in slopes)
        return outputs, *slopes, *(part[..., ::2] for part in outer.gradient(penalty, variables))

    for plain, compiled in zip(step(), tf.function(step, jit_compile=True)(), strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-3, atol=1e-4)


def test_start_of_extreme_kernels():
    for size in (1e-30, 1e30):
        inner = layers.Dense(4)
        inner.build((None, 6))
        inner.kernel.assign(size * tools.random(6, 4))
        layer = WeightNorm(inner)
        layer.build((None, 6))
        np.testing.assert_allclose(
            tools.array(layer.gains()["kernel"]) / size,
            np.linalg.norm(tools.random(6, 4), axis=0),
            rtol=1e-5,
        )


def test_a_unit_of_zeros_can_learn():
    inner = layers.Dense(2, kernel_initializer="zeros", use_bias=False)
    model = keras.Sequential([keras.Input((6,)), WeightNorm(inner)])
    inputs = tools.random(32, 6)
    targets = inputs @ tools.random(6, 2, seed=1)
    np.testing.assert_array_equal(tools.array(model(inputs)), 0.0)
    tools.fit_steps(model, inputs, targets, epochs=200)
    assert np.mean((tools.array(model(inputs)) - targets) ** 2) < 0.3 * np.mean(targets**2)


def test_other_units_do_not_notice_a_unit_of_zeros():
    layer = WeightNorm(layers.Dense(3))
    layer.build((None, 4))
    raw = tools.random(4, 3)
    raw[:, 1] = 0.0
    layer.layer.kernel.assign(raw)
    layer.restart()
    np.testing.assert_allclose(tools.array(layer.effective_kernels()["kernel"]), raw, atol=1e-6)


def test_frozen_kernel_freezes_its_gain():
    inner = layers.Dense(4)
    inner.build((None, 6))
    inner.kernel.trainable = False
    layer = WeightNorm(inner)
    layer.build((None, 6))
    assert [variable.name for variable in layer.trainable_variables] == ["bias"]


def test_several_kernels_have_a_gain_each():
    layer = WeightNorm(layers.SeparableConv2D(5, 3, depth_multiplier=2))
    layer.build((None, 6, 6, 3))
    assert {name: tuple(gain.shape) for name, gain in layer.gains().items()} == {
        "depthwise_kernel": (6,),
        "pointwise_kernel": (5,),
    }
    assert [variable.name for variable in layer.state] == [
        "depthwise_kernel_gain",
        "pointwise_kernel_gain",
    ]


def test_warm_up_changes_nothing():
    layer = WeightNorm(layers.Dense(4))
    layer.build((None, 6))
    layer.gains()["kernel"].assign(np.arange(4.0))
    layer.warm_up()
    np.testing.assert_array_equal(tools.array(layer.gains()["kernel"]), np.arange(4.0))


@pytest.mark.parametrize("method", ["gains", "warm_up", "restart"])
def test_unbuilt(method):
    with pytest.raises(ValueError, match=f"`{method}` needs a built layer"):
        getattr(WeightNorm(layers.Dense(4)), method)()
