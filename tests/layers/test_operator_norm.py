"""Wrappers that divide by the norm of the convolution itself, or by a certified bound of it."""

import keras
import numpy as np
import pytest
from keras import layers

import tfspecnorm
from tests import tools
from tfspecnorm import kernels, norms
from tfspecnorm.layers import SpectralNorm

CASES = {
    "same": lambda: layers.Conv2D(5, 3, padding="same"),
    "valid": lambda: layers.Conv2D(5, (3, 2)),
    "strided": lambda: layers.Conv2D(5, 3, strides=2, padding="same"),
    "dilated": lambda: layers.Conv2D(5, 3, dilation_rate=2, padding="same"),
    "grouped": lambda: layers.Conv2D(4, 3, groups=2, padding="same"),
    "transposed": lambda: layers.Conv2DTranspose(3, 4, strides=2, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
    "dense": lambda: layers.Dense(5),
}


def trained(case, **options):
    """A model of one wrapped layer after some steps in which its kernel moves."""
    layer = SpectralNorm(CASES[case](), **options)
    model = keras.Sequential([keras.Input((7, 8, 4)), layer])
    inputs = tools.random(8, 7, 8, 4)
    targets = tools.random(*model.compute_output_shape((8, 7, 8, 4)), seed=1)
    tools.fit_steps(model, inputs, targets, epochs=10, learning_rate=0.5)
    return model, layer, inputs


def true_norm(plain):
    """The largest singular value of the folded layer's dense matrix."""
    shape = plain.input_shape[1:]
    count = int(np.prod(shape))
    layer = plain.layers[0]
    units = np.eye(count, dtype="float32").reshape(count, *shape)
    outputs = tools.array(layer(units)) - tools.array(layer(np.zeros((1, *shape), "float32")))
    return tools.largest_singular_value(outputs.reshape(count, -1))


@pytest.mark.parametrize(
    "case", tools.quick(CASES, ["strided", "grouped", "transposed", "depthwise"])
)
def test_folded_layer_has_norm_one(case):
    model, layer, inputs = trained(case, norm="operator")
    expected = tools.array(model(inputs))
    plain = tfspecnorm.fold(model)
    np.testing.assert_allclose(tools.array(plain(inputs)), expected, atol=1e-5)
    np.testing.assert_allclose(true_norm(plain), 1.0, atol=1e-3)


@pytest.mark.parametrize("case", tools.quick(CASES, ["same", "valid", "dilated", "dense"]))
def test_folded_layer_is_certified(case):
    model, layer, inputs = trained(case, norm="gram")
    plain = tfspecnorm.fold(model)
    found = true_norm(plain)
    assert 0.8 < found <= 1 + 1e-6
    (kernel,) = kernels.kernels_of(plain.layers[0])
    assert norms.measure(tools.array(kernel.variable), kernel.linear_map, "gram") <= 1 + 1e-5


@pytest.mark.parametrize("norm", ["operator", "gram", "fourier"])
def test_gradient_is_orthogonal_to_the_kernel(norm):
    layer = SpectralNorm(CASES["same"](), norm=norm)
    inputs = tools.random(2, 7, 8, 4)
    layer.build(inputs.shape)
    (gradient,) = tools.gradients(
        lambda: keras.ops.sum(keras.ops.square(layer(inputs))), [layer.layer.kernel]
    )
    kernel = tools.array(layer.layer.kernel)
    cosine = np.sum(gradient * kernel) / np.linalg.norm(gradient) / np.linalg.norm(kernel)
    assert abs(cosine) < 1e-5


@pytest.mark.parametrize("norm", ["operator", "gram"])
def test_saved_and_loaded(norm, tmp_path):
    model, layer, inputs = trained("strided", norm=norm)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(tools.array(loaded(inputs)), tools.array(model(inputs)))
    assert loaded.layers[0].norm == {"kernel": norms.get(norm)}


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
@pytest.mark.parametrize("norm", ["operator", "gram", "fourier"])
def test_precision(norm, policy):
    keras.config.set_dtype_policy(policy)
    with tools.double_precision() if policy == "float64" else tools.contextlib.nullcontext():
        layer = SpectralNorm(CASES["same"](), norm=norm)
        outputs = layer(tools.random(2, 7, 8, 4), training=True)
        assert np.all(np.isfinite(tools.array(outputs)))
        raw = tools.array(layer.layer.kernel)
        sigma = tools.array(layer.sigma()["kernel"])
        expected = norms.measure(raw, layer.kernels[0].linear_map, norm)
        np.testing.assert_allclose(sigma, expected, rtol=1e-2 if norm == "fourier" else 1e-4)


def test_layer_without_a_size():
    model = keras.Sequential([keras.Input((None, None, 3))])
    message = r"(?s)Argument `norm` must fit each kernel.*Received: norm=Operator"
    with pytest.raises(ValueError, match=message):
        model.add(SpectralNorm(CASES["same"](), norm="operator"))
    sized = SpectralNorm(CASES["same"](), norm=norms.Operator(input_size=9))
    sized.build((None, None, None, 3))
    kernel = tools.array(sized.layer.kernel)
    linear_map = sized.kernels[0].linear_map.at_size(9)
    np.testing.assert_allclose(
        tools.array(sized.sigma()["kernel"]), norms.measure(kernel, linear_map), rtol=1e-4
    )
