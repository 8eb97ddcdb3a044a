"""Constants of pooling and upsampling against the dense matrices of the Keras layers."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers

from tests import tools
from tests.analysis import oracles
from tfspecnorm.analysis._constants import constant_of
from tfspecnorm.analysis._windows import pooled_average_norm


def fewer_on_jax(cases):
    """Every third case on JAX, which compiles for each shape; all on the other backends."""
    return cases[::3] if tools.BACKEND == "jax" else cases


CLASSES = {
    "max": (layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
    "average": (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
}
ALONG_ONE_AXIS = list(itertools.product((1, 2, 3, 4), (1, 2, 3, 5), ("valid", "same")))
# Sizes, window, strides.
ALONG_SEVERAL = [
    ((6, 5), (3, 2), (2, 1)),
    ((5, 7), (3, 3), (2, 2)),
    ((5, 6), (3, 3), (1, 1)),
    ((4, 5), (2, 3), (2, 1)),
    ((4, 6), (2, 2), (3, 2)),
    ((5, 3), (1, 3), (1, 3)),
    ((3, 4, 3), (2, 3, 1), (1, 2, 1)),
    ((3, 3, 4), (3, 2, 2), (1, 2, 3)),
    ((4, 3, 3), (3, 3, 3), (2, 1, 1)),
]


def with_channels(sizes, data_format, channels=1):
    return (channels, *sizes) if data_format == "channels_first" else (*sizes, channels)


def norm_of_matrix(layer, shape):
    return tools.largest_singular_value(oracles.matrix_of_linear(layer, shape))


def largest_answer_to_one_entry(layer, shape):
    """max ‖f(e) − f(0)‖ over the inputs e with a single one."""
    return float(np.linalg.norm(oracles.matrix_of_linear(layer, shape), axis=1).max())


def slope_of_random_pairs(layer, shape, pairs=20):
    first, second = (tools.random(pairs, *shape, seed=seed) for seed in (1, 2))
    second = first + np.where(np.arange(pairs).reshape(-1, *[1] * len(shape)) % 2, 0.01, 1) * second
    change = tools.array(layer(first)) - tools.array(layer(second))
    lengths = [np.linalg.norm(part.reshape(pairs, -1), axis=1) for part in (change, first - second)]
    return float((lengths[0] / lengths[1]).max())


@pytest.mark.parametrize(("pool", "stride", "padding"), fewer_on_jax(ALONG_ONE_AXIS))
def test_pooling_along_one_axis(pool, stride, padding):
    average = layers.AveragePooling1D(pool, stride, padding)
    largest = layers.MaxPooling1D(pool, stride, padding)
    for size in (1, 2, 5, 8):
        if padding == "valid" and size < pool:
            continue
        known, unknown = (None, size, 1), (None, None, 1)
        norm = norm_of_matrix(average, (size, 1))
        np.testing.assert_allclose(constant_of(average, known), norm, rtol=1e-6)
        assert norm <= constant_of(average, unknown) * (1 + 1e-6)
        attained = largest_answer_to_one_entry(largest, (size, 1))
        np.testing.assert_allclose(constant_of(largest, known), attained, rtol=1e-6)
        assert attained <= constant_of(largest, unknown) * (1 + 1e-6)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("sizes", "pool", "strides"), fewer_on_jax(ALONG_SEVERAL), ids=str)
def test_pooling_along_several_axes(sizes, pool, strides, padding, data_format):
    shape = with_channels(sizes, data_format)
    options = {"padding": padding, "data_format": data_format}
    partly_known = (None, *with_channels((None, *sizes[1:]), data_format))
    unknown = (None, *with_channels([None] * len(sizes), data_format))

    average = CLASSES["average"][len(sizes) - 1](pool, strides, **options)
    norm = norm_of_matrix(average, shape)
    np.testing.assert_allclose(constant_of(average, (None, *shape)), norm, rtol=1e-6)
    for fewer in (partly_known, unknown):
        assert norm <= constant_of(average, fewer) * (1 + 1e-6)

    largest = CLASSES["max"][len(sizes) - 1](pool, strides, **options)
    constant = constant_of(largest, (None, *shape))
    attained = largest_answer_to_one_entry(largest, shape)
    np.testing.assert_allclose(constant, attained, rtol=1e-6)
    assert slope_of_random_pairs(largest, shape) <= constant * (1 + 1e-5)
    for fewer in (partly_known, unknown):
        assert attained <= constant_of(largest, fewer) * (1 + 1e-6)


@pytest.mark.parametrize(("pool", "stride"), [(2, 1), (3, 1), (3, 2), (5, 3)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_bound_without_a_size_holds_for_every_size(pool, stride, padding):
    layer = layers.AveragePooling1D(pool, stride, padding)
    bound = constant_of(layer, (None, None, 1))
    sizes = [1, 2, 3, 4, 6, 40] if tools.BACKEND == "jax" else range(1, 41)
    if padding == "valid":
        sizes = [size for size in sizes if size >= pool]
    norms = [norm_of_matrix(layer, (size, 1)) for size in sizes]
    assert max(norms) <= bound * (1 + 1e-6)
    assert bound <= max(norms) * 1.03


@pytest.mark.parametrize("repeats_border", [False, True])
@pytest.mark.parametrize(("pool", "stride"), [(3, 1), (4, 3), (8, 1), (2, 5)])
def test_bound_of_a_long_axis_is_that_of_a_shorter_one(pool, stride, repeats_border):
    for size in range(513, 513 + stride):
        bound = pooled_average_norm(size, pool, stride, "same", repeats_border)
        shorter = size - (size - 100) // stride * stride
        norm = pooled_average_norm(shorter, pool, stride, "same", repeats_border)
        assert norm <= bound * (1 + 1e-9)
        assert bound <= pooled_average_norm(None, pool, stride, "same", repeats_border)


def test_bound_of_a_long_axis_holds():
    """A window of 3 on 600 entries, with the matrix written out."""
    near = np.abs(np.subtract.outer(np.arange(600), np.arange(600))) <= 1
    norm = tools.largest_singular_value(near / near.sum(1, keepdims=True))
    bound = constant_of(layers.AveragePooling1D(3, 1, "same"), (None, 600, 1))
    assert norm <= bound <= norm * 1.01


def test_values_that_one_can_check_by_hand():
    image = (None, 32, 32, 3)
    assert constant_of(layers.MaxPooling2D(2), image) == 1.0
    assert constant_of(layers.MaxPooling2D(3, 2), image) == 2.0
    assert constant_of(layers.MaxPooling2D(3, 2), (None, None, None, 3)) == 2.0
    assert constant_of(layers.MaxPooling2D(3, 2), (None, 3, 4, 3)) == 1.0
    assert constant_of(layers.AveragePooling2D(2), image) == pytest.approx(0.5, rel=1e-9)
    assert constant_of(layers.AveragePooling2D(3, 1, "same"), (None, 4, 4, 3)) > 1.02
    assert constant_of(layers.AveragePooling2D(3, 1), (None, None, None, 3)) == 1.0
    assert constant_of(layers.AveragePooling1D(100, 1, "same"), (None, None, 3)) is None


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("sizes", [(5,), (3, 4), (2, 3, 2)], ids=str)
def test_global_pooling(sizes, data_format):
    shape = with_channels(sizes, data_format, channels=2)
    number = f"{len(sizes)}D"
    average = getattr(layers, "GlobalAveragePooling" + number)(data_format)
    constant = constant_of(average, (None, *shape))
    np.testing.assert_allclose(constant, norm_of_matrix(average, shape), rtol=1e-6)
    assert constant_of(average, (None,) * (len(sizes) + 2)) == 1.0
    largest = getattr(layers, "GlobalMaxPooling" + number)(data_format)
    assert constant_of(largest, (None, *shape)) == 1.0
    assert largest_answer_to_one_entry(largest, shape) == 1.0
    assert slope_of_random_pairs(largest, shape) <= 1.0 + 1e-6


@pytest.mark.parametrize(("size", "count"), fewer_on_jax([(5, 3), (6, 3), (3, 3), (3, 5), (7, 4)]))
@pytest.mark.skipif(
    not hasattr(layers, "AdaptiveMaxPooling1D"), reason="adaptive pooling is new in later Keras"
)
def test_adaptive_pooling(size, count):
    for sizes, counts in (((size,), (count,)), ((size, 4), (count, 3))):
        number = f"{len(sizes)}D"
        shape = (*sizes, 1)
        unknown = (None, None, *shape[1:])
        average = getattr(layers, "AdaptiveAveragePooling" + number)(counts)
        norm = norm_of_matrix(average, shape)
        np.testing.assert_allclose(constant_of(average, (None, *shape)), norm, rtol=1e-6)
        largest = getattr(layers, "AdaptiveMaxPooling" + number)(counts)
        attained = largest_answer_to_one_entry(largest, shape)
        np.testing.assert_allclose(constant_of(largest, (None, *shape)), attained, rtol=1e-6)
        assert constant_of(average, unknown) is constant_of(largest, unknown) is None


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.UpSampling1D(3), (4, 2)),
        (layers.UpSampling2D((2, 3)), (3, 4, 2)),
        (layers.UpSampling2D((2, 3), data_format="channels_first"), (2, 3, 4)),
        (layers.UpSampling2D(2, interpolation="bilinear"), (1, 4, 1)),
        (layers.UpSampling2D((2, 3), interpolation="bilinear"), (3, 4, 1)),
        (layers.UpSampling2D((4, 5), interpolation="bilinear"), (2, 3, 1)),
        (layers.UpSampling3D((2, 1, 3)), (2, 2, 3, 1)),
    ],
    ids=lambda value: value.name if isinstance(value, keras.layers.Layer) else str(value),
)
def test_upsampling(layer, shape):
    constant = constant_of(layer, (None, *shape))
    np.testing.assert_allclose(constant, norm_of_matrix(layer, shape), rtol=1e-5)
    assert constant_of(layer, (None,) * (len(shape) + 1)) == constant


def test_upsampling_with_other_interpolations_has_no_constant():
    for interpolation in ("bicubic", "lanczos3", "lanczos5"):
        layer = layers.UpSampling2D(2, interpolation=interpolation)
        assert constant_of(layer, (None, 4, 4, 1)) is None
    assert constant_of(layers.UpSampling2D(2), (None, 4, 4, 1)) == math.sqrt(4)
