"""A block of vectors: it follows a moving kernel, and its gradient is that of one vector."""

import keras
import numpy as np
import pytest
from keras import ops

from tests import tools
from tfspecnorm import norms
from tfspecnorm.layers import BidirectionalSpectralNorm, SpectralNorm

DENSE = norms.dense((40, 30))
CONVOLUTION = norms.convolution((3, 3, 3, 4), norms.window(2, input_size=6))
GROUPS = norms.convolution((3, 3, 3, 8), norms.window(2, input_size=6), groups=2)
CASES = [
    (norms.Matrix, DENSE),
    (norms.Matrix, GROUPS),
    (norms.Bidirectional, CONVOLUTION),
    (norms.Operator, CONVOLUTION),
    (norms.Operator, GROUPS),
]


def tensors(state):
    return {name: ops.convert_to_tensor(value, "float32") for name, value in state.items()}


def largest_error(norm, linear_map, steps=25):
    """How much too small σ is at worst, for a kernel that moves at random."""
    kernel = tools.random(*linear_map.kernel_shape)
    state, errors = tensors(norm.initial_state(kernel, linear_map)), []
    for step in range(steps):
        kernel = kernel + 0.15 * tools.random(*linear_map.kernel_shape, seed=step + 1)
        measured = norm(ops.convert_to_tensor(kernel), state, linear_map, 1)
        state = measured.state
        errors.append(1.0 - float(measured.sigma) / norm.converged(kernel, linear_map))
    return max(errors)


@pytest.mark.parametrize(("kind", "linear_map"), CASES)
def test_a_block_follows_more_closely(kind, linear_map):
    one, four = (largest_error(kind(tracked_vectors=count), linear_map) for count in (1, 4))
    assert -1e-5 < four < 0.5 * one


def test_as_many_vectors_as_rows_are_exact():
    """They span all there is."""
    linear_map = norms.dense((40, 4))
    norm = norms.Matrix(tracked_vectors=9)
    assert norm.state_shapes(linear_map)["further_vectors"] == (3, 40)
    assert abs(largest_error(norm, linear_map)) < 1e-6


@pytest.mark.parametrize(("kind", "linear_map"), CASES)
def test_steps_from_a_converged_state_agree_with_one_vector(kind, linear_map):
    kernel = tools.random(*linear_map.kernel_shape)
    norm = kind(tracked_vectors=4)
    measured = norm(
        ops.convert_to_tensor(kernel),
        tensors(norm.initial_state(kernel, linear_map)),
        linear_map,
        2,
    )
    np.testing.assert_allclose(float(measured.sigma), norm.converged(kernel, linear_map), rtol=1e-5)


@pytest.mark.parametrize("kind", ["zeros", "nan", "infinite", "rank one", 1e30, 1e-30])
def test_extreme_kernels_leave_usable_vectors(kind):
    kernels = {
        "zeros": np.zeros((40, 30)),
        "nan": np.full((40, 30), np.nan),
        "infinite": np.full((40, 30), np.inf),
        "rank one": np.outer(tools.random(40), tools.random(30, seed=1)),
    }
    kernel = kernels.get(kind)
    kernel = kind * tools.random(40, 30) if kernel is None else kernel
    norm = norms.Matrix(tracked_vectors=4)
    state = tensors(norm.initial_state(tools.random(40, 30, seed=3), DENSE))
    measured = norm(ops.convert_to_tensor(kernel, "float32"), state, DENSE, 3)
    for vectors in measured.state.values():
        np.testing.assert_allclose(np.linalg.norm(tools.array(vectors), axis=-1), 1.0, rtol=1e-4)
    usable = tensors({name: tools.array(part) for name, part in measured.state.items()})
    again = norm(ops.convert_to_tensor(tools.random(40, 30, seed=4)), usable, DENSE, 30)
    np.testing.assert_allclose(
        float(again.sigma), tools.largest_singular_value(tools.random(40, 30, seed=4)), rtol=1e-4
    )


@pytest.mark.parametrize("wrapper", [SpectralNorm, BidirectionalSpectralNorm])
def test_gradient_flows_through_the_norm(wrapper):
    """W̄ does not depend on the length of W: the gradient is orthogonal to W."""
    layer = wrapper(keras.layers.Conv2D(4, 3), tracked_vectors=4)
    layer.build((None, 6, 6, 3))
    layer.layer.kernel.assign(tools.random(3, 3, 3, 4, seed=5))
    inputs = tools.random(2, 6, 6, 3)
    weights = ops.convert_to_tensor(tools.random(2, 4, 4, 4, seed=1))
    (gradient,) = tools.gradients(
        lambda: ops.sum(layer(inputs, training=True) * weights), [layer.layer.kernel]
    )
    kernel = tools.array(layer.layer.kernel)
    cosine = np.sum(gradient * kernel) / (np.linalg.norm(gradient) * np.linalg.norm(kernel))
    assert abs(cosine) < 1e-6


def test_gradient_against_finite_differences_of_the_exact_norm():
    norm = norms.Matrix(tracked_vectors=4)
    kernel = tools.random(7, 5)
    state = tensors(norm.initial_state(kernel, norms.dense((7, 5))))
    measured = norm(ops.convert_to_tensor(kernel), state, norms.dense((7, 5)), 20)
    (product,) = measured.direction
    found = tools.array(product.kernel(*product.factors))
    numeric = np.zeros((7, 5))
    for index in np.ndindex(7, 5):
        moved = np.zeros((7, 5))
        moved[index] = 1e-5
        numeric[index] = (
            tools.largest_singular_value(kernel + moved)
            - tools.largest_singular_value(kernel - moved)
        ) / 2e-5
    np.testing.assert_allclose(found, numeric, atol=1e-4)


def test_the_wrapper_passes_it_to_each_norm():
    layer = SpectralNorm(keras.layers.SeparableConv2D(6, 3), tracked_vectors=3)
    layer.build((None, 6, 6, 4))
    found = layer.kernel_norms
    assert found["pointwise_kernel"] == norms.Matrix(tracked_vectors=3)
    assert found["depthwise_kernel"] == norms.Fourier()
    twin = SpectralNorm.from_config(layer.get_config())
    twin.build((None, 6, 6, 4))
    assert twin.kernel_norms == found
    assert [v.shape for v in twin.state] == [v.shape for v in layer.state]


@pytest.mark.parametrize("jit_compile", tools.quick([False, True], [False]))
@pytest.mark.parametrize("norm", ["matrix", "bidirectional", "operator"])
def test_trains_under_fit(norm, jit_compile):
    """As in eager calls, which know the sizes of all vectors."""
    if tools.BACKEND == "torch" and jit_compile:
        pytest.skip("needs a compiler of C++")
    inputs, targets = tools.random(8, 6, 6, 4), tools.random(8, 4, 4, 8, seed=1)
    weights = []
    for eagerly in (True, False):
        keras.utils.set_random_seed(0)
        layer = SpectralNorm(keras.layers.Conv2D(8, 3, groups=2), norm=norm, tracked_vectors=3)
        model = keras.Sequential([keras.Input((6, 6, 4)), layer])
        compiled = {"run_eagerly": True} if eagerly else {"jit_compile": jit_compile}
        model.compile(keras.optimizers.SGD(0.1), "mse", **compiled)
        model.fit(inputs, targets, epochs=3, batch_size=8, verbose=0, shuffle=False)
        # Vectors have no sign of their own.
        weights.append([tools.array(layer.layer.kernel), *(np.abs(v) for v in model.get_weights())])
    for eager, graph in zip(*weights, strict=True):
        np.testing.assert_allclose(graph, eager, atol=1e-4)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "4"])
def test_number_of_vectors_is_checked(value):
    for make in (norms.Matrix, lambda **options: SpectralNorm(keras.layers.Dense(2), **options)):
        with pytest.raises(ValueError, match="`tracked_vectors`"):
            make(tracked_vectors=value)
