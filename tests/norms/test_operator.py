"""The norm of the convolution itself: sizes, state, extreme values, errors."""

import sys

import keras
import numpy as np
import pytest
from keras import ops

from tests import tools
from tfspecnorm import norms
from tfspecnorm.norms import Operator, convolution, window

LINEAR_MAP = convolution((3, 3, 2, 4), window(2, input_size=(6, 7), strides=2))


def test_iteration_converges_from_anywhere():
    kernel = tools.random(3, 3, 2, 4)
    norm = Operator()
    state = {
        name: tools.random(*shape, seed=len(shape))
        for name, shape in norm.state_shapes(LINEAR_MAP).items()
    }
    state = norm(kernel, state, LINEAR_MAP, 60).state
    sigma = norm(kernel, state, LINEAR_MAP).sigma
    np.testing.assert_allclose(tools.array(sigma), norms.exact(kernel, LINEAR_MAP).value, rtol=1e-3)


def test_evaluation_after_a_step_measures_what_the_step_did():
    kernel = tools.random(3, 3, 2, 4)
    norm = Operator()
    state = {
        name: tools.random(*shape, seed=1) for name, shape in norm.state_shapes(LINEAR_MAP).items()
    }
    step = norm(kernel, state, LINEAR_MAP, 1)
    again = norm(kernel, step.state, LINEAR_MAP)
    np.testing.assert_allclose(tools.array(again.sigma), tools.array(step.sigma), rtol=1e-6)


def test_search_finds_the_norm():
    kernel = tools.random(3, 3, 2, 4)
    norm = Operator()
    state = norm.search(ops.convert_to_tensor(kernel), LINEAR_MAP)
    sigma = norm(kernel, state, LINEAR_MAP).sigma
    exact = norms.exact(kernel, LINEAR_MAP).value
    np.testing.assert_allclose(tools.array(sigma), exact, rtol=1e-5)


def test_smaller_images_are_covered_with_stride_1():
    norm = Operator()
    one = convolution((3, 3, 2, 2), window(2, input_size=(8, 8)))
    assert norm.covers(one, (8, 8))
    assert norm.covers(one, (5, 8))
    assert not norm.covers(one, (9, 8))
    assert not norm.covers(one, (None, 8))
    kernel = tools.random(3, 3, 2, 2)
    large = norms.measure(kernel, one)
    for size in (3, 5, 7):
        assert norms.measure(kernel, one.at_size(size)) <= large * (1 + 1e-6)
    assert not norm.covers(LINEAR_MAP, (5, 5))
    assert norm.covers(LINEAR_MAP, (6, 7))
    assert norm.covers(norms.dense((3, 4)), ())


def test_without_taps_it_is_the_matrix_norm():
    kernel = tools.random(1, 1, 5, 3)
    linear_map = convolution(kernel.shape, window(2, strides=2))
    exact = tools.largest_singular_value(kernel.reshape(5, 3))
    np.testing.assert_allclose(norms.measure(kernel, linear_map), exact, rtol=1e-6)
    assert Operator().state_shapes(linear_map) == {"vector_u": (3,), "vector_v": (5,)}


@pytest.mark.parametrize("factor", [0.0, 1e-30, 1e30])
def test_extreme_kernels(factor):
    kernel = tools.random(3, 3, 2, 4)
    variable = keras.Variable((kernel * factor).astype("float32"))
    norm = Operator()
    state = norm.initial_state(tools.array(variable), LINEAR_MAP)
    state = norm(variable.value, state, LINEAR_MAP, 2).state
    sigma = norm(variable.value, state, LINEAR_MAP).sigma
    exact = norms.exact(kernel, LINEAR_MAP).value
    np.testing.assert_allclose(tools.array(sigma), exact * factor, rtol=1e-4)
    (gradient,) = tools.gradients(lambda: norm(variable.value, state, LINEAR_MAP).sigma, [variable])
    assert np.all(np.isfinite(gradient))


def test_unknown_size():
    linear_map = convolution((3, 3, 2, 4), window(2))
    message = r"Argument `input_size` must be given .*Received: input_size=None"
    with pytest.raises(ValueError, match=message):
        Operator().state_shapes(linear_map)
    assert Operator(8).state_shapes(linear_map)["vector_v"] == (128,)
    assert Operator((8, 4)).state_shapes(linear_map)["vector_v"] == (64,)
    with pytest.raises(ValueError, match="Argument `input_size` must have one entry for each"):
        Operator((8,)).state_shapes(linear_map)
    with pytest.raises(ValueError, match="Argument `linear_map` must have an input size"):
        norms.exact(np.ones((3, 3, 2, 4)), linear_map)
    for size in (0, "8", (8, 0)):
        with pytest.raises(ValueError, match="Argument `input_size` must be a positive integer"):
            Operator(size)


def test_exact_norm_without_scipy(monkeypatch):
    linear_map = convolution((3, 3, 2, 4), window(2, input_size=20))
    monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    with pytest.raises(ImportError, match=r'need SciPy.*\n.*pip install "tfspecnorm\[analysis\]"'):
        norms.exact(np.ones((3, 3, 2, 4)), linear_map)


def test_configuration():
    for norm in (Operator(), Operator(8), Operator((8, 4))):
        again = norms.get(keras.saving.serialize_keras_object(norm))
        assert again == norm
        assert hash(again) == hash(norm)


def test_arrays_of_another_shape_and_not_finite():
    with pytest.raises(ValueError, match="Argument `kernel` must have the shape .*Received"):
        norms.measure(np.ones((3, 3)), LINEAR_MAP)
    kernel = tools.random(3, 3, 2, 4)
    kernel[0, 0, 0, 0] = np.nan
    assert np.isnan(norms.measure(kernel, LINEAR_MAP))
    assert np.isnan(norms.exact(kernel, LINEAR_MAP).value)
