"""Gram iteration: how tight, how safe, and what stands for an unknown size."""

import keras
import numpy as np
import pytest

from tests import tools
from tfspecnorm import norms
from tfspecnorm.norms import Gram, convolution, window


def supremum(kernel, points=128):
    """Largest norm of the transfer matrices of a 3×3 kernel on a fine grid, written out.

    A grid of 64 points for each degree is below the supremum by 1.2e-3 at most.
    """
    angles = 2 * np.pi * np.arange(points) / points
    first = np.exp(1j * np.outer(angles, np.arange(3)))
    rows = np.tensordot(first, kernel, axes=1)
    largest = 0.0
    for row in rows[: points // 2 + 1]:
        matrices = np.tensordot(first, row, axes=1)
        largest = max(largest, np.linalg.norm(matrices, 2, axis=(1, 2)).max())
    return largest


@pytest.mark.parametrize("channels", [8, 16, 32])
def test_tightness_at_every_size(channels):
    kernel = tools.random(3, 3, channels, channels, seed=channels, dtype="float64")
    exact = supremum(kernel)
    for iterations, limit in ((4, 1.15), (6, 1.04)):
        bound = norms.measure(kernel, convolution(kernel.shape), Gram(iterations))
        assert exact * (1 - 1e-6) <= bound <= limit * exact
        in_tensors = Gram(iterations)(kernel.astype("float32"), {}, convolution(kernel.shape))
        np.testing.assert_allclose(tools.array(in_tensors.sigma), bound, rtol=1e-4)


@pytest.mark.parametrize("channels", [8, 32])
def test_flat_spectrum_is_the_worst_case(channels):
    """All singular values alike: the factor g^(2^(-t-1)) is attained, and still within limits."""
    kernel = np.zeros((3, 3, channels, channels))
    kernel[1, 1] = np.linalg.qr(tools.random(channels, channels, dtype="float64"))[0]
    for iterations, limit in ((4, 1.15), (6, 1.04)):
        linear_map = convolution(kernel.shape)
        bound = norms.measure(kernel, linear_map, Gram(iterations))
        assert channels ** (0.5 ** (iterations + 1)) <= bound <= limit


def test_bounds_fall_with_the_iterations():
    kernel = tools.random(3, 3, 6, 9, dtype="float64")
    linear_map = convolution(kernel.shape, window(2, input_size=7))
    found = [norms.measure(kernel, linear_map, Gram(count)) for count in range(1, 8)]
    assert found == sorted(found, reverse=True)
    np.testing.assert_allclose(found[-1], norms.measure(kernel, linear_map, "fourier"), rtol=1e-2)


@pytest.mark.parametrize("factor", [1e-30, 1e30, -2.0])
@pytest.mark.parametrize("shape", [(3, 3, 4, 5), (6, 5)])
def test_extreme_kernels(factor, shape):
    linear_map = norms.dense(shape) if len(shape) == 2 else convolution(shape)
    kernel = tools.random(*shape)
    expected = norms.measure(kernel, linear_map, Gram(8))
    found = norms.measure(kernel * factor, linear_map, Gram(8)) / abs(factor)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    variable = keras.Variable((kernel * factor).astype("float32"))
    sigma = Gram(8)(variable.value, {}, linear_map).sigma
    np.testing.assert_allclose(tools.array(sigma) / abs(factor), expected, rtol=1e-4)
    (gradient,) = tools.gradients(lambda: Gram(8)(variable.value, {}, linear_map).sigma, [variable])
    np.testing.assert_allclose(
        np.sum(gradient * (kernel * factor)), expected * abs(factor), rtol=1e-3
    )


@pytest.mark.parametrize("name", ["gram", "fourier"])
def test_zero_and_not_finite(name):
    linear_map = convolution((3, 3, 3, 4))
    norm = norms.get(name)
    variable = keras.Variable(np.zeros((3, 3, 3, 4), "float32"))
    assert float(tools.array(norm(variable.value, {}, linear_map).sigma)) == 0.0
    (gradient,) = tools.gradients(lambda: norm(variable.value, {}, linear_map).sigma, [variable])
    np.testing.assert_array_equal(gradient, 0.0)
    kernel = tools.random(3, 3, 3, 4)
    kernel[1, 1, 2, 0] = np.nan
    assert np.isnan(tools.array(norm(kernel, {}, linear_map).sigma))
    assert np.isnan(norms.measure(kernel, linear_map, name))


def test_configuration():
    norm = norms.get(keras.saving.serialize_keras_object(Gram(3)))
    assert norm == Gram(3)
    assert norm != Gram(4)
    for iterations in (0, 2.5, True, "3"):
        with pytest.raises(ValueError, match="Argument `iterations` must be .*Received: iter"):
            Gram(iterations)
