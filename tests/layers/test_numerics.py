"""Precision and extreme values."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import tools
from tfspecnorm import scales
from tfspecnorm.layers import SpectralNorm

SCALES = [1.0, scales.Learned(), scales.Tanh(2.0)]


def layer_pair(policy, make):
    """The same layer in 32 bits and under a policy, with equal weights."""
    pair = []
    for dtype in ("float32", policy):
        keras.config.set_dtype_policy(dtype)
        layer = SpectralNorm(make())
        layer.build((None, 7, 7, 6))
        pair.append(layer)
    full, mixed = pair
    for target, source in zip(mixed.weights, full.weights, strict=True):
        target.assign(tools.array(source))
    return full, mixed


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    "make", [lambda: layers.Conv2D(5, 3), lambda: layers.Dense(5)], ids=["convolution", "dense"]
)
def test_mixed_precision_rounds_only_the_effective_kernel(policy, make):
    full, mixed = layer_pair(policy, make)
    inputs = tools.random(2, 7, 7, 6)
    raw = tools.array(mixed.layer.kernel).copy()
    assert not np.array_equal(raw, raw.astype("float16"))
    for _ in range(3):
        full(inputs, training=True)
        outputs = mixed(inputs, training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_array_equal(tools.array(mixed.layer.kernel), raw)
    for left, right in zip(mixed.state, full.state, strict=True):
        assert keras.backend.standardize_dtype(left.dtype) == "float32"
        np.testing.assert_array_equal(tools.array(left), tools.array(right))
    np.testing.assert_array_equal(
        tools.array(mixed.sigma()["kernel"]), tools.array(full.sigma()["kernel"])
    )
    effective = mixed.effective_kernels()["kernel"]
    assert keras.backend.standardize_dtype(effective.dtype) == "float32"
    np.testing.assert_array_equal(
        tools.array(effective), tools.array(full.effective_kernels()["kernel"])
    )


def test_master_weight_is_trained_in_full_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = SpectralNorm(layers.Dense(4))
    model = keras.Sequential([keras.Input((6,)), layer])
    tools.fit_steps(model, tools.random(16, 6), tools.random(16, 4), epochs=3, learning_rate=1e-3)
    raw = tools.array(layer.layer.kernel)
    rounded = tools.array(ops.cast(ops.cast(raw, "bfloat16"), "float32"))
    assert np.mean(raw == rounded) < 0.5


def test_output_has_the_wrappers_compute_dtype():
    layer = SpectralNorm(layers.Dense(4), dtype="mixed_bfloat16")
    inputs = keras.Input((6,))
    assert layer(inputs).dtype == "bfloat16"
    assert keras.backend.standardize_dtype(layer(tools.random(2, 6)).dtype) == "bfloat16"
    inherited = SpectralNorm(layers.Dense(4, dtype="mixed_float16"))
    assert inherited(inputs).dtype == "float16"


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: type(scale).__name__)
@pytest.mark.parametrize("bound", [None, 1.0])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e30])
@pytest.mark.parametrize("training", [True, False])
def test_extreme_kernels(size, bound, scale, training):
    if bound is not None and isinstance(scale, scales.Learned):
        pytest.skip("a bound with a learned scale is an error")
    raw = (tools.random(6, 4) * size).astype("float32")
    kernel_initializer = keras.initializers.Constant(raw)
    layer = SpectralNorm(
        layers.Dense(4, kernel_initializer=kernel_initializer), scale=scale, bound=bound
    )
    inputs = tools.random(3, 6, seed=1)
    layer(inputs)
    layer.layer.kernel.assign(raw)
    layer.restart()
    for _ in range(3):
        outputs = tools.array(layer(inputs, training=training))
        assert np.all(np.isfinite(outputs))
    found = tools.gradients(
        lambda: ops.sum(ops.tanh(layer(inputs, training=training))), layer.trainable_variables
    )
    assert all(np.all(np.isfinite(gradient)) for gradient in found)
    assert all(np.all(np.isfinite(tools.array(variable))) for variable in layer.weights)
    if size and bound is None and isinstance(scale, float):
        effective = tools.array(layer.effective_kernels()["kernel"])
        np.testing.assert_allclose(np.linalg.norm(effective, 2), 1.0, rtol=1e-5)


def test_kernel_leaves_zero():
    """Vectors of a zero kernel are kept, not zeroed: the kernel can grow again."""
    layer = SpectralNorm(layers.Dense(4, kernel_initializer="zeros"))
    inputs = tools.random(3, 6)
    layer(inputs, training=True)
    (gradient,) = tools.gradients(
        lambda: ops.sum(layer(inputs, training=True)), [layer.layer.kernel]
    )
    assert np.abs(gradient).max() > 0
    layer.layer.kernel.assign(tools.random(6, 4))
    for _ in range(60):
        layer(inputs, training=True)
    effective = tools.array(layer.effective_kernels()["kernel"])
    np.testing.assert_allclose(np.linalg.norm(effective, 2), 1.0, rtol=1e-4)


def test_low_rank_and_single_entry_kernels():
    for raw in (np.outer(np.arange(1, 7), np.arange(1, 5)), np.eye(6, 4)[:, ::-1] * 3):
        layer = SpectralNorm(layers.Dense(4))
        layer.build((None, 6))
        layer.layer.kernel.assign(raw)
        layer.warm_up()
        effective = tools.array(layer.effective_kernels()["kernel"])
        np.testing.assert_allclose(np.linalg.norm(effective, 2), 1.0, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_kernel_that_is_not_finite_shows_and_leaves_no_mark(bad):
    layer = SpectralNorm(layers.Dense(4))
    inputs = tools.random(3, 6)
    layer(inputs)
    layer.layer.kernel.assign(np.full((6, 4), bad))
    assert not np.any(np.isfinite(tools.array(layer(inputs, training=True))))
    assert all(np.all(np.isfinite(tools.array(variable))) for variable in layer.state)
    layer.layer.kernel.assign(9 * tools.random(6, 4))
    for _ in range(60):
        layer(inputs, training=True)
    effective = tools.array(layer.effective_kernels()["kernel"])
    np.testing.assert_allclose(np.linalg.norm(effective, 2), 1.0, rtol=1e-4)


def test_learned_scale_of_a_zero_kernel_can_learn():
    layer = SpectralNorm(layers.Dense(4, kernel_initializer="zeros"), scale=scales.Learned())
    inputs = tools.random(3, 6)
    layer(inputs)
    found = tools.gradients(lambda: ops.sum(layer(inputs)), [layer.layer.kernel])
    assert np.abs(found[0]).max() > 0


def test_large_kernels_start_in_a_moment():
    """Products in the precision of the matrix, in the memory of the matrix."""
    from tfspecnorm.norms._leading_vectors import leading_singular_vectors

    matrix = np.zeros((8192, 2048), "float32")
    matrix[:2048] = np.diag(np.linspace(5.0, 1.0, 2048)).astype("float32")
    left, value, right = leading_singular_vectors(matrix)
    np.testing.assert_allclose(value, 5.0, rtol=1e-3)
    assert left.shape == (8192,) and right.shape == (2048,)
