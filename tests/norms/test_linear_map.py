import numpy as np
import pytest

from tests import tools
from tfspecnorm.norms import LinearMap

MAPS = {
    "dense": LinearMap("dense", (5, 7), (1,)),
    "convolution": LinearMap("convolution", (3, 2, 4, 6), (3,)),
    "transposed": LinearMap("transposed_convolution", (3, 2, 6, 4), (2,)),
    "grouped": LinearMap("convolution", (3, 2, 2, 6), (4,), (3,), (3, 2, 2, 3, 2)),
    "depthwise": LinearMap("depthwise_convolution", (3, 3, 5, 2), (3,), (2,)),
    "einsum": LinearMap("dense", (4, 2, 3), (0, 2)),
}


@pytest.mark.parametrize("linear_map", MAPS.values(), ids=MAPS)
def test_kernel_undoes_matrix(linear_map):
    kernel = tools.random(*linear_map.kernel_shape)
    matrix = linear_map.matrix(kernel, np)
    assert matrix.shape == linear_map.matrix_shape
    np.testing.assert_array_equal(tools.array(linear_map.matrix(kernel)), matrix)
    np.testing.assert_array_equal(tools.array(linear_map.kernel(matrix)), kernel)


def test_each_block_holds_one_group():
    kernel = tools.random(3, 2, 2, 6)
    blocks = MAPS["grouped"].matrix(kernel, np)
    for group, block in enumerate(blocks):
        np.testing.assert_array_equal(block, kernel[..., 2 * group : 2 * group + 2].reshape(-1, 2))


def test_transposed_convolution_has_outputs_as_columns():
    kernel = tools.random(3, 2, 6, 4)
    matrix = MAPS["transposed"].matrix(kernel, np)
    assert matrix.shape == (24, 6)
    np.testing.assert_array_equal(matrix[:, 5], kernel[:, :, 5, :].reshape(-1))
