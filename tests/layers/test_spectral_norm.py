"""What SpectralNorm computes, and its gradient, against independent oracles."""

import pathlib

import keras
import numpy as np
import pytest
from keras import ops

from tests import tools
from tfspecnorm import scales
from tfspecnorm.layers import SpectralNorm

REFERENCE = pathlib.Path(__file__).parents[1] / "reference" / "torch_spectral_norm.npz"


def dense(inputs=6, units=4, **options):
    """A built wrapper around a Dense layer with a Gaussian kernel of norm about 4."""
    layer = SpectralNorm(keras.layers.Dense(units), **options)
    layer.build((None, inputs))
    layer.layer.kernel.assign(tools.random(inputs, units))
    layer.restart()
    return layer


def effective(layer, name="kernel"):
    return tools.array(layer.effective_kernels()[name])


def trained_with(layer):
    """The kernel that a training call of a dense layer computes with."""
    inputs = np.eye(layer.layer.kernel.shape[0], dtype="float32")
    bias = layer.layer.bias
    outputs = tools.array(layer(inputs, training=True))
    return outputs if bias is None else outputs - tools.array(bias)


def set_vectors(layer, vector_u, vector_v):
    by_name = {variable.name: variable for variable in layer.state}
    by_name["vector_u"].assign(vector_u)
    by_name["vector_v"].assign(vector_v)
    return by_name


def reference_layer(name):
    """A layer with the kernel and bias that PyTorch had, and what PyTorch computed."""
    stored = np.load(REFERENCE)
    reference = {key[len(name) + 1 :]: stored[key] for key in stored if key.startswith(name)}
    inner = keras.layers.Dense(5) if name == "dense" else keras.layers.Conv2D(6, 3)
    layer = SpectralNorm(inner)
    layer.build((None, *reference["inputs"].shape[1:]))
    inner.kernel.assign(reference["kernel"])
    inner.bias.assign(reference["bias"])
    return layer, reference


@pytest.mark.parametrize("name", ["dense", "conv2d"])
def test_training_against_pytorch(name):
    layer, reference = reference_layer(name)
    start = reference["vector_u"], reference["vector_v"]

    def loss():
        return ops.mean(ops.sin(layer(reference["inputs"], training=True)))

    set_vectors(layer, *start)
    (gradient,) = tools.gradients(loss, [layer.layer.kernel])
    np.testing.assert_allclose(gradient, reference["training_gradient"], atol=1e-5)
    set_vectors(layer, *start)
    outputs = tools.array(layer(reference["inputs"], training=True))
    np.testing.assert_allclose(outputs, reference["training_outputs"], atol=1e-5)


@pytest.mark.parametrize("name", ["dense", "conv2d"])
def test_evaluation_is_nearer_to_the_norm_than_pytorch(name):
    layer, reference = reference_layer(name)
    set_vectors(layer, reference["training_vector_u"], reference["training_vector_v"])
    kernels = {"here": effective(layer), "torch": reference["evaluation_effective"]}
    found = {
        where: tools.largest_singular_value(tools.matrix_of(kernel, -1))
        for where, kernel in kernels.items()
    }
    np.testing.assert_allclose(found["here"], 1.0, atol=1e-5)
    assert found["torch"] > 1.01


def test_training_call_moves_vectors_like_pytorch():
    reference = np.load(REFERENCE)
    layer = SpectralNorm(keras.layers.Dense(5))
    layer.build((None, 7))
    layer.layer.kernel.assign(reference["dense_kernel"])
    vectors = set_vectors(layer, reference["dense_vector_u"], reference["dense_vector_v"])
    layer(reference["dense_inputs"], training=True)
    for name, variable in vectors.items():
        np.testing.assert_allclose(
            tools.array(variable), reference[f"dense_training_{name}"], atol=1e-5
        )


@pytest.mark.parametrize("units", [1, 4, 9])
def test_effective_kernel_is_the_kernel_over_its_norm(units):
    layer = dense(units=units)
    raw = tools.array(layer.layer.kernel)
    np.testing.assert_allclose(effective(layer), raw / np.linalg.norm(raw, 2), atol=1e-5)


def test_transposed_convolution_divides_by_the_norm_of_its_output_view():
    layer = SpectralNorm(keras.layers.Conv2DTranspose(3, 3, strides=2))
    layer.build((None, 4, 4, 5))
    raw = tools.array(layer.layer.kernel)
    sigma = tools.largest_singular_value(tools.matrix_of(raw, 2))
    np.testing.assert_allclose(effective(layer), raw / sigma, atol=1e-5)


def test_grouped_convolution_divides_by_the_largest_group():
    layer = SpectralNorm(keras.layers.Conv2D(6, 3, groups=3))
    layer.build((None, 8, 8, 6))
    raw = tools.array(layer.layer.kernel)
    groups = np.split(raw, 3, axis=-1)
    sigma = max(tools.largest_singular_value(tools.matrix_of(part, 3)) for part in groups)
    np.testing.assert_allclose(effective(layer), raw / sigma, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "inner",
    [
        lambda: keras.layers.Dense(4),
        lambda: keras.layers.Conv2D(4, 3, groups=2),
        lambda: keras.layers.Conv2DTranspose(4, 3, strides=2),
        lambda: keras.layers.EinsumDense("abcd,de->abce", output_shape=(None, None, 3)),
    ],
    ids=["dense", "grouped", "transposed", "einsum"],
)
def test_gradient_is_orthogonal_to_the_kernel(inner, training):
    layer = SpectralNorm(inner())
    inputs = tools.random(2, 5, 5, 6)
    layer(inputs)
    kernel = layer.layer.kernel
    (gradient,) = tools.gradients(
        lambda: ops.sum(ops.sin(layer(inputs, training=training))), [kernel]
    )
    raw = tools.array(kernel)
    inner_product = np.sum(gradient.astype("float64") * raw)
    assert abs(inner_product) <= 1e-5 * np.linalg.norm(gradient) * np.linalg.norm(raw)
    assert np.linalg.norm(gradient) > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 1.7},
        {"bound": 1.5},
        {"bound": 100.0},
        {"bound": 1.5, "scale": scales.Tanh(2.0, 0.4)},
        {"scale": scales.Learned()},
        {"scale": scales.Tanh(3.0, 0.5)},
    ],
    ids=str,
)
@pytest.mark.skipif(
    tools.BACKEND == "torch", reason="Keras' `matmul` on PyTorch rounds float64 to 32 bits"
)
def test_gradient_against_finite_differences(options):
    """In evaluation, with vectors of another kernel: the gradient is exact for any of them."""
    if tools.BACKEND == "jax" and isinstance(options.get("scale"), scales.Tanh):
        pytest.skip("Keras' `tanh` on JAX rounds float64 to 32 bits")
    with tools.double_precision():
        inner = keras.layers.Dense(4, dtype="float64")
        layer = SpectralNorm(inner, **options)
        layer.build((None, 6))
        inner.kernel.assign(tools.random(6, 4))
        inputs = tools.random(3, 6, seed=1, dtype="float64")

        def loss():
            return ops.sum(ops.square(layer(inputs)))

        variables = layer.trainable_variables
        found = tools.gradients(loss, variables)
        for variable, gradient in zip(variables, found, strict=True):
            numeric = tools.finite_differences(loss, variable)
            np.testing.assert_allclose(gradient, numeric, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"bound": 1.5}, {"scale": 2.0}, {"scale": scales.Learned(0.7)}], ids=str
)
def test_gradient_penalty_matches_plain_differentiation(options):
    """Second derivatives: against W/⟨v, W u⟩ left to automatic differentiation."""
    layer = dense(**options)
    kernel = layer.layer.kernel
    scale = next((v for v in layer.state if v.name == "scale"), None)
    vector_u = tools.array(next(v for v in layer.state if v.name == "vector_u"))
    image = tools.array(kernel) @ vector_u
    vector_v = image / np.linalg.norm(image)

    def plain(inputs):
        sigma = ops.sum(
            ops.convert_to_tensor(np.outer(vector_v, vector_u).astype("float32")) * kernel.value
        )
        bound = options.get("bound")
        divisor = sigma if bound is None else ops.maximum(sigma / bound, 1.0)
        factor = options.get("scale", 1.0) if scale is None else scale.value
        return ops.tanh(ops.matmul(inputs, factor * kernel.value / divisor))

    def wrapped(inputs):
        return ops.tanh(layer(inputs))

    inputs = tools.random(3, 6, seed=2)
    variables = [kernel] if scale is None else [kernel, scale]
    expected = tools.gradients(lambda: tools.gradient_penalty(plain, inputs), variables)
    found = tools.gradients(lambda: tools.gradient_penalty(wrapped, inputs), variables)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-6, rtol=1e-4)
        assert np.abs(other).max() > 1e-3


def test_learned_scale_of_zero_gets_its_gradient():
    layer = dense(scale=scales.Learned(1.0))
    (scale,) = (variable for variable in layer.state if variable.name == "scale")
    kernel = effective(layer)
    scale.assign(0.0)
    inputs = tools.random(3, 6)
    found = tools.gradients(lambda: ops.sum(layer(inputs)), [scale, layer.layer.kernel])
    np.testing.assert_allclose(found[0], np.sum(inputs @ kernel), rtol=1e-4)
    np.testing.assert_array_equal(found[1], 0.0)


@pytest.mark.parametrize("bound", [0.5, 1.0, 3.0, 100.0])
def test_bound_divides_only_above_it(bound):
    layer = dense(bound=bound)
    raw = tools.array(layer.layer.kernel)
    sigma = np.linalg.norm(raw, 2)
    expected = raw if sigma <= bound else raw * bound / sigma
    np.testing.assert_allclose(effective(layer), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 2, scales.Fixed(1.6), scales.Tanh(4.0, 0.3)], ids=str)
def test_scale_is_the_norm_and_leaves_the_bias(scale):
    layer = dense(scale=scale)
    layer.layer.bias.assign(np.arange(4.0))
    expected = {scales.Fixed: 1.6, scales.Tanh: 4 * np.tanh(0.3)}.get(type(scale), scale)
    np.testing.assert_allclose(np.linalg.norm(effective(layer), 2), expected, rtol=1e-5)
    outputs = tools.array(layer(np.zeros((1, 6), "float32")))
    np.testing.assert_array_equal(outputs, [np.arange(4.0)])


def test_learned_scale_keeps_the_function_of_the_layer():
    inner = keras.layers.Conv2D(4, 3)
    inputs = tools.random(2, 8, 8, 3)
    expected = tools.array(inner(inputs))
    layer = SpectralNorm(inner, scale=scales.Learned())
    np.testing.assert_allclose(tools.array(layer(inputs)), expected, atol=1e-5)
    assert [v.name for v in layer.trainable_variables if "scale" in v.path] == ["scale"]


def test_learned_scale_gets_its_gradient():
    layer = dense(scale=scales.Learned(2.0))
    (scale,) = (variable for variable in layer.state if variable.name == "scale")
    inputs = tools.random(3, 6)
    (gradient,) = tools.gradients(lambda: ops.sum(layer(inputs)), [scale])
    np.testing.assert_allclose(gradient, np.sum(inputs @ effective(layer)) / 2.0, rtol=1e-4)


def test_scale_invariance():
    inputs = tools.random(2, 8, 8, 3)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            SpectralNorm(keras.layers.Conv2D(5, 3, activation="relu")),
            SpectralNorm(keras.layers.Conv2DTranspose(4, 3, strides=2)),
            keras.layers.Flatten(),
            SpectralNorm(keras.layers.Dense(3)),
        ]
    )
    expected = tools.array(model(inputs))
    for layer in model.layers:
        if isinstance(layer, SpectralNorm):
            layer.layer.kernel.assign(7 * tools.array(layer.layer.kernel))
    np.testing.assert_allclose(tools.array(model(inputs)), expected, atol=1e-5)
    np.testing.assert_allclose(tools.array(model(inputs, training=True)), expected, atol=1e-5)


def test_sigma_follows_the_raw_kernel():
    layer = dense()
    raw = tools.array(layer.layer.kernel)
    sigma = tools.array(layer.sigma()["kernel"])
    np.testing.assert_allclose(sigma, np.linalg.norm(raw, 2), rtol=1e-6)


def test_warm_up_after_the_kernel_was_replaced():
    layer = dense(40, 30)
    left = np.linalg.qr(tools.random(40, 30, seed=3))[0]
    stale = (left * np.linspace(9, 1, 30)).astype("float32")
    layer.layer.kernel.assign(stale)
    assert np.linalg.norm(trained_with(layer), 2) > 1.05
    layer.layer.kernel.assign(stale[:, ::-1])
    layer.warm_up()
    np.testing.assert_allclose(np.linalg.norm(trained_with(layer), 2), 1.0, rtol=1e-5)


def test_several_power_iterations_converge_faster():
    errors = {}
    for power_iterations in (1, 4):
        layer = dense(60, 50, power_iterations=power_iterations)
        layer.layer.kernel.assign(tools.random(60, 50, seed=5))
        for _ in range(5):
            used = trained_with(layer)
        errors[power_iterations] = tools.largest_singular_value(used) - 1.0
    assert errors[4] < errors[1]


def test_norm_by_name_object_and_dict():
    from tfspecnorm.norms import Matrix

    inputs = tools.random(2, 6, 6, 4)
    expected = None
    inner = keras.layers.SeparableConv2D(5, 3)
    for norm in ("matrix", Matrix(), {"depthwise_kernel": "matrix"}):
        layer = SpectralNorm(inner, norm=norm)
        outputs = tools.array(layer(inputs))
        expected = outputs if expected is None else expected
        np.testing.assert_array_equal(outputs, expected)
    for norm in (None, {"depthwise_kernel": "fourier"}):
        outputs = tools.array(SpectralNorm(inner, norm=norm)(inputs))
        assert np.abs(outputs - expected).max() > 1e-3
    fits = r"`norm` must fit each kernel.*norm=Fourier\(\) for kernel 'kernel' \(dense\)"
    with pytest.raises(ValueError, match=fits):
        SpectralNorm(keras.layers.Dense(5), norm="fourier")(inputs)


def test_jit_compile_computes_the_same():
    inputs = tools.random(2, 8, 8, 3)
    results = []
    for jit_compile in (True, False):
        keras.utils.set_random_seed(0)
        layer = SpectralNorm(keras.layers.Conv2D(4, 3), jit_compile=jit_compile)
        for _ in range(3):
            outputs = layer(inputs, training=True)
        results.append(tools.array(outputs))
    np.testing.assert_allclose(*results, atol=1e-6)


@pytest.mark.skipif(tools.BACKEND != "jax", reason="transformations of JAX")
def test_forward_mode_and_checkpoints_on_jax():
    import jax

    layer = dense()
    kernel = layer.layer.kernel
    inputs = tools.random(3, 6)

    def loss(value):
        with keras.StatelessScope([(kernel, value)]):
            return ops.sum(ops.sin(layer(inputs)))

    expected = jax.grad(loss)(kernel.value)
    np.testing.assert_allclose(jax.jacfwd(loss)(kernel.value), expected, atol=1e-5)
    np.testing.assert_allclose(jax.grad(jax.checkpoint(loss))(kernel.value), expected, atol=1e-5)
