"""Every norm against the dense matrix of Keras' own layers, over random settings."""

import numpy as np
import pytest

from benchmarks import norm_bounds
from tests import tools
from tests.norms.settings import kernel_and_matrix, random_layer
from tfspecnorm import norms

# To compile takes JAX longer than all the rest.
COUNT, GROUPS = (60, 6) if tools.BACKEND == "jax" else (330, 11)
UPPER_BOUNDS = {
    "fourier": norms.Fourier().converged,
    "gram 2": norms.Gram(2).converged,
    "gram 5": norms.Gram(5).converged,
    "four reshapes": norm_bounds.four_reshapes,
    "gram in space": lambda *given: norm_bounds.gram_in_space(*given, iterations=3),
}


@pytest.mark.parametrize("group", tools.quick(range(GROUPS), range(0, GROUPS, 3)))
def test_against_the_dense_matrix(group):
    for seed in range(group, COUNT, GROUPS):
        layer, size, channels = random_layer(seed)
        kernel, value, matrix = kernel_and_matrix(layer, size, channels, seed)
        linear_map = kernel.linear_map
        expected = tools.largest_singular_value(matrix)
        where = f"seed {seed}: {layer.get_config()}, {size}"
        found = norms.exact(value, linear_map)
        tolerance = 1e-6 if matrix.dtype == "float64" else 1e-5
        assert abs(found.value - expected) <= tolerance * expected, where
        assert found.residual <= 1e-6, where
        converged = norms.measure(value, linear_map, "operator")
        assert abs(converged - expected) <= 1e-3 * expected, where
        anywhere = linear_map.at_size((None,) * len(size))
        for name, bound in UPPER_BOUNDS.items():
            if linear_map.tap_axes:
                for covered in (linear_map, anywhere):
                    assert bound(value, covered) >= expected * (1 - tolerance), (name, where)


@pytest.mark.parametrize("seed", range(0, 40, 8 if tools.BACKEND == "jax" else 1))
def test_in_tensors_as_in_arrays(seed):
    """What a wrapper computes in 32 bits is what the array functions do in 64."""
    layer, size, channels = random_layer(seed)
    kernel, value, _ = kernel_and_matrix(layer, size, channels, seed)
    linear_map, single = kernel.linear_map, value.astype("float32")
    for name in ("operator", "gram"):
        norm = norms.get(name)
        sigma = norm(single, norm.initial_state(single, linear_map), linear_map).sigma
        expected = norm.converged(value, linear_map)
        np.testing.assert_allclose(tools.array(sigma), expected, rtol=1e-4)
    exact = norms.Fourier().converged(value, linear_map)
    sigma = float(tools.array(norms.Fourier()(single, {}, linear_map).sigma))
    assert exact * (1 - 1e-5) <= sigma <= exact * 1.02


def test_every_setting_occurs():
    described = [random_layer(seed)[0].get_config() for seed in range(330)]
    assert {config["padding"] for config in described} == {"same", "valid", "causal"}
    assert {config["strides"][0] for config in described} == {1, 2, 3}
    assert {config["dilation_rate"][0] for config in described} == {1, 2}
    assert {len(config["kernel_size"]) for config in described} == {1, 2, 3}
    assert {config.get("groups", 1) for config in described} == {1, 2}
    assert any(
        config["kernel_size"] == (7, 7) or 7 in config["kernel_size"] for config in described
    )
