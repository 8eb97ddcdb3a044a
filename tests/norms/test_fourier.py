import dataclasses
import functools
import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import tools
from tfspecnorm import kernels, norms
from tfspecnorm.norms import Fourier, LinearMap, Window
from tfspecnorm.norms._frequencies import plan
from tfspecnorm.norms._geometry import axes_of


def linear_map_of(shape, size=None, padding="same", strides=1, dilation_rate=1):
    """Of a depthwise kernel without a layer; every axis alike."""
    rank = len(shape) - 2
    window = Window(
        strides=(strides,) * rank,
        padding=padding,
        dilation_rate=(dilation_rate,) * rank,
        data_format="channels_last",
        input_size=(size,) * rank,
    )
    return LinearMap("depthwise_convolution", shape, (rank + 1,), (rank,), window=window)


def measured(kernel, linear_map):
    return Fourier()(ops.convert_to_tensor(kernel), {}, linear_map)


@functools.cache
def sigma_function(linear_map):
    """σ as a function; compiled on JAX, which else compiles every operation for every shape."""

    def function(kernel):
        return measured(kernel, linear_map).sigma

    if tools.BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


def sigma_of(kernel, linear_map):
    return float(tools.array(sigma_function(linear_map)(kernel)))


def each_channel(kernel, linear_map, **changes):
    """σ of every channel for itself."""
    window = dataclasses.replace(linear_map.window, **changes)
    shape = (*kernel.shape[:-2], 1, kernel.shape[-1])
    single = dataclasses.replace(linear_map, kernel_shape=shape, window=window)
    parts = np.split(kernel, kernel.shape[-2], axis=-2)
    return np.array([sigma_of(part, single) for part in parts])


def layer_of(rank, **options):
    return (layers.DepthwiseConv1D if rank == 1 else layers.DepthwiseConv2D)(
        use_bias=False, **options
    )


def real_norms(layer, kernel, size):
    """Each channel's exact norm: the layer applied to every unit vector, then `largest`."""
    channels, multiplier = kernel.shape[-2:]
    layer.build((None, *size, channels))
    layer.kernel.assign(kernel)
    count = int(np.prod(size))
    units = np.eye(count, dtype="float32").reshape(count, *size, 1)
    images = tools.array(layer(np.repeat(units, channels, axis=-1))).astype("float64")
    images = images.reshape(count, -1, channels, multiplier)
    matrices = images.transpose(2, 0, 1, 3).reshape(channels, count, -1)
    return np.array([largest(matrix) for matrix in matrices])


def largest(matrix):
    """Largest singular value: by LAPACK, or of a large matrix from 80 Krylov vectors, below it."""
    if min(matrix.shape) <= 256:
        return tools.largest_singular_value(matrix)
    basis = np.zeros((0, len(matrix)))
    vector = tools.random(len(matrix), dtype="float64")
    for _ in range(80):
        for _ in range(2):
            vector = vector - (basis @ vector) @ basis
        basis = np.vstack([basis, vector / np.linalg.norm(vector)])
        vector = matrix @ (basis[-1] @ matrix)
    return tools.largest_singular_value(basis @ matrix)


def supremum(kernel, strides, points):
    """Largest norm of the transfer matrices of a single channel, written out."""
    *taps, _, outputs = kernel.shape
    axes = [2 * np.pi * np.arange(points) / points] * len(taps)
    frequencies = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(taps))
    phases = list(itertools.product(range(strides), repeat=len(taps)))
    transfer = np.zeros((len(frequencies), len(phases), outputs), complex)
    for tap in np.ndindex(*taps):
        phase = phases.index(tuple(index % strides for index in tap))
        step = np.array(tap) // strides
        wave = np.exp(-1j * frequencies @ step)
        transfer[:, phase] += wave[:, None] * kernel[tap][0]
    return np.linalg.norm(transfer, 2, axis=(-2, -1)).max()


# To compile takes JAX longer than all the rest.
SOME = slice(None, None, 5 if tools.BACKEND == "jax" else 1)

# Rank, taps, size, stride, dilation, multiplier.
GEOMETRIES = [
    *[(2, 3, size, 1, 1, 1) for size in (5, 7, 8, 16)],
    *[(2, 3, size, 2, 1, 1) for size in (5, 6, 13, 32)],
    *[(2, 5, size, stride, 1, 1) for size in (5, 6, 16) for stride in (1, 2)],
    *[(2, 7, size, stride, 1, 1) for size in (7, 12) for stride in (1, 2)],
    *[(2, 3, 6, stride, 1, 2) for stride in (1, 2, 3)],
    *[(2, 5, 9, stride, 1, 3) for stride in (1, 2)],
    *[(2, taps, 8, stride, 1, 1) for taps in (2, 4) for stride in (1, 2)],
    *[(2, taps, 9, 1, 2, 1) for taps in (2, 3, 4)],
    (2, 3, 11, 1, 3, 2),
    *[(1, taps, size, 1, 1, 1) for taps in (3, 4) for size in (5, 32)],
    *[(1, taps, 15, 2, 1, outputs) for taps in (3, 6) for outputs in (1, 3)],
    *[(1, 3, 11, 1, dilation, 1) for dilation in (2, 3)],
    (1, 7, 20, 4, 1, 3),
]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("rank", "taps", "size", "stride", "dilation", "outputs"), GEOMETRIES[SOME]
)
def test_never_below_the_norm_of_the_layer(rank, taps, size, stride, dilation, outputs, padding):
    layer = layer_of(
        rank,
        kernel_size=taps,
        strides=stride,
        dilation_rate=dilation,
        depth_multiplier=outputs,
        padding=padding,
    )
    kernel = tools.random(*(taps,) * rank, 3, outputs, seed=size)
    exact = real_norms(layer, kernel, (size,) * rank)
    linear_map = kernels.kernels_of(layer)[0].linear_map
    assert linear_map.window.input_size == (size,) * rank
    bound = each_channel(kernel, linear_map)
    anywhere = each_channel(kernel, linear_map, input_size=(None,) * rank)
    assert np.all(bound >= exact * (1 - 1e-6))
    assert np.all(anywhere >= exact * (1 - 1e-6))
    np.testing.assert_allclose(sigma_of(kernel, linear_map), bound.max(), rtol=1e-5)


@pytest.mark.parametrize("size", [(5, 9), (9, 5)])
@pytest.mark.parametrize("taps", [(3, 5), (1, 3), (4, 2)])
def test_rectangles(taps, size):
    layer = layer_of(2, kernel_size=taps, padding="same")
    kernel = tools.random(*taps, 4, 1)
    exact = real_norms(layer, kernel, size)
    linear_map = kernels.kernels_of(layer)[0].linear_map
    bound = each_channel(kernel, linear_map)
    assert np.all(bound >= exact * (1 - 1e-6))
    assert np.median(bound / exact) < 1.15
    for known in ((size[0], None), (None, size[1])):
        assert np.all(each_channel(kernel, linear_map, input_size=known) >= exact * (1 - 1e-6))


def excess(taps, size, stride, count, outputs=1):
    layer = layer_of(2, kernel_size=taps, strides=stride, padding="same", depth_multiplier=outputs)
    kernel = tools.random(taps, taps, count, outputs)
    exact = real_norms(layer, kernel, (size, size))
    return each_channel(kernel, kernels.kernels_of(layer)[0].linear_map) / exact - 1


@pytest.mark.parametrize(
    ("size", "count", "limit"), [(7, 24, 0.05), (14, 11, 0.015), (28, 5, 0.01)]
)
def test_hardly_above_the_norm_with_stride_1(size, count, limit):
    assert np.median(excess(3, size, 1, count)) < limit


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("size", [7, 8, 12])
def test_every_strided_kernel_of_3_taps_is_close(size, outputs):
    assert excess(3, size, 2, 16, outputs).max() < 0.1


@pytest.mark.parametrize("taps", [2, 4, 5, 7])
def test_strided_kernels_are_close_at_larger_sizes(taps):
    assert np.median(excess(taps, 3 * taps, 2, 9)) < 0.15


@pytest.mark.parametrize(
    ("rank", "stride", "outputs", "taps"),
    list(itertools.product([1, 2], [1, 2, 3], [1, 2, 3], [2, 3, 6]))[SOME],
)
def test_without_a_size_it_is_the_supremum(rank, stride, outputs, taps):
    kernel = tools.random(*(taps,) * rank, 1, outputs, seed=taps)
    exact = supremum(kernel.astype("float64"), stride, 4096 if rank == 1 else 80)
    sigma = sigma_of(kernel, linear_map_of(kernel.shape, strides=stride))
    assert exact * (1 - 1e-6) <= sigma <= exact * (1.006**rank + 0.008)
    # A dilated kernel has the same frequencies in another order.
    if stride == 1:
        dilated = sigma_of(kernel, linear_map_of(kernel.shape, dilation_rate=2))
        np.testing.assert_allclose(dilated, sigma, rtol=1e-6)


def test_without_a_window_it_bounds_every_one():
    kernel = tools.random(3, 3, 5, 2)
    anything = LinearMap("depthwise_convolution", kernel.shape, (3,), (2,))
    expected = sigma_of(kernel, linear_map_of(kernel.shape))
    np.testing.assert_allclose(sigma_of(kernel, anything), expected, rtol=1e-6)


def circulant_norm(kernel, size, stride, dilation):
    *taps, _, outputs = kernel.shape
    rank = len(taps)
    places = list(np.ndindex(*(size,) * rank))
    matrix = np.zeros((size,) * rank + (outputs,) + (size,) * rank)
    for place in itertools.product(range(0, size, stride), repeat=rank):
        for tap in np.ndindex(*taps):
            source = tuple((p + dilation * t) % size for p, t in zip(place, tap, strict=True))
            for output in range(outputs):
                matrix[(*place, output, *source)] += kernel[(*tap, 0, output)]
    return np.linalg.norm(matrix.reshape(-1, len(places)), 2)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(
    ("rank", "taps", "size", "stride", "dilation"),
    [
        (1, 3, 8, 1, 1),
        (1, 3, 50, 1, 1),
        (1, 5, 12, 2, 1),
        (1, 3, 12, 3, 1),
        (1, 3, 12, 1, 2),
        (1, 4, 9, 1, 2),
        (1, 3, 12, 2, 3),
        (2, 3, 7, 1, 1),
        (2, 3, 8, 2, 1),
        (2, 4, 6, 2, 1),
        (2, 3, 8, 1, 2),
    ],
)
def test_exact_on_a_circle(rank, taps, size, stride, dilation, outputs):
    kernel = tools.random(*(taps,) * rank, 1, outputs, seed=size)
    linear_map = linear_map_of(kernel.shape, size, "circular", stride, dilation)
    exact = circulant_norm(kernel, size, stride, dilation)
    np.testing.assert_allclose(sigma_of(kernel, linear_map), exact, rtol=1e-5)


def test_circle_that_the_stride_does_not_divide():
    kernel = tools.random(3, 1, 1)
    bound = sigma_of(kernel, linear_map_of(kernel.shape, 9, "circular", 2))
    assert bound >= circulant_norm(kernel, 9, 2, 1) * (1 - 1e-6)


def test_causal_padding():
    kernel = tools.random(4, 1, 1)
    matrix = sum(kernel[tap, 0, 0] * np.eye(9, k=tap - 3) for tap in range(4))
    exact = tools.largest_singular_value(matrix)
    bound = sigma_of(kernel, linear_map_of(kernel.shape, 9, "causal"))
    assert exact <= bound <= 1.15 * exact


def test_data_format_and_separable_layers():
    """The order of the axes and the pointwise kernel change nothing."""
    kernel = tools.random(3, 3, 4, 2)
    first = layer_of(
        2, kernel_size=3, padding="same", depth_multiplier=2, data_format="channels_first"
    )
    first.build((None, 4, 7, 9))
    last = layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2)
    last.build((None, 7, 9, 4))
    found = [sigma_of(kernel, kernels.kernels_of(layer)[0].linear_map) for layer in (first, last)]
    assert found[0] == found[1]


# Shape of the kernel, stride, and how far the gradient may be from that of the bound: with three
# outputs and four phases σ is a little more than the singular value that is differentiated.
GRADIENTS = [
    ((3, 3, 4, 1), 1, 1e-6),
    ((3, 3, 4, 3), 1, 1e-6),
    ((3, 3, 4, 1), 2, 1e-6),
    ((3, 3, 4, 2), 2, 1e-6),
    ((3, 3, 4, 3), 2, 1e-3),
    ((5, 4, 1), 1, 1e-6),
    ((5, 4, 3), 2, 1e-6),
]
with_gradients = pytest.mark.parametrize(
    ("shape", "stride", "tolerance"), GRADIENTS[:: 3 if tools.BACKEND == "jax" else 1]
)


def gradient_of(measurement):
    return sum(tools.array(part.kernel(*part.factors)) for part in measurement.direction)


@with_gradients
@pytest.mark.parametrize("size", [7, None])
def test_gradient_against_finite_differences(shape, stride, tolerance, size):
    linear_map = linear_map_of(shape, size, strides=stride)
    kernel = tools.random(*shape, dtype="float64")
    with tools.double_precision():
        measurement = measured(kernel, linear_map)
        gradient = gradient_of(measurement)
        assert gradient.dtype == "float64"
        np.testing.assert_allclose(np.sum(gradient * kernel), tools.array(measurement.sigma))
        for seed in range(3):
            change = 1e-6 * tools.random(*shape, seed=seed + 1, dtype="float64")
            difference = sigma_of(kernel + change, linear_map)
            difference -= sigma_of(kernel - change, linear_map)
            expected = 2 * np.sum(gradient * change)
            assert abs(difference - expected) < tolerance * 2 * np.linalg.norm(change)


@with_gradients
def test_automatic_differentiation_agrees(shape, stride, tolerance):
    linear_map = linear_map_of(shape, 7, strides=stride)
    variable = keras.Variable(tools.random(*shape))
    (found,) = tools.gradients(lambda: measured(variable.value, linear_map).sigma, [variable])
    expected = gradient_of(measured(variable.value, linear_map))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.count_nonzero(np.abs(found).reshape(-1, shape[-2], shape[-1]).sum((0, 2))) == 1


@with_gradients
@pytest.mark.parametrize("factor", [1e-30, 1e30, -2.0])
def test_homogeneous_even_at_extreme_scales(shape, stride, tolerance, factor):
    linear_map = linear_map_of(shape, 7, strides=stride)
    kernel = tools.random(*shape)
    expected = measured(kernel, linear_map)
    found = measured((kernel * factor).astype("float32"), linear_map)
    np.testing.assert_allclose(
        tools.array(found.sigma) / abs(factor), tools.array(expected.sigma), rtol=1e-5
    )
    gradient = gradient_of(expected) * np.sign(factor)
    np.testing.assert_allclose(gradient_of(found), gradient, atol=1e-4)


@with_gradients
def test_zero_kernel(shape, stride, tolerance):
    variable = keras.Variable(np.zeros(shape, "float32"))
    linear_map = linear_map_of(shape, 7, strides=stride)
    assert float(tools.array(measured(variable.value, linear_map).sigma)) == 0.0
    np.testing.assert_array_equal(gradient_of(measured(variable.value, linear_map)), 0.0)
    (found,) = tools.gradients(lambda: measured(variable.value, linear_map).sigma, [variable])
    np.testing.assert_array_equal(found, 0.0)


@with_gradients
@pytest.mark.parametrize("entry", [np.nan, np.inf])
def test_entry_that_is_not_finite_shows(shape, stride, tolerance, entry):
    kernel = tools.random(*shape)
    kernel[(0,) * (len(shape) - 2) + (2, 0)] = entry
    assert np.isnan(sigma_of(kernel, linear_map_of(shape, 7, strides=stride)))


@pytest.mark.parametrize(
    ("shape", "stride"), [((3, 3, 4, 1), 1), ((3, 3, 4, 2), 2), ((3, 3, 4, 3), 2)]
)
def test_traced_and_compiled(shape, stride):
    linear_map = linear_map_of(shape, 7, strides=stride)
    kernel = tools.random(*shape)
    expected = measured(kernel, linear_map)

    def function(value):
        measurement = Fourier()(value, {}, linear_map, 1, True)
        return measurement.sigma, measurement.direction

    if tools.BACKEND == "tensorflow":
        import tensorflow as tf

        compiled = [tf.function(function, jit_compile=xla) for xla in (False, True)]
    elif tools.BACKEND == "jax":
        import jax

        compiled = [jax.jit(function)]
    else:
        compiled = [function]
    for version in compiled:
        sigma, direction = version(ops.convert_to_tensor(kernel))
        np.testing.assert_allclose(tools.array(sigma), tools.array(expected.sigma), rtol=1e-5)
        found = gradient_of(expected._replace(direction=direction))
        np.testing.assert_allclose(found, gradient_of(expected), atol=1e-4)
        # No compiler may take a product with zero for zero.
        spoiled = np.array(kernel)
        spoiled[0, 0, 2, 0] = np.inf
        assert np.isnan(tools.array(version(ops.convert_to_tensor(spoiled))[0]))


def test_ties_between_channels_and_frequencies():
    """They still give one gradient, with ⟨g, W⟩ = σ."""
    kernel = np.zeros((3, 3, 4, 1), "float32")
    kernel[1, 1] = 2.0
    measurement = measured(kernel, linear_map_of(kernel.shape, 7))
    np.testing.assert_allclose(tools.array(measurement.sigma), 2.0, rtol=1e-6)
    np.testing.assert_allclose(np.sum(gradient_of(measurement) * kernel), 2.0, rtol=1e-6)


@pytest.mark.parametrize("size", [31, 112, None])
def test_few_frequencies_are_computed(size):
    """Half a grid of 32, from 13 samples, however large the image."""
    axes = axes_of(linear_map_of((3, 3, 1, 1), size))
    tables = plan(axes, 1, 1, "float32")
    assert len(tables.waves) == 514
    assert len(tables.samples) == 13
    assert plan(axes, 1, 1, "float32") is tables


def test_default_and_name():
    assert norms.get("fourier") == Fourier()
    assert norms.default_norm(linear_map_of((3, 3, 2, 1))) == Fourier()
    assert norms.get(keras.saving.serialize_keras_object(Fourier())) == Fourier()
    assert Fourier().state_shapes(linear_map_of((3, 3, 2, 1))) == {}


@pytest.mark.parametrize("kind", ["dense", "embedding"])
def test_other_kernels_are_refused(kind):
    linear_map = LinearMap(kind, (3, 4), (1,))
    message = r"Argument `linear_map` must be .*convolution.*Received: linear_map="
    with pytest.raises(ValueError, match=message):
        Fourier().state_shapes(linear_map)
    with pytest.raises(ValueError, match=message):
        measured(tools.random(3, 4), linear_map)
