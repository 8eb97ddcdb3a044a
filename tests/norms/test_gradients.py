"""The gradient of every norm against finite differences in double precision."""

import keras
import numpy as np
import pytest

from tests import tools
from tfspecnorm import norms

MAPS = {
    "convolution": norms.convolution((3, 3, 2, 4), norms.window(2, input_size=6)),
    "strided": norms.convolution((3, 2, 4), norms.window(1, input_size=9, strides=2)),
    "grouped": norms.convolution((3, 3, 2, 4), norms.window(2, input_size=5), groups=2),
    "transposed": norms.transposed_convolution(
        (3, 3, 2, 4), norms.window(2, input_size=4, strides=2)
    ),
    "depthwise": norms.depthwise_convolution((3, 3, 3, 2), norms.window(2, input_size=6)),
    "any-size": norms.convolution((3, 3, 3, 4)),
    "dense": norms.dense((5, 4)),
}
PAIRS = [
    (name, kind)
    for name in ("matrix", "bidirectional", "operator", "fourier", "gram")
    for kind in MAPS
    if not (name == "operator" and kind == "any-size")
    and not (name == "fourier" and kind == "dense")
]
# Fourier in tensors is above the decomposed norm by up to g^(1/256), and so is its gradient.
SLACK = {"fourier": 0.01}


# To compile takes JAX longer than all the rest; every norm and every map still occurs.
@pytest.mark.parametrize(("name", "kind"), PAIRS[:: 2 if tools.BACKEND == "jax" else 1])
def test_gradient_against_finite_differences(name, kind):
    linear_map, norm, slack = MAPS[kind], norms.get(name), SLACK.get(name, 0.0)
    kernel = tools.random(*linear_map.kernel_shape, seed=3, dtype="float64")
    state = norm.initial_state(kernel, linear_map)
    with tools.double_precision():
        variable = keras.Variable(kernel, dtype="float64")

        def sigma():
            return norm(variable.value, state, linear_map).sigma

        (gradient,) = tools.gradients(sigma, [variable])
        assert gradient.dtype == "float64"
        exact = norm.converged(kernel, linear_map)
        np.testing.assert_allclose(np.sum(gradient * kernel), exact, rtol=1e-6 + slack)
        for seed in range(3):
            change = 1e-5 * tools.random(*kernel.shape, seed=seed + 1, dtype="float64")
            # From arrays, converged anew at both ends: not the code that is differentiated.
            difference = norm.converged(kernel + change, linear_map)
            difference -= norm.converged(kernel - change, linear_map)
            error = abs(difference - 2 * np.sum(gradient * change))
            assert error <= (1e-4 + slack) * 2 * np.linalg.norm(change)
