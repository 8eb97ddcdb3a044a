"""A separable convolution is one linear map: scale and bound count once."""

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tests.layers.test_saving import GOLDEN
from tfspecnorm import scales
from tfspecnorm.layers import BidirectionalSpectralNorm, MeanSpectralNorm, SpectralNorm

every_wrapper = pytest.mark.parametrize(
    "wrapper", [SpectralNorm, BidirectionalSpectralNorm, MeanSpectralNorm]
)


def separable(wrapper=SpectralNorm, depthwise=3.0, pointwise=1.0, dtype="float32", **options):
    """One tap that multiplies all channels alike, so that the norm is the product of two."""
    inner = layers.SeparableConv2D(4, 1, use_bias=False, dtype=dtype)
    layer = wrapper(inner, **options)
    layer.build((None, 1, 1, 3))
    inner.depthwise_kernel.assign(np.full((1, 1, 3, 1), depthwise))
    inner.pointwise_kernel.assign(pointwise * tools.random(1, 1, 3, 4))
    layer.restart()
    return layer


def norm_of(layer):
    """The largest singular value of the matrix that the layer applies."""
    return tools.largest_singular_value(tools.array(layer(np.eye(3).reshape(3, 1, 1, 3)))[:, 0, 0])


def norm_of_plain():
    return 3.0 * tools.largest_singular_value(tools.random(1, 1, 3, 4)[0, 0])


@every_wrapper
@pytest.mark.parametrize(
    ("scale", "expected"),
    [(5.0, 5.0), (scales.Tanh(4.0, 0.5), 4.0 * np.tanh(0.5)), (scales.Learned(2.5), 2.5)],
    ids=["fixed", "tanh", "learned"],
)
def test_scale_counts_once(wrapper, scale, expected):
    scale = scales.get(keras.saving.serialize_keras_object(scales.get(scale)))
    layer = separable(wrapper, scale=scale)
    np.testing.assert_allclose(norm_of(layer), expected, rtol=1e-4)
    assert len(layer.trainable_variables) == 2 + scale.trainable + (wrapper is MeanSpectralNorm)


@every_wrapper
def test_learned_scale_starts_at_what_the_layer_computed(wrapper):
    layer = separable(wrapper, scale=scales.Learned())
    np.testing.assert_allclose(norm_of(layer), norm_of_plain(), rtol=1e-4)


@pytest.mark.parametrize("wrapper", [SpectralNorm, BidirectionalSpectralNorm])
@pytest.mark.parametrize("training", [True, False])
def test_bound_is_that_of_the_product(wrapper, training):
    plain = norm_of_plain()
    for bound in (0.5, 0.9 * plain, 1.1 * plain):
        layer = separable(wrapper, bound=bound, scale=2.0)
        layer(np.ones((1, 1, 1, 3)), training=training)
        np.testing.assert_allclose(norm_of(layer), 2.0 * min(bound, plain), rtol=1e-4)


def test_factors_within_the_bound_are_used_as_they_are():
    layer = separable(bound=100.0)
    for kernel, value in zip(layer.kernels, layer.effective_kernels().values(), strict=True):
        np.testing.assert_array_equal(tools.array(value), tools.array(kernel.variable))


@pytest.mark.parametrize("bound", [0.5, 100.0, None])
def test_gradients_pass_through_both_norms(bound):
    with tools.double_precision():
        layer = separable(dtype="float64", bound=bound, scale=1.5)
        inputs, weights = tools.random(2, 1, 1, 3), tools.random(2, 1, 1, 4, seed=1)

        def loss():
            return keras.ops.sum(layer(inputs) * keras.ops.convert_to_tensor(weights, "float64"))

        def converged():
            layer.warm_up()
            return loss()

        found = tools.gradients(loss, layer.trainable_variables)
        for variable, gradient in zip(layer.trainable_variables, found, strict=True):
            expected = tools.finite_differences(converged, variable)
            if "depthwise" in variable.name:
                # Where all taps are the largest one, only the sum of the derivatives is defined.
                gradient, expected = gradient.sum(), _along_all(converged, variable)
            np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def _along_all(function, variable, step=1e-6):
    value = tools.array(variable).copy()
    sides = []
    for sign in (1, -1):
        variable.assign(value + sign * step)
        sides.append(float(tools.array(function())))
    variable.assign(value)
    return (sides[0] - sides[1]) / (2 * step)


@pytest.mark.parametrize("sizes", [(1e30, 1e30), (1e30, 1e-30), (1e-30, 1e-30), (0.0, 1.0)])
def test_kernels_of_any_size_give_finite_outputs_and_gradients(sizes):
    layer = separable(depthwise=sizes[0], pointwise=sizes[1], bound=0.5)
    assert norm_of(layer) <= 0.5 * 1.0001
    found = tools.gradients(
        lambda: keras.ops.sum(layer(np.ones((2, 1, 1, 3)))), layer.trainable_variables
    )
    assert all(np.isfinite(part).all() for part in found)


def test_several_separable_layers_in_one_wrapper():
    inner = keras.Sequential(
        [layers.SeparableConv2D(3, 1, use_bias=False) for _ in range(2)]
        + [layers.Dense(4, use_bias=False)]
    )
    layer = SpectralNorm(inner, scale=scales.Learned(2.0))
    layer.build((None, 1, 1, 3))
    assert len(layer.trainable_variables) == 5 + 3
    sizes = [
        tools.largest_singular_value(tools.array(kernel).reshape(-1, kernel.shape[-1]))
        for name, kernel in layer.effective_kernels().items()
        if "depthwise" not in name
    ]
    np.testing.assert_allclose(sizes, 2.0, rtol=1e-4)


def test_configuration_of_version_0_1_scales_each_kernel():
    config = separable(scale=5.0).get_config()
    del config["scales_each_kernel"]
    old = SpectralNorm.from_config(config)
    again = SpectralNorm.from_config(old.get_config())
    for layer in (old, again):
        layer.build((None, 1, 1, 3))
        layer.layer.depthwise_kernel.assign(np.full((1, 1, 3, 1), 3.0))
        layer.restart()
        np.testing.assert_allclose(norm_of(layer), 25.0, rtol=1e-4)


def test_file_of_version_0_1_keeps_its_meaning_when_it_is_saved_again(tmp_path):
    """It holds separable layers with every kind of scale, and with a bound."""
    stored = np.load(GOLDEN / "version_0_1" / "options.npz")
    model = keras.saving.load_model(GOLDEN / "version_0_1" / "options.keras")
    model.save(tmp_path / "again.keras")
    inputs = [stored["input_0"], stored["input_1"]]
    for each in (model, keras.saving.load_model(tmp_path / "again.keras")):
        tfspecnorm.warm_up(each)
        for number, output in enumerate(each(inputs)):
            np.testing.assert_allclose(
                tools.array(output), stored[f"evaluation_{number}"], atol=1e-4
            )
